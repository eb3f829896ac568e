//! A shutdown or a forced stop whose answer was lost: it may arrive later, and is waited for before anything goes on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proximity_domain::app::StatusLabel;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::OperationState;
use proximity_domain::retry::RetryPolicy;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_pve::transport::{Method, RawResponse, Request, TransportError};
use proximity_pve_emulator::core::{Access, Calls, FaultKind, FaultWish};
use proximity_store::records::{AppRecord, OperationRecord};
use proximity_testkit::pve::Pve;
use proximity_testkit::sources::MovedClock;
use proximity_testkit::world::{TestWorld, WorldParts};
use tokio::time::Instant;

const SHUTDOWN: &str = "/status/shutdown";
const STOP: &str = "/status/stop";
const RESTART: Action = Action::Restart { force: false };

/// A call may be late for so long.
fn late(late_ms: u64) -> EngineLimits {
    EngineLimits {
        power_off_late_ms: late_ms,
        proxied_late_ms: late_ms,
        shutdown_s: 1,
        retry: RetryPolicy {
            first_ms: 50,
            ..RetryPolicy::DEFAULT
        },
        ..EngineLimits::default()
    }
}

async fn ask_for_deploy(w: &TestWorld) -> AppRecord {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    w.engine.create_app(&w.actor, request).await.unwrap()
}

/// With one app that runs, in container 100.
async fn world(limits: EngineLimits) -> (TestWorld, AppRecord) {
    with_app(TestWorld::start_with(Access::Full, limits).await.unwrap()).await
}

async fn with_app(w: TestWorld) -> (TestWorld, AppRecord) {
    let app = ask_for_deploy(&w).await;
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(w.pve.guests.vmids(), [100]);
    (w, app)
}

async fn act(w: &TestWorld, action: Action) -> OperationState {
    let op = w.engine.act(&w.actor, "web", action).await.unwrap();
    w.settled(op.id).await.unwrap().state
}

/// How many calls with this end were sent.
fn sent(w: &TestWorld, end: &str) -> usize {
    let changes = w.pve.changes();
    changes.iter().filter(|call| call.ends_with(end)).count()
}

fn tasks(w: &TestWorld, kind: &str) -> usize {
    let kind = format!(":{kind}:");
    w.pve.meddle(|world| {
        let all = world.tasks();
        all.filter(|t| t.upid.to_string().contains(&kind)).count()
    })
}

/// Right before that many looks at the node's tasks.
fn at_look(number: u32) -> impl FnMut(&Request) -> bool + Send + 'static {
    let mut looks = 0;
    move |request: &Request| {
        looks += u32::from(request.path == "/nodes/pve1/tasks");
        looks == number
    }
}

/// Waits until its next attempt is waited for.
async fn until_it_waits(w: &TestWorld, op: OperationId) {
    w.until(async || {
        let now = w.store.operation(op).await.unwrap().unwrap();
        now.wait.is_some()
    })
    .await
    .unwrap();
}

/// How long after its last shutdown was audited an operation has ended, milliseconds.
async fn ended_after_ms(w: &TestWorld, ended: &OperationRecord) -> u64 {
    let mut last = None;
    for step in w.store.steps(ended.id).await.unwrap() {
        let calls = w.store.mutations(ended.id, step.index).await.unwrap();
        let shutdowns = calls.iter().filter(|call| call.action.ends_with(SHUTDOWN));
        last = last.max(shutdowns.map(|call| call.at.0).max());
    }
    u64::try_from(ended.finished_at.unwrap().0 - last.unwrap()).unwrap()
}

async fn runs(w: &TestWorld, app: &AppRecord) {
    let status = w.store.app(app.id).await.unwrap().unwrap().status;
    assert_eq!(status.label(), StatusLabel::Running);
    let runs = w
        .pve
        .meddle(|world| world.guests().all(|(_, guest)| guest.is_running()));
    assert!(runs, "it is up, and stays so");
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// Two seconds late: sent a second time, the container would have been stopped and started again by then, and hit when it serves.
#[tokio::test]
async fn a_restart_waits_for_a_shutdown_that_arrives_late() {
    let (w, app) = world(late(20_000)).await;
    let wish = FaultWish {
        calls: Calls {
            verb: Some("POST".to_owned()),
            path: Some("/nodes/{node}/lxc/{vmid}/status/shutdown".to_owned()),
            ..Calls::default()
        },
        nth: 1,
        times: Some(1),
        kind: FaultKind::Late { ms: 2_000 },
    };
    w.pve.meddle(|world| world.add_fault(wish)).unwrap();
    assert_eq!(act(&w, RESTART).await, OperationState::Succeeded);
    assert_eq!((sent(&w, SHUTDOWN), tasks(&w, "vzshutdown")), (1, 1));
    runs(&w, &app).await;
}

/// It has arrived, and only its answer was lost: its task tells, long before the time is over in which it could arrive.
#[tokio::test]
async fn a_shutdown_that_was_cut_is_found_among_the_tasks() {
    let (w, _) = world(late(600_000)).await;
    w.pve.cut_after(Method::Post, SHUTDOWN);
    let stopped = act(&w, Action::Stop { force: false }).await;
    assert_eq!(stopped, OperationState::Succeeded);
    assert_eq!((sent(&w, SHUTDOWN), tasks(&w, "vzshutdown")), (1, 1));
}

/// The task of the stop before is on the node's list as well, and minutes old at most.
#[tokio::test]
async fn the_task_of_an_earlier_shutdown_is_not_taken_for_the_one_that_was_lost() {
    let (w, app) = world(late(20_000)).await;
    for action in [Action::Stop { force: false }, Action::Start] {
        assert_eq!(act(&w, action).await, OperationState::Succeeded);
    }
    w.pve.delay(Method::Post, SHUTDOWN, at_look(3));
    assert_eq!(act(&w, RESTART).await, OperationState::Succeeded);
    assert_eq!((w.pve.under_way(), sent(&w, SHUTDOWN)), (0, 2));
    runs(&w, &app).await;
}

/// After the time in which it could arrive the next one goes out.
#[tokio::test]
async fn a_shutdown_that_never_arrives_is_sent_again_in_the_end() {
    let (w, _) = world(late(20)).await;
    w.pve.delay(Method::Post, SHUTDOWN, |_| false);
    let stopped = act(&w, Action::Stop { force: false }).await;
    assert_eq!(stopped, OperationState::Succeeded);
    assert_eq!((w.pve.under_way(), sent(&w, SHUTDOWN)), (1, 2));
}

/// The container does not shut down, as was told, and the stop by force is lost: that one is waited for.
#[tokio::test]
async fn a_restart_waits_for_a_forced_stop_that_arrives_late() {
    let (w, app) = world(late(20_000)).await;
    w.pve.guests.ignore_shutdown(100);
    w.pve.delay(Method::Post, STOP, at_look(2));
    let restarted = act(&w, Action::Restart { force: true }).await;
    assert_eq!(restarted, OperationState::Succeeded);
    assert_eq!(w.pve.under_way(), 0);
    assert_eq!((sent(&w, SHUTDOWN), sent(&w, STOP)), (1, 1));
    runs(&w, &app).await;
}

/// What the app is, is said when nothing can change it any more.
#[tokio::test]
async fn a_stop_that_is_cancelled_in_doubt_waits_before_it_says_what_the_app_is() {
    let limits = EngineLimits {
        retry: RetryPolicy {
            first_ms: 600_000,
            longest_ms: 600_000,
            ..RetryPolicy::DEFAULT
        },
        ..late(20_000)
    };
    let (w, app) = world(limits).await;
    w.pve.delay(Method::Post, SHUTDOWN, at_look(2));
    let stop = Action::Stop { force: false };
    let op = w.engine.act(&w.actor, "web", stop).await.unwrap().id;
    until_it_waits(&w, op).await;
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Cancelled);
    assert_eq!((w.pve.under_way(), sent(&w, SHUTDOWN)), (0, 1));
    let status = w.store.app(app.id).await.unwrap().unwrap().status;
    assert_eq!(status.label(), StatusLabel::Stopped);
}

/// Its container is destroyed next, and somebody else may get the number.
#[tokio::test]
async fn a_deploy_on_its_way_back_waits_for_its_shutdown() {
    let w = TestWorld::start_with(Access::Full, late(20_000))
        .await
        .unwrap();
    let go_on = w.pve.hold(Method::Get, "/interfaces");
    let op = ask_for_deploy(&w).await.operation.unwrap();
    w.until(async || w.store.steps(op).await.unwrap().len() == 4)
        .await
        .unwrap();
    w.pve.delay(Method::Post, SHUTDOWN, at_look(2));
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Cancelled);
    assert_eq!((w.pve.under_way(), sent(&w, SHUTDOWN)), (0, 1));
    assert!(w.pve.guests.vmids().is_empty());
    drop(go_on);
}

const GONE_MS: u64 = 2_000;

/// A call may be late for [`GONE_MS`], and is looked for long before.
fn meanwhile() -> EngineLimits {
    EngineLimits {
        late_ms: 20,
        retry: RetryPolicy {
            first_ms: 400,
            ..RetryPolicy::DEFAULT
        },
        ..late(GONE_MS)
    }
}

/// There is nothing to switch off any more, and its number is not given back before the call can no longer arrive.
#[tokio::test]
async fn a_removal_whose_container_is_gone_meanwhile_waits_for_its_shutdown() {
    let (w, _) = world(meanwhile()).await;
    w.pve.delay(Method::Post, SHUTDOWN, |_| false);
    let removal = Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: false,
        purge: false,
    };
    let op = w.engine.act(&w.actor, "web", removal).await.unwrap().id;
    until_it_waits(&w, op).await;
    w.pve.meddle(|world| world.forget_guest(100));
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded);
    let waited_ms = ended_after_ms(&w, &ended).await;
    assert!(waited_ms >= GONE_MS, "{waited_ms}");
}

#[tokio::test]
async fn a_deploy_on_its_way_back_whose_container_is_gone_waits_for_its_shutdown() {
    let w = TestWorld::start_with(Access::Full, meanwhile())
        .await
        .unwrap();
    let go_on = w.pve.hold(Method::Get, "/interfaces");
    let op = ask_for_deploy(&w).await.operation.unwrap();
    w.until(async || w.store.steps(op).await.unwrap().len() == 4)
        .await
        .unwrap();
    w.pve.delay(Method::Post, SHUTDOWN, |_| false);
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    until_it_waits(&w, op).await;
    w.pve.meddle(|world| world.forget_guest(100));
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Cancelled);
    let waited_ms = ended_after_ms(&w, &ended).await;
    assert!(waited_ms >= GONE_MS, "{waited_ms}");
    drop(go_on);
}

/// It waits for a turn at its node, say. How long it may be under way counts from its audit on.
#[tokio::test]
async fn what_is_waited_for_leaves_soon_after_its_audit_or_not_at_all() {
    const SOON: Duration = Duration::from_secs(5);
    let (w, _) = world(EngineLimits::default()).await;
    let changes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&changes);
    let note = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        if !request.method.is_read() {
            let now = Instant::now();
            let left = request
                .send_before
                .map(|by| by.saturating_duration_since(now));
            seen.lock().unwrap().push((request.path.clone(), left));
        }
        answer
    };
    w.pve.distort(Some(Arc::new(note)));
    let removal = Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: false,
        purge: false,
    };
    assert_eq!(act(&w, removal).await, OperationState::Succeeded);
    let changes = changes.lock().unwrap().clone();
    for end in [SHUTDOWN, "/lxc/100/config", "/lxc/100"] {
        let soon = |left: Option<Duration>| left.is_some_and(|left| left <= SOON);
        let its = changes.iter().find(|(path, _)| path.ends_with(end));
        assert!(
            its.is_some_and(|(_, left)| soon(*left)),
            "{end}: {changes:?}"
        );
    }
}

/// Its answer is lost twelve seconds after the call has left, which may be at work for much longer.
#[tokio::test]
async fn a_shutdown_that_was_cut_after_a_long_time_is_still_waited_for() {
    let clock = Arc::new(MovedClock::default());
    let started = TestWorld::start_of(WorldParts {
        clock: Some(clock.clone()),
        clusters: vec![Pve::start(Access::Full)],
        limits: EngineLimits {
            retry: RetryPolicy {
                first_ms: 50,
                ..RetryPolicy::DEFAULT
            },
            ..EngineLimits::default()
        },
        ..WorldParts::default()
    });
    let (w, _) = with_app(started.await.unwrap()).await;
    let later = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        if request.path.ends_with(SHUTDOWN) && answer.is_err() {
            clock.pass(12_000);
        }
        answer
    };
    w.pve.distort(Some(Arc::new(later)));
    w.pve.delay(Method::Post, SHUTDOWN, at_look(3));
    let stopped = act(&w, Action::Stop { force: false }).await;
    assert_eq!(stopped, OperationState::Succeeded);
    assert_eq!((w.pve.under_way(), sent(&w, SHUTDOWN)), (0, 1));
    assert_eq!(tasks(&w, "vzshutdown"), 1);
}
