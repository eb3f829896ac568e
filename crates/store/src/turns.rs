//! Where an operation's way turns or ends: a step failed, nothing is safe, all is done.

use proximity_domain::failure::Failure;
use proximity_domain::operation::{OperationEvent, OperationState};
use proximity_domain::saga::{StepRecord, StepState};
use proximity_domain::time::Timestamp;

use crate::apply::{apply, refuse_limbo};
use crate::effects::{Effects, NewLogLine};
use crate::error::StoreError;
use crate::journal::add_log_line;
use crate::operations::advance;
use crate::queue::held;
use crate::records::{Fence, LogLevel, OperationRecord};
use crate::sql::Tx;
use crate::steps::{forwards, illegal, no_step, step_log, write_step};
use crate::store::Store;

impl Store {
    /// A step failed for good: the operation turns back. Writes a log line of level `error`.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::IllegalTransition`] if the operation does not run forwards, or the
    /// step has not begun or has succeeded.
    pub async fn fail_step(
        &self,
        fence: &Fence,
        index: Option<u32>,
        failure: Failure,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.fail_step(fence, index, failure, effects, now));
        }
        self.write(async |tx| {
            let operation = forwards(tx, fence).await?;
            let failure =
                break_step(tx, fence, index, failure.clone(), StepState::Failed, now).await?;
            apply(tx, &operation, &effects, &self.shared, now).await?;
            log_failure(tx, &operation, &failure, now).await?;
            advance(tx, &operation, OperationEvent::StepFailed(failure), now).await?;
            Ok(())
        })
        .await
    }

    /// Neither forwards nor backwards is safe: a person is needed. Writes a log line of level `error`; the claim
    /// ends.
    ///
    /// With `index`, that step has failed (its undo, if the operation was unwinding).
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::IllegalTransition`] if the step has not begun or has succeeded.
    pub async fn stick(
        &self,
        fence: &Fence,
        index: Option<u32>,
        failure: Failure,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.stick(fence, index, failure, effects, now));
        }
        self.write(async |tx| {
            let operation = held(tx, fence).await?;
            let to = match operation.state {
                OperationState::Unwinding { .. } => StepState::UndoFailed,
                OperationState::Queued
                | OperationState::Running
                | OperationState::Succeeded
                | OperationState::Failed { .. }
                | OperationState::Cancelled
                | OperationState::Stuck { .. } => StepState::Failed,
            };
            let failure = break_step(tx, fence, index, failure.clone(), to, now).await?;
            apply(tx, &operation, &effects, &self.shared, now).await?;
            log_failure(tx, &operation, &failure, now).await?;
            advance(tx, &operation, OperationEvent::GotStuck(failure), now).await?;
            Ok(())
        })
        .await
    }

    /// Every step is done: the operation succeeds, at 100 percent.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::IllegalTransition`] if it does not run forwards, a step has not
    /// succeeded, or its app would stay on the way to somewhere (e.g. *deploying*).
    pub async fn complete(
        &self,
        fence: &Fence,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.complete(fence, effects, now));
        }
        let effects = Effects {
            percent: Some(100),
            ..effects
        };
        self.write(async |tx| {
            let operation = forwards(tx, fence).await?;
            let log = step_log(tx, operation.id).await?;
            if let Some(open) = log.iter().find(|s| s.state != StepState::Succeeded) {
                return Err(illegal(
                    open.index,
                    "be left open by an operation that succeeds",
                ));
            }
            apply(tx, &operation, &effects, &self.shared, now).await?;
            advance(tx, &operation, OperationEvent::StepsDone, now).await?;
            refuse_limbo(tx, &operation).await
        })
        .await
    }
}

/// Writes a failure to a step that has begun and not succeeded; gives the failure with the step's name.
async fn break_step(
    tx: &mut Tx,
    fence: &Fence,
    index: Option<u32>,
    failure: Failure,
    to: StepState,
    now: Timestamp,
) -> Result<Failure, StoreError> {
    let Some(index) = index else {
        return Ok(failure);
    };
    let log = step_log(tx, fence.operation).await?;
    let step = log.iter().find(|s| s.index == index);
    let step = step.ok_or_else(|| no_step(fence, index))?;
    let later_open = |s: &StepRecord| s.index > index && s.state != StepState::UndoFinished;
    if to == StepState::Failed && step.state == StepState::Succeeded {
        return Err(illegal(index, "fail, it succeeded"));
    }
    if to == StepState::UndoFailed
        && (step.state == StepState::UndoFinished || log.iter().any(later_open))
    {
        return Err(illegal(index, "fail to be undone, it is not its turn"));
    }
    let failure = failure.at(&step.name);
    write_step(tx, fence, index, to, Some(&failure), now).await?;
    Ok(failure)
}

pub(crate) async fn log_failure(
    tx: &mut Tx,
    operation: &OperationRecord,
    failure: &Failure,
    now: Timestamp,
) -> Result<(), StoreError> {
    let line = NewLogLine {
        level: LogLevel::Error,
        step: failure.step.clone(),
        message: failure.message.clone(),
        percent: Some(operation.percent),
    };
    add_log_line(tx, &line, operation.app, operation.id, now).await
}
