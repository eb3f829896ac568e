//! What the contract says of applies and of secrets.

use proximity_engine::apply::Applier;
use serde_json::{Value, json};

use crate::support::live::{Live, live};

const SECRET: &str = "correct-horse";

pub(crate) fn document(name: &str, more: &str) -> String {
    format!(
        "---\napiVersion: proximity/v1\nkind: App\nmetadata: {{name: {name}}}\nspec: {{catalog_id: beacon{more}}}\n"
    )
}

/// The id of a plan of this text.
async fn plan(live: &Live, text: &str, prune: bool) -> String {
    let texts = [json!({ "name": "shop.yaml", "text": text })];
    let body = json!({ "documents": texts, "prune": prune }).to_string();
    let plan = live.send("POST", "/api/plans", &body).await;
    assert_eq!(plan.status, 201, "{}", plan.body);
    plan.body["id"].as_str().unwrap().to_owned()
}

/// Starts the apply of a plan of this text, made anew where the cluster's list was told anew in between.
pub(crate) async fn begun(live: &Live, text: &str) -> Value {
    let begun = tokio::sync::Mutex::new(Value::Null);
    let is_begun = async || {
        let body = json!({ "plan_id": plan(live, text, false).await }).to_string();
        let answer = live.send("POST", "/api/applies", &body).await;
        match answer.status.as_u16() {
            202 => *begun.lock().await = answer.body,
            _ => assert_eq!(answer.code(), "plan_outdated", "{}", answer.body),
        }
        !begun.lock().await.is_null()
    };
    live.world.until(is_begun).await.unwrap();
    begun.into_inner()
}

/// Carries out what there is; gives the apply once it has ended.
pub(crate) async fn ended(live: &Live, apply: &Value) -> Value {
    let applier = Applier::new(live.world.engine.clone(), true);
    let applier = tokio::sync::Mutex::new(applier);
    let path = format!("/api/applies/{}", apply["id"].as_str().unwrap());
    let is_over = async || {
        applier.lock().await.pass().await.unwrap();
        let shown = live.send("GET", &path, "").await;
        !shown.body["ended_at"].is_null()
    };
    live.world.until(is_over).await.unwrap();
    live.send("GET", &path, "").await.body
}

/// All operations about them once; `web` is deployed, and stays as it is.
pub(super) async fn applied(live: &Live) {
    let before = live.world.pve.changes().len();
    let web = document("web", ", host: lab");
    let first = begun(live, &web).await;
    assert_eq!(
        (&first["state"], &first["parallel"]),
        (&json!("running"), &json!(4))
    );
    let stop = format!("/api/applies/{}/stop", first["id"].as_str().unwrap());
    let stopped = live.send("POST", &stop, "").await;
    assert_eq!(stopped.status, 202, "{}", stopped.body);
    assert_eq!(stopped.body["stopped_by"], "admin");
    let over = ended(live, &first).await;
    assert_eq!(over["counts"]["failed"], 0, "{over}");
    let late = live.send("POST", &stop, "").await;
    assert_eq!((late.status.as_u16(), late.code()), (409, "not_in_state"));
    let list = live.send("GET", "/api/applies?limit=1", "").await;
    assert_eq!(list.body["applies"][0]["id"], first["id"]);
    assert_eq!(
        live.world.pve.changes().len(),
        before,
        "nothing was to be done"
    );

    let body = json!({ "value": SECRET }).to_string();
    let set = live.send("PUT", "/api/secrets/db", &body).await;
    assert_eq!(
        (set.status.as_u16(), &set.body["version"]),
        (200, &json!(1))
    );
    let listed = live.send("GET", "/api/secrets", "").await;
    assert_eq!(listed.body["secrets"][0]["name"], "db");
    assert!(!format!("{}{}", set.body, listed.body).contains(SECRET));
    let removed = live.send("DELETE", "/api/secrets/db", "").await;
    assert_eq!(removed.status, 204);
    let gone = live.send("DELETE", "/api/secrets/db", "").await;
    assert_eq!(
        (gone.status.as_u16(), gone.code()),
        (404, "secret_not_found")
    );
    for (name, value) in [("Not-A-Name", "x"), ("db", "")] {
        let body = json!({ "value": value }).to_string();
        let path = format!("/api/secrets/{name}");
        let refused = live.send("PUT", &path, &body).await;
        let told = (refused.status.as_u16(), refused.code());
        assert_eq!(told, (422, "invalid_value"), "{}", refused.body);
    }
}

/// All operations about what is rejected once.
pub(super) async fn rejected(live: &Live) {
    let wanted = document("new", ", host: lab");
    let id = plan(live, &wanted, false).await;
    let path = format!("/api/plans/{id}/reject");
    let body = json!({ "why": "it is too large" }).to_string();
    let rejected = live.send("POST", &path, &body).await;
    assert_eq!(rejected.status, 200, "{}", rejected.body);
    let row = &rejected.body["rejected"][0];
    let told = [&row["name"], &row["rejected_by"], &row["why"]];
    assert_eq!(told, ["new", "admin", "it is too large"]);
    let listed = live.send("GET", "/api/rejected", "").await;
    assert_eq!(listed.body, rejected.body);
    let texts = [json!({ "name": "shop.yaml", "text": wanted })];
    let again = json!({ "documents": texts, "passing": true }).to_string();
    let shown = live.send("POST", "/api/plans", &again).await;
    let note = shown.body["changes"][0]["notes"][0].as_str();
    assert!(
        note.is_some_and(|note| note.contains("rejected by admin")),
        "{}",
        shown.body
    );
    for (body, status, code) in [
        (json!({ "app": "other" }), 422, "invalid_value"),
        (json!({ "app": "Not A Name" }), 422, "invalid_value"),
        (json!({ "why": "two\nlines" }), 422, "invalid_value"),
    ] {
        let refused = live.send("POST", &path, &body.to_string()).await;
        let told = (refused.status.as_u16(), refused.code());
        assert_eq!(told, (status, code), "{}", refused.body);
    }
    let unknown = format!("/api/plans/{}/reject", uuid::Uuid::from_u128(7));
    let unknown = live.send("POST", &unknown, "{}").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.code()),
        (404, "not_found")
    );
    let hidden = live
        .send_as(Some("reader"), "GET", "/api/rejected", "")
        .await;
    assert_eq!(hidden.body, json!({ "rejected": [] }));
    let refused = live
        .send_as(Some("reader"), "DELETE", "/api/rejected/new", "")
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (403, "forbidden")
    );
    let forgotten = live.send("DELETE", "/api/rejected/new", "").await;
    assert_eq!(forgotten.status, 204);
    let gone = live.send("DELETE", "/api/rejected/new", "").await;
    assert_eq!((gone.status.as_u16(), gone.code()), (404, "not_found"));
}

#[tokio::test]
async fn a_plan_is_applied_in_order_and_once_under_a_key() {
    let live = live().await;
    let text = document("data", "") + &document("web", ", depends_on: [data]");
    let id = plan(&live, &text, false).await;
    let body = json!({ "plan_id": id, "parallel": 2 }).to_string();
    let first = live.send_keyed("k1", "/api/applies", &body).await;
    assert_eq!(first.status, 202, "{}", first.body);
    let again = live.send_keyed("k1", "/api/applies", &body).await;
    assert_eq!(again.body["id"], first.body["id"], "{}", again.body);
    let twice = live.send("POST", "/api/applies", &body).await;
    assert_eq!((twice.status.as_u16(), twice.code()), (409, "plan_applied"));
    let over = ended(&live, &first.body).await;
    assert_eq!(over["state"], "done", "{over}");
    let changes = over["changes"].as_array().unwrap();
    let told: Vec<[&Value; 3]> = changes
        .iter()
        .map(|one| [&one["name"], &one["state"], &one["layer"]])
        .collect();
    let done = json!("done");
    let expected = [
        [&json!("data"), &done, &json!(1)],
        [&json!("web"), &done, &json!(2)],
    ];
    assert_eq!(told, expected, "{over}");
    let operation = changes[1]["operation_id"].as_str().unwrap();
    let path = format!("/api/operations/{operation}");
    let operation = live.send("GET", &path, "").await;
    assert_eq!(operation.body["hostname"], "web");
}

#[tokio::test]
async fn what_a_plan_takes_away_needs_consent_and_the_right_to_destroy() {
    let live = live().await;
    live.settled(
        "POST",
        "/api/apps/",
        r#"{"catalog_id":"beacon","hostname":"web"}"#,
    )
    .await;
    let id = plan(&live, &document("other", ""), true).await;
    for (body, code) in [
        (json!({ "plan_id": id }), "prune_not_allowed"),
        (
            json!({ "plan_id": id, "prune": true }),
            "destroy_not_confirmed",
        ),
        (
            json!({ "plan_id": id, "prune": true, "confirm_destroyed": 2 }),
            "destroy_not_confirmed",
        ),
        (
            json!({ "plan_id": id, "prune": true, "confirm_destroyed": 1, "parallel": 17 }),
            "invalid_value",
        ),
    ] {
        let refused = live.send("POST", "/api/applies", &body.to_string()).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (422, code),
            "{body}"
        );
    }
    let unknown = json!({ "plan_id": uuid::Uuid::from_u128(7) }).to_string();
    let unknown = live.send("POST", "/api/applies", &unknown).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.code()),
        (404, "not_found")
    );
    let agreed = json!({ "plan_id": id, "prune": true, "confirm_destroyed": 1 }).to_string();
    for token in ["reader", "keeper", "ender"] {
        let refused = live
            .send_as(Some(token), "POST", "/api/applies", &agreed)
            .await;
        let told = (refused.status.as_u16(), refused.code());
        assert_eq!(told, (403, "forbidden"), "{token}");
    }
    let begun = live.send("POST", "/api/applies", &agreed).await;
    assert_eq!(begun.status, 202, "{}", begun.body);
    let path = format!("/api/applies/{}", begun.body["id"].as_str().unwrap());
    let hidden = live.send_as(Some("stranger"), "GET", &path, "").await;
    assert_eq!((hidden.status.as_u16(), hidden.code()), (404, "not_found"));
    assert_eq!(ended(&live, &begun.body).await["state"], "done");
    let apps = live.send("GET", "/api/apps/", "").await;
    assert_eq!(apps.body["total"], 1, "{}", apps.body);
    assert_eq!(apps.body["apps"][0]["hostname"], "other");
}

#[tokio::test]
async fn applies_are_walked_through_page_by_page() {
    let live = live().await;
    let mut begun_here = Vec::new();
    for name in ["aaa", "bbb", "ccc"] {
        begun_here.push(begun(&live, &document(name, "")).await["id"].clone());
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = live
            .send("GET", &format!("/api/applies?limit=2{after}"), "")
            .await;
        for one in page.body["applies"].as_array().unwrap() {
            assert!(one["changes"].is_null());
            seen.push(one["id"].clone());
        }
        match page.body["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    seen.reverse();
    assert_eq!(seen, begun_here);
}
