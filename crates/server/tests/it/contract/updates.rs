//! A native app is changed in place: shown first, then done, and refused where it cannot be.

use serde_json::json;

use crate::support::live::Live;

const AT: &str = "/api/apps/web";
const PREVIEW: &str = "/api/apps/web/preview";

pub(super) async fn updated(live: &Live) {
    let wanted =
        json!({"resources": {"memory": 128, "disk": 2}, "settings": {"greeting": "another"}});
    let preview = live.send("POST", PREVIEW, &wanted.to_string()).await;
    assert_eq!(preview.status, 200, "{}", preview.body);
    let change = &preview.body["changes"][0];
    assert_eq!(
        (&change["path"], &change["to"]),
        (&json!("memory"), &json!(128))
    );
    assert_eq!(preview.body["needs_confirm"], true);
    refused(live).await;
    let mut wanted = wanted;
    wanted["confirm"] = json!("web");
    wanted["digest"] = preview.body["digest"].clone();
    let done = live.settled("PATCH", AT, &wanted.to_string()).await;
    assert_eq!(
        (&done.body["state"], &done.body["kind"]),
        (&json!("succeeded"), &json!("update")),
        "{}",
        done.body
    );
    let app = live.send("GET", AT, "").await;
    let config = json!({"memory": 128, "cores": 1, "disk": 2});
    assert_eq!(app.body["config"], config, "{}", app.body);
    assert_eq!(app.body["status"], "running");
}

async fn refused(live: &Live) {
    for (body, status, code) in [
        (
            json!({"resources": {"disk": 2}}),
            422,
            "confirmation_needed",
        ),
        (
            json!({"resources": {"memory": 16}}),
            422,
            "memory_too_little",
        ),
        (json!({"settings": {"no_such": 1}}), 422, "setting_invalid"),
        (json!({"digest": ""}), 422, "invalid_value"),
        (json!({"digest": "ab"}), 409, "preview_outdated"),
        (json!({"no_such": 1}), 400, "unknown_field"),
    ] {
        let refused = live.send("PATCH", AT, &body.to_string()).await;
        let said = (refused.status.as_u16(), refused.code());
        assert_eq!(said, (status, code), "{}", refused.body);
    }
}
