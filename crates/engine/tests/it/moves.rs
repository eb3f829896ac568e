//! Containers that HA or a person moved to another node, and nodes that are gone.

use proximity_domain::event::EventKind;
use proximity_domain::operation::OperationState;
use proximity_domain::retry::RetryPolicy;
use proximity_engine::commands::{Action, ChangeHost, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_engine::route_sweep::sweep;
use proximity_engine::seams::Ingress;
use proximity_pve::transport::{Method, Transport};
use proximity_pve_emulator::core::{Access, Reach};
use proximity_store::records::AppRecord;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};

async fn deployed() -> (TestWorld, AppRecord, u32) {
    deployed_with(EngineLimits::default().node_ms).await
}

async fn deployed_with(node_ms: u64) -> (TestWorld, AppRecord, u32) {
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::cluster(0, &["pve1", "pve2", "pve3"], Access::Full)],
        limits: EngineLimits {
            node_ms,
            retry: RetryPolicy {
                first_ms: 20,
                ..RetryPolicy::DEFAULT
            },
            ..EngineLimits::default()
        },
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        node: Some("pve2".to_owned()),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    let guest = w.store.native_guests(app.id).await.unwrap().pop().unwrap();
    let app = w.store.app(app.id).await.unwrap().unwrap();
    (w, app, guest.identity.vmid.get())
}

async fn act(w: &TestWorld, action: Action) -> OperationState {
    let op = w.engine.act(&w.actor, "web", action).await.unwrap();
    w.settled(op.id).await.unwrap().state
}

async fn node_of(w: &TestWorld, app: &AppRecord) -> (String, String) {
    let guest = w.store.native_guests(app.id).await.unwrap().pop().unwrap();
    let app = w.store.app(app.id).await.unwrap().unwrap();
    (guest.place.node.to_string(), app.node.to_string())
}

async fn moves(w: &TestWorld) -> Vec<serde_json::Value> {
    let events = w.store.events(0, 1_000).await.unwrap();
    let moved = events
        .into_iter()
        .filter(|(_, _, e, _, _)| e.kind == EventKind::GuestMoved);
    moved.map(|(_, _, e, _, _)| e.body).collect()
}

fn remove() -> Action {
    Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: false,
        purge: false,
    }
}

#[tokio::test]
async fn a_moved_container_is_followed_by_every_kind_of_act() {
    let (w, app, vmid) = deployed().await;
    let acts = [
        (Action::Stop { force: false }, "pve3"),
        (Action::Start, "pve1"),
        (Action::Restart { force: false }, "pve2"),
    ];
    for (i, (action, node)) in acts.into_iter().enumerate() {
        w.pve.meddle(|world| world.move_guest(vmid, node));
        assert_eq!(
            act(&w, action).await,
            OperationState::Succeeded,
            "to {node}"
        );
        assert_eq!(node_of(&w, &app).await, (node.to_owned(), node.to_owned()));
        let moves = moves(&w).await;
        assert_eq!(moves.len(), i + 1, "one event per move");
        assert_eq!(moves[i]["to"], *node);
    }
    w.pve.meddle(|world| world.move_guest(vmid, "pve3"));
    assert_eq!(act(&w, remove()).await, OperationState::Succeeded);
    assert!(w.pve.guests.vmids().is_empty());
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// The node is dead, and HA has brought its container up elsewhere: reading from the dead node fails, the list tells.
#[tokio::test]
async fn a_container_of_a_dead_node_is_followed_where_ha_put_it() {
    let (w, app, vmid) = deployed().await;
    w.pve.meddle(|world| {
        world.node_mut("pve2").unwrap().reach = Reach::Refused;
        world.move_guest(vmid, "pve3");
    });
    assert_eq!(
        act(&w, Action::Restart { force: false }).await,
        OperationState::Succeeded
    );
    assert_eq!(node_of(&w, &app).await.0, "pve3");
}

/// The node is dead and nothing was moved: unknown, never missing. Not even what to call the app's status can be read.
#[tokio::test]
async fn a_container_of_a_dead_node_is_not_taken_for_gone() {
    let (w, app, _) = deployed().await;
    w.pve
        .meddle(|world| world.node_mut("pve2").unwrap().reach = Reach::Refused);
    let state = act(&w, remove()).await;
    let OperationState::Stuck { failure, .. } = state else {
        panic!("{state:?}")
    };
    assert_eq!(failure.code, "pve_node_unreachable");
    let said = "the remove of web turned back, and whether its container 100 runs on node pve2 cannot be read (";
    assert!(failure.message.starts_with(said), "{failure:?}");
    assert!(
        failure.hint.starts_with("bring node pve2 back"),
        "{failure:?}"
    );
    assert_eq!(w.store.native_guests(app.id).await.unwrap().len(), 1);
    let changes = w.pve.changes();
    assert!(
        !changes.iter().any(|c| c.starts_with("DELETE")),
        "{changes:?}"
    );
}

/// Another container has our number on another node: not ours, no call.
#[tokio::test]
async fn a_stranger_elsewhere_with_our_number_is_not_followed() {
    let (w, app, vmid) = deployed().await;
    w.pve.meddle(|world| world.forget_guest(vmid));
    w.pve.stranger_creates("pve3", vmid).await;
    let before = w.pve.changes().len();
    let state = act(&w, Action::Stop { force: true }).await;
    let OperationState::Failed { failure } = state else {
        panic!("{state:?}")
    };
    assert_eq!(failure.code, "identity_conflict");
    assert_eq!(w.pve.changes().len(), before);
    assert_eq!(node_of(&w, &app).await.0, "pve2");
    assert!(moves(&w).await.is_empty());
}

/// A virtual machine has our number on another node: the hint leads out of it.
#[tokio::test]
async fn an_app_whose_number_a_machine_has_is_removed_when_that_has_another_one() {
    let (w, app, vmid) = deployed().await;
    w.pve.meddle(|world| world.forget_guest(vmid));
    w.pve.stranger_creates("pve3", vmid).await;
    w.pve.show_guests_as_machines();
    let before = w.pve.changes().len();
    let state = act(&w, remove()).await;
    let OperationState::Failed { failure } = state else {
        panic!("{state:?}")
    };
    assert_eq!(failure.code, "identity_conflict");
    assert!(failure.message.contains("virtual machine on node pve3"));
    let hint = &failure.hint;
    assert!(hint.contains("give that machine another number"), "{hint}");
    assert_eq!(w.pve.changes().len(), before);

    w.pve.meddle(|world| world.forget_guest(vmid));
    w.pve.stranger_creates("pve3", vmid + 1).await;
    assert_eq!(act(&w, remove()).await, OperationState::Succeeded);
    assert!(w.store.app(app.id).await.unwrap().is_none());
}

/// The preview follows a container as the removal does, and records nothing.
#[tokio::test]
async fn a_preview_of_a_removal_finds_a_moved_container_where_it_is() {
    let (w, app, vmid) = deployed().await;
    w.pve.meddle(|world| world.move_guest(vmid, "pve3"));
    let plan = w.engine.plan_remove("web", false).await.unwrap();
    let follow =
        format!("follow container {vmid} to pve3, where it is by now; on record it is on pve2");
    let shut_down = format!("shut down container {vmid} on pve3");
    assert_eq!(plan.steps[..2], [follow, shut_down]);
    assert!(plan.guests[0].identity_ok && plan.guests[0].node == "pve3");
    assert_eq!(node_of(&w, &app).await.0, "pve2");
    w.pve.show_guests_as_machines();
    let plan = w.engine.plan_remove("web", false).await.unwrap();
    let refused = format!(
        "nothing: it would fail for container {vmid} on pve2: its number belongs to a virtual machine on node pve3"
    );
    assert_eq!(plan.steps, [refused]);
    assert!(moves(&w).await.is_empty());
}

/// The sweep finds the address of a moved container as well.
#[tokio::test]
async fn the_route_of_a_moved_container_is_kept() {
    let (w, app, vmid) = deployed().await;
    w.pve.meddle(|world| world.move_guest(vmid, "pve1"));
    w.routes.withdraw(app.id).await.unwrap();
    // Right after its operation the app may still be at work for a moment.
    w.until(async || sweep(&w.engine).await.unwrap() == 1)
        .await
        .unwrap();
    assert_eq!(w.routes.routes().await.unwrap().len(), 1);
    assert_eq!(node_of(&w, &app).await.0, "pve1");
    assert_eq!(moves(&w).await.len(), 1);
}

/// A node that hangs holds up the routes of its own apps, and nobody else's.
#[tokio::test]
async fn the_sweep_goes_on_beside_a_node_that_hangs() {
    let (mut w, app, _) = deployed_with(300).await;
    let mut hanging = Vec::new();
    for name in ["hangs-a", "hangs-b", "hangs-c"] {
        let request = CreateApp {
            catalog_id: "beacon".to_owned(),
            hostname: name.to_owned(),
            node: Some("pve3".to_owned()),
            ..CreateApp::default()
        };
        let app = w.engine.create_app(&w.actor, request).await.unwrap();
        w.settled(app.operation.unwrap()).await.unwrap();
        hanging.push(app.id);
    }
    // A worker lets go of an app a moment after its operation has ended.
    w.stop_worker().await.unwrap();
    let _hangs = w.pve.hold_node("pve3");
    for id in hanging.iter().chain([&app.id]) {
        w.routes.withdraw(*id).await.unwrap();
    }
    let limit = std::time::Duration::from_secs(3);
    let swept = tokio::time::timeout(limit, sweep(&w.engine)).await;
    assert_eq!(swept.unwrap().unwrap(), 1);
    let routes = w.routes.routes().await.unwrap();
    assert_eq!(routes.len(), 1);
    assert_eq!(routes[0].app, app.id);
}

/// A listing that lacks a node we know of proves nothing, until a person says that the node is gone for good.
#[tokio::test]
async fn absence_needs_every_node_we_know_of() {
    let (w, app, vmid) = deployed().await;
    w.pve.meddle(|world| {
        world.forget_guest(vmid);
        world.remove_node("pve3");
    });
    let state = act(&w, remove()).await;
    let OperationState::Failed { failure } = state else {
        panic!("{state:?}")
    };
    assert_eq!(failure.code, "view_incomplete");
    assert!(
        failure.message.contains("does not list pve3"),
        "{failure:?}"
    );
    assert!(w.store.app(app.id).await.unwrap().is_some());

    let host = w.store.hosts().await.unwrap().pop().unwrap();
    w.engine.learn_host(host.id).await.unwrap();
    let listed = w.engine.forget_node(&w.actor, "lab", "pve1").await;
    assert_eq!(listed.unwrap_err().code(), "node_in_use");
    let unknown = w.engine.forget_node(&w.actor, "lab", "pve9").await;
    assert_eq!(unknown.unwrap_err().code(), "not_found");
    let host = w.engine.forget_node(&w.actor, "lab", "pve3").await.unwrap();
    assert_eq!(host.known_nodes.len(), 2);
    let audit = w.store.audit(1_000, 0).await.unwrap();
    assert!(
        audit
            .iter()
            .any(|a| a.action == "host.forget_node" && a.account == "admin")
    );
    assert_eq!(act(&w, remove()).await, OperationState::Succeeded);
    assert!(w.store.app(app.id).await.unwrap().is_none());
}

fn cut_off(w: &TestWorld, nodes: &[&str]) {
    w.pve.meddle(|world| {
        for node in nodes {
            world.node_mut(node).unwrap().reach = Reach::Refused;
        }
    });
}

/// The node that answers is cut off from the others: its list may be old, and nobody is followed by it.
#[tokio::test]
async fn nobody_is_followed_by_the_list_of_a_node_without_quorum() {
    let (w, app, vmid) = deployed().await;
    w.pve.meddle(|world| world.move_guest(vmid, "pve1"));
    cut_off(&w, &["pve2", "pve3"]);
    w.routes.withdraw(app.id).await.unwrap();
    assert_eq!(sweep(&w.engine).await.unwrap(), 0);
    let state = act(&w, Action::Restart { force: false }).await;
    let OperationState::Stuck { failure, .. } = state else {
        panic!("{state:?}")
    };
    // Its own node was not reached, so nobody can say that it is not there.
    assert_eq!(failure.code, "pve_node_unreachable");
    assert!(!failure.message.contains("is not on node"), "{failure:?}");
    assert_eq!(node_of(&w, &app).await.0, "pve2");
    assert!(moves(&w).await.is_empty());
}

/// The same when it is the container's own node that answers: there it is not any more.
#[tokio::test]
async fn nobody_is_followed_when_its_own_node_has_no_quorum() {
    let (w, app, vmid) = deployed().await;
    w.pve.meddle(|world| world.move_guest(vmid, "pve1"));
    cut_off(&w, &["pve1", "pve3"]);
    let state = act(&w, Action::Restart { force: false }).await;
    let OperationState::Stuck { failure, .. } = state else {
        panic!("{state:?}")
    };
    assert_eq!(failure.code, "no_quorum");
    assert!(
        failure.message.contains("is not on node pve2"),
        "{failure:?}"
    );
    assert_eq!(node_of(&w, &app).await.0, "pve2");
    assert!(moves(&w).await.is_empty());
}

/// The node that answers may be one that was split off, with a list from before: nobody is followed by it until a person
/// says that those it lacks are gone for good.
#[tokio::test]
async fn nobody_is_followed_by_a_list_that_lacks_a_node() {
    let (w, app, vmid) = deployed().await;
    w.pve.meddle(|world| {
        world.move_guest(vmid, "pve1");
        world.remove_node("pve3");
    });
    let restart = Action::Restart { force: false };
    let op = w.engine.act(&w.actor, "web", restart.clone()).await;
    let op = op.unwrap().id;
    assert_untold(&w.settled(op).await.unwrap().state, "does not list pve3");
    assert_eq!(node_of(&w, &app).await.0, "pve2");
    assert!(moves(&w).await.is_empty());

    w.engine.forget_node(&w.actor, "lab", "pve3").await.unwrap();
    w.engine.retry_operation(&w.actor, op).await.unwrap();
    assert!(w.settled(op).await.unwrap().state.is_final());
    assert_eq!(act(&w, restart).await, OperationState::Succeeded);
    assert_eq!(node_of(&w, &app).await.0, "pve1");
    assert_eq!(moves(&w).await.len(), 1);
}

/// The node that answers is in another cluster by now: a container of that one's is nobody we follow.
#[tokio::test]
async fn nobody_is_followed_by_the_list_of_another_cluster() {
    let (w, app, vmid) = deployed().await;
    let mut host = w.store.hosts().await.unwrap().pop().unwrap();
    host.cluster_key = "cluster:other:pve1,pve2,pve3".to_owned();
    let at = proximity_domain::time::Timestamp(0);
    w.store
        .change_host(host, EventKind::HostUpdated, "host.update", &w.actor, at)
        .await
        .unwrap();
    // The entry is read again.
    let unchanged = ChangeHost::default();
    let changed = w.engine.change_host(&w.actor, "lab", unchanged).await;
    assert!(changed.unwrap().cluster_key.starts_with("cluster:other:"));
    w.pve.meddle(|world| world.move_guest(vmid, "pve1"));
    let restart = Action::Restart { force: false };
    assert_untold(&act(&w, restart).await, "but in the cluster cluster0");
    assert_eq!(node_of(&w, &app).await.0, "pve2");
    assert!(moves(&w).await.is_empty());
}

fn assert_untold(state: &OperationState, why: &str) {
    let OperationState::Stuck { failure, .. } = state else {
        panic!("{state:?}")
    };
    assert_eq!(failure.code, "view_incomplete");
    assert!(failure.message.contains(why), "{failure:?}");
}

#[tokio::test]
async fn nothing_is_sent_to_a_cluster_without_quorum() {
    let (w, _, _) = deployed().await;
    cut_off(&w, &["pve1", "pve3"]);
    let sent = w.pve.changes();
    for action in [
        Action::Stop { force: false },
        Action::Restart { force: false },
        Action::Start,
        remove(),
    ] {
        match act(&w, action).await {
            OperationState::Failed { failure } => assert_eq!(failure.code, "no_quorum"),
            // It runs as asked for.
            OperationState::Succeeded => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(w.pve.changes(), sent);
}

/// What a refused start leaves in its step is what it intended: nobody asks later what became of it.
#[tokio::test]
async fn a_start_that_is_refused_changes_no_intent() {
    let (w, _, _) = deployed().await;
    let stop = Action::Stop { force: false };
    assert_eq!(act(&w, stop).await, OperationState::Succeeded);
    w.pve
        .refuse(Method::Post, "/status/start", "not today", u32::MAX);
    let op = w.engine.act(&w.actor, "web", Action::Start).await.unwrap();
    let op = w.settled(op.id).await.unwrap();
    let OperationState::Failed { failure } = &op.state else {
        panic!("{:?}", op.state)
    };
    assert!(failure.message.contains("not today"), "{failure:?}");
    let steps = w.store.steps(op.id).await.unwrap();
    let start = steps.iter().find(|s| s.name == "start").unwrap();
    assert_eq!(start.intent, serde_json::Value::Null);
}

/// A view that lacks the record of what the cluster had is not complete.
#[tokio::test]
async fn absence_needs_a_record_of_the_nodes() {
    let (w, app, vmid) = deployed().await;
    let mut host = w.store.hosts().await.unwrap().pop().unwrap();
    host.known_nodes.clear();
    let at = proximity_domain::time::Timestamp(0);
    w.store
        .change_host(host, EventKind::HostUpdated, "host.update", &w.actor, at)
        .await
        .unwrap();
    w.pve.meddle(|world| world.forget_guest(vmid));
    let state = act(&w, remove()).await;
    let OperationState::Failed { failure } = state else {
        panic!("{state:?}")
    };
    assert_eq!(failure.code, "view_incomplete");
    assert!(w.store.app(app.id).await.unwrap().is_some());
}

/// The node that is asked first is cut off from the others; they have quorum, and the container is on one of them.
#[tokio::test]
async fn a_removal_goes_by_the_word_of_a_node_with_quorum() {
    let (w, app, vmid) = deployed().await;
    w.pve.meddle(|world| world.partition("pve1", 0));
    assert_eq!(act(&w, remove()).await, OperationState::Succeeded);
    assert!(w.store.app(app.id).await.unwrap().is_none());
    assert!(
        w.pve
            .meddle(|world| world.guests().all(|(id, _)| id != vmid))
    );
}

/// The same for what a deploy takes back: that its container is gone is proven by those with quorum.
#[tokio::test]
async fn a_deploy_turns_back_by_the_word_of_a_node_with_quorum() {
    let (w, _, _) = deployed().await;
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "other".to_owned(),
        node: Some("pve2".to_owned()),
        ..CreateApp::default()
    };
    let go_on = w.pve.hold(Method::Post, "/status/start");
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = app.operation.unwrap();
    w.until(async || {
        let steps = w.store.steps(op).await.unwrap();
        steps.iter().any(|s| s.name == "start")
    })
    .await
    .unwrap();
    w.pve.meddle(|world| world.partition("pve1", 0));
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    go_on.send(true).unwrap();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Cancelled);
    assert_eq!(w.pve.guests.vmids().len(), 1, "that of the other app");
    assert!(w.store.native_guests(app.id).await.unwrap().is_empty());
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// None of those that answer has quorum: what would be proof otherwise is none, and its number is kept.
#[tokio::test]
async fn a_deploy_does_not_turn_back_by_the_word_of_nodes_without_quorum() {
    let (w, _, _) = deployed().await;
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "other".to_owned(),
        node: Some("pve2".to_owned()),
        ..CreateApp::default()
    };
    // The create call goes lost, so that only looks can tell what there is.
    let go_on = w.pve.hold(Method::Post, "/nodes/pve2/lxc");
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = app.operation.unwrap();
    w.until(async || {
        let steps = w.store.steps(op).await.unwrap();
        steps.iter().any(|s| s.name == "create_container")
    })
    .await
    .unwrap();
    for node in ["pve1", "pve2", "pve3"] {
        w.pve.meddle(|world| world.partition(node, 0));
    }
    // Its own node is asked first, so that what is missing is quorum, and not a way to it.
    w.pve.prefer(1);
    go_on.send(true).unwrap();
    let ended = w.settled(op).await.unwrap();
    let OperationState::Stuck { failure, .. } = ended.state else {
        panic!("{:?}", ended.state)
    };
    assert!(failure.message.contains("no quorum"), "{failure:?}");
    assert_eq!(w.store.native_guests(app.id).await.unwrap().len(), 1);
}

/// A new lease of a DHCP server: the old address may be another machine's now, and no dial to it fails.
#[tokio::test]
async fn a_container_with_another_address_is_led_to_there_and_one_without_to_nowhere() {
    let (w, app, vmid) = deployed().await;
    let guest = w.store.native_guests(app.id).await.unwrap().pop().unwrap();
    let target = async || {
        let routes = w.routes.routes().await.unwrap();
        routes.first().and_then(|route| route.target)
    };
    let before = target().await.unwrap();
    let swept = w.engine.reconciler().sweep().await.unwrap();
    assert_eq!(swept.recognised, 1, "{swept:?}");
    assert_eq!(sweep(&w.engine).await.unwrap(), 0);
    let seen = w.store.interfaces(guest.id).await.unwrap().unwrap();
    let mac = guest.identity.net0_mac;
    assert_eq!(
        (seen.interfaces.len(), seen.interfaces[0].mac),
        (1, Some(mac))
    );
    assert_eq!(seen.interfaces[0].addresses, [before.ip()]);
    let commit = *w.store.commits().borrow();
    w.engine.reconciler().sweep().await.unwrap();
    assert_eq!(*w.store.commits().borrow(), commit, "nothing new, no row");

    w.pve.guests.change_address(vmid, [10, 77, 0, 9].into());
    assert_eq!(sweep(&w.engine).await.unwrap(), 0, "nobody has seen it");
    w.engine.reconciler().sweep().await.unwrap();
    assert_eq!(sweep(&w.engine).await.unwrap(), 1);
    let after = target().await.unwrap();
    assert_eq!(
        (after.ip().to_string(), after.port()),
        ("10.77.0.9".to_owned(), before.port())
    );
    let view = w.engine.addresses("web").await.unwrap();
    let (interface, known) = &view.containers[0].interfaces[0];
    assert_eq!((interface.addresses[0], *known), (after.ip(), true));

    w.pve.guests.lose_address(vmid);
    w.engine.reconciler().sweep().await.unwrap();
    assert_eq!(sweep(&w.engine).await.unwrap(), 1);
    assert_eq!(target().await, None, "the old address may be anybody's");
    assert_eq!(sweep(&w.engine).await.unwrap(), 0);
    let seen = w.store.interfaces(guest.id).await.unwrap().unwrap();
    assert!(seen.interfaces[0].addresses.is_empty());
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}
