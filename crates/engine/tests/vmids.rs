//! Nothing reserves a number but the create call: what happens when somebody else is faster.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may fail the test

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

/// The answer to a create call is lost, and the call itself is so late that it arrives between two looks of the next
/// attempt, or while the next call loses the race to it: what is there is ours, and is neither given up nor made twice.
#[tokio::test]
async fn a_create_call_that_arrives_late_is_ours_whenever_it_arrives() {
    type When = fn(&str) -> bool;
    let cases: [(&str, When, Option<&str>); 3] = [
        (
            "before the proof of absence",
            |path| path == "/access/permissions",
            None,
        ),
        (
            "before the next call",
            |path| path == "/nodes/pve1/lxc",
            None,
        ),
        (
            "while the next one's task loses the race",
            |path| path.contains("/tasks/UPID"),
            Some(
                "close (rename) atomic file '/etc/pve/nodes/pve1/lxc/100.conf' failed: File exists",
            ),
        ),
    ];
    for (when, arrives, fails) in cases {
        let pve = Pve::start(Access::Full);
        let w = quick_world(&pve, quick()).await;
        pve.delay(Method::Post, "/nodes/pve1/lxc", move |r| arrives(&r.path));
        if let Some(text) = fails {
            pve.guests.fail_next_create(text);
        }
        let (app, op) = deploy(&w).await;
        assert_eq!(op.state, OperationState::Succeeded, "{when}");
        assert_eq!(pve.under_way(), 0, "{when}: it arrived");
        assert_eq!(held(&w, &app).await, vec![100], "{when}");
        assert_eq!(pve.guests.vmids(), vec![100], "{when}");
        assert_sound(&w).await;
    }
}

/// Cancelled while nothing is known of the create call: it arrives after the first look of the unwinding, and is removed.
#[tokio::test]
async fn unwinding_waits_for_a_create_call_that_may_arrive_late() {
    let pve = Pve::start(Access::Full);
    let w = quick_world(
        &pve,
        EngineLimits {
            retry: RetryPolicy {
                first_ms: 60_000,
                ..RetryPolicy::DEFAULT
            },
            ..quick()
        },
    )
    .await;
    // Each proof of absence asks once: the unwinding's own, and that of the first look after it.
    let mut proofs = 0;
    pve.delay(Method::Post, "/nodes/pve1/lxc", move |r| {
        proofs += u32::from(r.path == "/access/permissions");
        proofs == 3
    });
    let app = ask(&w, "web").await;
    let op = app.operation.unwrap();
    w.until(async || w.store.operation(op).await.unwrap().unwrap().wait.is_some())
        .await
        .unwrap();
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let op = w.settled(op).await.unwrap();
    assert_eq!(op.state, OperationState::Cancelled);
    assert_eq!(
        pve.under_way(),
        0,
        "it arrived before the number was given up"
    );
    assert!(pve.guests.vmids().is_empty(), "and was removed");
    assert!(held(&w, &app).await.is_empty());
    assert_sound(&w).await;
}

/// One of two calls made the container, and the other one arrives when that has been unwound: what it makes is removed as
/// well, though another volume was on record.
#[tokio::test]
async fn unwinding_removes_what_a_late_call_makes_after_the_first_container_is_gone() {
    let pve = Pve::start(Access::Full);
    pve.meddle(|world| {
        let mut times = world.task_times();
        (times.create_ms, times.start_ms) = (300, 300);
        world.set_task_times(times);
    });
    let w = quick_world(&pve, quick()).await;
    // The proof of the destroy's own, then that of the first look after it.
    let (mut destroyed, mut proofs) = (false, 0);
    pve.delay(Method::Post, "/nodes/pve1/lxc", move |r| {
        destroyed |= r.method == Method::Delete;
        proofs += u32::from(destroyed && r.path == "/access/permissions");
        proofs == 2
    });
    let app = ask(&w, "web").await;
    let op = app.operation.unwrap();
    w.until(async || w.store.steps(op).await.unwrap().len() > 2)
        .await
        .unwrap();
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let op = w.settled(op).await.unwrap();
    assert_eq!(op.state, OperationState::Cancelled);
    assert_eq!(pve.under_way(), 0, "it arrived");
    assert!(pve.guests.vmids().is_empty(), "and was removed");
    assert!(held(&w, &app).await.is_empty());
    assert_sound(&w).await;
}

/// A create call that was not sent leaves no doubt: its number is given up without waiting for anything.
#[tokio::test]
async fn a_create_call_that_was_not_sent_is_not_waited_for() {
    let pve = Pve::start(Access::Full);
    let w = quick_world(
        &pve,
        EngineLimits {
            late_ms: 3_600_000,
            ..quick()
        },
    )
    .await;
    pve.lose(Method::Post, "/nodes/pve1/lxc", 3);
    let (app, op) = deploy(&w).await;
    let OperationState::Failed { failure } = op.state else {
        panic!("{:?}", op.state)
    };
    assert_eq!(failure.code, "pve_unreachable");
    assert!(held(&w, &app).await.is_empty());
}

/// The container was made, and then its mark and MAC changed or went: it may be this very one, so no second one is made.
#[tokio::test]
async fn a_container_that_was_made_is_not_given_up_when_it_shows_nothing_of_ours() {
    let others = [
        (
            "net0",
            "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=dhcp",
        ),
        ("description", "not ours"),
    ];
    let bare = [("delete", "net0"), ("description", "notes")];
    for change in [others, bare] {
        let pve = Pve::start(Access::Full);
        pve.meddle(|world| {
            let mut times = world.task_times();
            times.create_ms = 300;
            world.set_task_times(times);
        });
        let mut w = quick_world(&pve, quick()).await;
        let app = ask(&w, "web").await;
        let op = app.operation.unwrap();
        creating(&w, op).await;
        w.crash_worker().await;
        pve.quiet().await;
        pve.put("/nodes/pve1/lxc/100/config", &change).await;
        w.start_worker();
        let op = w.settled(op).await.unwrap();
        let OperationState::Stuck { failure, .. } = &op.state else {
            panic!("{change:?}: {:?}", op.state)
        };
        assert_eq!(failure.code, "identity_conflict");
        assert_eq!(held(&w, &app).await, vec![100], "{change:?}");
        assert_eq!(pve.guests.vmids(), vec![100], "{change:?}");
    }
}

/// A stranger has our number while our own call may still arrive, and goes before it does: what the call makes is ours, and
/// on record.
#[tokio::test]
async fn a_number_is_not_given_up_to_a_taker_who_goes_before_our_call_arrives() {
    let pve = Pve::start(Access::Full);
    let limits = EngineLimits {
        late_ms: 4_000,
        retry: RetryPolicy {
            first_ms: 1_000,
            ..RetryPolicy::DEFAULT
        },
        ..EngineLimits::default()
    };
    let w = quick_world(&pve, limits).await;
    let (taken, gone, looked) = (flag(), flag(), flag());
    let (is_taken, is_gone, has_looked) = (taken.clone(), gone.clone(), looked.clone());
    pve.delay(Method::Post, "/nodes/pve1/lxc", move |r| {
        if is_taken.load(Ordering::Relaxed) && r.path == "/nodes/pve1/lxc/100/config" {
            has_looked.store(true, Ordering::Relaxed);
        }
        is_gone.load(Ordering::Relaxed)
    });
    let app = ask(&w, "web").await;
    let op = app.operation.unwrap();
    w.until(async || w.store.operation(op).await.unwrap().unwrap().wait.is_some())
        .await
        .unwrap();
    pve.stranger_creates("pve1", 100).await;
    taken.store(true, Ordering::Relaxed);
    w.until(async || looked.load(Ordering::Relaxed))
        .await
        .unwrap();
    pve.meddle(|world| world.forget_guest(100));
    gone.store(true, Ordering::Relaxed);
    let op = w.settled(op).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(pve.under_way(), 0, "it arrived");
    pve.quiet().await;
    assert_eq!(held(&w, &app).await, vec![100]);
    assert_eq!(pve.guests.vmids(), vec![100]);
    assert_sound(&w).await;
}

fn flag() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

/// Somebody keeps a console open on our number: that makes nothing, so neither is the number given up for it, nor is its end
/// waited for when the answer to our call is lost.
#[tokio::test]
async fn a_task_that_makes_no_guest_is_not_waited_for() {
    let pve = Pve::start(Access::Full);
    pve.open_console("pve1", 100);
    let w = quick_world(&pve, quick()).await;
    pve.cut_after(Method::Post, "/nodes/pve1/lxc");
    let (app, op) = deploy(&w).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(held(&w, &app).await, vec![100]);
    assert_eq!(pve.guests.vmids(), vec![100]);
    assert_sound(&w).await;
}

/// Our create lost the number in its task, and what has it shows neither a mark nor our MAC: nothing of ours can be there, so
/// it is somebody else's, on the way forwards and on the way back.
#[tokio::test]
async fn a_bare_taker_of_a_number_lost_in_the_task_is_left_alone() {
    let text = "close (rename) atomic file '/etc/pve/nodes/pve1/lxc/100.conf' failed: File exists";
    for cancelled in [false, true] {
        let pve = Pve::start(Access::Full);
        pve.meddle(|world| {
            let mut times = world.task_times();
            times.create_ms = 300;
            world.set_task_times(times);
        });
        pve.guests.fail_next_create(text);
        let mut w = quick_world(&pve, quick()).await;
        let app = ask(&w, "web").await;
        let op = app.operation.unwrap();
        creating(&w, op).await;
        w.crash_worker().await;
        pve.quiet().await;
        pve.stranger_creates("pve1", 100).await;
        let bare = [("delete", "net0"), ("description", "notes")];
        pve.put("/nodes/pve1/lxc/100/config", &bare).await;
        if cancelled {
            w.engine.cancel_operation(&w.actor, op).await.unwrap();
        }
        w.start_worker();
        let op = w.settled(op).await.unwrap();
        let (state, ours) = if cancelled {
            (OperationState::Cancelled, vec![])
        } else {
            (OperationState::Succeeded, vec![101])
        };
        assert_eq!(op.state, state);
        assert_eq!(held(&w, &app).await, ours);
        assert_eq!(hostname_of(&pve, 100).as_deref(), Some("stranger"));
        assert_sound(&w).await;
    }
}

/// Returns when the create's task is on record.
async fn creating(w: &TestWorld, op: OperationId) {
    w.until(async || {
        let steps = w.store.steps(op).await.unwrap();
        steps.iter().any(|s| {
            s.name == "create_container" && s.state == StepState::Started && s.upid.is_some()
        })
    })
    .await
    .unwrap();
}

/// Somebody restores a backup under our number while it is not known what became of our own call: that task is waited for
/// like a create, and nobody is told to destroy what it makes.
#[tokio::test]
async fn a_strangers_restore_is_waited_for_and_left_alone() {
    let pve = Pve::start(Access::Full);
    pve.show_creates_as_restores();
    pve.meddle(|world| {
        let mut times = world.task_times();
        times.create_ms = 500;
        world.set_task_times(times);
    });
    let w = quick_world(&pve, quick()).await;
    pve.delay(Method::Post, "/nodes/pve1/lxc", |_| false);
    pve.taken_before(Method::Post, "/nodes/pve1/lxc", "pve1", 100);
    let (app, op) = deploy(&w).await;
    assert_eq!(op.state, OperationState::Succeeded, "{:?}", op.state);
    assert_eq!(held(&w, &app).await, vec![101]);
    assert_eq!(hostname_of(&pve, 100).as_deref(), Some("stranger"));
    assert_sound(&w).await;
}
