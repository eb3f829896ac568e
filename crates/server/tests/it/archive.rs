//! The archive over HTTP: an app is found by its id, or by the host name that it had.

use serde_json::json;

use crate::support::live::{Live, live};

const DEPLOY: &str = r#"{"catalog_id":"beacon","hostname":"web"}"#;

#[tokio::test]
async fn an_archived_app_is_found_by_the_name_it_had_and_of_several_the_ids_are_told() {
    let live = live().await;
    let none = live.send("GET", "/api/archive/web", "").await;
    assert_eq!((none.status.as_u16(), none.code()), (404, "app_not_found"));
    let hint = "list the archive with: proximity archive list";
    assert_eq!(none.body["error"]["hint"], hint);

    let first = came_and_went(&live).await;
    let only = live.send("GET", "/api/archive/web", "").await;
    assert_eq!(only.body["id"], first.as_str(), "{}", only.body);
    assert!(only.body["history"].is_object(), "{}", only.body);

    let second = came_and_went(&live).await;
    let both = live.send("GET", "/api/archive/web", "").await;
    let refused = (both.status.as_u16(), both.code());
    assert_eq!(refused, (409, "name_ambiguous"), "{}", both.body);
    let told = both.body["error"]["fields"].as_object().unwrap();
    assert_eq!(told.len(), 2, "{}", both.body);
    for id in [&first, &second] {
        let shown = live.send("GET", &format!("/api/archive/{id}"), "").await;
        assert_eq!(shown.body["id"], id.as_str());
        let at = shown.body["archived_at"].as_str().unwrap();
        let told = told[id].as_str().unwrap();
        assert!(told.starts_with(&format!("archived {at}, ")), "{told}");
    }
    let theirs = live
        .send_as(Some("stranger"), "GET", "/api/archive/web", "")
        .await;
    let told = (theirs.status.as_u16(), theirs.code());
    assert_eq!(told, (404, "app_not_found"), "another account's");
}

/// Deploys the app and removes it; gives its id.
async fn came_and_went(live: &Live) -> String {
    let deployed = live.settled("POST", "/api/apps/", DEPLOY).await;
    assert_eq!(deployed.body["state"], "succeeded", "{}", deployed.body);
    let app = live.send("GET", "/api/apps/web", "").await;
    let act = json!({ "action": "delete" }).to_string();
    let gone = live.settled("POST", "/api/apps/web/action", &act).await;
    assert_eq!(gone.body["state"], "succeeded", "{}", gone.body);
    app.body["id"].as_str().unwrap().to_owned()
}
