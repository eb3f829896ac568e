//! Nothing reserves a number but the create call: what happens when somebody else is faster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proximity_domain::ids::OperationId;
use proximity_domain::operation::OperationState;
use proximity_domain::retry::RetryPolicy;
use proximity_domain::saga::StepState;
use proximity_engine::commands::CreateApp;
use proximity_engine::engine::EngineLimits;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::Access;
use proximity_store::records::{AppRecord, HostPlacement, LogLevel, OperationRecord};
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};

mod doubt;

async fn world_on(pve: &Pve, range: Option<&str>, seed: u64) -> TestWorld {
    TestWorld::start_of(WorldParts {
        clusters: vec![pve.clone()],
        placement: HostPlacement {
            vmids: range.map(|r| r.parse().unwrap()),
            ..HostPlacement::default()
        },
        seed,
        ..WorldParts::default()
    })
    .await
    .unwrap()
}

async fn ask(w: &TestWorld, hostname: &str) -> AppRecord {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        ..CreateApp::default()
    };
    w.engine.create_app(&w.actor, request).await.unwrap()
}

async fn deploy(w: &TestWorld) -> (AppRecord, OperationRecord) {
    let app = ask(w, "web").await;
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    (app, op)
}

/// VMIDs of the app's guests that are not gone.
async fn held(w: &TestWorld, app: &AppRecord) -> Vec<u32> {
    let guests = w.store.native_guests(app.id).await.unwrap();
    guests.iter().map(|g| g.identity.vmid.get()).collect()
}

async fn warnings(w: &TestWorld, app: &AppRecord) -> Vec<String> {
    let log = w.store.log(app.id, 0, 1_000).await.unwrap();
    let warnings = log.into_iter().filter(|l| l.level == LogLevel::Warning);
    warnings.map(|l| l.message).collect()
}

fn hostname_of(pve: &Pve, vmid: u32) -> Option<String> {
    pve.meddle(|world| {
        let guest = world.guests().find(|(id, _)| *id == vmid)?.1;
        guest.config.get("hostname").map(str::to_owned)
    })
}

async fn assert_sound(w: &TestWorld) {
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// The number was free when PVE was asked, and a stranger's container has it when the create call arrives.
#[tokio::test]
async fn a_number_taken_before_the_create_call_is_given_up_and_its_taker_left_alone() {
    let pve = Pve::start(Access::Full);
    let w = world_on(&pve, None, 0).await;
    pve.taken_before(Method::Post, "/nodes/pve1/lxc", "pve1", 100);
    let (app, op) = deploy(&w).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(held(&w, &app).await, vec![101]);
    assert_eq!(hostname_of(&pve, 100).as_deref(), Some("stranger"));
    assert_eq!(hostname_of(&pve, 101).as_deref(), Some("web"));
    let changes = pve.changes();
    assert!(
        changes.iter().all(|c| !c.contains("/lxc/100")),
        "nothing was sent to the stranger: {changes:?}"
    );
    let warnings = warnings(&w, &app).await;
    assert!(
        warnings.iter().any(|m| m.contains("VMID 100 was taken")),
        "{warnings:?}"
    );
    assert_sound(&w).await;
}

/// The call is accepted, and its task loses the race: PVE's own words as exit status.
#[tokio::test]
async fn a_race_lost_in_the_task_is_a_number_taken() {
    for text in [
        "close (rename) atomic file '/etc/pve/nodes/pve1/lxc/100.conf' failed: File exists",
        "unable to create CT 100 - CT 100 already exists on node 'pve1'",
        "CT 100 already exists on node 'pve1'",
    ] {
        let pve = Pve::start(Access::Full);
        let w = world_on(&pve, None, 0).await;
        pve.guests.fail_next_create(text);
        let (app, op) = deploy(&w).await;
        assert_eq!(op.state, OperationState::Succeeded, "{text}");
        assert_eq!(held(&w, &app).await, vec![101], "{text}");
        let retired = w.store.audit(1_000, 0).await.unwrap();
        let creates = retired
            .iter()
            .filter(|a| a.action.ends_with("/lxc"))
            .count();
        assert_eq!(creates, 2, "each call was audited before it was sent");
        assert_sound(&w).await;
    }
}

/// The answer to our call is lost, and the repeated look finds our own container: it is not given up.
#[tokio::test]
async fn our_own_container_is_never_taken_for_a_strangers() {
    let pve = Pve::start(Access::Full);
    let w = world_on(&pve, Some("200-200"), 0).await;
    pve.cut_after(Method::Post, "/nodes/pve1/lxc");
    let (app, op) = deploy(&w).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(held(&w, &app).await, vec![200]);
    assert_eq!(pve.guests.vmids(), vec![200]);
}

#[tokio::test]
async fn numbers_come_from_the_hosts_range_lowest_first() {
    let pve = Pve::start(Access::Full);
    let w = world_on(&pve, Some("5000-5002"), 0).await;
    pve.stranger_creates("pve1", 5000).await;
    let (app, op) = deploy(&w).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(held(&w, &app).await, vec![5001]);
}

#[tokio::test]
async fn an_exhausted_range_is_a_refusal_that_names_it() {
    let pve = Pve::start(Access::Full);
    let w = world_on(&pve, Some("200-201"), 0).await;
    let (_, op) = deploy(&w).await;
    assert_eq!(op.state, OperationState::Succeeded);
    pve.stranger_creates("pve1", 201).await;
    let app = ask(&w, "web2").await;
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    let OperationState::Failed { failure } = op.state else {
        panic!("{:?}", op.state)
    };
    assert_eq!(failure.code, "vmids_exhausted");
    assert_eq!(
        failure.message,
        "no VMID of 200-201 is free: 2 in use in the cluster, 1 held by Proximity's own apps"
    );
    assert!(
        failure.hint.contains("hosts set lab --vmids"),
        "{failure:?}"
    );
    assert!(held(&w, &app).await.is_empty());
    assert_sound(&w).await;
}

async fn set_next_id(pve: &Pve, range: &str) {
    pve.put("/cluster/options", &[("next-id", range)]).await;
}

/// Several choose at once, and PVE offers the same number to all of them: none leaves the range that PVE offers, and who is
/// left over is refused.
#[tokio::test]
async fn numbers_do_not_leave_the_range_that_pve_offers() {
    let pve = Pve::start(Access::Full);
    set_next_id(&pve, "lower=500,upper=503").await;
    pve.stranger_creates("pve1", 501).await;
    let w = world_on(&pve, None, 0).await;
    let go_on = pve.hold(Method::Get, "/nextid");
    let mut apps = Vec::new();
    for n in 0..3 {
        apps.push(ask(&w, &format!("web{n}")).await);
    }
    w.until(async || {
        let live = w.store.claimable().await.unwrap();
        live.len() == 3 && live.iter().all(|row| row.lease.is_some())
    })
    .await
    .unwrap();
    go_on.send(true).unwrap();
    let (mut numbers, mut refusals) = (Vec::new(), Vec::new());
    for app in &apps {
        match w.settled(app.operation.unwrap()).await.unwrap().state {
            OperationState::Succeeded => numbers.extend(held(&w, app).await),
            OperationState::Failed { failure } => refusals.push(failure),
            other => panic!("{other:?}"),
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [500, 502]);
    let [refused] = refusals.as_slice() else {
        panic!("{refusals:?}")
    };
    assert_eq!(refused.code, "vmids_exhausted");
    assert!(refused.message.contains("500-502"), "{refused:?}");
    assert_sound(&w).await;

    // All of them are guests by now: PVE itself says so.
    let app = ask(&w, "late").await;
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    let OperationState::Failed { failure } = op.state else {
        panic!("{:?}", op.state)
    };
    assert_eq!(failure.code, "vmids_exhausted");
    assert_eq!(
        failure.message,
        "unable to get any free VMID in range [500, 503]"
    );
    assert!(failure.hint.contains("next-id"), "{failure:?}");
}

/// What was set for the host says more than what PVE offers to everybody, and PVE takes any number.
#[tokio::test]
async fn the_hosts_range_goes_before_the_one_pve_offers() {
    let pve = Pve::start(Access::Full);
    set_next_id(&pve, "lower=500,upper=501").await;
    let w = world_on(&pve, Some("200-201"), 0).await;
    let (app, op) = deploy(&w).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(held(&w, &app).await, vec![200]);
}

/// Strangers are faster every time: bounded, and each of them is left alone.
#[tokio::test]
async fn numbers_lost_again_and_again_end_in_a_refusal() {
    let pve = Pve::start(Access::Full);
    let w = world_on(&pve, None, 0).await;
    for vmid in 100..120 {
        pve.taken_before(Method::Post, "/nodes/pve1/lxc", "pve1", vmid);
    }
    let (app, op) = deploy(&w).await;
    let OperationState::Failed { failure } = op.state else {
        panic!("{:?}", op.state)
    };
    assert_eq!(failure.code, "vmid_taken");
    assert!(failure.message.contains("8 VMIDs in a row"), "{failure:?}");
    assert!(held(&w, &app).await.is_empty());
    // The last stranger's container may still be in the making, as a configuration of nothing but its lock.
    pve.quiet().await;
    assert!(
        pve.guests
            .vmids()
            .iter()
            .all(|v| hostname_of(&pve, *v).as_deref() == Some("stranger"))
    );
    let changes = pve.changes();
    assert!(changes.iter().all(|c| c.ends_with("/lxc")), "{changes:?}");
    assert_sound(&w).await;
}

/// Three installations with one number between them.
#[tokio::test]
async fn three_engines_race_for_one_number_and_one_gets_it() {
    let pve = Pve::start(Access::Full);
    let mut worlds = Vec::new();
    for seed in 0..3 {
        worlds.push(world_on(&pve, Some("300-300"), seed).await);
    }
    let deploys = worlds.iter().map(deploy);
    let ended = futures::future::join_all(deploys).await;
    let mut winners = 0;
    for (w, (app, op)) in worlds.iter().zip(&ended) {
        match &op.state {
            OperationState::Succeeded => {
                winners += 1;
                assert_eq!(held(w, app).await, vec![300]);
            }
            OperationState::Failed { failure } => {
                assert_eq!(failure.code, "vmids_exhausted", "{failure:?}");
                assert!(held(w, app).await.is_empty());
            }
            other => panic!("{other:?}"),
        }
        assert_sound(w).await;
    }
    assert_eq!(winners, 1);
    assert_eq!(pve.guests.vmids(), vec![300]);
    let changes = pve.changes();
    assert!(
        !changes.iter().any(|c| c.starts_with("DELETE")),
        "{changes:?}"
    );
}

/// A worker that dies at any call while numbers are being lost: the next one goes on with the number on record.
#[tokio::test]
async fn a_lost_number_survives_a_worker_that_dies_at_any_call() {
    for calls in 4_u64.. {
        let pve = Pve::start(Access::Full);
        let mut w = quick_world(&pve, quick()).await;
        pve.taken_before(Method::Post, "/nodes/pve1/lxc", "pve1", 100);
        let app = ask(&w, "web").await;
        let op = app.operation.unwrap();
        let finished = tokio::select! {
            biased;
            () = pve.calls_arrived(calls) => false,
            settled = w.settled(op) => settled.is_ok(),
        };
        w.crash_worker().await;
        w.start_worker();
        let op = w.settled(op).await.unwrap();
        assert_eq!(op.state, OperationState::Succeeded, "cut at call {calls}");
        let vmids = pve.guests.vmids();
        let ours = held(&w, &app).await;
        assert_eq!(ours.len(), 1, "cut at call {calls}");
        let named = |name: &str| {
            let all = vmids
                .iter()
                .filter(|v| hostname_of(&pve, **v).as_deref() == Some(name));
            all.count()
        };
        assert_eq!(
            (named("web"), named("stranger")),
            (1, 1),
            "cut at call {calls}"
        );
        assert_sound(&w).await;
        if finished {
            return;
        }
    }
}

#[tokio::test]
async fn many_deploys_at_once_get_different_numbers_of_one_range() {
    let pve = Pve::start(Access::Full);
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![pve.clone()],
        placement: HostPlacement {
            vmids: Some("400-449".parse().unwrap()),
            ..HostPlacement::default()
        },
        limits: EngineLimits {
            operations: 16,
            ..EngineLimits::default()
        },
        pairs: 50,
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let mut apps = Vec::new();
    for n in 0..20 {
        apps.push(ask(&w, &format!("web-{n}")).await);
    }
    let mut numbers = std::collections::BTreeSet::new();
    for app in apps {
        let op = w.settled(app.operation.unwrap()).await.unwrap();
        assert_eq!(op.state, OperationState::Succeeded);
        numbers.extend(held(&w, &app).await);
    }
    assert_eq!(numbers.len(), 20);
    assert!(
        numbers.iter().all(|n| (400..450).contains(n)),
        "{numbers:?}"
    );
    assert_sound(&w).await;
}

/// Many deploys of one engine ask for a number in the same moment, and PVE names the same one to all of them: each gets one
/// of its own without losing a turn to another.
#[tokio::test]
async fn deploys_of_one_engine_do_not_take_numbers_from_each_other() {
    let pve = Pve::cluster(0, &["pve1", "pve2", "pve3"], Access::Full);
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![pve.clone()],
        limits: EngineLimits {
            operations: 30,
            operations_per_host: 30,
            ..EngineLimits::default()
        },
        pairs: 40,
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let go_on = pve.hold(Method::Get, "/nextid");
    let mut apps = Vec::new();
    for n in 0..30 {
        apps.push(ask(&w, &format!("web{n}")).await);
    }
    w.until(async || {
        let live = w.store.claimable().await.unwrap();
        live.len() == 30 && live.iter().all(|row| row.lease.is_some())
    })
    .await
    .unwrap();
    go_on.send(true).unwrap();
    let mut numbers = Vec::new();
    for app in &apps {
        let op = w.settled(app.operation.unwrap()).await.unwrap();
        assert_eq!(op.state, OperationState::Succeeded);
        assert_eq!(warnings(&w, app).await, Vec::<String>::new());
        numbers.extend(held(&w, app).await);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (100..130).collect::<Vec<u32>>());
    assert_sound(&w).await;
}

/// Looks again soon, and believes soon that nothing arrives any more.
fn quick() -> EngineLimits {
    EngineLimits {
        late_ms: 20,
        retry: RetryPolicy {
            first_ms: 10,
            ..RetryPolicy::DEFAULT
        },
        ..EngineLimits::default()
    }
}

async fn quick_world(pve: &Pve, limits: EngineLimits) -> TestWorld {
    TestWorld::start_of(WorldParts {
        clusters: vec![pve.clone()],
        limits,
        ..WorldParts::default()
    })
    .await
    .unwrap()
}
