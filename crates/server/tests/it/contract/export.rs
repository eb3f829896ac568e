//! What the contract says of the export.

use serde_json::{Value, json};

use crate::support::live::{Live, live};

/// Exports what is there, and plans it; `web` is deployed.
pub(super) async fn exported(live: &Live) {
    for format in ["yaml", "json"] {
        let path = format!("/api/export?format={format}");
        let all = live.send("GET", &path, "").await;
        assert_eq!(all.status, 200, "{}", all.body);
        assert_eq!((names(&all.body), left_out(&all.body)), (vec!["web"], 0));
        let document = &all.body["documents"][0];
        assert_eq!(document["kind"], "App", "{document}");
        assert_eq!(document["notes"], json!([]), "{document}");
        let text = document["text"].as_str().unwrap();
        let is_json = serde_json::from_str::<Value>(text).is_ok();
        assert_eq!(is_json, format == "json", "{text}");
        assert!(!text.contains("pve1"), "it may be migrated: {text}");
        let texts = [json!({ "name": "web", "text": text })];
        let body = json!({ "documents": texts, "prune": true }).to_string();
        let plan = live.send("POST", "/api/plans", &body).await;
        assert_eq!(plan.body["changes"], json!([]), "{}", plan.body);
        assert_eq!(plan.body["counts"]["unchanged"], 1, "{}", plan.body);
    }
    let powered = live.send("GET", "/api/export?power=true", "").await;
    let text = powered.body["documents"][0]["text"].as_str().unwrap();
    assert!(text.contains("power: running"), "{text}");
}

fn names(body: &Value) -> Vec<&str> {
    let documents = body["documents"].as_array().unwrap().iter();
    let names = documents.map(|one| one["name"].as_str().unwrap());
    names.collect()
}

fn left_out(body: &Value) -> usize {
    body["left_out"].as_array().unwrap().len()
}

#[tokio::test]
async fn an_export_is_of_what_the_caller_sees_and_asks_for() {
    let live = live().await;
    for hostname in ["web", "other"] {
        let body = json!({ "catalog_id": "beacon", "hostname": hostname }).to_string();
        live.settled("POST", "/api/apps/", &body).await;
    }
    for (token, path, expected) in [
        ("all", "/api/export", vec!["other", "web"]),
        ("reader", "/api/export", vec!["other", "web"]),
        ("stranger", "/api/export", vec![]),
        ("all", "/api/export?app=web", vec!["web"]),
        ("all", "/api/export?app=web,other,web", vec!["other", "web"]),
        ("all", "/api/export?host=lab", vec!["other", "web"]),
    ] {
        let answer = live.send_as(Some(token), "GET", path, "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(names(&answer.body), expected, "{token} {path}");
    }
    for (token, query, status, code) in [
        ("stranger", "app=web", 404, "app_not_found"),
        ("all", "app=web,nobody", 404, "app_not_found"),
        ("all", "app=", 404, "app_not_found"),
        ("all", "host=nowhere", 404, "host_not_found"),
        ("all", "format=xml", 422, "invalid_value"),
        ("keeper", "", 403, "forbidden"),
    ] {
        let path = format!("/api/export?{query}");
        let answer = live.send_as(Some(token), "GET", &path, "").await;
        let told = (answer.status.as_u16(), answer.code());
        assert_eq!(told, (status, code), "{token} {query}: {}", answer.body);
    }
}
