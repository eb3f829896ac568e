//! Host entries follow their clusters.
#![allow(clippy::unwrap_used)] // helpers of tests may fail the test

use proximity_engine::commands::CreateApp;
use proximity_pve_emulator::core::{Access, Reach};
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};

async fn three_nodes() -> TestWorld {
    TestWorld::start_of(WorldParts {
        clusters: vec![Pve::cluster(0, &["pve1", "pve2", "pve3"], Access::Full)],
        ..WorldParts::default()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn the_other_nodes_become_ways_to_the_cluster_and_then_nothing_is_written() {
    let w = three_nodes().await;
    let host = w.store.hosts().await.unwrap().pop().unwrap();
    assert_eq!(host.endpoints.len(), 1);
    assert!(w.engine.learn_host(host.id).await.unwrap());
    let learned = w.store.host(host.id).await.unwrap().unwrap();
    let nodes: Vec<String> = learned
        .endpoints
        .iter()
        .filter_map(|e| e.node.as_ref().map(ToString::to_string))
        .collect();
    assert_eq!(nodes, ["pve1", "pve2", "pve3"]);
    let events = w.store.events(0, 1_000).await.unwrap().len();
    assert!(!w.engine.learn_host(host.id).await.unwrap());
    assert_eq!(w.store.events(0, 1_000).await.unwrap().len(), events);
}

#[tokio::test]
async fn a_node_that_shows_another_certificate_than_pve_tells_is_no_way() {
    let w = three_nodes().await;
    let host = w.store.hosts().await.unwrap().pop().unwrap();
    w.pve.impersonate("pve2");
    w.engine.learn_host(host.id).await.unwrap();
    let learned = w.store.host(host.id).await.unwrap().unwrap();
    assert!(
        !learned
            .endpoints
            .iter()
            .any(|e| e.url.contains("192.0.2.2"))
    );
    assert_eq!(learned.endpoints.len(), 3);
}

/// With its first node dead the cluster is still reached: reads and calls go through another one.
#[tokio::test]
async fn a_cluster_is_reached_while_its_first_node_is_dead() {
    let w = three_nodes().await;
    w.pve
        .meddle(|world| world.node_mut("pve1").unwrap().reach = Reach::Refused);
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    assert_ne!(app.node.as_str(), "pve1");
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(
        op.state,
        proximity_domain::operation::OperationState::Succeeded
    );
    assert_eq!(w.pve.guests.vmids().len(), 1);
}

/// A second entry for a cluster that is known is refused by the store as well.
#[tokio::test]
async fn one_cluster_has_one_entry() {
    let w = three_nodes().await;
    let mut twin = w.store.hosts().await.unwrap().pop().unwrap();
    twin.id = proximity_domain::ids::HostId(uuid::Uuid::from_u128(99));
    twin.label = "again".parse().unwrap();
    let at = proximity_domain::time::Timestamp(0);
    let refused = w.store.add_host(twin, &w.actor, at).await;
    assert!(refused.is_err());
    assert_eq!(w.store.hosts().await.unwrap().len(), 1);
}
