//! The step log backwards: from the last step to the first, each undo begun and finished under the fence.

use proximity_domain::failure::Failure;
use proximity_domain::operation::{OperationEvent, OperationState};
use proximity_domain::saga::{StepRecord, StepState};
use proximity_domain::time::Timestamp;

use crate::apply::{apply, refuse_limbo};
use crate::effects::Effects;
use crate::error::StoreError;
use crate::operations::advance;
use crate::queue::{count_anew, held};
use crate::records::{Fence, OperationRecord};
use crate::sql::Tx;
use crate::steps::{illegal, no_step, state_of, step_log, write_step};
use crate::store::Store;
use crate::turns::log_failure;

impl Store {
    /// The operation turns back because a cancel was requested.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::IllegalTransition`] if it does not run forwards or nobody asked.
    pub async fn begin_unwind_cancelled(
        &self,
        fence: &Fence,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.begin_unwind_cancelled(fence, now));
        }
        self.write(async |tx| {
            let operation = held(tx, fence).await?;
            if !operation.cancel_requested {
                let what = format!("nobody asked to cancel operation {}", operation.id);
                return Err(StoreError::IllegalTransition { what });
            }
            advance(tx, &operation, OperationEvent::CancelRequested, now).await?;
            Ok(())
        })
        .await
    }

    /// Commits that the undo of step `index` begins. Steps after it must be undone. May be repeated after a crash.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::IllegalTransition`] if the operation is not unwinding, a later step
    /// is not undone, or this one is already; [`StoreError::NotFound`] if the step has not begun.
    pub async fn begin_undo(
        &self,
        fence: &Fence,
        index: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.begin_undo(fence, index, now));
        }
        self.write(async |tx| {
            let operation = backwards(tx, fence).await?;
            let log = step_log(tx, operation.id).await?;
            let undone = |s: &StepRecord| s.state == StepState::UndoFinished;
            if log.iter().any(|s| s.index > index && !undone(s)) {
                return Err(illegal(index, "be undone before a later one"));
            }
            match state_of(&log, index) {
                None => Err(no_step(fence, index)),
                Some(StepState::UndoFinished) => Err(illegal(index, "be undone twice")),
                Some(
                    StepState::Started
                    | StepState::Succeeded
                    | StepState::Failed
                    | StepState::UndoStarted
                    | StepState::UndoFailed,
                ) => write_step(tx, fence, index, StepState::UndoStarted, None, now).await,
            }
        })
        .await
    }

    /// Commits that step `index` is undone.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::IllegalTransition`] if its undo has not begun.
    pub async fn finish_undo(
        &self,
        fence: &Fence,
        index: u32,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.finish_undo(fence, index, effects, now));
        }
        self.write(async |tx| {
            let operation = undoing(tx, fence, index).await?;
            write_step(tx, fence, index, StepState::UndoFinished, None, now).await?;
            count_anew(tx, fence).await?;
            apply(tx, &operation, &effects, &self.shared, now).await
        })
        .await
    }

    /// The undo of step `index` failed: the operation is stuck, a person is needed. Writes a log line of level
    /// `error`; the claim ends.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::IllegalTransition`] if the undo has not begun.
    pub async fn fail_undo(
        &self,
        fence: &Fence,
        index: u32,
        failure: Failure,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.fail_undo(fence, index, failure, now));
        }
        self.write(async |tx| {
            let operation = undoing(tx, fence, index).await?;
            let log = step_log(tx, operation.id).await?;
            let step = log.iter().find(|s| s.index == index);
            let step = step.ok_or_else(|| no_step(fence, index))?;
            let failure = failure.clone().at(&step.name);
            write_step(tx, fence, index, StepState::UndoFailed, Some(&failure), now).await?;
            log_failure(tx, &operation, &failure, now).await?;
            advance(tx, &operation, OperationEvent::GotStuck(failure), now).await?;
            Ok(())
        })
        .await
    }

    /// Every step is undone: the operation ends *failed* or *cancelled*, by why it turned back. Gives which.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::IllegalTransition`] if it is not unwinding, a step is not undone, or
    /// its app would stay on the way to somewhere (e.g. *deploying*).
    pub async fn end_unwound(
        &self,
        fence: &Fence,
        effects: Effects,
        now: Timestamp,
    ) -> Result<OperationState, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.end_unwound(fence, effects, now));
        }
        self.write(async |tx| {
            let operation = backwards(tx, fence).await?;
            let log = step_log(tx, operation.id).await?;
            if let Some(open) = log.iter().find(|s| s.state != StepState::UndoFinished) {
                return Err(illegal(open.index, "be left behind, it is not undone"));
            }
            apply(tx, &operation, &effects, &self.shared, now).await?;
            let end = advance(tx, &operation, OperationEvent::UndosDone, now).await?;
            refuse_limbo(tx, &operation).await?;
            Ok(end)
        })
        .await
    }
}

/// The operation under the fence, unwinding.
async fn backwards(tx: &mut Tx, fence: &Fence) -> Result<OperationRecord, StoreError> {
    let operation = held(tx, fence).await?;
    match operation.state {
        OperationState::Unwinding { .. } => Ok(operation),
        OperationState::Queued
        | OperationState::Running
        | OperationState::Succeeded
        | OperationState::Failed { .. }
        | OperationState::Cancelled
        | OperationState::Stuck { .. } => {
            let what = format!("operation {} is {}", operation.id, operation.state.label());
            Err(StoreError::IllegalTransition { what })
        }
    }
}

/// The same, with the undo of `index` begun.
async fn undoing(tx: &mut Tx, fence: &Fence, index: u32) -> Result<OperationRecord, StoreError> {
    let operation = backwards(tx, fence).await?;
    let log = step_log(tx, operation.id).await?;
    match state_of(&log, index) {
        Some(StepState::UndoStarted) => Ok(operation),
        Some(
            StepState::Started
            | StepState::Succeeded
            | StepState::Failed
            | StepState::UndoFinished
            | StepState::UndoFailed,
        )
        | None => Err(illegal(index, "end its undo, it has not begun")),
    }
}
