//! The step log forwards: intent before the effect, output after it, each under the fence.

use std::sync::Arc;

use proximity_domain::failure::Failure;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::OperationState;
use proximity_domain::saga::{StepRecord, StepState};
use proximity_domain::time::Timestamp;
use serde_json::Value;

use super::operations::illegal;
use super::state::State;
use crate::effects::{Effects, MutationAudit};
use crate::error::StoreError;
use crate::journal::Act;
use crate::records::{Actor, Fence, OperationRecord};
use crate::steps::no_step;
use crate::views::AuditKind;

impl State {
    pub(crate) fn begin_step(
        &mut self,
        fence: &Fence,
        (index, name): (u32, &str),
        intent: Value,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = self.forwards(fence)?;
        let before = index
            .checked_sub(1)
            .map(|last| self.step_state(fence, last));
        if before.is_some_and(|state| state != Some(StepState::Succeeded)) {
            return Err(cannot(index, "begin before the one before it succeeded"));
        }
        if self.step_state(fence, index) == Some(StepState::Succeeded) {
            return Err(cannot(index, "begin again, it succeeded"));
        }
        let steps = &mut self.operation_row(operation.id)?.steps;
        // What an earlier try read back stays until this one has something.
        let output = steps.get(&index).and_then(|step| step.output.clone());
        let step = StepRecord {
            index,
            name: name.to_owned(),
            state: StepState::Started,
            epoch: fence.epoch,
            intent,
            upid: None,
            output,
            failure: None,
            started_at: now,
            changed_at: now,
        };
        steps.insert(index, Arc::new(step));
        self.count_anew(operation.id)?;
        self.apply(&operation, effects, now)
    }

    pub(crate) fn record_upid(
        &mut self,
        fence: &Fence,
        index: u32,
        upid: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.held(fence)?;
        self.touch_step(fence, index, now)?.upid = Some(upid.to_owned());
        Ok(())
    }

    pub(crate) fn amend_intent(
        &mut self,
        fence: &Fence,
        index: u32,
        intent: Value,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.held(fence)?;
        self.touch_step(fence, index, now)?.intent = intent;
        Ok(())
    }

    pub(crate) fn record_mutation(
        &mut self,
        fence: &Fence,
        index: u32,
        audit: &MutationAudit,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = self.held(fence)?;
        if self.step_state(fence, index).is_none() {
            return Err(no_step(fence, index));
        }
        self.apply(&operation, effects, now)?;
        let actor = Actor {
            account: operation.requested_by,
            token: None,
            request: None,
        };
        let act = Act {
            kind: AuditKind::Mutation,
            action: &audit.call,
            target: &audit.target,
            details: audit.details.clone(),
            operation: Some(fence.operation),
            step: Some((index, fence.epoch)),
        };
        self.add_audit(&actor, act, now);
        Ok(())
    }

    pub(crate) fn finish_step(
        &mut self,
        fence: &Fence,
        index: u32,
        output: Value,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = self.forwards(fence)?;
        match self.step_state(fence, index) {
            None => return Err(cannot(index, "finish, it has not begun")),
            Some(StepState::Succeeded) => return Err(cannot(index, "finish twice")),
            Some(
                StepState::Started
                | StepState::Failed
                | StepState::UndoStarted
                | StepState::UndoFinished
                | StepState::UndoFailed,
            ) => {}
        }
        let step = self.touch_step(fence, index, now)?;
        step.state = StepState::Succeeded;
        step.output = Some(output);
        step.failure = None;
        self.count_anew(operation.id)?;
        self.apply(&operation, effects, now)
    }

    pub(crate) fn note(
        &mut self,
        fence: &Fence,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = self.held(fence)?;
        self.apply(&operation, effects, now)
    }

    /// The operation under the fence, running forwards.
    pub(crate) fn forwards(&self, fence: &Fence) -> Result<OperationRecord, StoreError> {
        let operation = self.held(fence)?;
        if operation.state == OperationState::Running {
            return Ok(operation);
        }
        let state = operation.state.label();
        Err(illegal(format!("operation {} is {state}", operation.id)))
    }

    /// A step, marked as changed under this epoch.
    pub(crate) fn touch_step(
        &mut self,
        fence: &Fence,
        index: u32,
        now: Timestamp,
    ) -> Result<&mut StepRecord, StoreError> {
        let steps = &mut self.operation_row(fence.operation)?.steps;
        let step = steps.get_mut(&index).ok_or_else(|| no_step(fence, index))?;
        let step = Arc::make_mut(step);
        step.epoch = fence.epoch;
        step.changed_at = now;
        Ok(step)
    }

    /// Moves a step; a failure stays until there is another.
    pub(crate) fn move_step(
        &mut self,
        fence: &Fence,
        index: u32,
        to: StepState,
        failure: Option<&Failure>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let step = self.touch_step(fence, index, now)?;
        step.state = to;
        if let Some(failure) = failure {
            step.failure = Some(failure.clone());
        }
        Ok(())
    }

    pub(crate) fn step_state(&self, fence: &Fence, index: u32) -> Option<StepState> {
        let operation = self.operations.get(&fence.operation)?;
        operation.steps.get(&index).map(|step| step.state)
    }

    pub(crate) fn step_log(&self, id: OperationId) -> Vec<StepRecord> {
        self.steps_of(id).cloned().collect()
    }

    /// The steps of an operation, in their order.
    pub(crate) fn steps_of(&self, id: OperationId) -> impl Iterator<Item = &StepRecord> {
        let operation = self.operations.get(&id);
        let steps = operation.into_iter().flat_map(|o| o.steps.values());
        steps.map(|step| &**step)
    }
}

pub(crate) fn cannot(index: u32, what: &str) -> StoreError {
    illegal(format!("step {index} cannot {what}"))
}
