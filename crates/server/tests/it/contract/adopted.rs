//! What the contract says of adopted apps.

use serde_json::json;

use super::action;
use crate::support::live::Live;

/// A container that was there before is taken over, and given back.
pub(super) async fn adoption(live: &Live) {
    live.world.pve.stranger_creates("pve1", 150).await;
    let found = live.send("GET", "/api/apps/discover?host=lab", "").await;
    assert_eq!(found.body["containers"][0]["vmid"], 150, "{}", found.body);
    let done = live
        .settled("POST", "/api/apps/adopt", r#"{"vmid":150}"#)
        .await;
    assert_eq!(done.body["state"], "succeeded", "{}", done.body);
    let twice = live
        .send("POST", "/api/apps/adopt", r#"{"vmid":150}"#)
        .await;
    assert_eq!(
        (twice.status.as_u16(), twice.code()),
        (409, "already_managed")
    );
    let absent = live
        .send("POST", "/api/apps/adopt", r#"{"vmid":999}"#)
        .await;
    assert_eq!((absent.status.as_u16(), absent.code()), (404, "not_found"));
    let batch = r#"{"containers":[{"vmid":150},{"vmid":999}]}"#;
    let batch = live.send("POST", "/api/apps/adopt/batch", batch).await;
    assert_eq!(batch.status, 202, "{}", batch.body);
    assert_eq!(batch.body["accepted"], json!([]));
    assert_eq!(batch.body["refused"].as_array().map(Vec::len), Some(2));
    let record = live.send("GET", "/api/apps/stranger/adoption", "").await;
    assert_eq!(record.body["config_snapshot_captured"], true);
    let keys = record.body["proxmox_config_snapshot"]
        .as_object()
        .unwrap()
        .len();
    assert_eq!(record.body["config_keys_count"], keys);
    let drift = live.send("GET", "/api/apps/stranger/drift", "").await;
    assert_eq!(drift.body["drifted"], false, "{}", drift.body);
    let config = "/nodes/pve1/lxc/150/config";
    live.world.pve.put(config, &[("memory", "640")]).await;
    let drift = live.send("GET", "/api/apps/stranger/drift", "").await;
    let key = &drift.body["changes"][0];
    assert_eq!((&key["key"], &key["now"]), (&json!("memory"), &json!(640)));
    restored(live).await;
    guarded(live).await;
    reidentified(live).await;
    let at = "/api/apps/stranger/expose";
    let open = live.send("POST", at, r#"{"port":8080}"#).await;
    assert_eq!(
        (open.status.as_u16(), &open.body["exposed"]),
        (200, &json!(true))
    );
    assert_eq!(open.body["app"]["container_port"], 8080);
    let shut = live.send("DELETE", at, "").await;
    assert_eq!(
        (shut.status.as_u16(), &shut.body["exposed"]),
        (200, &json!(false))
    );
    let native = live.send("DELETE", "/api/apps/web/expose", "").await;
    assert_eq!(
        (native.status.as_u16(), native.code()),
        (409, "not_in_state")
    );
    let none = live.send("GET", "/api/apps/web/adoption", "").await;
    assert_eq!((none.status.as_u16(), none.code()), (404, "not_found"));
    let plan = live.send("GET", "/api/apps/stranger/removal", "").await;
    assert_eq!(plan.body["deletion_type"], "soft");
    purged(live).await;
    let at = "/api/apps/stranger/action";
    let gone = live.settled("POST", at, &action("delete")).await;
    assert_eq!(
        (&gone.body["state"], &gone.body["kind"]),
        (&json!("succeeded"), &json!("forget"))
    );
}

/// `purge` is for the removal of what we made, and for nothing else.
async fn purged(live: &Live) {
    let of = |action: &str| json!({"action": action, "purge": true}).to_string();
    for (app, action) in [
        ("stranger", "delete"),
        ("stranger", "stop"),
        ("web", "start"),
    ] {
        let at = format!("/api/apps/{app}/action");
        let refused = live.send("POST", &at, &of(action)).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (422, "invalid_value"),
            "{app}: {action}"
        );
        assert!(refused.body["error"]["fields"]["purge"].is_string());
    }
    let plan = live.send("GET", "/api/apps/stranger/removal?purge=true", "");
    let plan = plan.await;
    assert_eq!((plan.status.as_u16(), plan.code()), (422, "invalid_value"));
    let plan = live
        .send("GET", "/api/apps/web/removal?purge=true", "")
        .await;
    assert_eq!(plan.status, 200, "{}", plan.body);
    assert_eq!(plan.body["guests"][0]["backup_jobs"], json!([]));
}

/// Nothing leads under host names here, whatever is asked for, and what is wrong about a name is told first.
async fn unnamed(live: &Live) {
    for (at, body, field) in [
        (
            "/api/apps/web/expose",
            r#"{"host_name":"blog.example.org"}"#,
            "host_name",
        ),
        (
            "/api/apps/stranger/expose",
            r#"{"host_name":"blog.example.org"}"#,
            "host_name",
        ),
        (
            "/api/apps/stranger/expose",
            r#"{"host_name":"blog"}"#,
            "host_name",
        ),
        (
            "/api/apps/stranger/expose",
            r#"{"host_name":"blog.example.org","certificate":{"cert_file":"cert.pem","key_file":"/key.pem"}}"#,
            "certificate",
        ),
        (
            "/api/apps/stranger/expose",
            r#"{"certificate":{"cert_file":"/cert.pem","key_file":"/key.pem"}}"#,
            "host_name",
        ),
    ] {
        let refused = live.send("POST", at, body).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (422, "invalid_value"),
            "{body}"
        );
        assert!(
            refused.body["error"]["fields"][field].is_string(),
            "{}",
            refused.body
        );
    }
}

/// The stranger is watched for drift, as often as it is asked for, and no longer; a native app cannot be.
async fn guarded(live: &Live) {
    let at = "/api/apps/stranger/guard";
    for (method, guarded) in [("POST", true), ("POST", true), ("DELETE", false)] {
        let set = live.send(method, at, "").await;
        assert_eq!(set.body["guarded"], guarded, "{}", set.body);
        let drift = live.send("GET", "/api/apps/stranger/drift", "").await;
        assert_eq!(drift.body["guarded_since"], set.body["since"]);
    }
    let seen = live.send("GET", "/api/apps/stranger/addresses", "").await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    assert_eq!(seen.body["containers"][0]["vmid"], 150);
    let native = live.send("GET", "/api/apps/web/drift", "").await;
    assert_eq!(native.status, 200, "{}", native.body);
    let shown = (&native.body["changes"], &native.body["policy"]);
    assert_eq!(shown, (&json!([]), &json!("warn")), "as was applied");
    let native = live.send("POST", "/api/apps/web/guard", "").await;
    assert_eq!(
        (native.status.as_u16(), native.code()),
        (409, "not_in_state")
    );
    unnamed(live).await;
}

/// What the stranger's memory was is brought back as it was previewed, and not otherwise.
async fn restored(live: &Live) {
    let at = "/api/apps/stranger/drift/restore";
    let preview = live.send("GET", &format!("{at}?keys=memory"), "").await;
    assert_eq!(preview.status, 200, "{}", preview.body);
    assert_eq!(preview.body["keys"][0]["now"], 640, "{}", preview.body);
    assert_eq!(preview.body["left"], json!([]));
    for (body, status, code) in [
        (
            json!({"digest": "", "keys": ["memory"]}),
            422,
            "invalid_value",
        ),
        (json!({"digest": "ab", "keys": []}), 422, "invalid_value"),
        (json!({"digest": "ab", "keys": [""]}), 422, "invalid_value"),
        (json!({"digest": "ab"}), 400, "bad_field"),
        (
            json!({"digest": "ab", "keys": ["memory"]}),
            409,
            "preview_outdated",
        ),
        (
            json!({"digest": preview.body["digest"], "keys": ["rootfs"]}),
            409,
            "not_restorable",
        ),
    ] {
        let refused = live.send("POST", at, &body.to_string()).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (status, code));
    }
    let native = live.send("GET", "/api/apps/web/drift/restore", "").await;
    assert_eq!((native.status.as_u16(), native.code()), (404, "not_found"));
    let body = json!({"digest": preview.body["digest"], "keys": ["memory"]});
    let done = live.settled("POST", at, &body.to_string()).await;
    assert_eq!(
        (&done.body["state"], &done.body["kind"]),
        (&json!("succeeded"), &json!("restore_keys"))
    );
    let drift = live.send("GET", "/api/apps/stranger/drift", "").await;
    assert_eq!(drift.body["drifted"], false, "{}", drift.body);
}

/// Where new apps may go, and the ports they get.
/// A person accepts the other MAC of an adopted container, by the digest that was shown.
pub(super) async fn reidentified(live: &Live) {
    let at = "/api/apps/stranger/reidentify";
    let look = r#"{"dry_run":true}"#;
    let same = live.send("POST", at, look).await;
    assert_eq!((same.status.as_u16(), same.code()), (409, "not_in_state"));
    let config = "/nodes/pve1/lxc/150/config";
    let net0 = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:AA:BB:CC,ip=dhcp,type=veth";
    live.world.pve.put(config, &[("net0", net0)]).await;
    let shown = live.send("POST", at, look).await;
    assert_eq!(shown.body["factor"], "mac", "{}", shown.body);
    assert_eq!(shown.body["read"], "BC:24:11:AA:BB:CC");
    let early = live.send("POST", at, "{}").await;
    assert_eq!(early.code(), "confirmation_needed");
    let accept = json!({"confirm": "stranger", "digest": shown.body["digest"]});
    let done = live.send("POST", at, &accept.to_string()).await;
    assert_eq!(done.body["accepted"], true, "{}", done.body);
}
