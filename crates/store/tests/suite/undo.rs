//! The step log backwards.

use proximity_domain::app::{Status, StatusLabel};
use proximity_domain::ids::Epoch;
use proximity_domain::operation::{OperationState, StuckWas, UnwindCause};
use proximity_domain::saga::{Next, StepState, next};
use proximity_store::StoreError;
use proximity_store::effects::Effects;
use proximity_store::records::LogLevel;
use serde_json::json;

use super::world::{LEASE_MS, Make, World, error_status, failure, with_status};

fn refused_as_illegal<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(
        matches!(result, Err(StoreError::IllegalTransition { .. })),
        "{result:?}"
    );
}

pub async fn runs_from_the_last_to_the_first(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await;
    let (operation, fence) = world.claim().await;
    world.step(&fence, 0).await;
    let begun = world.store.begin_step(
        &fence,
        1,
        "start",
        json!({}),
        Effects::default(),
        world.at(),
    );
    begun.await.unwrap();
    refused_as_illegal(world.store.begin_undo(&fence, 1, world.at()).await);
    let failed = world.store.fail_step(
        &fence,
        Some(1),
        failure("no_start"),
        Effects::default(),
        world.at(),
    );
    failed.await.unwrap();
    let line = world.store.log(app.id, 0, 10).await.unwrap().remove(0);
    assert_eq!(
        (line.level, line.message.as_str()),
        (LogLevel::Error, "no_start happened")
    );
    assert_eq!(line.step.as_deref(), Some("start"));
    refused_as_illegal(world.store.begin_undo(&fence, 0, world.at()).await);
    refused_as_illegal(
        world
            .store
            .finish_undo(&fence, 1, Effects::default(), world.at())
            .await,
    );
    refused_as_illegal(
        world
            .store
            .complete(&fence, with_status(Status::Running), world.at())
            .await,
    );
    for index in [1, 0] {
        let ended = world
            .store
            .end_unwound(&fence, Effects::default(), world.at())
            .await;
        refused_as_illegal(ended);
        let (state, log) = (
            world.operation(operation.id).await.state,
            world.store.steps(operation.id).await.unwrap(),
        );
        assert_eq!(next(&state, 2, &log, fence.epoch), Next::Undo(index));
        world
            .store
            .begin_undo(&fence, index, world.at())
            .await
            .unwrap();
        world
            .store
            .begin_undo(&fence, index, world.at())
            .await
            .unwrap();
        world
            .store
            .finish_undo(&fence, index, Effects::default(), world.at())
            .await
            .unwrap();
        refused_as_illegal(world.store.begin_undo(&fence, index, world.at()).await);
    }
    refused_as_illegal(
        world
            .store
            .end_unwound(&fence, Effects::default(), world.at())
            .await,
    );
    let end = world
        .store
        .end_unwound(&fence, with_status(error_status(world.at())), world.at());
    let end = end.await.unwrap();
    let OperationState::Failed { failure } = &end else {
        panic!("{end:?}")
    };
    assert_eq!(
        (failure.code.as_str(), failure.step.as_deref()),
        ("no_start", Some("start"))
    );
    assert_eq!(world.operation(operation.id).await.state, end);
    assert_eq!(world.app(app.id).await.status.label(), StatusLabel::Error);
    assert!(
        world.app(app.id).await.ports.is_some(),
        "a failed app keeps its pair"
    );
    world.assert_sound().await;
}

pub async fn cancel_turns_back(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await;
    let (operation, fence) = world.claim().await;
    world.step(&fence, 0).await;
    refused_as_illegal(world.store.begin_unwind_cancelled(&fence, world.at()).await);
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
    refused_as_illegal(again);
    let state = world.operation(operation.id).await.state;
    assert_eq!(
        state,
        OperationState::Unwinding {
            cause: UnwindCause::Cancel
        }
    );
    world.store.begin_undo(&fence, 0, world.at()).await.unwrap();
    world
        .store
        .finish_undo(&fence, 0, Effects::default(), world.at())
        .await
        .unwrap();
    let end = world
        .store
        .end_unwound(&fence, with_status(error_status(world.at())), world.at());
    assert_eq!(end.await.unwrap(), OperationState::Cancelled);
    assert_eq!(world.app(app.id).await.operation, None);
    world.assert_sound().await;
}

pub async fn a_failed_undo_waits_for_a_person(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let (operation, fence) = world.claim().await;
    world.step(&fence, 0).await;
    let failed = world
        .store
        .fail_step(&fence, None, failure("x"), Effects::default(), world.at());
    failed.await.unwrap();
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
    world.store.begin_undo(&fence, 0, world.at()).await.unwrap();
    world
        .store
        .finish_undo(&fence, 0, Effects::default(), world.at())
        .await
        .unwrap();
    let end = world
        .store
        .end_unwound(&fence, with_status(error_status(world.at())), world.at());
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
    let begun = world.store.begin_step(
        &fence,
        1,
        "start",
        json!({}),
        Effects::default(),
        world.at(),
    );
    begun.await.unwrap();
    world
        .store
        .request_cancel(operation.id, &world.actor, world.at())
        .await
        .unwrap();
    let stuck = world.store.stick(
        &fence,
        Some(1),
        failure("odd"),
        Effects::default(),
        world.at(),
    );
    stuck.await.unwrap();
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
    let done = world
        .store
        .finish_step(&fence, 1, json!({}), Effects::default(), world.at());
    done.await.unwrap();
    assert_eq!(
        world.store.steps(operation.id).await.unwrap()[1].failure,
        None
    );
    world
        .store
        .complete(&fence, with_status(Status::Running), world.at())
        .await
        .unwrap();
    world.assert_sound().await;
}
