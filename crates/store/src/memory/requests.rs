//! What a person may do to an operation: cancel it, retry a stuck one, give a stuck one up.

use proximity_domain::app::{Status, StatusEvent};
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::{OperationEvent, OperationKind, OperationState};
use proximity_domain::time::Timestamp;
use serde_json::{Value, json};

use super::operations::illegal;
use super::state::State;
use crate::adoptions::{came_to_nothing, restore_came_to_nothing};
use crate::apply::is_transitional;
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::Act;
use crate::records::{Actor, OperationRecord, RequestKey};
use crate::row::damaged;
use crate::views::ArchivedBy;

impl State {
    pub(crate) fn request_cancel(
        &mut self,
        id: OperationId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<OperationRecord, StoreError> {
        let operation = self.existing(id)?;
        let started = operation.state == OperationState::Running;
        if started {
            let record = &mut self.operation_row(id)?.record;
            record.cancel_requested = true;
            record.wait = None;
        } else {
            self.cancel_queued(&operation, actor, now)?;
        }
        let names = (EventKind::OperationCancelRequested, "operation.cancel");
        self.announce_request(names, &operation, json!({"started": started}), actor, now);
        self.existing(id)
    }

    pub(crate) fn retry_stuck(
        &mut self,
        id: OperationId,
        key: Option<&RequestKey>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<OperationRecord, StoreError> {
        if let Some(first) = self.claim_key(&actor.account, key, &id.to_string(), now)? {
            return self.existing(first.parse().map_err(|_| damaged("resource", first))?);
        }
        let operation = self.existing(id)?;
        let state = self.advance(&operation, OperationEvent::Retried, now)?;
        if state == OperationState::Running {
            self.operation_row(id)?.record.cancel_requested = false;
        }
        let names = (EventKind::OperationRetried, "operation.retry");
        let body = json!({"goes_on": state.label()});
        self.announce_request(names, &operation, body, actor, now);
        self.existing(id)
    }

    pub(crate) fn abandon(
        &mut self,
        id: OperationId,
        failure: Failure,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<OperationRecord, StoreError> {
        let operation = self.existing(id)?;
        self.advance(&operation, OperationEvent::Abandoned, now)?;
        self.log_failure(&operation, &failure, now);
        let body = json!({"failure": failure});
        match operation.kind {
            OperationKind::Adopt => self.end_adoption(&operation, now)?,
            OperationKind::RestoreKeys => {
                self.end_restore(&operation, now);
                self.fail_if_on_its_way(&operation, failure, now)?;
            }
            OperationKind::Deploy
            | OperationKind::Start
            | OperationKind::Stop
            | OperationKind::Restart
            | OperationKind::Remove
            | OperationKind::Forget
            | OperationKind::Update => self.fail_app(&operation, failure, now)?,
        }
        let names = (EventKind::OperationAbandoned, "operation.abandon");
        self.announce_request(names, &operation, body, actor, now);
        self.existing(id)
    }

    fn cancel_queued(
        &mut self,
        operation: &OperationRecord,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if operation.state != OperationState::Queued {
            let state = operation.state.label();
            return Err(illegal(format!("operation {} is {state}", operation.id)));
        }
        self.advance(operation, OperationEvent::CancelRequested, now)?;
        if operation.kind == OperationKind::RestoreKeys {
            self.end_restore(operation, now);
        }
        let before = self.operation_row(operation.id)?.status_before.clone();
        let app = self.live_app(operation.app);
        if app.is_some_and(|app| app.status == Status::Deploying) {
            let message = format!("{} cancelled the deploy before it began", actor.account);
            let why = Failure::new("cancelled", message, "Retry it, or remove the app.");
            return self.fail_app(operation, why, now);
        }
        if self
            .live_app(operation.app)
            .is_some_and(|app| app.status == Status::Adopting)
        {
            return self.end_adoption(operation, now);
        }
        match before {
            Some(before) => self.set_status(operation.app, &before, Some(operation.id), now),
            None => Ok(()),
        }
    }

    /// An adoption comes to nothing: there is no record, so nothing is kept but the history.
    fn end_adoption(
        &mut self,
        operation: &OperationRecord,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(app) = self.live_app(operation.app) else {
            return Ok(());
        };
        self.release_all(app.id, now);
        self.archive(app.id, ArchivedBy::Operation(operation.id), None, now)?;
        let event = came_to_nothing(&app, operation.id);
        self.add_event(&event, Some(app.id), Some(operation.id), now);
        Ok(())
    }

    /// A restore of keys comes to nothing: that is told, and the app stays what it is.
    fn end_restore(&mut self, operation: &OperationRecord, now: Timestamp) {
        if let Some(app) = self.live_app(operation.app) {
            let event = restore_came_to_nothing(&app, operation.id);
            self.add_event(&event, Some(app.id), Some(operation.id), now);
        }
    }

    /// An app that stays what it is must be somewhere: one that is on its way goes to *error*.
    fn fail_if_on_its_way(
        &mut self,
        operation: &OperationRecord,
        why: Failure,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match self.live_app(operation.app) {
            Some(app) if is_transitional(app.status.label()) => self.fail_app(operation, why, now),
            Some(_) | None => Ok(()),
        }
    }

    /// The app of `operation`, if it is live, goes to *error*.
    fn fail_app(
        &mut self,
        operation: &OperationRecord,
        why: Failure,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(app) = self.live_app(operation.app) else {
            return Ok(());
        };
        let status = app.status.next(StatusEvent::Failed(why, now));
        let status = status.map_err(|e| illegal(e.to_string()))?;
        self.set_status(operation.app, &status, Some(operation.id), now)
    }

    fn announce_request(
        &mut self,
        (kind, action): (EventKind, &str),
        operation: &OperationRecord,
        body: Value,
        actor: &Actor,
        now: Timestamp,
    ) {
        let event = NewEvent {
            kind,
            body: body.clone(),
        };
        self.add_event(&event, Some(operation.app), Some(operation.id), now);
        let target = operation.id.to_string();
        let act = Act::request(action, &target, body).of(operation.id);
        self.add_audit(actor, act, now);
    }
}
