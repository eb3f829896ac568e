//! What the contract says of plans.

use serde_json::{Value, json};

use crate::support::live::{Live, live};

fn document(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: proximity/v1\nkind: App\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
    )
}

fn body(text: &str, prune: bool) -> String {
    let texts = [json!({ "name": "shop.yaml", "text": text })];
    json!({ "documents": texts, "prune": prune }).to_string()
}

/// Plans what is there, and a little more; `web` is deployed.
pub(super) async fn planned(live: &Live) {
    let before = live.world.pve.changes().len();
    let same = body(&document("web", "catalog_id: beacon, host: lab"), true);
    let plan = live.send("POST", "/api/plans", &same).await;
    assert_eq!(plan.status, 201, "{}", plan.body);
    assert_eq!(plan.body["changes"], json!([]), "{}", plan.body);
    assert_eq!(plan.body["counts"]["unchanged"], 1);
    let again = live.send("POST", "/api/plans", &same).await;
    for named in ["basis", "digest"] {
        assert_eq!(again.body[named], plan.body[named], "{named}");
    }
    let wish = "catalog_id: beacon, resources: {memory_mib: 128}, settings: {greeting: bye}";
    let more = document("web", wish) + &document("more", "catalog_id: beacon, depends_on: [web]");
    let plan = live.send("POST", "/api/plans", &body(&more, false)).await;
    let changes = plan.body["changes"].as_array().unwrap();
    let acts: Vec<(&Value, &Value)> = changes
        .iter()
        .map(|one| (&one["act"], &one["layer"]))
        .collect();
    assert_eq!(
        acts,
        [(&json!("update"), &json!(1)), (&json!("create"), &json!(2))],
        "{}",
        plan.body
    );
    assert_eq!(changes[0]["depends_on"], json!([]), "{}", plan.body);
    assert_eq!(changes[1]["depends_on"], json!(["web"]), "{}", plan.body);
    let memory = json!({"path": "memory", "from": 64, "to": 128, "source": "documents"});
    assert_eq!(changes[0]["fields"][0], memory, "{}", plan.body);
    assert_ne!(plan.body["digest"], again.body["digest"]);
    let mut passing: Value = serde_json::from_str(&body(&more, false)).unwrap();
    passing["passing"] = json!(true);
    let passing = passing.to_string();
    let once = live.send("POST", "/api/plans", &passing).await;
    assert_eq!(once.status, 200, "{}", once.body);
    assert_eq!(once.body["id"], json!(null), "{}", once.body);
    assert_eq!(once.body["changes"], plan.body["changes"]);
    let path = format!("/api/plans/{}", plan.body["id"].as_str().unwrap());
    let kept = live.send("GET", &path, "").await;
    assert_eq!((kept.status.as_u16(), &kept.body), (200, &plan.body));
    let hidden = live.send_as(Some("stranger"), "GET", &path, "").await;
    assert_eq!((hidden.status.as_u16(), hidden.code()), (404, "not_found"));
    assert_eq!(live.world.pve.changes().len(), before, "nothing is changed");
}

/// Whether it is there, and what it is like, is told to who may see the hosts.
#[tokio::test]
async fn a_container_of_nobody_is_planned_for_with_the_right_on_hosts_alone() {
    let live = live().await;
    let made = live.world.pve.stranger_creates("pve1", 150).await;
    assert_eq!(made.status, 200);
    live.world.pve.quiet().await;
    let adopts = |vmid: u32| {
        let text = format!(
            "apiVersion: proximity/v1\nkind: AdoptedApp\nmetadata: {{name: found}}\nspec: {{host: lab, vmid: {vmid}}}\n"
        );
        body(&text, false)
    };
    for vmid in [150, 999] {
        let refused = live
            .send_as(Some("reader"), "POST", "/api/plans", &adopts(vmid))
            .await;
        let told = (refused.status.as_u16(), refused.code());
        assert_eq!(told, (403, "forbidden"), "{}", refused.body);
        let plan = live.send("POST", "/api/plans", &adopts(vmid)).await;
        assert_eq!(plan.status, 201, "{}", plan.body);
    }
    live.settled("POST", "/api/apps/adopt", r#"{"vmid":150}"#)
        .await;
    for (token, status) in [("reader", 201), ("stranger", 403)] {
        let plan = live
            .send_as(Some(token), "POST", "/api/plans", &adopts(150))
            .await;
        assert_eq!(plan.status, status, "{token}: {}", plan.body);
    }
}

#[tokio::test]
async fn documents_that_are_not_right_are_told_by_their_places() {
    let live = live().await;
    let unknown = document("web", "catalog_id: beacon, memory: 1");
    let nowhere = document("web", "catalog_id: beacn, host: lab")
        + &document(
            "dbs",
            "catalog_id: beacon, host: nowhere, settings: {nope: 1}",
        )
        + &document(
            "big",
            "catalog_id: beacon, node: pve7, resources: {memory_mib: 16}",
        );
    for (text, fields) in [
        (unknown, vec!["shop.yaml:5:28"]),
        (
            nowhere,
            vec![
                "big.node",
                "big.resources",
                "dbs.host",
                "dbs.settings.nope",
                "web.catalog_id",
            ],
        ),
    ] {
        let refused = live.send("POST", "/api/plans", &body(&text, false)).await;
        let told = (refused.status.as_u16(), refused.code());
        assert_eq!(told, (422, "manifest_invalid"), "{}", refused.body);
        let named = refused.body["error"]["fields"].as_object().unwrap();
        let named: Vec<&String> = named.keys().collect();
        assert_eq!(named, fields, "{}", refused.body);
    }
    let none = live.send("POST", "/api/plans", r#"{"documents":[]}"#).await;
    assert_eq!((none.status.as_u16(), none.code()), (422, "invalid_value"));
}
