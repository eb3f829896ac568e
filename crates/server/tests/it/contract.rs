//! The contract as a whole: each operation succeeds once as documented, and refuses those who may not.

mod accounts;
mod adopted;
pub(crate) mod applies;
mod audit;
mod catalog;
mod export;
mod inside;
mod observed;
mod passes;
mod passwords;
mod plans;
mod preflights;
mod rollback;
mod sources;
mod templates;
mod updates;

use std::collections::BTreeSet;

use proximity_api::apps::CreateApp;
use proximity_domain::time::Clock;
use proximity_store::StoreError;
use proximity_store::records::RequestKey;
use proximity_testkit::sources::RealClock;
use proximity_testkit::world::damage;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::live::{Live, live};

const APP: &str = r#"{"catalog_id":"beacon","hostname":"web","host":"lab"}"#;
const HOST: &str =
    r#"{"label":"x","url":"https://127.0.0.1:1","token_id":"a@pam!b1","token_secret":"s"}"#;

const INIT: &str =
    r#"{"label":"x","url":"https://127.0.0.1:1","login":{"user":"root@pam","password":"s"}}"#;
const UNINIT: &str = r#"{"login":{"user":"root@pam","password":"s"}}"#;
const CONFIRMED: &str = r#"{"login":{"user":"root@pam","password":"s"},"confirm":"no"}"#;

fn action(action: &str) -> String {
    json!({ "action": action }).to_string()
}

/// Needs a PVE behind HTTPS, a node's SSH or a repository, which the world in this process is not; figure R25 has the first, and the
/// engine's tests of hosts and of sources have all.
const ELSEWHERE: [&str; 12] = [
    "add_host",
    "diff_catalog_source",
    "init_host",
    "install_helper",
    "plan_init",
    "plan_source",
    "plan_uninit",
    "probe_host",
    "remove_helper",
    "set_host_ssh",
    "take_catalog_source",
    "uninit_host",
];

#[tokio::test]
async fn every_operation_answers_as_documented_when_it_succeeds() {
    let mut live = live().await;
    let deployed = live.settled("POST", "/api/apps/", APP).await;
    assert_eq!(deployed.body["state"], "succeeded", "{}", deployed.body);
    let id = deployed.body["id"].as_str().unwrap().to_owned();
    for path in [
        "/api/apps/",
        "/api/apps/web",
        "/api/apps/web/logs",
        "/api/apps/web/removal",
        "/api/operations",
        "/api/catalog/",
        "/api/stats",
        "/api/catalog/beacon",
        "/api/proxmox/hosts",
        "/api/proxmox/hosts/lab",
        "/api/proxmox/nodes",
        "/api/doctor",
        "/api/doctor?host=lab",
        "/api/ports?port=8100",
        "/api/notify/channels",
        "/api/health",
        "/api/events",
        "/metrics",
        "/api/openapi.json",
        "/api/docs",
    ] {
        assert_eq!(live.send("GET", path, "").await.status, 200, "{path}");
    }
    let stats = live.send("GET", "/api/stats", "").await;
    assert_eq!(stats.body["by_node"], json!({ "lab/pve1": 1 }));
    for name in ["stop", "start", "restart"] {
        let done = live
            .settled("POST", "/api/apps/web/action", &action(name))
            .await;
        assert_eq!(done.body["state"], "succeeded", "{name}: {}", done.body);
    }
    inside::entered(&live).await;
    preflights::looked(&live).await;
    plans::planned(&live).await;
    export::exported(&live).await;
    applies::applied(&live).await;
    applies::rejected(&live).await;
    inside::stacked(&live).await;
    rollback::planned(&live).await;
    sources::sourced(&live).await;
    catalog::read(&live).await;
    updates::updated(&live).await;
    decisions(&mut live, &id).await;
    places(&live).await;
    live.add_spare_host().await;
    let removed = live.send("DELETE", "/api/proxmox/hosts/spare", "").await;
    assert_eq!(removed.status, 204);
    adopted::adoption(&live).await;
    observed::resources(&live).await;
    passwords::shown_once(&live).await;
    templates::dropped(&live).await;
    accounts::signed_in(&live).await;
    let gone = live
        .settled("POST", "/api/apps/web/action", &action("delete"))
        .await;
    assert_eq!(gone.body["state"], "succeeded", "{}", gone.body);
    passes::and_archive(&live).await;

    let mut missing: BTreeSet<String> = live.contract.operations();
    missing.retain(|id| !live.contract.succeeded().contains(id) && !ELSEWHERE.contains(&&**id));
    assert_eq!(missing, BTreeSet::new());
}

async fn places(live: &Live) {
    let ssh = "/api/proxmox/hosts/lab/nodes/pve1/ssh";
    let shut = live.send("PUT", ssh, "{}").await;
    assert_eq!(shut.status, 409, "{}", shut.body);
    assert_eq!(shut.body["error"]["code"], "no_guest_access");
    let certificate = "/api/proxmox/hosts/lab/certificate";
    let looked = live.send("PUT", certificate, "{}").await;
    assert_eq!(looked.body["recorded"], false, "{}", looked.body);
    assert_eq!(looked.body["endpoints"].as_array().map(Vec::len), Some(1));
    let wrong = json!({ "fingerprint": "ab" }).to_string();
    let wrong = live.send("PUT", certificate, &wrong).await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.code()),
        (422, "invalid_value")
    );
    let freed = live.send("POST", "/api/ports/free", "{}").await;
    assert_eq!(freed.body, json!({ "freed": [] }));
    let tested = live.send("POST", "/api/notify/test", "{}").await;
    assert_eq!(tested.body["tests"][0]["taken"], false, "{}", tested.body);
    let nobody = r#"{"channel":"nobody"}"#;
    let nobody = live.send("POST", "/api/notify/test", nobody).await;
    assert_eq!((nobody.status.as_u16(), nobody.code()), (404, "not_found"));
    live.know_node("pve9").await;
    let path = "/api/proxmox/hosts/lab";
    let body = r#"{"vmids":"5000-5999","excluded_nodes":["pve9"]}"#;
    let changed = live.send("PATCH", path, body).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.body["vmids"], "5000-5999");
    let wrong = live.send("PATCH", path, r#"{"vmids":"9-1"}"#).await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.code()),
        (422, "invalid_value")
    );
    loss_of_a_node(live).await;
    let forgotten = live
        .send("DELETE", "/api/proxmox/hosts/lab/nodes/pve9", "")
        .await;
    assert_eq!(forgotten.body["known_nodes"], json!(["pve1"]));
    assert_eq!(forgotten.body["excluded_nodes"], json!([]));
    let kept = live.send("PATCH", path, r#"{"vmids":null}"#).await;
    assert_eq!(kept.body["vmids"], Value::Null);
    let listed = live
        .send("DELETE", "/api/proxmox/hosts/lab/nodes/pve1", "")
        .await;
    assert_eq!(
        (listed.status.as_u16(), listed.code()),
        (409, "node_in_use")
    );
}

/// Nothing is recorded on the one that left; the other one is up.
async fn loss_of_a_node(live: &Live) {
    let of = |node: &str| format!("/api/proxmox/hosts/lab/nodes/{node}/loss");
    let left = live.send("POST", &of("pve9"), "{}").await;
    let shown = json!({
        "host": "lab",
        "node": "pve9",
        "is_member": false,
        "lost": 0,
        "apps": [],
        "done": false,
        "known_nodes": ["pve1", "pve9"],
    });
    assert_eq!(left.body, shown);
    for (node, body, status, code) in [
        ("pve9", r#"{"confirm_lost":1}"#, 422, "invalid_value"),
        ("pve1", "{}", 409, "node_in_use"),
        ("pve7", "{}", 404, "not_found"),
    ] {
        let refused = live.send("POST", &of(node), body).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (status, code),
            "{node}"
        );
    }
    let only_hosts = live
        .send_as(Some("keeper"), "POST", &of("pve9"), r#"{"confirm_lost":1}"#)
        .await;
    assert_eq!(only_hosts.status, 403, "it ends records");
}

#[tokio::test]
async fn lists_are_walked_through_page_by_page() {
    let live = live().await;
    for hostname in ["web-a", "web-b", "web-c"] {
        let body = json!({ "catalog_id": "beacon", "hostname": hostname }).to_string();
        live.settled("POST", "/api/apps/", &body).await;
    }
    for (path, list) in [("/api/apps/", "apps"), ("/api/operations", "operations")] {
        let (mut seen, mut after) = (BTreeSet::new(), String::new());
        loop {
            let page = live
                .send("GET", &format!("{path}?limit=2{after}"), "")
                .await;
            for one in page.body[list].as_array().unwrap() {
                assert!(seen.insert(one["id"].to_string()), "{one} is there twice");
            }
            match page.body["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), 3, "{path}");
    }
    let found = live
        .send("GET", "/api/operations?search=B-B&kind=deploy", "")
        .await;
    assert_eq!(found.body["operations"][0]["hostname"], "web-b");
    assert_eq!(found.body["operations"].as_array().unwrap().len(), 1);
    let lines = live.send("GET", "/api/apps/web-a/logs?limit=2", "").await;
    let all = live
        .send("GET", "/api/apps/web-a/logs?after=0&limit=1000", "")
        .await;
    let all = all.body["lines"].as_array().unwrap();
    assert_eq!(
        lines.body["lines"].as_array().unwrap(),
        &all[all.len() - 2..]
    );
}

#[tokio::test]
async fn a_request_with_a_key_counts_once() {
    let mut live = live().await;
    let first = live.send_keyed("k1", "/api/apps/", APP).await;
    let again = live.send_keyed("k1", "/api/apps/", APP).await;
    assert_eq!(again.status, 202, "{}", again.body);
    assert_eq!(again.body["id"], first.body["id"]);
    assert_eq!(again.headers["location"], first.headers["location"]);
    let other = APP.replace("web", "web2");
    let refused = live.send_keyed("k1", "/api/apps/", &other).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.code(), "idempotency_conflict");
    let at = first.headers["location"].to_str().unwrap();
    let deploy = at.rsplit('/').next().unwrap().parse().unwrap();
    live.world.settled(deploy).await.unwrap();

    let stop = live
        .send_keyed("k2", "/api/apps/web/action", &action("stop"))
        .await;
    let id = stop.body["id"].as_str().unwrap().to_owned();
    live.world.settled(id.parse().unwrap()).await.unwrap();
    let again = live
        .send_keyed("k2", "/api/apps/web/action", &action("stop"))
        .await;
    assert_eq!(
        again.body["id"], stop.body["id"],
        "it is done, and not done again"
    );
    let refused = live
        .send_keyed("k2", "/api/apps/web/action", &action("start"))
        .await;
    assert_eq!(refused.code(), "idempotency_conflict");

    live.world.crash_worker().await;
    let start = live
        .send("POST", "/api/apps/web/action", &action("start"))
        .await;
    let at = start.headers["location"].to_str().unwrap().to_owned();
    live.send("POST", &format!("{at}/cancel"), "").await;
    let retry = format!("{at}/retry");
    let first = live.send_keyed("k3", &retry, "").await;
    let again = live.send_keyed("k3", &retry, "").await;
    assert_eq!(
        (again.status.as_u16(), &again.body["id"]),
        (202, &first.body["id"])
    );
    let list = live.send("GET", "/api/operations", "").await;
    assert_eq!(list.body["operations"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_removal_with_a_key_is_answered_the_same_when_the_app_is_gone() {
    let live = live().await;
    live.settled("POST", "/api/apps/", APP).await;
    let at = "/api/apps/web/action";
    let first = live.send_keyed("k", at, &action("delete")).await;
    assert_eq!(first.status, 202, "{}", first.body);
    let id = first.body["id"].as_str().unwrap();
    live.world.settled(id.parse().unwrap()).await.unwrap();
    let gone = live.send("POST", at, &action("delete")).await;
    assert_eq!(gone.code(), "app_not_found");
    let again = live.send_keyed("k", at, &action("delete")).await;
    assert_eq!(again.status, 202, "{}", again.body);
    assert_eq!(
        (&again.body["id"], &again.body["hostname"]),
        (&first.body["id"], &json!("web"))
    );
    assert_eq!(again.body["state"], "succeeded");
    let other = live.send_keyed("k", at, &action("stop")).await;
    assert_eq!(other.code(), "idempotency_conflict");
}

/// The body of a request may hold secrets: a hash that anybody can make would tell which guess is right.
#[tokio::test]
async fn what_is_kept_of_a_request_is_no_plain_hash() {
    let live = live().await;
    let made = live.send_keyed("k", "/api/apps/", APP).await;
    assert_eq!(made.status, 202, "{}", made.body);
    let body: CreateApp = serde_json::from_str(APP).unwrap();
    let body = serde_json::to_vec(&body).unwrap();
    let store = &live.world.store;
    let ask = async |fingerprint: String| {
        let key = RequestKey {
            key: "k".to_owned(),
            fingerprint,
        };
        store.request("admin", &key, RealClock.now()).await
    };
    let plain = Sha256::new().chain_update("create_app").chain_update([0]);
    let plain = plain.chain_update(&body).finalize();
    let plain = ask(plain.iter().map(|b| format!("{b:02x}")).collect()).await;
    assert!(
        matches!(plain, Err(StoreError::KeyReused { .. })),
        "{plain:?}"
    );
    let ours = ask(store.fingerprint(&[b"create_app", &body]))
        .await
        .unwrap();
    assert_eq!(ours.as_deref(), made.body["id"].as_str());
}

#[tokio::test]
async fn refusals_about_apps_and_hosts_have_codes_of_their_own() {
    let live = live().await;
    live.settled("POST", "/api/apps/", APP).await;
    let act = "/api/apps/web/action";
    let setting = r#"{"catalog_id":"beacon","hostname":"web2","environment":{"NOPE":"x"}}"#;
    let wrong_name = r#"{"action":"delete","confirm":"other"}"#;
    for (method, path, body, status, code) in [
        ("POST", "/api/apps/", setting, 422, "setting_invalid"),
        ("POST", act, wrong_name, 422, "confirmation_needed"),
        ("POST", act, &action("retry"), 409, "not_in_state"),
        ("DELETE", "/api/proxmox/hosts/lab", "", 409, "host_in_use"),
        (
            "POST",
            "/api/proxmox/hosts/lab/uninit/plan",
            UNINIT,
            409,
            "host_in_use",
        ),
        (
            "POST",
            "/api/proxmox/hosts/lab/uninit",
            CONFIRMED,
            422,
            "invalid_value",
        ),
        (
            "POST",
            "/api/proxmox/hosts/init/plan",
            INIT,
            422,
            "host_unreachable",
        ),
    ] {
        let answer = live.send(method, path, body).await;
        let told = (answer.status.as_u16(), answer.code());
        assert_eq!(told, (status, code), "{}", answer.body);
    }
}

/// As many operations wait as may: everything that asks for one more is told so, as documented.
#[tokio::test]
async fn a_full_queue_refuses_as_documented() {
    let mut live = live().await;
    live.settled("POST", "/api/apps/", APP).await;
    live.world.crash_worker().await;
    let act = "/api/apps/web/action";
    let stop = live.send("POST", act, &action("stop")).await;
    let at = stop.headers["location"].to_str().unwrap().to_owned();
    live.send("POST", &format!("{at}/cancel"), "").await;
    damage(live.world.folder().unwrap(), QUEUE).unwrap();
    let retry = format!("{at}/retry");
    let other = APP.replace("web", "other");
    for (path, body) in [
        ("/api/apps/", other),
        (act, action("stop")),
        (&retry, String::new()),
    ] {
        let answer = live.send("POST", path, &body).await;
        let told = (answer.status.as_u16(), answer.code());
        assert_eq!(told, (423, "queue_full"), "{path}: {}", answer.body);
    }
}

/// A thousand apps whose deploys wait.
const QUEUE: &str = "BEGIN; \
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999) \
    INSERT INTO apps (id, class, owner, hostname, catalog_id, catalog_version, host_id, node, status, status_full, \
    status_changed_at, resources, environment, environment_sealed, guest_port, created_at) \
    SELECT printf('22222222-0000-0000-0000-%012d', i), 'native', 'admin', 'waits-' || i, 'beacon', '1', h.id, 'pve1', \
    'deploying', '{\"status\":\"deploying\"}', 0, '{\"memory_mib\":1,\"cores\":1,\"disk_gib\":0}', '{}', 'x', 80, 0 \
    FROM n, hosts h; \
    INSERT INTO operations (id, kind, app_id, state, state_full, input, requested_by, percent, cancel_requested, epoch, \
    created_at) SELECT '3' || SUBSTR(id, 2), 'deploy', id, 'queued', '{\"state\":\"queued\"}', '{}', 'admin', 0, 0, 0, 0 \
    FROM apps WHERE hostname LIKE 'waits-%'; COMMIT";

/// Cancels an operation while no worker is there, repeats it; lets a removal get stuck, and gives it up.
async fn decisions(live: &mut Live, deploy: &str) {
    let retry = format!("/api/operations/{deploy}/retry");
    let refused = live.send("POST", &retry, "").await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    live.world.crash_worker().await;
    let stop = live
        .send("POST", "/api/apps/web/action", &action("stop"))
        .await;
    let at = stop.headers["location"].to_str().unwrap().to_owned();
    let cancelled = live.send("POST", &format!("{at}/cancel"), "").await;
    assert_eq!(cancelled.body["state"], "cancelled", "{}", cancelled.body);
    live.world.start_worker();
    let again = live.settled("POST", &format!("{at}/retry"), "").await;
    assert_eq!(again.body["state"], "succeeded", "{}", again.body);

    let app = live.send("GET", "/api/apps/web", "").await;
    let vmid = u32::try_from(app.body["vmid"].as_u64().unwrap()).unwrap();
    live.world.pve.guests.refuse_destroy(vmid, true);
    let stuck = live
        .settled("POST", "/api/apps/web/action", &action("delete"))
        .await;
    assert_eq!(stuck.body["state"], "stuck", "{}", stuck.body);
    let id = stuck.body["id"].as_str().unwrap();
    let given_up = live
        .send("POST", &format!("/api/operations/{id}/abandon"), "")
        .await;
    assert_eq!(given_up.body["state"], "failed", "{}", given_up.body);
    live.world.pve.guests.refuse_destroy(vmid, false);
    let accepted = live.send("POST", "/api/apps/web/resolve", "").await;
    assert_eq!(accepted.body["status"], "stopped", "{}", accepted.body);
    let twice = live.send("POST", "/api/apps/web/resolve", "").await;
    assert_eq!((twice.status.as_u16(), twice.code()), (409, "not_in_state"));
}

/// A body that the operation takes.
pub(crate) fn body_for(method: &str, path: &str) -> String {
    match path {
        "/api/apps/" | "/api/apps/preflight" if method == "POST" => APP.to_owned(),
        "/api/apps/web/action" | "/api/stacks/x/action" => action("stop"),
        "/api/apps/web/run" => r#"{"command":"memory"}"#.to_owned(),
        "/api/apps/web/exec" => r#"{"argv":["true"]}"#.to_owned(),
        "/api/apps/web" | "/api/apps/web/preview" if method != "GET" => "{}".to_owned(),
        "/api/proxmox/hosts" | "/api/proxmox/hosts/probe" if method == "POST" => HOST.to_owned(),
        "/api/proxmox/hosts/init" | "/api/proxmox/hosts/init/plan" => INIT.to_owned(),
        "/api/proxmox/hosts/lab/uninit/plan" => UNINIT.to_owned(),
        "/api/proxmox/hosts/lab/uninit" => CONFIRMED.to_owned(),
        "/api/plans" => r#"{"documents":[]}"#.to_owned(),
        "/api/plans/{plan}/reject" | "/api/plans/x/reject" => "{}".to_owned(),
        "/api/apps/web/rollback" => r#"{"revision":1}"#.to_owned(),
        "/api/rollback" => r#"{"time":"2026-01-01T00:00:00Z"}"#.to_owned(),
        "/api/applies" if method == "POST" => r#"{"plan_id":"x"}"#.to_owned(),
        "/api/sources" if method == "POST" => r#"{"name":"x","url":"https://x/y"}"#.to_owned(),
        "/api/catalog-sources" if method == "POST" => {
            r#"{"name":"x","url":"https://x/y"}"#.to_owned()
        }
        "/api/catalog-sources/x/take" => r#"{"commit":"x"}"#.to_owned(),
        "/api/secrets/x" if method == "PUT" => r#"{"value":"x"}"#.to_owned(),
        "/api/session" if method == "POST" => r#"{"account":"x","password":"x"}"#.to_owned(),
        "/api/session/password" => r#"{"current":"x","password":"x"}"#.to_owned(),
        "/api/setup" => r#"{"token":"x","password":"x"}"#.to_owned(),
        "/api/accounts" if method == "POST" => r#"{"name":"x","role":"viewer"}"#.to_owned(),
        "/api/accounts/x" if method == "PATCH" => r#"{"role":"viewer"}"#.to_owned(),
        "/api/apps/adopt" => r#"{"vmid":150}"#.to_owned(),
        "/api/apps/adopt/batch" => r#"{"containers":[{"vmid":150}]}"#.to_owned(),
        "/api/apps/web/expose" if method == "POST" => "{}".to_owned(),
        "/api/apps/web/drift/restore" if method == "POST" => {
            r#"{"digest":"ab","keys":["memory"]}"#.to_owned()
        }
        "/api/apps/web/reidentify" => "{}".to_owned(),
        "/api/ports/free" | "/api/notify/test" | "/api/reconcile" | "/api/janitor"
        | "/api/audit/verify" => "{}".to_owned(),
        "/api/proxmox/hosts/lab" if method == "PATCH" => "{}".to_owned(),
        "/api/proxmox/hosts/lab/nodes/pve1/ssh" | "/api/proxmox/hosts/lab/nodes/pve1/loss" => {
            "{}".to_owned()
        }
        "/api/proxmox/hosts/lab/helper" => "{}".to_owned(),
        "/api/proxmox/hosts/lab/certificate" => "{}".to_owned(),
        "/api/proxmox/hosts/lab/helper/removal" => json!({ "private_key": "k" }).to_string(),
        _ => String::new(),
    }
}

#[tokio::test]
async fn who_may_not_is_refused_on_every_operation() {
    let live = live().await;
    live.settled("POST", "/api/apps/", APP).await;
    let document: Value = live.send("GET", "/api/openapi.json", "").await.body;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let is_public = !operation["security"].is_null();
            let id = operation["operationId"].as_str().unwrap();
            // Public, and about who one is: they have tests of their own.
            if ["sign_in", "set_up"].contains(&id) {
                continue;
            }
            let method = method.to_uppercase();
            let path = path.replace("{app}", "web").replace("{host}", "lab");
            let path = path.replace("{entry}", "beacon").replace("{id}", "x");
            let path = path.replace("{node}", "pve1").replace("{resource}", "x");
            let path = path.replace("{apply}", "x").replace("{secret}", "x");
            let path = path.replace("{source}", "x").replace("{stack}", "x");
            let path = path.replace("{template}", "x").replace("{account}", "x");
            let path = match path.as_str() {
                "/api/resources/x/at" => format!("{path}?time=2026-01-01T00:00:00Z"),
                "/api/resources/x/diff" => format!("{path}?from=2026-01-01T00:00:00Z"),
                _ => path,
            };
            let body = body_for(&method, &path);
            for token in [None, Some("wrong")] {
                let answer = live.send_as(token, &method, &path, &body).await;
                let refused = answer.status == 401;
                assert_eq!(refused, !is_public, "{method} {path} as {token:?}");
            }
            let answer = live.send_as(Some("reader"), &method, &path, &body).await;
            let refused = answer.status == 403;
            // What no app has is everybody's, and shown to those alone who may see it all.
            let shared = [
                "/api/resources",
                "/api/accounts",
                "/api/secrets",
                "/api/sessions",
                "/api/sources",
                "/api/catalog-sources",
                "/api/templates",
            ];
            let everybodys =
                path == "/api/apps/discover" || shared.iter().any(|start| path.starts_with(start));
            let is_plan = path.starts_with("/api/plans") && !path.ends_with("/reject");
            let is_his = is_plan || method == "GET" && !everybodys;
            assert_eq!(refused, !is_his, "{method} {path}: {}", answer.body);
        }
    }
    for path in [
        "/api/apps/web",
        "/api/apps/web/logs",
        "/api/apps/web/removal",
    ] {
        let answer = live.send_as(Some("stranger"), "GET", path, "").await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let theirs = live
        .send_as(Some("stranger"), "GET", "/api/apps/", "")
        .await;
    assert_eq!(theirs.body["total"], 0);
}
