//! Attempts: recorded, waited for without a slot, kept over a crash, ended by a cancel.

use proximity_domain::operation::OperationState;
use proximity_domain::retry::RetryPolicy;
use proximity_engine::commands::CreateApp;
use proximity_engine::engine::EngineLimits;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::Access;
use proximity_store::records::{AppRecord, OperationRecord};
use proximity_testkit::world::TestWorld;

fn limits(first_ms: u64) -> EngineLimits {
    EngineLimits {
        retry: RetryPolicy {
            first_ms,
            longest_ms: first_ms.max(60_000),
            ..RetryPolicy::DEFAULT
        },
        ..EngineLimits::default()
    }
}

async fn deploy(w: &TestWorld) -> AppRecord {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    w.engine.create_app(&w.actor, request).await.unwrap()
}

async fn operation(w: &TestWorld, app: &AppRecord) -> OperationRecord {
    let id = app.operation.unwrap();
    w.store.operation(id).await.unwrap().unwrap()
}

async fn waits(w: &TestWorld, app: &AppRecord) -> OperationRecord {
    w.until(async || operation(w, app).await.wait.is_some())
        .await
        .unwrap();
    operation(w, app).await
}

async fn creates(w: &TestWorld) -> usize {
    w.pve
        .changes()
        .iter()
        .filter(|c| *c == "POST /nodes/pve1/lxc")
        .count()
}

#[tokio::test]
async fn what_was_not_sent_is_tried_three_times_and_no_more() {
    let w = TestWorld::start_with(Access::Full, limits(10))
        .await
        .unwrap();
    w.pve.lose(Method::Post, "/status/start", 2);
    let app = deploy(&w).await;
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    let log = w.store.log(app.id, 0, 1_000).await.unwrap();
    let attempts: Vec<&str> = log
        .iter()
        .filter_map(|l| l.message.split("; attempt ").nth(1))
        .map(|rest| rest.split(" in").next().unwrap())
        .collect();
    assert_eq!(attempts, ["2 of 3", "3 of 3"]);

    let w = TestWorld::start_with(Access::Full, limits(10))
        .await
        .unwrap();
    w.pve.lose(Method::Post, "/status/start", 3);
    let app = deploy(&w).await;
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    let OperationState::Failed { failure } = op.state else {
        panic!("{:?}", op.state)
    };
    assert_eq!(failure.code, "pve_unreachable");
    assert!(w.pve.guests.vmids().is_empty(), "unwound");
}

/// A wait is a row, not a sleep: a worker that dies neither loses the attempt nor makes it anew.
#[tokio::test]
async fn a_crash_keeps_number_and_moment_of_the_next_attempt() {
    let mut w = TestWorld::start_with(Access::Full, limits(600_000))
        .await
        .unwrap();
    w.pve.lose(Method::Post, "/status/start", 1);
    let app = deploy(&w).await;
    let waiting = waits(&w, &app).await;
    assert_eq!(
        (&waiting.state, waiting.attempt, waiting.lease),
        (&OperationState::Running, 2, None)
    );
    let wait = waiting.wait.clone().unwrap();
    assert_eq!(wait.because.code, "pve_unreachable");
    assert_eq!(wait.because.step.as_deref(), Some("start"));
    w.crash_worker().await;
    w.start_worker();
    // The new worker has looked when it has carried out something else.
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "other".to_owned(),
        ..CreateApp::default()
    };
    let other = w.engine.create_app(&w.actor, request).await.unwrap();
    w.settled(other.operation.unwrap()).await.unwrap();
    assert_eq!(operation(&w, &app).await, waiting, "untouched");
    assert_eq!(creates(&w).await, 2, "one for each app");
}

#[tokio::test]
async fn a_cancel_ends_a_wait_at_once() {
    let w = TestWorld::start_with(Access::Full, limits(600_000))
        .await
        .unwrap();
    w.pve.lose(Method::Post, "/status/start", 1);
    let app = deploy(&w).await;
    let waiting = waits(&w, &app).await;
    w.engine
        .cancel_operation(&w.actor, waiting.id)
        .await
        .unwrap();
    let op = w.settled(waiting.id).await.unwrap();
    assert_eq!(op.state, OperationState::Cancelled);
    assert!(w.pve.guests.vmids().is_empty());
}

/// An undo has its attempts as well, and a person's retry gives it new ones.
#[tokio::test]
async fn an_undo_is_tried_again_and_a_retry_counts_anew() {
    let w = TestWorld::start_with(Access::Full, limits(10))
        .await
        .unwrap();
    w.pve.lose(Method::Delete, "/lxc/100", 4);
    let go_on = w.pve.hold(Method::Get, "/interfaces");
    let app = deploy(&w).await;
    let id = app.operation.unwrap();
    w.until(async || w.store.steps(id).await.unwrap().len() == 4)
        .await
        .unwrap();
    w.engine.cancel_operation(&w.actor, id).await.unwrap();
    let op = w.settled(id).await.unwrap();
    assert!(
        matches!(op.state, OperationState::Stuck { .. }),
        "three attempts, then a person: {:?}",
        op.state
    );
    assert_eq!(w.pve.guests.vmids(), [100]);
    w.engine.retry_operation(&w.actor, id).await.unwrap();
    w.until(async || {
        w.store
            .operation(id)
            .await
            .unwrap()
            .unwrap()
            .state
            .is_final()
    })
    .await
    .unwrap();
    let op = w.settled(id).await.unwrap();
    assert_eq!(op.state, OperationState::Cancelled);
    assert!(w.pve.guests.vmids().is_empty());
    drop(go_on);
}

/// A call whose answer is lost is resolved by looking; the wait in between changes nothing about that.
#[tokio::test]
async fn what_may_have_happened_is_looked_for_and_not_repeated() {
    let w = TestWorld::start_with(Access::Full, limits(10))
        .await
        .unwrap();
    w.pve.cut_after(Method::Post, "/nodes/pve1/lxc");
    let app = deploy(&w).await;
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(creates(&w).await, 1);
    assert_eq!(w.pve.guests.vmids().len(), 1);
}
