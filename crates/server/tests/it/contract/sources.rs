//! What the contract says of sources. Nobody looks at them here: that is the engine's own test.

use proximity_domain::time::Clock;
use proximity_engine::notify::signature;
use proximity_testkit::sources::RealClock;
use secrecy::SecretString;
use serde_json::json;

use crate::support::exchange;
use crate::support::live::Live;

const TOKEN: &str = "correct-horse";
const HOOK: &str = "/api/sources/home/hook";

/// A nudge that is signed with this secret at this moment.
async fn nudged(live: &Live, path: &str, secret: &str, at_s: i64) -> (u16, String) {
    let (at, body) = (at_s.to_string(), "{}");
    let signed = signature(&SecretString::from(secret), &at, body.as_bytes());
    let signed = format!("v1={signed}");
    let headers = [
        ("proximity-signature", signed.as_str()),
        ("proximity-timestamp", at.as_str()),
    ];
    let (router, contract) = (&live.router, &live.contract);
    let answer = exchange(router, contract, "POST", path, body, &headers).await;
    let code = answer.body["error"]["code"].as_str();
    (answer.status.as_u16(), code.unwrap_or_default().to_owned())
}

/// All operations about them once; none is left.
pub(super) async fn sourced(live: &Live) {
    let body = json!({
        "name": "home", "url": "https://example.org/apps.git", "path": "apps", "token": TOKEN,
    });
    let added = live.send("POST", "/api/sources", &body.to_string()).await;
    assert_eq!(added.status, 201, "{}", added.body);
    let source = &added.body["source"];
    assert_eq!(
        (&source["state"], &source["policy"]),
        (&json!("new"), &json!("plan"))
    );
    assert_eq!(source["has_credential"], true);
    let secret = added.body["hook_secret"].as_str().unwrap().to_owned();
    let list = live.send("GET", "/api/sources", "").await;
    assert_eq!(list.body["sources"][0]["name"], "home");
    let shown = live.send("GET", "/api/sources/home", "").await;
    assert_eq!(shown.body["branch"], "main");
    let told = format!("{}{}{}", added.body, list.body, shown.body);
    assert!(!told.contains(TOKEN));
    let again = live.send("POST", "/api/sources", &body.to_string()).await;
    assert_eq!((again.status.as_u16(), again.code()), (409, "exists"));

    let now = RealClock.now().0 / 1_000;
    let refused = (403, "hook_refused".to_owned());
    assert_eq!(nudged(live, HOOK, "another", now).await, refused);
    assert_eq!(nudged(live, HOOK, &secret, now - 3_600).await, refused);
    let nobody = "/api/sources/nobody/hook";
    assert_eq!(nudged(live, nobody, &secret, now).await, refused);
    assert_eq!(nudged(live, HOOK, &secret, now).await, (202, String::new()));

    let asked = live.send("POST", "/api/sources/home/sync", "").await;
    assert_eq!(asked.status, 202, "{}", asked.body);
    // This server has no folder to fetch into.
    let planned = live.send("POST", "/api/sources/home/plan", "").await;
    assert_eq!(planned.code(), "source_unreachable", "{}", planned.body);
    for (field, value) in [
        ("url", json!("ext::sh -c id")),
        ("policy", json!("always")),
        ("every_s", json!(5)),
        ("known_hosts", json!("example.org ssh-ed25519 AAAA")),
    ] {
        let mut wrong = json!({ "name": "other", "url": "https://example.org/apps.git" });
        wrong[field] = value;
        let refused = live.send("POST", "/api/sources", &wrong.to_string()).await;
        let told = (refused.status.as_u16(), refused.code());
        assert_eq!(told, (422, "invalid_value"), "{field}: {}", refused.body);
        assert!(refused.body["error"]["fields"][field].is_string());
    }
    syncs(live, body).await;
    let removed = live.send("DELETE", "/api/sources/home", "").await;
    assert_eq!(removed.status, 204);
    for (method, path) in [
        ("GET", "/api/sources/home"),
        ("DELETE", "/api/sources/home"),
        ("POST", "/api/sources/home/sync"),
        ("POST", "/api/sources/home/plan"),
    ] {
        let gone = live.send(method, path, "").await;
        let told = (gone.status.as_u16(), gone.code());
        assert_eq!(told, (404, "source_not_found"), "{method} {path}");
    }
}

/// What is begun anew by it needs the right to begin it.
async fn syncs(live: &Live, mut body: serde_json::Value) {
    body["name"] = json!("applies");
    body["policy"] = json!("apply");
    let added = live.send("POST", "/api/sources", &body.to_string()).await;
    assert_eq!(added.status, 201, "{}", added.body);
    for (name, status) in [("home", 202), ("applies", 403)] {
        let path = format!("/api/sources/{name}/sync");
        let asked = live.send_as(Some("keeper"), "POST", &path, "").await;
        assert_eq!(asked.status, status, "{name}: {}", asked.body);
    }
    let removed = live.send("DELETE", "/api/sources/applies", "").await;
    assert_eq!(removed.status, 204);
}
