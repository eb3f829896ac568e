//! Where apps go: read now, spread, and refused with a reason for each node.

use std::collections::BTreeMap;
use std::time::Duration;

use proximity_domain::names::Hostname;
use proximity_domain::operation::OperationState;
use proximity_engine::commands::{ChangeHost, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_engine::error::EngineError;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::{Access, Reach};
use proximity_store::records::AppRecord;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{Place, TestWorld, WorldParts};

const NODES: [&str; 3] = ["pve1", "pve2", "pve3"];

async fn world_of(clusters: Vec<Pve>) -> TestWorld {
    let per_host = EngineLimits::default().operations_per_host;
    world_with(clusters, per_host).await
}

async fn world_with(clusters: Vec<Pve>, operations_per_host: usize) -> TestWorld {
    TestWorld::start_of(WorldParts {
        clusters,
        limits: EngineLimits {
            operations: operations_per_host.max(16),
            operations_per_host,
            ..EngineLimits::default()
        },
        pairs: 60,
        ..WorldParts::default()
    })
    .await
    .unwrap()
}

async fn three_nodes() -> TestWorld {
    world_of(vec![Pve::cluster(0, &NODES, Access::Full)]).await
}

fn beacon(hostname: &str) -> CreateApp {
    CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: format!("app-{hostname}"),
        ..CreateApp::default()
    }
}

async fn ask(w: &TestWorld, request: CreateApp) -> Result<AppRecord, EngineError> {
    w.engine.create_app(&w.actor, request).await
}

fn with_memory(hostname: &str, mib: u64) -> CreateApp {
    let mut request = beacon(hostname);
    request.resources.memory_mib = Some(mib);
    request
}

fn excluding(nodes: &[&str]) -> ChangeHost {
    ChangeHost {
        excluded_nodes: Some(nodes.iter().map(|n| (*n).to_owned()).collect()),
        ..ChangeHost::default()
    }
}

/// Fifty requests at the same moment, all of them at work at once: each sees what the others were promised, so they spread;
/// all run, with numbers and ports of their own.
#[tokio::test]
async fn fifty_parallel_deploys_spread_over_three_nodes() {
    let w = world_with(vec![Pve::cluster(0, &NODES, Access::Full)], 50).await;
    let asked = (0..50).map(|n| ask(&w, with_memory(&format!("web-{n}"), 256)));
    let apps = futures::future::join_all(asked).await;
    let mut per_node: BTreeMap<String, usize> = BTreeMap::new();
    let (mut vmids, mut ports) = (Vec::new(), Vec::new());
    for app in apps {
        let app = app.unwrap();
        let op = w.settled(app.operation.unwrap()).await.unwrap();
        assert_eq!(op.state, OperationState::Succeeded);
        *per_node.entry(app.node.to_string()).or_default() += 1;
        let guests = w.store.native_guests(app.id).await.unwrap();
        vmids.extend(guests.iter().map(|g| g.identity.vmid));
        ports.push(app.ports.unwrap().public);
    }
    assert_eq!(per_node.len(), 3, "{per_node:?}");
    assert!(
        per_node.values().all(|n| (14..=19).contains(n)),
        "{per_node:?}"
    );
    for all in [
        vmids.iter().map(|v| v.get()).collect::<Vec<_>>(),
        ports.iter().map(|p| u32::from(*p)).collect(),
    ] {
        let different: std::collections::BTreeSet<u32> = all.iter().copied().collect();
        assert_eq!((all.len(), different.len()), (50, 50));
    }
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// A crowd of deploys does not become a crowd of questions to PVE: those who wait for a look at the nodes share the next.
#[tokio::test]
async fn deploys_that_are_asked_for_together_look_at_the_nodes_together() {
    let mut w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::cluster(0, &NODES, Access::Full)],
        pairs: 60,
        place: Place::Memory,
        ..WorldParts::default()
    })
    .await
    .unwrap();
    w.crash_worker().await;
    let before = w.pve.calls();
    let go_on = w.pve.hold(Method::Get, "/cluster/status");
    let asked = (0..20).map(|n| ask(&w, with_memory(&format!("web-{n}"), 256)));
    let release = async { go_on.send(true).unwrap() };
    let (apps, ()) = futures::future::join(futures::future::join_all(asked), release).await;
    let mut per_node: BTreeMap<String, usize> = BTreeMap::new();
    for app in apps {
        *per_node.entry(app.unwrap().node.to_string()).or_default() += 1;
    }
    // The list, and four questions to each of three nodes: once for the first, once for all others.
    assert_eq!(w.pve.calls() - before, 2 * (1 + 3 * 4));
    assert!(
        per_node.values().all(|n| (6..=7).contains(n)),
        "{per_node:?}"
    );
}

/// A node that PVE calls online and that answers nobody costs the others a moment, and is said to be silent.
#[tokio::test]
async fn a_node_that_hangs_is_passed_over() {
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::cluster(0, &NODES, Access::Full)],
        limits: EngineLimits {
            node_ms: 1_000,
            ..EngineLimits::default()
        },
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let _hangs = w.pve.hold(Method::Get, "/nodes/pve1/storage");
    let app = ask(&w, beacon("a")).await.unwrap();
    assert_ne!(app.node.as_str(), "pve1");
    let view = w.engine.nodes(None).await.unwrap();
    let names: Vec<&str> = view.nodes.iter().map(|n| n.node.as_str()).collect();
    assert_eq!(names, NODES);
    let silent = "could not be read: GET /nodes/pve1/storage: it has not answered within 1 s";
    assert_eq!(view.nodes[0].why_not.as_deref(), Some(silent));
    assert_eq!(view.nodes[1].why_not, None);
    let pinned = CreateApp {
        node: Some("pve1".to_owned()),
        ..beacon("b")
    };
    let refused = ask(&w, pinned).await.unwrap_err();
    assert_eq!(refused.code(), "no_node_online");
    assert_eq!(refused.fields()["nodes.lab/pve1"], silent);
}

/// The turns at a node are taken by our own calls: that is not the node's silence, and nothing is refused for it.
#[tokio::test]
async fn a_node_at_which_our_own_calls_have_all_turns_is_waited_for() {
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        limits: EngineLimits {
            node_ms: 500,
            ..EngineLimits::default()
        },
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let go_on = w.pve.take_turns("pve1");
    let mut asking = std::pin::pin!(ask(&w, beacon("a")));
    let early = tokio::time::timeout(Duration::from_millis(1_000), &mut asking).await;
    assert!(early.is_err(), "{early:?}");
    go_on.send(true).unwrap();
    assert_eq!(asking.await.unwrap().node.as_str(), "pve1");
}

/// As one that hangs and holds all our calls to it: with another node there the place is chosen without it.
#[tokio::test]
async fn a_node_that_answers_none_of_the_calls_before_is_passed_over() {
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::cluster(0, &NODES, Access::Full)],
        limits: EngineLimits {
            node_ms: 500,
            ..EngineLimits::default()
        },
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let _hangs = w.pve.take_turns("pve1");
    let app = ask(&w, beacon("a")).await.unwrap();
    assert_ne!(app.node.as_str(), "pve1");
    let view = w.engine.nodes(None).await.unwrap();
    let silent = "could not be read: GET /nodes/pve1/status: it has not answered within 0.5 s";
    assert_eq!(view.nodes[0].why_not.as_deref(), Some(silent));
}

/// The node that is asked first is cut off from the others: to it they are all off, and it does not know better.
#[tokio::test]
async fn a_node_without_quorum_does_not_say_where_apps_go() {
    let w = three_nodes().await;
    w.pve.meddle(|world| world.partition("pve1", 0));
    let app = ask(&w, beacon("a")).await.unwrap();
    assert_ne!(app.node.as_str(), "pve1");
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    let view = w.engine.nodes(None).await.unwrap();
    let online: Vec<bool> = view.nodes.iter().map(|n| n.online).collect();
    assert_eq!(online, [false, true, true]);

    w.pve.meddle(|world| world.partition("pve2", 0));
    let refused = ask(&w, beacon("b")).await.unwrap_err();
    assert_eq!(refused.code(), "no_quorum");
    assert_eq!(
        refused.to_string(),
        "host lab: the cluster has no quorum",
        "{refused:?}"
    );
}

/// Whoever names a node waits for no other.
#[tokio::test]
async fn only_the_named_node_is_asked() {
    let mut w = three_nodes().await;
    w.crash_worker().await;
    let _hangs = w.pve.hold(Method::Get, "/nodes/pve1/status");
    let before = w.pve.calls();
    let pinned = CreateApp {
        node: Some("pve2".to_owned()),
        ..beacon("a")
    };
    let app = ask(&w, pinned).await.unwrap();
    assert_eq!(app.node.as_str(), "pve2");
    // The list, and four questions to the node.
    assert_eq!(w.pve.calls() - before, 1 + 4);
}

/// What is promised counts until PVE shows it: memory is not given out twice.
#[tokio::test]
async fn memory_promised_to_deploys_under_way_is_not_given_out_again() {
    let mut w = three_nodes().await;
    w.crash_worker().await;
    for n in 0..3 {
        ask(&w, with_memory(&format!("big-{n}"), 5 << 10))
            .await
            .unwrap();
    }
    let refused = ask(&w, with_memory("big-3", 5 << 10)).await.unwrap_err();
    assert_eq!(refused.code(), "memory_short");
    assert!(
        refused.to_string().contains("5120 of them promised"),
        "{refused}"
    );
    let fields = refused.fields();
    assert!(fields["nodes.lab/pve2"].contains("promised"), "{fields:?}");
    assert!(fields.contains_key("config.memory"), "{fields:?}");
    ask(&w, with_memory("small", 512)).await.unwrap();
    assert_eq!(w.store.ports().await.unwrap().held.len(), 4);
}

/// It goes to a node without those it is to be kept apart from, also to one with less memory, and beside them when no other fits.
#[tokio::test]
async fn an_app_is_kept_apart_from_others_where_a_node_is_left() {
    let w = three_nodes().await;
    w.pve
        .meddle(|world| world.node_mut("pve1").unwrap().memory_used_bytes = 4 << 30);
    let pinned = |node: &str, hostname: &str| CreateApp {
        node: Some(node.to_owned()),
        ..beacon(hostname)
    };
    let mut others = Vec::new();
    for (node, hostname) in [("pve2", "a"), ("pve3", "b")] {
        others.push(ask(&w, pinned(node, hostname)).await.unwrap().hostname);
    }
    let apart = |hostname: &str, from: &[Hostname]| CreateApp {
        apart_from: from.to_vec(),
        ..beacon(hostname)
    };
    let third = ask(&w, apart("c", &others)).await.unwrap();
    assert_eq!(third.node.as_str(), "pve1");
    assert_eq!(third.made_with.apart_from, others, "that is kept");
    others.push(third.hostname);
    let fourth = ask(&w, apart("d", &others)).await.unwrap();
    assert_ne!(
        fourth.node.as_str(),
        "pve1",
        "none is left, and others have more"
    );
}

/// What is on record of one app counts for those that come after it, unless whoever asks may not see it.
#[tokio::test]
async fn an_app_stays_away_from_those_that_name_it() {
    let w = three_nodes().await;
    for (node, used) in [("pve1", 1), ("pve2", 2), ("pve3", 4)] {
        w.pve
            .meddle(|world| world.node_mut(node).unwrap().memory_used_bytes = used << 30);
    }
    let alone = CreateApp {
        apart_from: vec!["app-noisy".parse().unwrap(), "app-other".parse().unwrap()],
        ..beacon("alone")
    };
    let alone = ask(&w, alone).await.unwrap();
    assert_eq!(alone.node.as_str(), "pve1", "neither is there yet");
    let noisy = ask(&w, with_memory("noisy", 64)).await.unwrap();
    assert_eq!(noisy.node.as_str(), "pve2", "pve1 has more memory");
    let strange = CreateApp {
        sees_only: Some("robot".to_owned()),
        ..with_memory("other", 64)
    };
    let strange = ask(&w, strange).await.unwrap();
    assert_eq!(strange.node.as_str(), "pve1");
    let op = w.settled(alone.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    let kept = w.engine.keep_apart(&w.actor, "app-alone", Vec::new()).await;
    assert!(kept.unwrap().made_with.apart_from.is_empty());
}

#[tokio::test]
async fn a_named_node_is_taken_or_refused_with_its_reason() {
    let w = three_nodes().await;
    let pinned = |node: &str, hostname: &str| CreateApp {
        node: Some(node.to_owned()),
        ..beacon(hostname)
    };
    let app = ask(&w, pinned("pve3", "a")).await.unwrap();
    assert_eq!(app.node.as_str(), "pve3");
    w.engine
        .change_host(&w.actor, "lab", excluding(&["pve3"]))
        .await
        .unwrap();
    let refused = ask(&w, pinned("pve3", "b")).await.unwrap_err();
    assert_eq!(refused.code(), "nodes_excluded");
    assert!(
        refused
            .to_string()
            .ends_with("lab/pve3 is excluded from new apps"),
        "{refused}"
    );
    let refused = ask(&w, pinned("pve9", "b")).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no node pve9");
    let unknown = w
        .engine
        .change_host(&w.actor, "lab", excluding(&["pve9"]))
        .await;
    assert_eq!(unknown.unwrap_err().code(), "invalid_value");
}

#[tokio::test]
async fn every_node_says_why_not() {
    let w = three_nodes().await;
    w.engine
        .change_host(&w.actor, "lab", excluding(&["pve1"]))
        .await
        .unwrap();
    w.pve.meddle(|world| {
        world.node_mut("pve2").unwrap().reach = Reach::Refused;
        world.node_mut("pve3").unwrap().bridges.clear();
    });
    let refused = ask(&w, beacon("web")).await.unwrap_err();
    assert_eq!(refused.code(), "no_node_fits");
    let fields = refused.fields();
    assert_eq!(fields["nodes.lab/pve1"], "is excluded from new apps");
    assert!(
        fields["nodes.lab/pve2"].starts_with("is offline")
            || fields["nodes.lab/pve2"].starts_with("could not be read"),
        "{fields:?}"
    );
    assert_eq!(
        fields["nodes.lab/pve3"],
        "does not have the bridge, or it is down"
    );
    assert!(w.store.ports().await.unwrap().held.is_empty());
}

/// Without a host in the request the best node of all clusters is taken; one that cannot be asked is passed over.
#[tokio::test]
async fn the_best_node_of_all_clusters_is_taken() {
    let first = Pve::cluster(0, &["pve1"], Access::Full);
    let second = Pve::cluster(1, &NODES, Access::Full);
    first.meddle(|world| world.node_mut("pve1").unwrap().memory_used_bytes = 6 << 30);
    let w = world_of(vec![first.clone(), second.clone()]).await;
    let hosts = w.store.hosts().await.unwrap();
    let label = |app: &AppRecord| {
        let host = hosts.iter().find(|h| h.id == app.host).unwrap();
        host.label.to_string()
    };
    let app = ask(&w, beacon("a")).await.unwrap();
    assert_eq!(label(&app), "lab2");
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(second.guests.vmids().len(), 1);

    let named = CreateApp {
        host: Some("lab".to_owned()),
        ..beacon("b")
    };
    assert_eq!(label(&ask(&w, named).await.unwrap()), "lab");

    second.meddle(|world| {
        for node in NODES {
            world.node_mut(node).unwrap().reach = Reach::Refused;
        }
    });
    let app = ask(&w, beacon("c")).await.unwrap();
    assert_eq!(label(&app), "lab", "the other cluster cannot be asked");
    let refused = ask(&w, with_memory("d", 4 << 10)).await.unwrap_err();
    assert!(refused.fields().contains_key("nodes.lab2"), "{refused}");
}

#[tokio::test]
async fn the_nodes_are_shown_as_they_are_now() {
    let w = three_nodes().await;
    w.pve
        .meddle(|world| world.node_mut("pve1").unwrap().memory_used_bytes = 2 << 30);
    let view = w.engine.nodes(None).await.unwrap();
    let first = &view.nodes[0];
    assert_eq!((first.host.as_str(), first.node.as_str()), ("lab", "pve1"));
    assert_eq!(first.memory_bytes, Some(8 << 30));
    assert_eq!(first.memory_used_bytes, Some(2 << 30));
    assert!(
        first
            .pve_version
            .as_deref()
            .is_some_and(|v| v.starts_with("9.2")),
        "{first:?}"
    );
    assert_eq!(first.why_not, None);
    assert_eq!(first.storage.as_ref().unwrap().name, "local");
    assert_eq!(view.nodes.len(), 3);
    assert!(view.unreachable.is_empty());
    let unknown = w.engine.nodes(Some("nosuch")).await.unwrap_err();
    assert_eq!(unknown.code(), "host_not_found");
}
