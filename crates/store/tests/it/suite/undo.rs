//! The step log backwards.

use proximity_domain::app::{Status, StatusLabel};
use proximity_domain::ids::Epoch;
use proximity_domain::operation::{OperationState, StuckWas, UnwindCause};
use proximity_domain::saga::{Next, StepState, next};
use proximity_store::effects::Effects;
use proximity_store::records::{Fence, LogLevel, OperationRecord};
use serde_json::json;

use super::world::{LEASE_MS, Make, World, assert_illegal, failure, with_status};

/// A deploy that failed in its second step.
async fn turned_back(make: &impl Make) -> (World, OperationRecord, Fence) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let (operation, fence) = world.claim().await;
    world.step(&fence, 0).await;
    world.begin(&fence, 1, "start").await;
    assert_illegal(world.store.begin_undo(&fence, 1, world.at()).await);
    world.fail(&fence, Some(1), "no_start").await;
    (world, operation, fence)
}

pub async fn runs_from_the_last_to_the_first(make: &impl Make) {
    let (world, operation, fence) = turned_back(make).await;
    let line = world.log(operation.app, 0, 10).await.remove(0);
    assert_eq!(
        (line.level, line.step.as_deref()),
        (LogLevel::Error, Some("start"))
    );
    assert_eq!(line.message, "no_start happened");
    for index in [1, 0] {
        let state = world.operation(operation.id).await.state;
        let log = world.store.steps(operation.id).await.unwrap();
        assert_eq!(next(&state, 2, &log, fence.epoch), Next::Undo(index));
        world
            .store
            .begin_undo(&fence, index, world.at())
            .await
            .unwrap();
        // A second time, as after a crash.
        world.undo(&fence, index).await;
    }
    let end = world.end(&fence).await.unwrap();
    let OperationState::Failed { failure } = &end else {
        panic!("{end:?}")
    };
    assert_eq!(failure.code, "no_start");
    assert_eq!(failure.step.as_deref(), Some("start"));
    assert_eq!(world.operation(operation.id).await.state, end);
    let app = world.app(operation.app).await;
    assert_eq!(app.status.label(), StatusLabel::Error);
    assert!(app.ports.is_some(), "a failed app keeps its pair");
    world.assert_sound().await;
}

pub async fn is_refused_out_of_turn(make: &impl Make) {
    let (world, _, fence) = turned_back(make).await;
    let (store, at) = (&world.store, world.at());
    let none = Effects::default;
    assert_illegal(store.begin_undo(&fence, 0, at).await);
    assert_illegal(store.finish_undo(&fence, 1, none(), at).await);
    assert_illegal(store.fail_undo(&fence, 1, failure("x"), at).await);
    assert_illegal(store.finish_step(&fence, 1, json!({}), none(), at).await);
    assert_illegal(
        store
            .complete(&fence, with_status(Status::Running), at)
            .await,
    );
    assert_illegal(store.stick(&fence, Some(0), failure("x"), none(), at).await);
    assert_illegal(world.end(&fence).await);
    world.undo(&fence, 1).await;
    assert_illegal(store.begin_undo(&fence, 1, at).await);
    assert_illegal(world.end(&fence).await);
    world.undo(&fence, 0).await;
    // Its app would stay *deploying* for ever.
    assert_illegal(store.end_unwound(&fence, none(), at).await);
    world.end(&fence).await.unwrap();
    world.assert_sound().await;
}

pub async fn cancel_turns_back(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await;
    let (operation, fence) = world.claim().await;
    world.step(&fence, 0).await;
    assert_illegal(world.store.begin_unwind_cancelled(&fence, world.at()).await);
    let asked = world
        .store
        .request_cancel(operation.id, &world.actor, world.at())
        .await
        .unwrap();
    assert_eq!(
        (asked.state, asked.cancel_requested),
        (OperationState::Running, true)
    );
    assert!(
        world
            .store
            .renew(&fence, LEASE_MS, world.at())
            .await
            .unwrap(),
        "the worker hears of it"
    );
    world
        .store
        .begin_unwind_cancelled(&fence, world.at())
        .await
        .unwrap();
    let again = world
        .store
        .request_cancel(operation.id, &world.actor, world.at())
        .await;
    assert_illegal(again);
    let state = world.operation(operation.id).await.state;
    assert_eq!(
        state,
        OperationState::Unwinding {
            cause: UnwindCause::Cancel
        }
    );
    world.undo(&fence, 0).await;
    let end = world.end(&fence);
    assert_eq!(end.await.unwrap(), OperationState::Cancelled);
    assert_eq!(world.app(app.id).await.operation, None);
    world.assert_sound().await;
}

pub async fn a_failed_undo_waits_for_a_person(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let (operation, fence) = world.claim().await;
    world.step(&fence, 0).await;
    world.fail(&fence, None, "x").await;
    world.store.begin_undo(&fence, 0, world.at()).await.unwrap();
    world
        .store
        .fail_undo(&fence, 0, failure("cannot"), world.at())
        .await
        .unwrap();
    let stuck = world.operation(operation.id).await;
    assert!(matches!(
        stuck.state,
        OperationState::Stuck {
            was: StuckWas::Unwinding { .. },
            ..
        }
    ));
    assert_eq!(stuck.lease, None);
    let steps = world.store.steps(operation.id).await.unwrap();
    assert_eq!(
        (
            steps[0].state,
            steps[0].failure.as_ref().unwrap().code.as_str()
        ),
        (StepState::UndoFailed, "cannot")
    );
    world.assert_sound().await;
    let retried = world
        .store
        .retry_stuck(operation.id, &world.actor, world.at())
        .await
        .unwrap();
    assert!(matches!(retried.state, OperationState::Unwinding { .. }));
    let (claimed, fence) = world.claim().await;
    assert_eq!(claimed.epoch, Epoch(2));
    let log = world.store.steps(operation.id).await.unwrap();
    assert_eq!(
        next(&claimed.state, 1, &log, fence.epoch),
        Next::Undo(0),
        "tried again under the new epoch"
    );
    world.undo(&fence, 0).await;
    let end = world.end(&fence);
    assert!(
        matches!(end.await.unwrap(), OperationState::Failed { failure } if failure.code == "x")
    );
    world.assert_sound().await;
}

pub async fn a_stuck_step_goes_on_after_retry(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let (operation, fence) = world.claim().await;
    world.step(&fence, 0).await;
    world.begin(&fence, 1, "start").await;
    world
        .store
        .request_cancel(operation.id, &world.actor, world.at())
        .await
        .unwrap();
    world.stick(&fence, Some(1), "odd").await;
    let retried = world
        .store
        .retry_stuck(operation.id, &world.actor, world.at())
        .await
        .unwrap();
    assert_eq!(
        (retried.state, retried.cancel_requested),
        (OperationState::Running, false)
    );
    let (claimed, fence) = world.claim().await;
    let log = world.store.steps(operation.id).await.unwrap();
    assert_eq!(next(&claimed.state, 2, &log, fence.epoch), Next::Resume(1));
    world.finish(&fence, 1).await;
    assert_eq!(
        world.store.steps(operation.id).await.unwrap()[1].failure,
        None
    );
    world.complete(&fence).await;
    world.assert_sound().await;
}
