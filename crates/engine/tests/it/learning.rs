//! Host entries follow their clusters.

use proximity_domain::event::EventKind;
use proximity_engine::commands::CreateApp;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::{Access, Reach};
use proximity_store::records::{Endpoint, HostRecord, SshAccess, SshKind, SshNode};
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

async fn learned() -> (TestWorld, HostRecord) {
    let w = three_nodes().await;
    let host = w.store.hosts().await.unwrap().pop().unwrap();
    w.engine.learn_host(host.id).await.unwrap();
    let host = w.store.host(host.id).await.unwrap().unwrap();
    (w, host)
}

async fn change(w: &TestWorld, host: HostRecord) {
    let at = proximity_domain::time::Timestamp(0);
    w.store
        .change_host(host, EventKind::HostUpdated, "host.update", &w.actor, at)
        .await
        .unwrap();
}

/// A node that has left may live on, as one of its own: nothing more is asked there.
#[tokio::test]
async fn a_forgotten_node_is_no_way_to_the_cluster_any_more() {
    let (w, mut host) = learned().await;
    let ssh_at = |name: &str| SshNode {
        node: name.parse().unwrap(),
        address: format!("{name}:22"),
        host_key: String::new(),
    };
    host.ssh = Some(SshAccess {
        kind: SshKind::Plain,
        user: "root".to_owned(),
        private_key: "never used".into(),
        public_key: String::new(),
        nodes: vec![ssh_at("pve1"), ssh_at("pve3")],
    });
    change(&w, host.clone()).await;
    w.pve.meddle(|world| world.remove_node("pve3"));
    let host_after = w.engine.forget_node(&w.actor, "lab", "pve3").await.unwrap();
    let of_pve3 = |e: &Endpoint| e.node.as_ref().is_some_and(|n| n.as_str() == "pve3");
    assert!(host.endpoints.iter().any(of_pve3));
    assert!(!host_after.endpoints.iter().any(of_pve3));
    assert_eq!(host_after.endpoints.len(), host.endpoints.len() - 1);
    // Another node may join under its name, with another host key.
    let into: Vec<_> = host_after.ssh.unwrap().nodes;
    let into: Vec<&str> = into.iter().map(|n| n.node.as_str()).collect();
    assert_eq!(into, ["pve1"]);

    host.endpoints.retain(of_pve3);
    change(&w, host).await;
    let refused = w.engine.forget_node(&w.actor, "lab", "pve3").await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "node_in_use");
    assert!(
        refused.to_string().contains("through it alone"),
        "{refused}"
    );
}

/// Only the cluster itself says who has left: not a node without quorum, and not one that is in another cluster by now.
#[tokio::test]
async fn a_node_is_forgotten_only_by_the_word_of_its_own_quorate_cluster() {
    let (w, host) = learned().await;
    w.pve.meddle(|world| {
        world.remove_node("pve3");
        world.node_mut("pve2").unwrap().reach = Reach::Refused;
    });
    let alone = w.engine.forget_node(&w.actor, "lab", "pve3").await;
    assert!(alone.unwrap_err().to_string().contains("no quorum"));
    w.pve
        .meddle(|world| world.node_mut("pve2").unwrap().reach = Reach::Up);

    let mut other = host.clone();
    other.cluster_key = "cluster:other:pve1,pve2,pve3".to_owned();
    change(&w, other).await;
    let elsewhere = w.engine.forget_node(&w.actor, "lab", "pve3").await;
    let elsewhere = elsewhere.unwrap_err().to_string();
    assert!(elsewhere.contains("in the cluster cluster0"), "{elsewhere}");
    assert_eq!(
        w.store.host(host.id).await.unwrap().unwrap().known_nodes,
        host.known_nodes
    );

    change(&w, host).await;
    w.engine.forget_node(&w.actor, "lab", "pve3").await.unwrap();
}

/// The node that is asked is in another cluster by now: that one's nodes get no token of this entry's.
#[tokio::test]
async fn nothing_is_learned_from_another_cluster() {
    let w = three_nodes().await;
    let mut host = w.store.hosts().await.unwrap().pop().unwrap();
    host.cluster_key = "cluster:other:pve1".to_owned();
    host.known_nodes.truncate(1);
    change(&w, host.clone()).await;
    assert!(!w.engine.learn_host(host.id).await.unwrap());
    let after = w.store.host(host.id).await.unwrap().unwrap();
    assert_eq!(after.endpoints, host.endpoints);
    assert_eq!(after.known_nodes, host.known_nodes);
    assert_eq!(after.cluster_key, host.cluster_key);

    host.cluster_key = "cluster:cluster0:pve1".to_owned();
    change(&w, host.clone()).await;
    assert!(w.engine.learn_host(host.id).await.unwrap());
    let after = w.store.host(host.id).await.unwrap().unwrap();
    assert_eq!(after.known_nodes.len(), 3, "nodes that joined its own");
}

/// What a look was told before a node was forgotten does not bring the node back.
#[tokio::test]
async fn a_node_forgotten_during_a_look_does_not_come_back() {
    let (w, mut host) = learned().await;
    // Something to write: the look is to end with a change.
    host.pve_version = "9.0.0".to_owned();
    change(&w, host.clone()).await;
    // The look has been told of three nodes, and hangs; then one leaves for good.
    let go_on = w.pve.hold(Method::Get, "/version");
    let engine = w.engine.clone();
    let looking = tokio::spawn(async move { engine.learn_host(host.id).await });
    let asked = w.pve.calls() + 2;
    w.pve.calls_arrived(asked).await;
    w.pve.meddle(|world| world.remove_node("pve3"));
    let host = w.engine.forget_node(&w.actor, "lab", "pve3").await.unwrap();
    assert_eq!(host.known_nodes.len(), 2);
    go_on.send(true).unwrap();
    assert!(looking.await.unwrap().unwrap(), "it wrote what it learned");
    let host = w.store.host(host.id).await.unwrap().unwrap();
    assert_eq!(host.known_nodes.len(), 2);
    assert_ne!(host.pve_version, "9.0.0");
}
