//! Root's password is shown once, to those who may operate the app.

use serde_json::json;

use crate::support::live::Live;

const AT: &str = "/api/apps/safe/root-password";

pub(super) async fn shown_once(live: &Live) {
    let body = json!({"catalog_id": "beacon", "hostname": "safe", "root_password": true});
    let deployed = live.settled("POST", "/api/apps/", &body.to_string()).await;
    assert_eq!(deployed.body["state"], "succeeded", "{}", deployed.body);
    let app = live.send("GET", "/api/apps/safe", "").await;
    assert_eq!(app.body["root_access"], "password", "{}", app.body);
    let reader = live.send_as(Some("reader"), "POST", AT, "").await;
    assert_eq!(reader.status, 403);
    let shown = live.send("POST", AT, "").await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    let password = shown.body["password"].as_str().unwrap();
    assert_eq!(
        (password.len(), &shown.body["hostname"]),
        (24, &json!("safe"))
    );
    let again = live.send("POST", AT, "").await;
    assert_eq!((again.status.as_u16(), again.code()), (404, "not_found"));
    let both = json!({
        "catalog_id": "beacon",
        "hostname": "both",
        "root_password": true,
        "root_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJDZ2vcaGDAwbOjv4LRQYIxWNFxGmDcSjdHzVX6zRIyR"],
    });
    let refused = live.send("POST", "/api/apps/", &both.to_string()).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (422, "invalid_value")
    );
}
