//! Before a deploy everything is looked at in numbers, and nothing is made.

use serde_json::{Value, json};

use crate::support::live::Live;

const AT: &str = "/api/apps/preflight";

fn line<'b>(body: &'b Value, what: &str) -> &'b Value {
    let lines = body["lines"].as_array().unwrap();
    lines.iter().find(|line| line["what"] == what).unwrap()
}

pub(super) async fn looked(live: &Live) {
    let wanted = json!({"catalog_id": "beacon", "hostname": "shop", "apart_from": ["web"]});
    let wanted = wanted.to_string();
    let before = live.world.pve.changes().len();
    let found = live.send("POST", AT, &wanted).await;
    assert_eq!(found.status, 200, "{}", found.body);
    assert_eq!(found.body["deployable"], true, "{}", found.body);
    assert_eq!(found.body["place"], json!({"host": "lab", "node": "pve1"}));
    let memory = line(&found.body, "memory");
    assert!(memory["has"].as_u64().unwrap() > memory["wants"].as_u64().unwrap());
    assert_eq!(
        (&memory["unit"], &memory["verdict"], &memory["place"]),
        (&json!("MiB"), &json!("ok"), &json!("lab/pve1"))
    );
    assert_eq!(line(&found.body, "apart")["verdict"], "warn");
    assert_eq!(live.world.pve.changes().len(), before);
    assert_eq!(live.send("GET", "/api/apps/shop", "").await.status, 404);

    let large = json!({"catalog_id": "beacon", "hostname": "web", "config": {"memory": 1 << 20}});
    let found = live.send("POST", AT, &large.to_string()).await;
    assert_eq!(found.body["deployable"], false, "{}", found.body);
    assert_eq!(found.body["place"], Value::Null);
    for (what, code) in [("name", "hostname_taken"), ("memory", "memory_above_node")] {
        let line = line(&found.body, what);
        let said = (&line["verdict"], &line["code"]);
        assert_eq!(said, (&json!("stop"), &json!(code)), "{line}");
        assert!(line["hint"].is_string(), "{line}");
    }
    refused(live, &wanted).await;
}

async fn refused(live: &Live, wanted: &str) {
    let reader = live.send_as(Some("reader"), "POST", AT, wanted).await;
    assert_eq!(reader.status, 403);
    for (body, status, code) in [
        (
            json!({"catalog_id": "nope", "hostname": "shop"}),
            404,
            "catalog_unknown",
        ),
        (
            json!({"catalog_id": "beacon", "hostname": "Web_1"}),
            422,
            "invalid_value",
        ),
        (
            json!({"catalog_id": "beacon", "hostname": "shop", "host": "nope"}),
            404,
            "host_not_found",
        ),
        (
            json!({"catalog_id": "beacon", "hostname": "shop", "node": "nope"}),
            404,
            "not_found",
        ),
        (
            json!({"catalog_id": "beacon", "hostname": "shop", "network": {"ipv4": "192.0.2.10"}}),
            422,
            "invalid_value",
        ),
        (
            json!({"catalog_id": "beacon", "hostname": "shop", "apart_from": ["nobody"]}),
            404,
            "app_not_found",
        ),
        (
            json!({"catalog_id": "beacon", "hostname": "shop", "network": {"mtu": 9000}}),
            400,
            "unknown_field",
        ),
        (
            json!({"catalog_id": "beacon", "hostname": "shop", "no_such": 1}),
            400,
            "unknown_field",
        ),
    ] {
        let refused = live.send("POST", AT, &body.to_string()).await;
        let said = (refused.status.as_u16(), refused.code());
        assert_eq!(said, (status, code), "{}", refused.body);
    }
}
