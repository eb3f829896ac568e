//! When a destroy may be sent, and when a guest may be forgotten.

mod others;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proximity_domain::app::StatusLabel;
use proximity_domain::guest::NativeGuest;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::{OperationState, StuckWas, UnwindCause};
use proximity_domain::retry::RetryPolicy;
use proximity_domain::saga::StepState;
use proximity_domain::time::Clock;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_pve::transport::{Method, RawResponse, Request, TransportError};
use proximity_pve_emulator::core::{Access, Calls, FaultKind, FaultWish, TaskState, TaskTimes};
use proximity_store::records::{AppRecord, OperationRecord};
use proximity_testkit::pve::Pve;
use proximity_testkit::sources::MovedClock;
use proximity_testkit::world::{TestWorld, WorldParts};
use tokio::time::Instant;

async fn world_with(limits: EngineLimits) -> (TestWorld, AppRecord, NativeGuest) {
    world_of(limits, None).await
}

async fn world_of(
    limits: EngineLimits,
    clock: Option<Arc<MovedClock>>,
) -> (TestWorld, AppRecord, NativeGuest) {
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        limits,
        clock: clock.map(|clock| clock as Arc<dyn Clock>),
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    let guest = w.store.native_guests(app.id).await.unwrap().pop().unwrap();
    let app = w.store.app(app.id).await.unwrap().unwrap();
    (w, app, guest)
}

async fn act(w: &TestWorld, action: Action) -> OperationRecord {
    let op = w.engine.act(&w.actor, "web", action).await.unwrap();
    w.settled(op.id).await.unwrap()
}

/// Returns when `there` holds; it is asked after each turn of the other tasks.
async fn until<F: Future<Output = bool>>(what: &str, there: impl Fn() -> F) {
    let looking = async {
        while !there().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

async fn tasks_ended(w: &TestWorld) {
    until("all tasks ended", || async {
        w.pve.meddle(|world| {
            world
                .tasks()
                .all(|t| matches!(t.state, TaskState::Stopped { .. }))
        })
    })
    .await;
}

fn removal() -> Action {
    Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: false,
        purge: false,
    }
}

fn deletes(w: &TestWorld) -> usize {
    let changes = w.pve.changes();
    changes.iter().filter(|c| c.starts_with("DELETE")).count()
}

/// PVE may have freed the disks of a destroy that failed: whether or not the worker lived to hear of it, only a person's
/// retry sends a second one.
#[tokio::test]
async fn a_destroy_that_failed_unseen_is_not_sent_again_unasked() {
    let (mut w, _, guest) = world_with(EngineLimits::default()).await;
    let vmid = guest.identity.vmid.get();
    w.pve.guests.refuse_destroy(vmid, true);
    w.pve.meddle(|world| {
        world.set_task_times(TaskTimes {
            destroy_ms: 300,
            ..world.task_times()
        });
    });
    let op = w.engine.act(&w.actor, "web", removal()).await.unwrap().id;
    until("the destroy's task is recorded", || async {
        let steps = w.store.steps(op).await.unwrap();
        steps
            .iter()
            .any(|s| s.upid.as_deref().is_some_and(|u| u.contains("vzdestroy")))
    })
    .await;
    w.crash_worker().await;
    tasks_ended(&w).await;
    w.start_worker();
    let stuck = w.settled(op).await.unwrap();
    assert!(
        matches!(stuck.state, OperationState::Stuck { .. }),
        "{:?}",
        stuck.state
    );
    assert_eq!(deletes(&w), 1, "the first one's verdict counts");

    w.pve.guests.refuse_destroy(vmid, false);
    w.engine.retry_operation(&w.actor, op).await.unwrap();
    let done = w.settled(op).await.unwrap();
    assert_eq!(done.state, OperationState::Succeeded);
    assert_eq!(deletes(&w), 2);
    assert!(w.pve.guests.vmids().is_empty());
    assert!(w.store.ports().await.unwrap().held.is_empty());
}

/// The same when the worker hears of it: stuck, and the retry is a new attempt.
#[tokio::test]
async fn a_destroy_that_failed_is_tried_again_by_a_persons_retry() {
    let (w, _, guest) = world_with(EngineLimits::default()).await;
    let vmid = guest.identity.vmid.get();
    w.pve.guests.refuse_destroy(vmid, true);
    for expected in 1..=2 {
        let op = match w.store.live_operations().await.unwrap().pop() {
            None => act(&w, removal()).await,
            Some(op) => {
                w.engine.retry_operation(&w.actor, op.id).await.unwrap();
                w.settled(op.id).await.unwrap()
            }
        };
        assert!(
            matches!(op.state, OperationState::Stuck { .. }),
            "{:?}",
            op.state
        );
        assert_eq!(deletes(&w), expected);
    }
}

/// Somebody edits the description while a deploy is at work: unwinding may not destroy it, and may not forget it either.
#[tokio::test]
async fn a_guest_whose_mark_was_edited_is_neither_destroyed_nor_forgotten() {
    let mut w = TestWorld::start(Access::Full).await.unwrap();
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op: OperationId = app.operation.unwrap();
    until("the container is made", || async {
        let steps = w.store.steps(op).await.unwrap();
        steps
            .iter()
            .any(|s| s.name == "create_container" && s.state == StepState::Succeeded)
    })
    .await;
    w.crash_worker().await;
    tasks_ended(&w).await;
    let guest = w.store.native_guests(app.id).await.unwrap().pop().unwrap();
    let place = &guest.place;
    let path = format!("/nodes/{}/lxc/{}/config", place.node, place.vmid);
    w.pve.put(&path, &[("description", "my notes")]).await;
    w.start_worker();
    let stuck = w.settled(op).await.unwrap();
    let OperationState::Stuck { failure, .. } = &stuck.state else {
        panic!("{:?}", stuck.state)
    };
    assert_eq!(failure.code, "identity_conflict");
    assert_eq!(deletes(&w), 0);
    assert_eq!(
        w.store.native_guests(app.id).await.unwrap().len(),
        1,
        "still recorded"
    );

    let mark = guest.identity.mark.described("my notes");
    w.pve.put(&path, &[("description", &mark)]).await;
    w.engine.retry_operation(&w.actor, op).await.unwrap();
    let ended = w.settled(op).await.unwrap();
    assert!(
        matches!(ended.state, OperationState::Failed { .. }),
        "{:?}",
        ended.state
    );
    assert!(w.pve.guests.vmids().is_empty());
    assert!(w.store.native_guests(app.id).await.unwrap().is_empty());
}

/// As for a deploy: cut off at ever later calls, a removal ends with one destroy task and nothing left.
#[tokio::test]
async fn a_removal_survives_a_worker_that_dies_at_any_call() {
    for more in 1_u64.. {
        let (mut w, _, _) = world_with(late(20)).await;
        let before = w.pve.calls();
        let op = w.engine.act(&w.actor, "web", removal()).await.unwrap().id;
        let finished = tokio::select! {
            biased;
            () = w.pve.calls_arrived(before + more) => false,
            settled = w.settled(op) => settled.is_ok(),
        };
        w.crash_worker().await;
        w.start_worker();
        let ended = w.settled(op).await.unwrap();
        assert_eq!(ended.state, OperationState::Succeeded, "cut at call {more}");
        let destroyed = w.pve.meddle(|world| {
            world
                .tasks()
                .filter(|t| t.upid.to_string().contains(":vzdestroy:"))
                .count()
        });
        assert_eq!(destroyed, 1, "cut at call {more}");
        assert!(w.pve.guests.vmids().is_empty(), "cut at call {more}");
        assert!(w.store.ports().await.unwrap().held.is_empty());
        assert_eq!(
            w.store.invariants().await.unwrap(),
            Vec::<String>::new(),
            "cut at call {more}"
        );
        if finished {
            assert!(more > 12, "a removal takes more calls than that");
            return;
        }
    }
}

/// And an unwinding deploy: cancelled while its container starts, cut off at ever later calls.
#[tokio::test]
async fn an_unwinding_survives_a_worker_that_dies_at_any_call() {
    for more in 1_u64.. {
        let mut w = TestWorld::start_with(Access::Full, late(20)).await.unwrap();
        let request = CreateApp {
            catalog_id: "beacon".to_owned(),
            hostname: "web".to_owned(),
            ..CreateApp::default()
        };
        let app = w.engine.create_app(&w.actor, request).await.unwrap();
        let op: OperationId = app.operation.unwrap();
        until("the container is being started", || async {
            let steps = w.store.steps(op).await.unwrap();
            steps.iter().any(|s| s.name == "start")
        })
        .await;
        w.engine.cancel_operation(&w.actor, op).await.unwrap();
        // The flag reaches a worker with its next claim.
        w.crash_worker().await;
        let before = w.pve.calls();
        w.start_worker();
        let finished = tokio::select! {
            biased;
            () = w.pve.calls_arrived(before + more) => false,
            settled = w.settled(op) => settled.is_ok(),
        };
        w.crash_worker().await;
        w.start_worker();
        let ended = w.settled(op).await.unwrap();
        assert_eq!(ended.state, OperationState::Cancelled, "cut at call {more}");
        assert!(w.pve.guests.vmids().is_empty(), "cut at call {more}");
        assert!(w.store.native_guests(app.id).await.unwrap().is_empty());
        assert_eq!(
            w.store.invariants().await.unwrap(),
            Vec::<String>::new(),
            "cut at call {more}"
        );
        if finished {
            assert!(more > 12, "start and unwinding take more calls than that");
            return;
        }
    }
}

fn late(late_ms: u64) -> EngineLimits {
    EngineLimits {
        late_ms,
        destroy_late_ms: late_ms,
        power_off_late_ms: late_ms,
        proxied_late_ms: late_ms,
        retry: RetryPolicy {
            first_ms: 50,
            ..RetryPolicy::DEFAULT
        },
        ..EngineLimits::default()
    }
}

/// The answer to a DELETE is lost, and its task has failed before anybody looks: found among the tasks that ended, it is a
/// person's to see before a second one goes out.
#[tokio::test]
async fn a_destroy_that_failed_without_an_answer_is_not_sent_again_unasked() {
    let (w, _, guest) = world_with(late(60_000)).await;
    let vmid = guest.identity.vmid.get();
    w.pve.guests.refuse_destroy(vmid, true);
    w.pve.cut_after(Method::Delete, "/lxc/100");
    let op = act(&w, removal()).await;
    let OperationState::Stuck { failure, .. } = &op.state else {
        panic!("{:?}", op.state)
    };
    assert!(failure.message.contains(":vzdestroy:"), "{failure:?}");
    assert_eq!(deletes(&w), 1);

    w.pve.guests.refuse_destroy(vmid, false);
    w.engine.retry_operation(&w.actor, op.id).await.unwrap();
    let done = w.settled(op.id).await.unwrap();
    assert_eq!(done.state, OperationState::Succeeded);
    assert_eq!(
        deletes(&w),
        2,
        "nothing is waited for that a person has seen"
    );
    assert!(w.pve.guests.vmids().is_empty());
}

/// The DELETE is still under way when its answer is given up: it is waited for, not sent a second time.
#[tokio::test]
async fn a_destroy_that_arrives_late_is_waited_for() {
    let (w, _, _) = world_with(late(20_000)).await;
    let mut looks = 0;
    w.pve.delay(Method::Delete, "/lxc/100", move |r| {
        looks += u32::from(r.path == "/nodes/pve1/lxc/100/config");
        looks == 2
    });
    let op = act(&w, removal()).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!((w.pve.under_way(), deletes(&w)), (0, 1));
    assert!(w.pve.guests.vmids().is_empty());
}

/// Somebody else destroys the container while our DELETE is under way: whoever has the number next would be hit by it, so the
/// number is kept until it can no longer arrive.
#[tokio::test]
async fn the_number_of_what_somebody_else_destroyed_is_kept_as_long_as_ours_may_arrive() {
    let clock = Arc::new(MovedClock::default());
    let limits = EngineLimits {
        retry: RetryPolicy {
            first_ms: 600_000,
            longest_ms: 600_000,
            ..RetryPolicy::DEFAULT
        },
        ..late(12_000)
    };
    let (w, app, _) = world_of(limits, Some(clock.clone())).await;
    w.pve.delay(Method::Delete, "/lxc/100", |_| false);
    let op = w.engine.act(&w.actor, "web", removal()).await.unwrap().id;
    until("it waits for its next attempt", || async {
        let now = w.store.operation(op).await.unwrap().unwrap();
        now.wait.is_some()
    })
    .await;
    w.pve.meddle(|world| world.forget_guest(100));
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(1_500), w.settled(op)).await;
    assert!(early.is_err(), "{early:?}");
    let held = w.store.native_guests(app.id).await.unwrap();
    assert_eq!(held.len(), 1, "nobody else may be given its number");

    clock.pass(12_000);
    let ended = w.settled(op).await.unwrap();
    assert!(ended.state.is_final(), "{:?}", ended.state);
    assert!(w.store.native_guests(app.id).await.unwrap().is_empty());
    assert_eq!((w.pve.under_way(), deletes(&w)), (1, 1));
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// It did arrive, and only its answer was lost: its task tells, and nothing is waited for.
#[tokio::test]
async fn the_number_of_what_our_own_task_destroyed_is_given_back_at_once() {
    let (w, app, _) = world_with(late(600_000)).await;
    w.pve.cut_after(Method::Delete, "/lxc/100");
    let op = act(&w, removal()).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(deletes(&w), 1);
    assert!(w.store.native_guests(app.id).await.unwrap().is_empty());
}

/// It never arrives: after the time in which it could, the next one goes out.
#[tokio::test]
async fn a_destroy_that_never_arrived_is_sent_again_in_the_end() {
    let (w, _, _) = world_with(late(20)).await;
    w.pve.delay(Method::Delete, "/lxc/100", |_| false);
    let op = act(&w, removal()).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!((w.pve.under_way(), deletes(&w)), (1, 2));
    assert!(w.pve.guests.vmids().is_empty());
}

/// What hangs may have it yet, for as long as a proxy keeps it: how late one may be at a node that answers does not count until that
/// one answers.
#[tokio::test]
async fn behind_a_node_that_hangs_no_second_destroy_is_sent_after_the_short_time() {
    const HANGS: Duration = Duration::from_millis(500);
    let limits = EngineLimits {
        proxied_late_ms: 60_000,
        ..late(20)
    };
    let (w, _, _) = world_with(limits).await;
    w.pve.delay(Method::Delete, "/lxc/100", |_| false);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let at = Arc::clone(&sent);
    let hangs = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        let mut at = at.lock().unwrap();
        if request.method == Method::Delete {
            at.push(Instant::now());
        }
        let is_hung = at.first().is_some_and(|first| first.elapsed() < HANGS);
        if is_hung && request.path.ends_with("/status/current") {
            return Err(TransportError::MaybeApplied("no answer".to_owned()));
        }
        answer
    };
    w.pve.distort(Some(Arc::new(hangs)));
    let op = act(&w, removal()).await;
    w.pve.distort(None);
    assert_eq!(op.state, OperationState::Succeeded);
    let sent = sent.lock().unwrap().clone();
    let [first, second] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    assert!(second.duration_since(*first) >= HANGS, "{sent:?}");
}

/// A removal fails while its DELETE is still under way: it turns back when that has come to something, and as what it was.
#[tokio::test]
async fn a_removal_that_fails_in_doubt_waits_for_its_destroy_before_it_turns_back() {
    let limits = EngineLimits {
        retry: RetryPolicy {
            first_ms: 600_000,
            longest_ms: 600_000,
            ..RetryPolicy::DEFAULT
        },
        ..late(20_000)
    };
    let (w, app, _) = world_with(limits).await;
    let readable = Arc::new(AtomicBool::new(false));
    let (again, mut looks) = (Arc::clone(&readable), 0);
    w.pve.delay(Method::Delete, "/lxc/100", move |r| {
        let look = r.path == "/nodes/pve1/lxc/100/config" && again.load(Ordering::Relaxed);
        looks += u32::from(look);
        looks == 2
    });
    let op = w.engine.act(&w.actor, "web", removal()).await.unwrap().id;
    until("it waits for its next attempt", || async {
        let now = w.store.operation(op).await.unwrap().unwrap();
        now.wait.is_some()
    })
    .await;
    // Nothing can be read, so the step fails, and so does turning back.
    w.pve.allow(Access::Empty);
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let stuck = w.settled(op).await.unwrap();
    assert!(
        matches!(stuck.state, OperationState::Stuck { .. }),
        "{:?}",
        stuck.state
    );
    w.pve.allow(Access::Full);
    readable.store(true, Ordering::Relaxed);
    w.engine.retry_operation(&w.actor, op).await.unwrap();
    let ended = w.settled(op).await.unwrap();
    assert!(ended.state.is_final(), "{:?}", ended.state);
    assert_eq!((w.pve.under_way(), deletes(&w)), (0, 1));
    assert!(w.pve.guests.vmids().is_empty());
    assert!(w.store.native_guests(app.id).await.unwrap().is_empty());
    let shown = w.store.app(app.id).await.unwrap().unwrap().status;
    assert_eq!(shown.label(), StatusLabel::Error);
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// The proof of absence lacks the token's rights, so often: PVE answers 400.
fn unproven(times: Option<u64>) -> FaultWish {
    let why = ("path".to_owned(), "the test refuses this".to_owned());
    FaultWish {
        calls: Calls {
            verb: Some("GET".to_owned()),
            path: Some("/access/permissions".to_owned()),
            ..Calls::default()
        },
        nth: 1,
        times,
        kind: FaultKind::Refused {
            errors: [why].into(),
            message: None,
        },
    }
}

/// What was destroyed cannot be taken back, so a proof that is refused once is looked for again.
#[tokio::test]
async fn a_proof_of_absence_that_is_refused_is_looked_for_again() {
    let (w, app, _) = world_with(late(20)).await;
    w.pve
        .meddle(|world| world.add_fault(unproven(Some(1))))
        .unwrap();
    let op = act(&w, removal()).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(deletes(&w), 1);
    assert!(w.store.archived_app(app.id).await.unwrap().is_some());
    assert!(w.store.ports().await.unwrap().held.is_empty());
}

/// Refused for good: after as many attempts as anything has, a person is told what was refused and what is known; a retry ends it.
#[tokio::test]
async fn a_proof_of_absence_that_stays_refused_is_told_with_its_cause() {
    let (w, app, _) = world_with(late(20)).await;
    let fault = w.pve.meddle(|world| world.add_fault(unproven(None)));
    let fault = fault.unwrap();
    let op = act(&w, removal()).await;
    let OperationState::Stuck { failure, was } = &op.state else {
        panic!("{:?}", op.state)
    };
    let StuckWas::Unwinding {
        cause: UnwindCause::Failure { failure: cause },
    } = was
    else {
        panic!("{was:?}")
    };
    for told in [cause, failure] {
        assert_eq!(told.code, "pve_refused");
        assert!(told.message.contains("reading own permissions"), "{told:?}");
        let known = "a destroy of container 100 was sent, and that it is gone is not proven";
        assert!(told.hint.contains(known), "{told:?}");
    }
    let hits = w.pve.meddle(|world| world.fault_hits(fault));
    assert_eq!(hits, Some(6), "three attempts each way");
    assert_eq!(deletes(&w), 1);

    w.pve.meddle(|world| world.end_fault(fault));
    w.engine.retry_operation(&w.actor, op.id).await.unwrap();
    let ended = w.settled(op.id).await.unwrap();
    assert!(
        matches!(ended.state, OperationState::Failed { .. }),
        "{:?}",
        ended.state
    );
    assert!(w.store.native_guests(app.id).await.unwrap().is_empty());
    assert_eq!(act(&w, removal()).await.state, OperationState::Succeeded);
    assert_eq!(deletes(&w), 1);
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}
