//! What the contract says of repositories with entries, and of reading the catalog again. Nobody fetches here: that is the engine's own test.

use serde_json::{Value, json};

use crate::support::live::Live;

const TOKEN: &str = "correct-horse-of-entries";

/// All operations about them once; none is left.
pub(super) async fn read(live: &Live) {
    let list = live.send("GET", "/api/catalog/?source=shipped", "").await;
    let entries = list.body["entries"].as_array().unwrap();
    assert!(entries.iter().all(|entry| entry["source"] == "shipped"));
    assert_eq!(list.body["stats"]["by_source"]["shipped"], entries.len());
    let shown = live.send("GET", "/api/apps/web", "").await;
    assert_eq!(shown.body["newer_entry"], Value::Null, "{}", shown.body);
    let reloaded = live.send("POST", "/api/catalog-reload", "").await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.body);
    assert_eq!(reloaded.body["stats"], list.body["stats"]);

    let body = json!({
        "name": "team", "url": "https://example.org/entries.git", "path": "apps", "token": TOKEN,
    });
    let path = "/api/catalog-sources";
    let added = live.send("POST", path, &body.to_string()).await;
    assert_eq!(added.status, 201, "{}", added.body);
    assert_eq!(added.body["commit"], Value::Null);
    assert_eq!(added.body["has_credential"], true);
    let again = live.send("POST", path, &body.to_string()).await;
    assert_eq!((again.status.as_u16(), again.code()), (409, "exists"));
    let list = live.send("GET", path, "").await;
    assert_eq!(list.body["sources"][0]["name"], "team");
    assert!(!format!("{}{}", added.body, list.body).contains(TOKEN));
    for (field, value) in [
        ("url", json!("ext::sh -c id")),
        ("path", json!("../etc")),
        ("known_hosts", json!("example.org ssh-ed25519 AAAA")),
    ] {
        let mut wrong = json!({ "name": "other", "url": "https://example.org/entries.git" });
        wrong[field] = value;
        let refused = live.send("POST", path, &wrong.to_string()).await;
        let told = (refused.status.as_u16(), refused.code());
        assert_eq!(told, (422, "invalid_value"), "{field}: {}", refused.body);
    }
    let commit = json!({ "commit": "a".repeat(40) }).to_string();
    // This server has no folder to fetch into.
    let (diff, take) = (format!("{path}/team/diff"), format!("{path}/team/take"));
    for (path, body) in [(&diff, ""), (&take, commit.as_str())] {
        let looked = live.send("POST", path, body).await;
        assert_eq!(looked.code(), "source_unreachable", "{}", looked.body);
    }
    let head = json!({ "commit": "HEAD" }).to_string();
    let refused = live.send("POST", &take, &head).await;
    assert_eq!(refused.code(), "invalid_value", "{}", refused.body);
    let team = format!("{path}/team");
    let removed = live.send("DELETE", &team, "").await;
    assert_eq!(removed.status, 204);
    for (method, path, body) in [
        ("DELETE", &team, ""),
        ("POST", &diff, ""),
        ("POST", &take, commit.as_str()),
    ] {
        let gone = live.send(method, path, body).await;
        let told = (gone.status.as_u16(), gone.code());
        assert_eq!(told, (404, "source_not_found"), "{method} {path}");
    }
}
