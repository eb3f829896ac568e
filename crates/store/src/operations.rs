//! Operations: asking for one, reading them, writing their state.

use proximity_domain::app::{AppClass, Status, StatusEvent};
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, Epoch, OperationId};
use proximity_domain::operation::{OperationEvent, OperationKind, OperationState, UnwindCause};
use proximity_domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::apps::{contains, live_app, not_live, set_status};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event};
use crate::records::{Actor, AppRecord, NewOperation, OperationRecord, Wait};
use crate::request_keys::claim;
use crate::row::{Columns, damaged, each, to_json};
use crate::seal::{Place, Sealer};
use crate::sql::{Row, Tx, query, query_scalar};
use crate::store::{Reader, Store};
use crate::views::OperationFilter;

impl Store {
    /// Queues an operation for a live app; with `status`, the app takes it in the same commit. The same key of the
    /// same account gives the operation that was queued first.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while the app has a live operation, a stuck one included;
    /// [`StoreError::IllegalTransition`] if the app cannot take the status, or `retry_of` is not a failed or
    /// cancelled operation of the app; [`StoreError::NotFound`] if the app is not live.
    pub async fn enqueue(
        &self,
        operation: NewOperation,
        status: Option<Status>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<OperationRecord, StoreError> {
        self.enqueue_sealed(operation, None, status, actor, now)
            .await
    }

    /// As [`Store::enqueue`]; `sealed` is what the operation is given beside its input. It is kept sealed, and gone when the
    /// operation has ended, however it did.
    ///
    /// # Errors
    /// Those of [`Store::enqueue`].
    pub async fn enqueue_sealed(
        &self,
        operation: NewOperation,
        sealed: Option<SecretString>,
        status: Option<Status>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<OperationRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.enqueue(&operation, sealed, status, actor, now));
        }
        self.write(async |tx| {
            let app = operation.app;
            let id = operation.id.to_string();
            let key = operation.key.as_ref();
            if let Some(first) = claim(tx, &actor.account, key, &id, now).await? {
                let first = first.parse().map_err(|_| damaged("resource", first))?;
                return existing(tx, first).await;
            }
            let record = live_app(tx, app).await?.ok_or_else(|| not_live(app))?;
            if let Some(live) = record.operation {
                return Err(StoreError::Busy {
                    app,
                    operation: live,
                });
            }
            refuse_class(record.class, &operation)?;
            refuse_retry(tx, &operation).await?;
            refuse_beyond_queue(tx).await?;
            let before = match &status {
                Some(to) => change_status(tx, &record, to, now).await?,
                None => None,
            };
            insert_operation(tx, &operation, actor, before, now).await?;
            if let Some(sealed) = &sealed {
                keep_sealed(tx, &self.shared.sealer, operation.id, sealed).await?;
            }
            let details = json!({"input": operation.input, "retry_of": operation.retry_of});
            let (action, target) = (format!("app.{}", operation.kind.label()), app.to_string());
            let act = Act::request(&action, &target, details).of(operation.id);
            add_audit(tx, actor, act, now).await?;
            existing(tx, operation.id).await
        })
        .await
    }
}

/// Keeps what an operation is given beside its input.
async fn keep_sealed(
    tx: &mut Tx,
    sealer: &Sealer,
    operation: OperationId,
    sealed: &SecretString,
) -> Result<(), StoreError> {
    let id = operation.to_string();
    let sealed = sealer.seal(input_place(&id), sealed.expose_secret())?;
    query("UPDATE operations SET input_sealed = $2 WHERE id = $1")
        .bind(&id)
        .bind(sealed)
        .execute(tx)
        .await?;
    Ok(())
}

fn input_place(operation: &str) -> Place<'_> {
    Place {
        table: "operations",
        id: operation,
        column: "input_sealed",
    }
}

/// Moves the app to `to`; gives what it was if that differs.
async fn change_status(
    tx: &mut Tx,
    app: &AppRecord,
    to: &Status,
    now: Timestamp,
) -> Result<Option<Status>, StoreError> {
    let event = match to {
        Status::Deploying => Some(StatusEvent::DeployStarted),
        Status::Removing => Some(StatusEvent::RemoveStarted),
        Status::Updating => Some(StatusEvent::UpdateStarted),
        Status::Adopting
        | Status::Cloning
        | Status::Running
        | Status::Stopped
        | Status::Error { .. } => None,
    };
    if let Some(event) = event {
        let next = app.status.clone().next(event);
        next.map_err(|e| StoreError::IllegalTransition {
            what: e.to_string(),
        })?;
    }
    set_status(tx, app.id, to, None, now).await?;
    Ok((app.status != *to).then(|| app.status.clone()))
}

/// Nothing that destroys is queued for an adopted app, and nothing that gives back for a native one.
pub(crate) fn refuse_class(class: AppClass, operation: &NewOperation) -> Result<(), StoreError> {
    if operation.kind.is_for(class) {
        return Ok(());
    }
    let (kind, class) = (operation.kind.label(), class.label());
    let what = format!("a {kind} is nothing that can be done to a {class} app");
    Err(StoreError::IllegalTransition { what })
}

async fn refuse_retry(tx: &mut Tx, operation: &NewOperation) -> Result<(), StoreError> {
    let Some(first) = operation.retry_of else {
        return Ok(());
    };
    let first = existing(tx, first).await?;
    let repeatable = match first.state {
        OperationState::Failed { .. } | OperationState::Cancelled => first.app == operation.app,
        OperationState::Queued
        | OperationState::Running
        | OperationState::Unwinding { .. }
        | OperationState::Succeeded
        | OperationState::Stuck { .. } => false,
    };
    if repeatable {
        return Ok(());
    }
    let what = format!("operation {} is none that this app can repeat", first.id);
    Err(StoreError::IllegalTransition { what })
}

/// Operations that wait for a worker, at most. Beyond, requests are refused rather than acknowledged and never begun.
pub const QUEUED_OPERATIONS: i64 = 1_000;

pub(crate) const COUNT_QUEUED: &str =
    "SELECT COUNT(*) AS queued FROM operations WHERE state = 'queued'";

/// Refuses one more than [`QUEUED_OPERATIONS`].
pub(crate) async fn refuse_beyond_queue(tx: &mut Tx) -> Result<(), StoreError> {
    let queued: i64 = query(COUNT_QUEUED).fetch_one(tx).await?.int("queued")?;
    if queued < QUEUED_OPERATIONS {
        return Ok(());
    }
    Err(StoreError::QueueFull {
        limit: QUEUED_OPERATIONS,
    })
}

pub(crate) async fn insert_operation(
    tx: &mut Tx,
    operation: &NewOperation,
    actor: &Actor,
    status_before: Option<Status>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = operation.id.to_string();
    let state = OperationState::Queued;
    let before = status_before.map(|s| to_json("status", &s)).transpose()?;
    let added = query(
        "INSERT INTO operations (id, kind, app_id, state, state_full, input, requested_by, request_id, \
         retry_of, status_before, percent, cancel_requested, epoch, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0, $11) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&id)
    .bind(operation.kind.label())
    .bind(operation.app.to_string())
    .bind(state.label())
    .bind(to_json("state", &state)?)
    .bind(to_json("input", &operation.input)?)
    .bind(&actor.account)
    .bind(&actor.request)
    .bind(operation.retry_of.map(|o| o.to_string()))
    .bind(before)
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    match added.rows_affected() {
        0 => Err(StoreError::Exists {
            what: "operation",
            id,
        }),
        _ => {
            let event = NewEvent {
                kind: EventKind::OperationQueued,
                body: json!({"kind": operation.kind, "retry_of": operation.retry_of}),
            };
            add_event(tx, &event, Some(operation.app), Some(operation.id), now).await
        }
    }
}

/// Takes `operation` through the state machine and writes the result. The lease goes unless work goes on.
pub(crate) async fn advance(
    tx: &mut Tx,
    operation: &OperationRecord,
    event: OperationEvent,
    now: Timestamp,
) -> Result<OperationState, StoreError> {
    let next = operation.state.clone().next(event.clone());
    let next = next.map_err(|e| StoreError::IllegalTransition {
        what: e.to_string(),
    })?;
    let goes_on = next == operation.state;
    query(
        "UPDATE operations SET state = $2, state_full = $3, finished_at = $4, \
         lease_holder = CASE WHEN $5 = 1 THEN lease_holder END, \
         lease_until = CASE WHEN $5 = 1 THEN lease_until END, \
         lease_ms = CASE WHEN $5 = 1 THEN lease_ms END, \
         attempt = CASE WHEN $6 = 1 THEN attempt ELSE 1 END, \
         input_sealed = CASE WHEN $7 = 0 THEN input_sealed END, \
         due_at = NULL, waits_because = NULL WHERE id = $1",
    )
    .bind(operation.id.to_string())
    .bind(next.label())
    .bind(to_json("state", &next)?)
    .bind(next.is_final().then_some(now.0))
    .bind(i64::from(is_at_work(&next)))
    .bind(i64::from(goes_on))
    .bind(i64::from(next.is_final()))
    .execute(&mut *tx)
    .await?;
    if let Some(kind) = EventKind::of_change(&operation.state, &event, &next) {
        let body = told(operation, kind, &next);
        let event = NewEvent { kind, body };
        add_event(tx, &event, Some(operation.app), Some(operation.id), now).await?;
    }
    Ok(next)
}

/// What is told of an operation's change of state.
pub(crate) fn told(operation: &OperationRecord, kind: EventKind, next: &OperationState) -> Value {
    let mut body = json!({
        "kind": operation.kind,
        "state": next.label(),
        "problem": problem(next),
    });
    if kind == EventKind::OperationTakenOver {
        // Whoever lets go in time gives the claim back.
        body["silent"] = json!(operation.lease.is_some());
    }
    body
}

/// Why an operation is in this state, if something went wrong.
pub(crate) fn problem(state: &OperationState) -> Option<&Failure> {
    match state {
        OperationState::Failed { failure }
        | OperationState::Stuck { failure, .. }
        | OperationState::Unwinding {
            cause: UnwindCause::Failure { failure },
        } => Some(failure),
        OperationState::Queued
        | OperationState::Running
        | OperationState::Unwinding {
            cause: UnwindCause::Cancel,
        }
        | OperationState::Succeeded
        | OperationState::Cancelled => None,
    }
}

/// A worker may hold it.
pub(crate) fn is_at_work(state: &OperationState) -> bool {
    match state {
        OperationState::Running | OperationState::Unwinding { .. } => true,
        OperationState::Queued
        | OperationState::Succeeded
        | OperationState::Failed { .. }
        | OperationState::Cancelled
        | OperationState::Stuck { .. } => false,
    }
}

/// The operation with this id, seen from inside a transaction.
pub(crate) async fn existing(tx: &mut Tx, id: OperationId) -> Result<OperationRecord, StoreError> {
    let row = query("SELECT * FROM operations WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(tx)
        .await?;
    match row {
        Some(row) => operation(&row),
        None => Err(StoreError::NotFound {
            what: "operation",
            id: id.to_string(),
        }),
    }
}

impl Reader {
    /// One operation.
    ///
    /// # Errors
    /// The database's.
    pub async fn operation(&self, id: OperationId) -> Result<Option<OperationRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.operation(id)));
        }
        let row = query("SELECT * FROM operations WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.named("operation"))
            .await?;
        row.as_ref().map(operation).transpose()
    }

    /// What an operation was given beside its input: `None` where that is nothing, or it has ended.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it does not open.
    pub async fn sealed_input(&self, id: OperationId) -> Result<Option<SecretString>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.sealed_input(id)));
        }
        let id = id.to_string();
        let sealed: Option<String> = query_scalar(
            "SELECT input_sealed FROM operations WHERE id = $1 AND input_sealed IS NOT NULL",
        )
        .bind(&id)
        .fetch_optional(self.named("sealed_input"))
        .await?;
        let sealer = &self.shared.sealer;
        let open = sealed.map(|sealed| sealer.unseal(input_place(&id), &sealed));
        open.transpose()
    }

    /// Operations that pass the filter, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn operations(
        &self,
        filter: OperationFilter,
    ) -> Result<Vec<OperationRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.list_operations(&filter)));
        }
        let limit = match filter.limit {
            0 => OperationFilter::DEFAULT_LIMIT,
            n => n.min(OperationFilter::MAX_LIMIT),
        };
        let rows = query(
            "SELECT o.* FROM operations o JOIN apps a ON a.id = o.app_id \
             LEFT JOIN operations b ON b.id = $3 \
             WHERE ($1 IS NULL OR o.app_id = $1) AND ($2 IS NULL OR o.state = $2) \
             AND ($3 IS NULL OR o.created_at < b.created_at \
                  OR (o.created_at = b.created_at AND o.id < b.id)) \
             AND ($5 IS NULL OR o.kind = $5) AND ($6 IS NULL OR a.owner = $6) \
             AND ($7 IS NULL OR LOWER(a.hostname) LIKE $7 ESCAPE '!') \
             ORDER BY o.created_at DESC, o.id DESC LIMIT $4",
        )
        .bind(filter.app.map(|a: AppId| a.to_string()))
        .bind(&filter.state)
        .bind(filter.before.map(|o| o.to_string()))
        .bind(i64::from(limit))
        .bind(filter.kind.map(OperationKind::label))
        .bind(&filter.owner)
        .bind(filter.search.as_deref().map(contains))
        .fetch_all(self.named("operations"))
        .await?;
        each(&rows, operation)
    }

    /// Every operation that is not final, oldest first; stuck ones included.
    ///
    /// # Errors
    /// The database's.
    pub async fn live_operations(&self) -> Result<Vec<OperationRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.live_operations()));
        }
        let rows = query(
            "SELECT * FROM operations WHERE state IN ('queued', 'running', 'unwinding', 'stuck') \
             ORDER BY created_at, id",
        )
        .fetch_all(self.named("live_operations"))
        .await?;
        each(&rows, operation)
    }
}

fn wait(row: &Row) -> Result<Option<Wait>, StoreError> {
    let due_at = row.moment_opt("due_at")?;
    let because = row.json_opt("waits_because")?;
    Ok(due_at
        .zip(because)
        .map(|(due_at, because)| Wait { due_at, because }))
}

pub(crate) fn operation(row: &Row) -> Result<OperationRecord, StoreError> {
    let state: OperationState = row.json("state_full")?;
    if state.label() != row.text("state")? {
        return Err(damaged("state", "label and story differ"));
    }
    let holder = row.parsed_opt("lease_holder")?;
    Ok(OperationRecord {
        id: row.parsed("id")?,
        kind: row.label("kind", OperationKind::parse)?,
        app: row.parsed("app_id")?,
        state,
        input: row.json("input")?,
        request_id: row.text_opt("request_id")?,
        requested_by: row.text("requested_by")?,
        retry_of: row.parsed_opt("retry_of")?,
        percent: row.number("percent")?,
        cancel_requested: row.int("cancel_requested")? != 0,
        epoch: Epoch(row.int("epoch")?),
        lease: holder.zip(row.moment_opt("lease_until")?),
        attempt: row.number("attempt")?,
        wait: wait(row)?,
        created_at: row.moment("created_at")?,
        finished_at: row.moment_opt("finished_at")?,
        cleared_at: row.moment_opt("cleared_at")?,
    })
}
