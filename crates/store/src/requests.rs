//! What a person may do to an operation: cancel it, retry a stuck one, give a stuck one up.

use proximity_domain::app::{Status, StatusEvent};
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::{OperationEvent, OperationKind, OperationState};
use proximity_domain::time::Timestamp;
use serde_json::{Value, json};

use crate::adoptions::{came_to_nothing, restore_came_to_nothing};
use crate::apply::is_transitional;
use crate::apps::{live_app, set_status};
use crate::archive::archive;
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::guests::release_all;
use crate::journal::{Act, add_audit, add_event};
use crate::operations::{advance, existing};
use crate::queue::end_wait;
use crate::records::{Actor, OperationRecord, RequestKey};
use crate::request_keys::claim;
use crate::row::{Columns, damaged};
use crate::sql::{Tx, query};
use crate::store::Store;
use crate::turns::log_failure;
use crate::views::ArchivedBy;

impl Store {
    /// Asks to cancel. A queued operation is cancelled at once: its app is what it was before it was asked for, or
    /// in *error* if it was to be deployed. A running one is flagged, and a wait for its next attempt ends; its worker turns back
    /// as soon as that is safe.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::IllegalTransition`] if it is neither queued nor running.
    pub async fn request_cancel(
        &self,
        id: OperationId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<OperationRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.request_cancel(id, actor, now));
        }
        self.write(async |tx| {
            let operation = existing(tx, id).await?;
            let started = operation.state == OperationState::Running;
            if started {
                query("UPDATE operations SET cancel_requested = 1 WHERE id = $1")
                    .bind(id.to_string())
                    .execute(&mut *tx)
                    .await?;
                end_wait(tx, id).await?;
            } else {
                cancel_queued(tx, &operation, actor, now).await?;
            }
            let body = json!({"started": started});
            announce(
                tx,
                (EventKind::OperationCancelRequested, "operation.cancel"),
                &operation,
                body,
                actor,
                now,
            )
            .await?;
            existing(tx, id).await
        })
        .await
    }

    /// A person retries a stuck operation: it goes on the way it was going, and waits for a claim. A cancel that
    /// was requested before it got stuck on the way forwards is forgotten.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::IllegalTransition`] if it is not stuck.
    pub async fn retry_stuck(
        &self,
        id: OperationId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<OperationRecord, StoreError> {
        self.retry_stuck_once(id, None, actor, now).await
    }

    /// As [`Store::retry_stuck`]. The same key of the same account does nothing the second time, whatever has become
    /// of the operation, and gives the operation as it is.
    ///
    /// # Errors
    /// Those of [`Store::retry_stuck`], and [`StoreError::KeyReused`]; the key is not taken then.
    pub async fn retry_stuck_once(
        &self,
        id: OperationId,
        key: Option<RequestKey>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<OperationRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.retry_stuck(id, key.as_ref(), actor, now));
        }
        self.write(async |tx| {
            let resource = id.to_string();
            if let Some(first) = claim(tx, &actor.account, key.as_ref(), &resource, now).await? {
                let first = first.parse().map_err(|_| damaged("resource", first))?;
                return existing(tx, first).await;
            }
            let operation = existing(tx, id).await?;
            let state = advance(tx, &operation, OperationEvent::Retried, now).await?;
            if state == OperationState::Running {
                query("UPDATE operations SET cancel_requested = 0 WHERE id = $1")
                    .bind(id.to_string())
                    .execute(&mut *tx)
                    .await?;
            }
            let body = json!({"goes_on": state.label()});
            announce(
                tx,
                (EventKind::OperationRetried, "operation.retry"),
                &operation,
                body,
                actor,
                now,
            )
            .await?;
            existing(tx, id).await
        })
        .await
    }

    /// A person gives a stuck operation up: it ends *failed*, its app is in *error* for `failure`. Guests and ports
    /// stay recorded and reserved. No call is made by this. Of an adoption nothing was recorded yet, so that its container is
    /// given back and its app archived, as when it fails. A restore of keys leaves its app the status that it has, which is the
    /// container's own.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::IllegalTransition`] if it is not stuck.
    pub async fn abandon(
        &self,
        id: OperationId,
        failure: Failure,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<OperationRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.abandon(id, failure, actor, now));
        }
        self.write(async |tx| {
            let operation = existing(tx, id).await?;
            advance(tx, &operation, OperationEvent::Abandoned, now).await?;
            log_failure(tx, &operation, &failure, now).await?;
            let body = json!({"failure": failure});
            match operation.kind {
                OperationKind::Adopt => end_adoption(tx, &operation, now).await?,
                OperationKind::RestoreKeys => {
                    end_restore(tx, &operation, now).await?;
                    fail_if_on_its_way(tx, &operation, failure, now).await?;
                }
                OperationKind::Deploy
                | OperationKind::Start
                | OperationKind::Stop
                | OperationKind::Restart
                | OperationKind::Remove
                | OperationKind::Forget
                | OperationKind::Update => fail_app(tx, &operation, failure, now).await?,
            }
            announce(
                tx,
                (EventKind::OperationAbandoned, "operation.abandon"),
                &operation,
                body,
                actor,
                now,
            )
            .await?;
            existing(tx, id).await
        })
        .await
    }
}

async fn cancel_queued(
    tx: &mut Tx,
    operation: &OperationRecord,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    if operation.state != OperationState::Queued {
        let what = format!("operation {} is {}", operation.id, operation.state.label());
        return Err(StoreError::IllegalTransition { what });
    }
    advance(tx, operation, OperationEvent::CancelRequested, now).await?;
    if operation.kind == OperationKind::RestoreKeys {
        end_restore(tx, operation, now).await?;
    }
    let before = query("SELECT status_before FROM operations WHERE id = $1")
        .bind(operation.id.to_string())
        .fetch_one(&mut *tx)
        .await?
        .json_opt::<Status>("status_before")?;
    let app = live_app(tx, operation.app).await?;
    let status = app.map(|a| a.status);
    let deploying = status == Some(Status::Deploying);
    let adopting = status == Some(Status::Adopting);
    match before {
        // Nothing was begun, so nothing has changed since it was asked for.
        Some(before) if !deploying && !adopting => {
            set_status(tx, operation.app, &before, Some(operation.id), now).await
        }
        Some(_) | None if adopting => end_adoption(tx, operation, now).await,
        Some(_) | None if deploying => {
            let message = format!("{} cancelled the deploy before it began", actor.account);
            let hint = "Retry it, or remove the app.";
            let why = Failure::new("cancelled", message, hint);
            fail_app(tx, operation, why, now).await
        }
        Some(_) | None => Ok(()),
    }
}

/// An adoption comes to nothing: there is no record, so nothing is kept but the history.
async fn end_adoption(
    tx: &mut Tx,
    operation: &OperationRecord,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(app) = live_app(tx, operation.app).await? else {
        return Ok(());
    };
    release_all(tx, app.id, now).await?;
    archive(tx, app.id, ArchivedBy::Operation(operation.id), None, now).await?;
    let event = came_to_nothing(&app, operation.id);
    add_event(tx, &event, Some(app.id), Some(operation.id), now).await
}

/// A restore of keys comes to nothing: that is told, and the app stays what it is.
async fn end_restore(
    tx: &mut Tx,
    operation: &OperationRecord,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(app) = live_app(tx, operation.app).await? else {
        return Ok(());
    };
    let event = restore_came_to_nothing(&app, operation.id);
    add_event(tx, &event, Some(app.id), Some(operation.id), now).await
}

/// An app that stays what it is must be somewhere: one that is on its way goes to *error*.
async fn fail_if_on_its_way(
    tx: &mut Tx,
    operation: &OperationRecord,
    why: Failure,
    now: Timestamp,
) -> Result<(), StoreError> {
    match live_app(tx, operation.app).await? {
        Some(app) if is_transitional(app.status.label()) => fail_app(tx, operation, why, now).await,
        Some(_) | None => Ok(()),
    }
}

/// The app of `operation`, if it is live, goes to *error*.
async fn fail_app(
    tx: &mut Tx,
    operation: &OperationRecord,
    why: Failure,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(app) = live_app(tx, operation.app).await? else {
        return Ok(());
    };
    let status = app.status.next(StatusEvent::Failed(why, now));
    let status = status.map_err(|e| StoreError::IllegalTransition {
        what: e.to_string(),
    })?;
    set_status(tx, operation.app, &status, Some(operation.id), now).await
}

async fn announce(
    tx: &mut Tx,
    (kind, action): (EventKind, &str),
    operation: &OperationRecord,
    body: Value,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    let event = NewEvent {
        kind,
        body: body.clone(),
    };
    add_event(tx, &event, Some(operation.app), Some(operation.id), now).await?;
    let target = operation.id.to_string();
    let act = Act::request(action, &target, body).of(operation.id);
    add_audit(tx, actor, act, now).await
}
