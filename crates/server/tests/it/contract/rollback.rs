//! What the contract says of going back.

use serde_json::{Value, json};

use super::applies::{begun, document, ended};
use crate::support::live::{Live, live};

async fn revisions(live: &Live) -> Vec<Value> {
    let listed = live.send("GET", "/api/apps/web/desired", "").await;
    assert_eq!(listed.status, 200, "{}", listed.body);
    listed.body["revisions"].as_array().unwrap().clone()
}

/// All operations about it once; of `web` something is wanted.
pub(super) async fn planned(live: &Live) {
    let newest = revisions(live).await.swap_remove(0);
    assert_eq!(newest["of_this_app"], true, "{newest}");
    let revision = &newest["revision"];
    let body = json!({ "revision": revision }).to_string();
    let back = live.send("POST", "/api/apps/web/rollback", &body).await;
    assert_eq!(back.status, 201, "{}", back.body);
    assert_eq!(&back.body["rollback"]["revision"], revision);
    assert_eq!(back.body["rollback"]["apps"][0]["name"], "web");
    let moving = json!({ "plane": "configuration", "moves": true });
    assert_eq!(back.body["rollback"]["planes"][0], moving);
    let id = back.body["id"].as_str().unwrap();
    let kept = live.send("GET", &format!("/api/plans/{id}"), "").await;
    assert_eq!(kept.body["rollback"], back.body["rollback"]);

    let at = &newest["applied_at"];
    let body = json!({ "time": at, "passing": true }).to_string();
    let all = live.send("POST", "/api/rollback", &body).await;
    assert_eq!((all.status.as_u16(), &all.body["id"]), (200, &Value::Null));
    assert_eq!(&all.body["rollback"]["time"], at, "{}", all.body);
}

#[tokio::test]
async fn an_app_goes_back_to_a_revision_and_that_is_a_new_one() {
    let live = live().await;
    for settings in ["old", "new"] {
        let text = format!(", settings: {{greeting: {settings}}}");
        let apply = begun(&live, &document("web", &text)).await;
        assert_eq!(ended(&live, &apply).await["state"], "done");
    }
    let before = revisions(&live).await;
    assert_eq!(before[0]["revision"], 2, "{before:?}");
    assert_eq!(before[1]["spec"]["settings"]["greeting"], "old");
    let page = live.send("GET", "/api/apps/web/desired?limit=1", "").await;
    assert_eq!(page.body["next"], "2");
    let rest = live.send("GET", "/api/apps/web/desired?after=2", "").await;
    assert_eq!(rest.body["revisions"], json!([before[1]]));
    assert!(rest.body["next"].is_null());

    let body = r#"{"revision":1,"passing":true}"#;
    let plan = live.send("POST", "/api/apps/web/rollback", body).await;
    assert_eq!(plan.status, 200, "{}", plan.body);
    let lost = json!([{ "name": "web", "path": "settings.GREETING", "now": "new" }]);
    assert_eq!(plan.body["rollback"]["lost"], lost, "{}", plan.body);
    refused(&live).await;
    let hidden = live
        .send_as(Some("stranger"), "GET", "/api/apps/web/desired", "")
        .await;
    assert_eq!(hidden.status, 404, "{}", hidden.body);
}

const APP: &str = "/api/apps/web/rollback";
const ALL: &str = "/api/rollback";

/// By whom, where, what, and how it is refused.
const REFUSED: &[(&str, &str, &str, u16, &str)] = &[
    ("all", APP, "{}", 422, "invalid_value"),
    (
        "all",
        APP,
        r#"{"revision":1,"snapshot":1}"#,
        422,
        "invalid_value",
    ),
    ("all", APP, r#"{"revision":9}"#, 404, "not_found"),
    ("all", APP, r#"{"snapshot":900}"#, 404, "not_found"),
    (
        "all",
        APP,
        r#"{"time":"1999-01-01T00:00:00Z"}"#,
        409,
        "rollback_impossible",
    ),
    (
        "all",
        ALL,
        r#"{"time":"1999-01-01T00:00:00Z"}"#,
        409,
        "rollback_impossible",
    ),
    (
        "all",
        ALL,
        r#"{"time":"2999-01-01T00:00:00Z"}"#,
        422,
        "invalid_value",
    ),
    (
        "all",
        "/api/apps/nobody/rollback",
        r#"{"revision":1}"#,
        404,
        "app_not_found",
    ),
    ("reader", APP, r#"{"revision":1}"#, 403, "forbidden"),
    (
        "reader",
        ALL,
        r#"{"time":"2026-01-01T00:00:00Z"}"#,
        403,
        "forbidden",
    ),
];

async fn refused(live: &Live) {
    for (token, path, body, status, code) in REFUSED {
        let refused = live.send_as(Some(token), "POST", path, body).await;
        let told = (refused.status.as_u16(), refused.code());
        assert_eq!(told, (*status, *code), "{path} {body}: {}", refused.body);
    }
}
