//! Where an operation's way turns or ends: a step failed, nothing is safe, all is done.

use proximity_domain::failure::Failure;
use proximity_domain::operation::{OperationEvent, OperationState};
use proximity_domain::saga::{StepRecord, StepState};
use proximity_domain::time::Timestamp;

use super::state::State;
use super::steps::cannot;
use crate::effects::{Effects, NewLogLine};
use crate::error::StoreError;
use crate::records::{Fence, LogLevel, OperationRecord};
use crate::steps::no_step;

impl State {
    pub(crate) fn fail_step(
        &mut self,
        fence: &Fence,
        index: Option<u32>,
        failure: Failure,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = self.forwards(fence)?;
        let failure = self.break_step(fence, index, failure, StepState::Failed, now)?;
        self.apply(&operation, effects, now)?;
        self.log_failure(&operation, &failure, now);
        self.advance(&operation, OperationEvent::StepFailed(failure), now)?;
        Ok(())
    }

    pub(crate) fn stick(
        &mut self,
        fence: &Fence,
        index: Option<u32>,
        failure: Failure,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = self.held(fence)?;
        let to = match operation.state {
            OperationState::Unwinding { .. } => StepState::UndoFailed,
            OperationState::Queued
            | OperationState::Running
            | OperationState::Succeeded
            | OperationState::Failed { .. }
            | OperationState::Cancelled
            | OperationState::Stuck { .. } => StepState::Failed,
        };
        let failure = self.break_step(fence, index, failure, to, now)?;
        self.apply(&operation, effects, now)?;
        self.log_failure(&operation, &failure, now);
        self.advance(&operation, OperationEvent::GotStuck(failure), now)?;
        Ok(())
    }

    pub(crate) fn complete(
        &mut self,
        fence: &Fence,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = self.forwards(fence)?;
        let is_open = |s: &&StepRecord| s.state != StepState::Succeeded;
        if let Some(open) = self.steps_of(operation.id).find(is_open) {
            return Err(cannot(
                open.index,
                "be left open by an operation that succeeds",
            ));
        }
        let effects = Effects {
            percent: Some(100),
            ..effects
        };
        self.apply(&operation, effects, now)?;
        self.advance(&operation, OperationEvent::StepsDone, now)?;
        self.refuse_limbo(&operation)
    }

    /// Writes a failure to a step that has begun and not succeeded; gives the failure with the step's name.
    fn break_step(
        &mut self,
        fence: &Fence,
        index: Option<u32>,
        failure: Failure,
        to: StepState,
        now: Timestamp,
    ) -> Result<Failure, StoreError> {
        let Some(index) = index else {
            return Ok(failure);
        };
        let log = self.step_log(fence.operation);
        let step = log.iter().find(|s| s.index == index);
        let step = step.ok_or_else(|| no_step(fence, index))?;
        let open = |s: &StepRecord| s.state != StepState::UndoFinished;
        let later_open = log.iter().any(|s| s.index > index && open(s));
        if to == StepState::Failed && step.state == StepState::Succeeded {
            return Err(cannot(index, "fail, it succeeded"));
        }
        if to == StepState::UndoFailed && (!open(step) || later_open) {
            return Err(cannot(index, "fail to be undone, it is not its turn"));
        }
        let failure = failure.at(&step.name);
        self.move_step(fence, index, to, Some(&failure), now)?;
        Ok(failure)
    }

    pub(crate) fn log_failure(
        &mut self,
        operation: &OperationRecord,
        failure: &Failure,
        now: Timestamp,
    ) {
        let line = NewLogLine {
            level: LogLevel::Error,
            step: failure.step.clone(),
            message: failure.message.clone(),
            percent: Some(operation.percent),
        };
        self.add_log_line(&line, operation.app, operation.id, now);
    }
}
