//! What becomes of the changes of an apply, written by the loop that carries it out.

use proximity_domain::apply::{ApplyState, ChangeState, Next, ended, held_up_by};
use proximity_domain::desired::DesiredSpec;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::time::Timestamp;

use crate::applies::{
    ApplyChange, ApplyFence, ApplyRecord, ChangeEnd, KeptChange, became, over, put_in,
};
use crate::apply_claims::held;
use crate::apply_rows::{existing, kept, of_apply};
use crate::desired::{newest, want};
use crate::error::StoreError;
use crate::journal::add_event;
use crate::rejections::forget;
use crate::row::to_json;
use crate::seal::Sealer;
use crate::secrets::versions;
use crate::sql::{Tx, query};
use crate::store::Store;

/// What stands for what is wanted of an app, as [`Store`] tells it under its key.
pub(crate) type SpecHash<'a> = dyn Fn(Option<&DesiredSpec>) -> Result<String, StoreError> + 'a;

impl Store {
    /// Writes what comes next, before anything of it is done: changes that are started, with the versions of their secrets, that are held
    /// up, that are not started any more. None is started twice, whoever was here before.
    ///
    /// # Errors
    /// [`StoreError::ApplyLost`]; [`StoreError::IllegalTransition`] for a change that does not wait, or one to be started of an apply that is
    /// being stopped; [`StoreError::NotFound`] for one that there is not.
    pub async fn turn_changes(
        &self,
        fence: &ApplyFence,
        next: &Next,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.turn_changes(fence, next, now));
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| {
            let record = held(tx, fence).await?;
            start(tx, sealer, &record, next, now).await?;
            for (at, by) in &next.held_up {
                let by = at_position(tx, sealer, &record, *by).await?;
                let why = held_up_by(&by.change.name);
                end(
                    tx,
                    sealer,
                    &record,
                    *at,
                    (ChangeState::HeldUp, Some(&why)),
                    now,
                )
                .await?;
            }
            for at in &next.not_started {
                end(
                    tx,
                    sealer,
                    &record,
                    *at,
                    (ChangeState::NotStarted, None),
                    now,
                )
                .await?;
            }
            Ok(())
        })
        .await
    }

    /// Records what a started change has become: its operation, and the app that is made by it. What is `None` stays as it is.
    ///
    /// # Errors
    /// [`StoreError::ApplyLost`]; [`StoreError::IllegalTransition`] for a change that is not under way; [`StoreError::NotFound`].
    pub async fn record_change(
        &self,
        fence: &ApplyFence,
        position: u32,
        app: Option<AppId>,
        operation: Option<OperationId>,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.record_change(fence, position, app, operation));
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| {
            let record = held(tx, fence).await?;
            let found = at_position(tx, sealer, &record, whole(position)).await?;
            refuse_unless(&found.change, ChangeState::Started, "become anything")?;
            query(
                "UPDATE apply_changes SET app_id = COALESCE($3, app_id), \
                 operation_id = COALESCE($4, operation_id) WHERE apply_id = $1 AND position = $2",
            )
            .bind(fence.apply.to_string())
            .bind(i64::from(position))
            .bind(app.map(|app| app.to_string()))
            .bind(operation.map(|operation| operation.to_string()))
            .execute(tx)
            .await?;
            Ok(())
        })
        .await
    }

    /// A started change is over. When it is done, what is wanted of its app from now on is recorded in the same commit, and that just this
    /// was rejected is forgotten.
    ///
    /// # Errors
    /// As [`Store::record_change`].
    pub async fn end_change(
        &self,
        fence: &ApplyFence,
        position: u32,
        how: ChangeEnd,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            let spec_hash = |spec: Option<&DesiredSpec>| self.spec_hash(spec);
            return model.write(|state| state.end_change(fence, position, (&how, &spec_hash), now));
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| {
            let record = held(tx, fence).await?;
            let found = at_position(tx, sealer, &record, whole(position)).await?;
            refuse_unless(&found.change, ChangeState::Started, "end")?;
            match &how {
                ChangeEnd::Done => {
                    write_end(tx, &record, position, (ChangeState::Done, None), now).await?;
                    let before = newest(tx, sealer, &found.change.name).await?;
                    let wanted = became(&found, before.as_ref(), &record, now);
                    want(tx, sealer, wanted, now).await?;
                    // Other content of it that was rejected stays so: whoever goes back from it does not let it be.
                    let is_now = self.spec_hash(found.spec.as_ref())?;
                    forget(tx, &found.change.name, &is_now, now).await
                }
                ChangeEnd::Failed(why) => {
                    let failed = (ChangeState::Failed, Some(why));
                    write_end(tx, &record, position, failed, now).await
                }
            }
        })
        .await
    }

    /// All changes are over, and so is the apply; the claim ends. Gives the apply as it ended.
    ///
    /// # Errors
    /// [`StoreError::ApplyLost`]; [`StoreError::IllegalTransition`] while a change is open.
    pub async fn end_apply(
        &self,
        fence: &ApplyFence,
        now: Timestamp,
    ) -> Result<ApplyRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.end_apply(fence, now));
        }
        self.write(async |tx| {
            let record = held(tx, fence).await?;
            let changes = of_apply(tx, record.id).await?;
            let (state, why) = end_of(&record, changes.iter())?;
            let why = why.map(|why| to_json("failure", why)).transpose()?;
            query(
                "UPDATE applies SET state = $2, ended_at = $3, why = $4, lease_holder = NULL, \
                 lease_until = NULL, lease_ms = NULL WHERE id = $1",
            )
            .bind(record.id.to_string())
            .bind(state.label())
            .bind(now.0)
            .bind(why)
            .execute(&mut *tx)
            .await?;
            let record = existing(tx, record.id).await?;
            add_event(tx, &over(&record), None, None, now).await?;
            Ok(record)
        })
        .await
    }
}

async fn start(
    tx: &mut Tx,
    sealer: &Sealer,
    record: &ApplyRecord,
    next: &Next,
    now: Timestamp,
) -> Result<(), StoreError> {
    if next.start.is_empty() {
        return Ok(());
    }
    refuse_stopping(record)?;
    let versions = versions(tx).await?;
    for at in &next.start {
        let mut found = at_position(tx, sealer, record, *at).await?;
        refuse_unless(&found.change, ChangeState::Waiting, "be started")?;
        put_in(&mut found.secrets, &versions);
        query(
            "UPDATE apply_changes SET state = 'started', started_at = $3, secrets = $4 \
             WHERE apply_id = $1 AND position = $2",
        )
        .bind(record.id.to_string())
        .bind(i64::from(found.change.position))
        .bind(now.0)
        .bind(to_json("secrets", &found.secrets)?)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// A change that waits ends without being started.
async fn end(
    tx: &mut Tx,
    sealer: &Sealer,
    record: &ApplyRecord,
    at: usize,
    how: (ChangeState, Option<&Failure>),
    now: Timestamp,
) -> Result<(), StoreError> {
    let found = at_position(tx, sealer, record, at).await?;
    refuse_unless(
        &found.change,
        ChangeState::Waiting,
        "end without being started",
    )?;
    write_end(tx, record, found.change.position, how, now).await
}

async fn write_end(
    tx: &mut Tx,
    record: &ApplyRecord,
    position: u32,
    (state, why): (ChangeState, Option<&Failure>),
    now: Timestamp,
) -> Result<(), StoreError> {
    query(
        "UPDATE apply_changes SET state = $3, ended_at = $4, why = $5 \
         WHERE apply_id = $1 AND position = $2",
    )
    .bind(record.id.to_string())
    .bind(i64::from(position))
    .bind(state.label())
    .bind(now.0)
    .bind(why.map(|why| to_json("failure", why)).transpose()?)
    .execute(tx)
    .await?;
    Ok(())
}

async fn at_position(
    tx: &mut Tx,
    sealer: &Sealer,
    record: &ApplyRecord,
    at: usize,
) -> Result<KeptChange, StoreError> {
    let row = query("SELECT * FROM apply_changes WHERE apply_id = $1 AND position = $2")
        .bind(record.id.to_string())
        .bind(i64::try_from(at).unwrap_or(i64::MAX))
        .fetch_optional(tx)
        .await?;
    let row = row.ok_or_else(|| no_change(at))?;
    kept(sealer, record.id, &row)
}

/// How an apply ends, and why the first of its changes that failed did.
pub(crate) fn end_of<'a>(
    record: &ApplyRecord,
    changes: impl Iterator<Item = &'a ApplyChange> + Clone,
) -> Result<(ApplyState, Option<&'a Failure>), StoreError> {
    let state = ended(changes.clone().map(|change| change.state));
    let Some(state) = state else {
        let what = format!("apply {} has changes that are not over", record.id);
        return Err(StoreError::IllegalTransition { what });
    };
    let mut failed = changes.filter(|change| change.state == ChangeState::Failed);
    Ok((state, failed.find_map(|change| change.why.as_ref())))
}

/// Nothing is started once somebody has stopped it.
pub(crate) fn refuse_stopping(record: &ApplyRecord) -> Result<(), StoreError> {
    if record.state != ApplyState::Stopping {
        return Ok(());
    }
    let what = format!("apply {} is being stopped: nothing is started", record.id);
    Err(StoreError::IllegalTransition { what })
}

pub(crate) fn refuse_unless(
    change: &ApplyChange,
    state: ChangeState,
    to: &str,
) -> Result<(), StoreError> {
    if change.state == state {
        return Ok(());
    }
    let (name, now) = (&change.name, change.state.label());
    let what = format!("the change of {name} is {now}, and cannot {to}");
    Err(StoreError::IllegalTransition { what })
}

pub(crate) fn no_change(at: usize) -> StoreError {
    let id = at.to_string();
    StoreError::NotFound { what: "change", id }
}

/// As a place in memory.
pub(crate) fn whole(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
