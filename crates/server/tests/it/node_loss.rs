//! A node that is given up over HTTP: who may, and what comes of it.

use proximity_pve_emulator::core::Access;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};
use serde_json::json;

use crate::support::live::live_in;

const LOSS: &str = "/api/proxmox/hosts/lab/nodes/pve2/loss";

#[tokio::test]
async fn what_is_lost_with_a_node_is_ended_by_who_may_keep_hosts_and_destroy() {
    let world = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::cluster(0, &["pve1", "pve2", "pve3"], Access::Full)],
        pairs: 8,
        ..WorldParts::default()
    });
    let mut live = live_in(world.await.unwrap()).await;
    let app = json!({ "catalog_id": "beacon", "hostname": "web", "node": "pve2" }).to_string();
    let deployed = live.settled("POST", "/api/apps/", &app).await;
    assert_eq!(deployed.body["state"], "succeeded", "{}", deployed.body);
    live.world.stop_worker().await.unwrap();
    live.world.pve.meddle(|world| world.remove_node("pve2"));

    let confirmed = r#"{"confirm_lost":1}"#;
    for (token, body) in [
        ("ender", "{}"),
        ("ender", confirmed),
        ("keeper", confirmed),
        ("reader", "{}"),
    ] {
        let refused = live.send_as(Some(token), "POST", LOSS, body).await;
        assert_eq!(refused.status, 403, "{token}: {}", refused.body);
    }
    let shown = live.send_as(Some("keeper"), "POST", LOSS, "{}").await;
    assert_eq!(shown.body["lost"], 1, "{}", shown.body);
    assert_eq!(shown.body["apps"][0]["becomes"], "archived");

    let done = live
        .send_as(Some("undertaker"), "POST", LOSS, confirmed)
        .await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(done.body["done"], true);
    assert_eq!(done.body["known_nodes"], json!(["pve1", "pve3"]));
    let apps = live.send("GET", "/api/apps/", "").await;
    assert_eq!(apps.body["apps"], json!([]));
}
