//! The step log forwards: intent before the effect, output after it, each under the fence.

use proximity_domain::failure::Failure;
use proximity_domain::ids::{Epoch, OperationId};
use proximity_domain::operation::OperationState;
use proximity_domain::saga::{StepRecord, StepState};
use proximity_domain::time::Timestamp;
use serde_json::Value;

use crate::apply::apply;
use crate::effects::{Effects, MutationAudit};
use crate::error::StoreError;
use crate::journal::{Act, add_audit};
use crate::outputs::{self, StepOutput};
use crate::queue::{held, held_anew};
use crate::records::{Actor, Fence, OperationRecord};
use crate::row::{Columns, each, to_json};
use crate::sql::{Row, Tx, query};
use crate::store::{Reader, Store};
use crate::views::AuditKind;

impl Store {
    /// Commits the intent of step `index`, before its effect.
    ///
    /// A step that has begun but not succeeded may begin again with another intent; its task and failure are
    /// forgotten then.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::IllegalTransition`] if the operation does not run forwards, the step
    /// before has not succeeded, or this one has.
    pub async fn begin_step(
        &self,
        fence: &Fence,
        index: u32,
        name: &str,
        intent: Value,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model
                .write(|state| state.begin_step(fence, (index, name), intent, effects, now));
        }
        self.write(async |tx| {
            let operation = running(held_anew(tx, fence).await?)?;
            if let Some(before) = index.checked_sub(1)
                && state_at(tx, fence, before).await? != Some(StepState::Succeeded)
            {
                return Err(illegal(index, "begin before the one before it succeeded"));
            }
            let begun = query(
                "INSERT INTO steps (operation_id, step_index, name, state, epoch, intent, started_at, \
                 changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7) \
                 ON CONFLICT (operation_id, step_index) DO UPDATE SET name = excluded.name, \
                 state = excluded.state, epoch = excluded.epoch, intent = excluded.intent, upid = NULL, \
                 failure = NULL, started_at = excluded.started_at, changed_at = excluded.changed_at \
                 WHERE steps.state <> 'succeeded'",
            )
            .bind(operation.id.to_string())
            .bind(i64::from(index))
            .bind(name)
            .bind(StepState::Started.label())
            .bind(fence.epoch.0)
            .bind(to_json("intent", &intent)?)
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
            if begun.rows_affected() == 0 {
                return Err(illegal(index, "begin again, it succeeded"));
            }
            apply(tx, &operation, &effects, &self.shared, now).await
        })
        .await
    }

    /// Records PVE's task of a step, as soon as it is known; a later one (of a repeated call or of the undo)
    /// replaces it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::NotFound`] if the step has not begun.
    pub async fn record_upid(
        &self,
        fence: &Fence,
        index: u32,
        upid: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.record_upid(fence, index, upid, now));
        }
        self.write(async |tx| {
            held(tx, fence).await?;
            let changed = query(
                "UPDATE steps SET upid = $3, epoch = $4, changed_at = $5 \
                 WHERE operation_id = $1 AND step_index = $2",
            )
            .bind(fence.operation.to_string())
            .bind(i64::from(index))
            .bind(upid)
            .bind(fence.epoch.0)
            .bind(now.0)
            .execute(tx)
            .await?;
            match changed.rows_affected() {
                0 => Err(no_step(fence, index)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Replaces the intent of a step that has begun, for what was learned while it acts or is undone; nothing else of it
    /// changes.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::NotFound`] if the step has not begun.
    pub async fn amend_intent(
        &self,
        fence: &Fence,
        index: u32,
        intent: Value,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.amend_intent(fence, index, intent, now));
        }
        self.write(async |tx| {
            held(tx, fence).await?;
            let changed = query(
                "UPDATE steps SET intent = $3, epoch = $4, changed_at = $5 \
                 WHERE operation_id = $1 AND step_index = $2",
            )
            .bind(fence.operation.to_string())
            .bind(i64::from(index))
            .bind(to_json("intent", &intent)?)
            .bind(fence.epoch.0)
            .bind(now.0)
            .execute(tx)
            .await?;
            match changed.rows_affected() {
                0 => Err(no_step(fence, index)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Writes the audit entry of a call that changes something outside, before it is sent, beside `effects`: what is said
    /// of the call. Its account is the one that asked for the operation.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]: then the call must not be sent; [`StoreError::NotFound`] if the step has not begun; and
    /// those of the effects.
    pub async fn record_mutation(
        &self,
        fence: &Fence,
        index: u32,
        audit: MutationAudit,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.record_mutation(fence, index, &audit, effects, now));
        }
        self.write(async |tx| {
            let operation = held(tx, fence).await?;
            if state_at(tx, fence, index).await?.is_none() {
                return Err(no_step(fence, index));
            }
            apply(tx, &operation, &effects, &self.shared, now).await?;
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
            add_audit(tx, &actor, act, now).await
        })
        .await
    }

    /// Commits the output of a step, after its effect was read back: a plain value in the open, or a [`StepOutput`] that says.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::IllegalTransition`] if the operation does not run forwards, or the
    /// step has not begun or has succeeded already.
    pub async fn finish_step(
        &self,
        fence: &Fence,
        index: u32,
        output: impl Into<StepOutput>,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let output = output.into();
        if let Some(model) = self.model() {
            let output = output.into_value();
            return model.write(|state| state.finish_step(fence, index, output, effects, now));
        }
        self.write(async |tx| {
            let operation = running(held_anew(tx, fence).await?)?;
            let (open, sealed) = output.columns(&self.shared.sealer, operation.id, index)?;
            let finished = query(
                "UPDATE steps SET state = $3, epoch = $4, output = CAST($5 AS TEXT), \
                 output_sealed = CAST($7 AS TEXT), failure = NULL, changed_at = $6 \
                 WHERE operation_id = $1 AND step_index = $2 AND state <> 'succeeded'",
            )
            .bind(operation.id.to_string())
            .bind(i64::from(index))
            .bind(StepState::Succeeded.label())
            .bind(fence.epoch.0)
            .bind(open)
            .bind(now.0)
            .bind(sealed)
            .execute(&mut *tx)
            .await?;
            if finished.rows_affected() == 0 {
                let why = match state_at(tx, fence, index).await? {
                    None => "finish, it has not begun",
                    Some(_) => "finish twice",
                };
                return Err(illegal(index, why));
            }
            apply(tx, &operation, &effects, &self.shared, now).await
        })
        .await
    }

    /// Commits effects between the writes of a step: what was said or learned while it works. No step and no state
    /// changes.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], and those of the effects.
    pub async fn note(
        &self,
        fence: &Fence,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.note(fence, effects, now));
        }
        self.write(async |tx| {
            let operation = held(tx, fence).await?;
            apply(tx, &operation, &effects, &self.shared, now).await
        })
        .await
    }
}

impl Reader {
    /// The step log of an operation, in order.
    ///
    /// # Errors
    /// The database's.
    pub async fn steps(&self, id: OperationId) -> Result<Vec<StepRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.step_log(id)));
        }
        let rows = query("SELECT * FROM steps WHERE operation_id = $1 ORDER BY step_index")
            .bind(id.to_string())
            .fetch_all(self.named("steps"))
            .await?;
        let opened = |row| outputs::open(&self.shared.sealer, id, row, step(row)?);
        rows.iter().map(opened).collect()
    }
}

/// The operation under the fence, running forwards.
pub(crate) async fn forwards(tx: &mut Tx, fence: &Fence) -> Result<OperationRecord, StoreError> {
    running(held(tx, fence).await?)
}

fn running(operation: OperationRecord) -> Result<OperationRecord, StoreError> {
    if operation.state == OperationState::Running {
        return Ok(operation);
    }
    let what = format!("operation {} is {}", operation.id, operation.state.label());
    Err(StoreError::IllegalTransition { what })
}

pub(crate) async fn write_step(
    tx: &mut Tx,
    fence: &Fence,
    index: u32,
    state: StepState,
    failure: Option<&Failure>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let failure = failure.map(|f| to_json("failure", f)).transpose()?;
    query(
        "UPDATE steps SET state = $3, epoch = $4, failure = COALESCE($5, failure), changed_at = $6 \
         WHERE operation_id = $1 AND step_index = $2",
    )
    .bind(fence.operation.to_string())
    .bind(i64::from(index))
    .bind(state.label())
    .bind(fence.epoch.0)
    .bind(failure)
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// The step log from inside a transaction, which has no use for outputs that are sealed: they stay so.
pub(crate) async fn step_log(tx: &mut Tx, id: OperationId) -> Result<Vec<StepRecord>, StoreError> {
    let rows = query("SELECT * FROM steps WHERE operation_id = $1 ORDER BY step_index")
        .bind(id.to_string())
        .fetch_all(tx)
        .await?;
    each(&rows, step)
}

/// The state of one step, without its log.
async fn state_at(tx: &mut Tx, fence: &Fence, index: u32) -> Result<Option<StepState>, StoreError> {
    let row = query("SELECT state FROM steps WHERE operation_id = $1 AND step_index = $2")
        .bind(fence.operation.to_string())
        .bind(i64::from(index))
        .fetch_optional(tx)
        .await?;
    row.map(|row| row.label("state", StepState::parse))
        .transpose()
}

pub(crate) fn state_of(log: &[StepRecord], index: u32) -> Option<StepState> {
    log.iter().find(|s| s.index == index).map(|s| s.state)
}

pub(crate) fn illegal(index: u32, what: &str) -> StoreError {
    let what = format!("step {index} cannot {what}");
    StoreError::IllegalTransition { what }
}

pub(crate) fn no_step(fence: &Fence, index: u32) -> StoreError {
    let id = format!("{index} of operation {}", fence.operation);
    StoreError::NotFound { what: "step", id }
}

fn step(row: &Row) -> Result<StepRecord, StoreError> {
    Ok(StepRecord {
        index: row.number("step_index")?,
        name: row.text("name")?,
        state: row.label("state", StepState::parse)?,
        epoch: Epoch(row.int("epoch")?),
        intent: row.json("intent")?,
        upid: row.text_opt("upid")?,
        output: row.json_opt("output")?,
        failure: row.json_opt("failure")?,
        started_at: row.moment("started_at")?,
        changed_at: row.moment("changed_at")?,
    })
}
