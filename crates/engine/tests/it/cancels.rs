//! A cancel inside a step: how soon it takes effect, and what it leaves.

use std::time::Duration;

use proximity_domain::ids::OperationId;
use proximity_domain::operation::OperationState;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::{Access, TaskTimes};
use proximity_testkit::world::TestWorld;

/// Far less than any of the waits that are cut.
const AT_ONCE: Duration = Duration::from_secs(5);

async fn world() -> TestWorld {
    let limits = EngineLimits {
        network_ms: 600_000,
        ..EngineLimits::default()
    };
    TestWorld::start_with(Access::Full, limits).await.unwrap()
}

fn slow(w: &TestWorld, times: impl Fn(TaskTimes) -> TaskTimes) {
    w.pve
        .meddle(|world| world.set_task_times(times(world.task_times())));
}

async fn deploy(w: &TestWorld) -> OperationId {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    app.operation.unwrap()
}

async fn reaches(w: &TestWorld, op: OperationId, steps: usize) {
    w.until(async || w.store.steps(op).await.unwrap().len() == steps)
        .await
        .unwrap();
}

/// Cancels; the operation must turn back at once, and end as cancelled.
async fn turns_back(w: &TestWorld, op: OperationId) {
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let left = async || {
        let now = w.store.operation(op).await.unwrap().unwrap();
        now.state != OperationState::Running
    };
    tokio::time::timeout(AT_ONCE, w.until(left))
        .await
        .unwrap()
        .unwrap();
}

async fn ends_with_nothing(w: &TestWorld, op: OperationId) {
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Cancelled);
    assert!(w.pve.guests.vmids().is_empty());
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// It turns back at once; its undo waits for the create to end, and destroys what came of it.
#[tokio::test]
async fn while_the_container_is_created() {
    let w = world().await;
    slow(&w, |t| TaskTimes {
        create_ms: 8_000,
        ..t
    });
    let op = deploy(&w).await;
    w.until(async || {
        let steps = w.store.steps(op).await.unwrap();
        steps.last().is_some_and(|s| s.upid.is_some())
    })
    .await
    .unwrap();
    turns_back(&w, op).await;
    ends_with_nothing(&w, op).await;
    let deletes = w
        .pve
        .changes()
        .iter()
        .filter(|c| c.starts_with("DELETE"))
        .count();
    assert_eq!(deletes, 1, "{:?}", w.pve.changes());
}

/// A start is not cut: PVE would be in the middle of it. It is over soon.
#[tokio::test]
async fn while_it_starts() {
    let w = world().await;
    slow(&w, |t| TaskTimes { start_ms: 700, ..t });
    let op = deploy(&w).await;
    reaches(&w, op, 3).await;
    turns_back(&w, op).await;
    ends_with_nothing(&w, op).await;
    let calls = w.pve.changes();
    let at = |what: &str| calls.iter().position(|c| c.ends_with(what)).unwrap();
    assert!(at("/status/start") < at("/status/shutdown"), "{calls:?}");
}

#[tokio::test]
async fn while_it_waits_for_an_address() {
    let w = world().await;
    slow(&w, |t| TaskTimes { start_ms: 300, ..t });
    let op = deploy(&w).await;
    reaches(&w, op, 3).await;
    w.pve.guests.lose_address(100);
    reaches(&w, op, 4).await;
    turns_back(&w, op).await;
    ends_with_nothing(&w, op).await;
}

/// The command is ended in the guest, not left running.
#[tokio::test]
async fn while_a_command_runs_in_the_guest() {
    let w = world().await;
    slow(&w, |t| TaskTimes { start_ms: 300, ..t });
    let op = deploy(&w).await;
    reaches(&w, op, 3).await;
    w.pve.guests.hang(100, "service");
    w.until(async || w.pve.guests.is_hung(100) == Some(true))
        .await
        .unwrap();
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    w.until(async || w.pve.guests.is_hung(100) != Some(true))
        .await
        .unwrap();
    ends_with_nothing(&w, op).await;
}

#[tokio::test]
async fn while_a_page_is_asked_for() {
    let w = world().await;
    let go_on = w.pve.hold(Method::Get, "/interfaces");
    let op = deploy(&w).await;
    // The address is read in several steps; each read hangs until the test lets it go on, so the cancel comes inside one.
    reaches(&w, op, 4).await;
    turns_back(&w, op).await;
    ends_with_nothing(&w, op).await;
    drop(go_on);
}

/// What has been told to shut down is not left half way: the task is awaited, then the app serves again or is stopped.
#[tokio::test]
async fn while_it_shuts_down() {
    let w = world().await;
    let op = deploy(&w).await;
    assert_eq!(
        w.settled(op).await.unwrap().state,
        OperationState::Succeeded
    );
    slow(&w, |t| TaskTimes {
        shutdown_ms: 700,
        ..t
    });
    let stop = Action::Stop { force: false };
    let op = w.engine.act(&w.actor, "web", stop).await.unwrap().id;
    w.until(async || {
        let steps = w.store.steps(op).await.unwrap();
        steps.last().is_some_and(|s| s.upid.is_some())
    })
    .await
    .unwrap();
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let ended = w.settled(op).await.unwrap();
    let last_seen = ended.state.is_final();
    assert!(last_seen, "{:?}", ended.state);
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}
