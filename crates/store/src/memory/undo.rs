//! The step log backwards: from the last step to the first, each undo begun and finished under the fence.

use proximity_domain::failure::Failure;
use proximity_domain::operation::{OperationEvent, OperationState};
use proximity_domain::saga::{StepRecord, StepState};
use proximity_domain::time::Timestamp;

use super::operations::illegal;
use super::state::State;
use super::steps::cannot;
use crate::effects::Effects;
use crate::error::StoreError;
use crate::records::{Fence, OperationRecord};
use crate::steps::no_step;

impl State {
    pub(crate) fn begin_unwind_cancelled(
        &mut self,
        fence: &Fence,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = self.held(fence)?;
        if !operation.cancel_requested {
            let what = format!("nobody asked to cancel operation {}", operation.id);
            return Err(illegal(what));
        }
        self.advance(&operation, OperationEvent::CancelRequested, now)?;
        Ok(())
    }

    pub(crate) fn begin_undo(
        &mut self,
        fence: &Fence,
        index: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = self.backwards(fence)?;
        let open = |s: &StepRecord| s.state != StepState::UndoFinished;
        let is_later = |s: &StepRecord| s.index > index && open(s);
        if self.steps_of(operation.id).any(is_later) {
            return Err(cannot(index, "be undone before a later one"));
        }
        match self.step_state(fence, index) {
            None => Err(no_step(fence, index)),
            Some(StepState::UndoFinished) => Err(cannot(index, "be undone twice")),
            Some(
                StepState::Started
                | StepState::Succeeded
                | StepState::Failed
                | StepState::UndoStarted
                | StepState::UndoFailed,
            ) => self.move_step(fence, index, StepState::UndoStarted, None, now),
        }
    }

    pub(crate) fn finish_undo(
        &mut self,
        fence: &Fence,
        index: u32,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = self.undoing(fence, index)?;
        self.move_step(fence, index, StepState::UndoFinished, None, now)?;
        self.count_anew(operation.id)?;
        self.apply(&operation, effects, now)
    }

    pub(crate) fn fail_undo(
        &mut self,
        fence: &Fence,
        index: u32,
        failure: Failure,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = self.undoing(fence, index)?;
        let name = self.touch_step(fence, index, now)?.name.clone();
        let failure = failure.at(&name);
        self.move_step(fence, index, StepState::UndoFailed, Some(&failure), now)?;
        self.log_failure(&operation, &failure, now);
        self.advance(&operation, OperationEvent::GotStuck(failure), now)?;
        Ok(())
    }

    pub(crate) fn end_unwound(
        &mut self,
        fence: &Fence,
        effects: Effects,
        now: Timestamp,
    ) -> Result<OperationState, StoreError> {
        let operation = self.backwards(fence)?;
        let is_open = |s: &&StepRecord| s.state != StepState::UndoFinished;
        if let Some(open) = self.steps_of(operation.id).find(is_open) {
            return Err(cannot(open.index, "be left behind, it is not undone"));
        }
        self.apply(&operation, effects, now)?;
        let end = self.advance(&operation, OperationEvent::UndosDone, now)?;
        self.refuse_limbo(&operation)?;
        Ok(end)
    }

    /// The operation under the fence, unwinding.
    fn backwards(&self, fence: &Fence) -> Result<OperationRecord, StoreError> {
        let operation = self.held(fence)?;
        match operation.state {
            OperationState::Unwinding { .. } => Ok(operation),
            OperationState::Queued
            | OperationState::Running
            | OperationState::Succeeded
            | OperationState::Failed { .. }
            | OperationState::Cancelled
            | OperationState::Stuck { .. } => {
                let state = operation.state.label();
                Err(illegal(format!("operation {} is {state}", operation.id)))
            }
        }
    }

    /// The same, with the undo of `index` begun.
    fn undoing(&self, fence: &Fence, index: u32) -> Result<OperationRecord, StoreError> {
        let operation = self.backwards(fence)?;
        match self.step_state(fence, index) {
            Some(StepState::UndoStarted) => Ok(operation),
            Some(
                StepState::Started
                | StepState::Succeeded
                | StepState::Failed
                | StepState::UndoFinished
                | StepState::UndoFailed,
            )
            | None => Err(cannot(index, "end its undo, it has not begun")),
        }
    }
}
