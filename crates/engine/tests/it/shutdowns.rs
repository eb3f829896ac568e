//! The end of a worker with operations in flight, and its successor.

use std::time::Duration;

use proximity_domain::ids::OperationId;
use proximity_domain::operation::OperationState;
use proximity_engine::commands::CreateApp;
use proximity_engine::engine::EngineLimits;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::{Access, TaskTimes};
use proximity_testkit::world::TestWorld;

async fn deploy(w: &TestWorld) -> OperationId {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    app.operation.unwrap()
}

async fn has_task(w: &TestWorld, op: OperationId) {
    w.until(async || {
        let steps = w.store.steps(op).await.unwrap();
        steps.last().is_some_and(|s| s.upid.is_some())
    })
    .await
    .unwrap();
}

/// The claim is given back, so the next worker need not wait for a lease to run out.
#[tokio::test]
async fn a_shutdown_gives_claims_back_and_the_next_start_goes_on() {
    let mut w = TestWorld::start(Access::Full).await.unwrap();
    w.pve.meddle(|world| {
        world.set_task_times(TaskTimes {
            create_ms: 3_000,
            ..world.task_times()
        });
    });
    let op = deploy(&w).await;
    has_task(&w, op).await;
    // Far sooner than the task: a wait is a safe point.
    tokio::time::timeout(Duration::from_secs(2), w.stop_worker())
        .await
        .unwrap()
        .unwrap();
    let left = w.store.operation(op).await.unwrap().unwrap();
    assert_eq!((left.state, left.lease), (OperationState::Running, None));
    w.start_worker();
    assert_eq!(
        w.settled(op).await.unwrap().state,
        OperationState::Succeeded
    );
    let creates = w
        .pve
        .changes()
        .iter()
        .filter(|c| c.ends_with("/lxc"))
        .count();
    assert_eq!(creates, 1);
}

/// A call that is under way is answered and recorded before the worker ends, as long as that takes no longer than it may.
#[tokio::test]
async fn a_call_under_way_is_recorded_before_the_end() {
    let mut w = TestWorld::start(Access::Full).await.unwrap();
    let go_on = w.pve.hold(Method::Post, "/lxc");
    let op = deploy(&w).await;
    w.until(async || w.store.steps(op).await.unwrap().len() == 2)
        .await
        .unwrap();
    w.until(async || {
        let audit = w.store.audit(1_000, 0).await.unwrap();
        audit.iter().any(|a| a.action.starts_with("POST"))
    })
    .await
    .unwrap();
    let ended = async {
        w.stop_worker().await.unwrap();
    };
    let answered = async {
        tokio::task::yield_now().await;
        go_on.send_replace(true);
    };
    tokio::join!(ended, answered);
    let steps = w.store.steps(op).await.unwrap();
    assert!(steps.last().unwrap().upid.is_some(), "{steps:?}");
}

/// One that is not answered in time is cut off; what came of it is found by looking.
#[tokio::test]
async fn a_call_that_takes_too_long_is_cut_off_and_looked_for() {
    let limits = EngineLimits {
        drain_ms: 100,
        ..EngineLimits::default()
    };
    let mut w = TestWorld::start_with(Access::Full, limits).await.unwrap();
    let go_on = w.pve.hold(Method::Post, "/lxc");
    let op = deploy(&w).await;
    w.until(async || {
        let audit = w.store.audit(1_000, 0).await.unwrap();
        audit.iter().any(|a| a.action.starts_with("POST"))
    })
    .await
    .unwrap();
    w.stop_worker().await.unwrap();
    assert_eq!(w.store.operation(op).await.unwrap().unwrap().lease, None);
    go_on.send_replace(true);
    w.start_worker();
    assert_eq!(
        w.settled(op).await.unwrap().state,
        OperationState::Succeeded
    );
    assert_eq!(w.pve.guests.vmids().len(), 1);
}
