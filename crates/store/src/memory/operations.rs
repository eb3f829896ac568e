//! Operations: asking for one, listing them, taking one through its states.

use std::collections::BTreeMap;

use proximity_domain::app::{Status, StatusEvent};
use proximity_domain::event::EventKind;
use proximity_domain::ids::{Epoch, OperationId};
use proximity_domain::operation::{OperationEvent, OperationState};
use proximity_domain::time::Timestamp;
use secrecy::SecretString;
use serde_json::json;

use super::apps::no_app;
use super::state::{Operation, State};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::Act;
use crate::operations::{QUEUED_OPERATIONS, is_at_work, refuse_class, told};
use crate::records::{Actor, AppRecord, NewOperation, OperationRecord};
use crate::row::damaged;
use crate::views::OperationFilter;

impl State {
    pub(crate) fn enqueue(
        &mut self,
        operation: &NewOperation,
        sealed: Option<SecretString>,
        status: Option<Status>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<OperationRecord, StoreError> {
        let app = operation.app;
        let (id, key) = (operation.id.to_string(), operation.key.as_ref());
        if let Some(first) = self.claim_key(&actor.account, key, &id, now)? {
            let first = first.parse().map_err(|_| damaged("resource", first))?;
            return self.existing(first);
        }
        let record = self.live_app(app).ok_or_else(|| no_app(app))?;
        if let Some(live) = record.operation {
            let operation = live;
            return Err(StoreError::Busy { app, operation });
        }
        refuse_class(record.class, operation)?;
        self.refuse_retry(operation)?;
        self.refuse_beyond_queue()?;
        let before = match &status {
            Some(to) => self.take_status(&record, to, now)?,
            None => None,
        };
        self.insert_operation(operation, actor, before, now)?;
        self.operation_row(operation.id)?.sealed = sealed;
        let details = json!({"input": operation.input, "retry_of": operation.retry_of});
        let (action, target) = (format!("app.{}", operation.kind.label()), app.to_string());
        let act = Act::request(&action, &target, details).of(operation.id);
        self.add_audit(actor, act, now);
        self.existing(operation.id)
    }

    /// Moves the app to `to`; gives what it was if that differs.
    fn take_status(
        &mut self,
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
            next.map_err(|e| illegal(e.to_string()))?;
        }
        self.set_status(app.id, to, None, now)?;
        Ok((app.status != *to).then(|| app.status.clone()))
    }

    fn refuse_retry(&self, operation: &NewOperation) -> Result<(), StoreError> {
        let Some(first) = operation.retry_of else {
            return Ok(());
        };
        let first = self.existing(first)?;
        let ended = match first.state {
            OperationState::Failed { .. } | OperationState::Cancelled => true,
            OperationState::Queued
            | OperationState::Running
            | OperationState::Unwinding { .. }
            | OperationState::Succeeded
            | OperationState::Stuck { .. } => false,
        };
        if ended && first.app == operation.app {
            return Ok(());
        }
        let what = format!("operation {} is none that this app can repeat", first.id);
        Err(illegal(what))
    }

    /// Refuses one more than may wait.
    pub(crate) fn refuse_beyond_queue(&self) -> Result<(), StoreError> {
        let live = self.live.values().filter_map(|id| self.operations.get(id));
        let queued = live.filter(|o| o.record.state == OperationState::Queued);
        let limit = QUEUED_OPERATIONS;
        if i64::try_from(queued.count()).is_ok_and(|queued| queued < limit) {
            return Ok(());
        }
        Err(StoreError::QueueFull { limit })
    }

    pub(crate) fn insert_operation(
        &mut self,
        operation: &NewOperation,
        actor: &Actor,
        status_before: Option<Status>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.operations.contains_key(&operation.id) {
            let id = operation.id.to_string();
            let what = "operation";
            return Err(StoreError::Exists { what, id });
        }
        let record = OperationRecord {
            id: operation.id,
            kind: operation.kind,
            app: operation.app,
            state: OperationState::Queued,
            input: operation.input.clone(),
            requested_by: actor.account.clone(),
            request_id: actor.request.clone(),
            retry_of: operation.retry_of,
            percent: 0,
            cancel_requested: false,
            epoch: Epoch(0),
            lease: None,
            attempt: 1,
            wait: None,
            created_at: now,
            finished_at: None,
            cleared_at: None,
        };
        let fresh = Operation {
            record,
            lease_ms: 0,
            status_before,
            sealed: None,
            lines_said: 0,
            steps: BTreeMap::new(),
        };
        self.operations.put(operation.id, fresh);
        self.live.put(operation.app, operation.id);
        let event = NewEvent {
            kind: EventKind::OperationQueued,
            body: json!({"kind": operation.kind, "retry_of": operation.retry_of}),
        };
        self.add_event(&event, Some(operation.app), Some(operation.id), now);
        Ok(())
    }

    /// Takes an operation through the state machine and tells of it. The lease goes unless work goes on.
    pub(crate) fn advance(
        &mut self,
        operation: &OperationRecord,
        event: OperationEvent,
        now: Timestamp,
    ) -> Result<OperationState, StoreError> {
        let next = operation.state.clone().next(event.clone());
        let next = next.map_err(|e| illegal(e.to_string()))?;
        let record = &mut self.operation_row(operation.id)?.record;
        record.state = next.clone();
        record.finished_at = next.is_final().then_some(now);
        record.wait = None;
        if !is_at_work(&next) {
            record.lease = None;
        }
        if next != operation.state {
            record.attempt = 1;
        }
        if next.is_final() {
            self.operation_row(operation.id)?.sealed = None;
            self.live.remove(&operation.app);
        }
        if let Some(kind) = EventKind::of_change(&operation.state, &event, &next) {
            let body = told(operation, kind, &next);
            let event = NewEvent { kind, body };
            self.add_event(&event, Some(operation.app), Some(operation.id), now);
        }
        Ok(next)
    }

    pub(crate) fn operation_row(&mut self, id: OperationId) -> Result<&mut Operation, StoreError> {
        self.operations.row(&id).ok_or_else(|| no_operation(id))
    }

    pub(crate) fn existing(&self, id: OperationId) -> Result<OperationRecord, StoreError> {
        self.operation(id).ok_or_else(|| no_operation(id))
    }

    pub(crate) fn operation(&self, id: OperationId) -> Option<OperationRecord> {
        let found = self.operations.get(&id)?;
        Some(found.record.clone())
    }

    pub(crate) fn sealed_input(&self, id: OperationId) -> Option<SecretString> {
        self.operations.get(&id)?.sealed.clone()
    }

    pub(crate) fn list_operations(&self, filter: &OperationFilter) -> Vec<OperationRecord> {
        let before = match filter.before.map(|id| self.operations.get(&id)) {
            // Older than one that is not there: nothing is.
            Some(None) => return Vec::new(),
            Some(Some(before)) => Some(age(&before.record)),
            None => None,
        };
        let search = filter.search.as_ref().map(|text| text.to_lowercase());
        let of_app = |record: &OperationRecord| {
            let app = self.apps.get(&record.app).map(|app| &app.asked);
            let owned = filter
                .owner
                .as_ref()
                .is_none_or(|owner| app.is_some_and(|app| app.owner == *owner));
            owned
                && search.as_ref().is_none_or(|search| {
                    app.is_some_and(|app| {
                        app.hostname
                            .as_str()
                            .to_lowercase()
                            .contains(search.as_str())
                    })
                })
        };
        let fits = |record: &&OperationRecord| {
            of_app(record)
                && filter.kind.is_none_or(|kind| record.kind == kind)
                && filter.app.is_none_or(|app| record.app == app)
                && filter
                    .state
                    .as_ref()
                    .is_none_or(|state| record.state.label() == state)
                && before.is_none_or(|before| age(record) < before)
        };
        let mut found = self.by_age(fits);
        found.reverse();
        let limit = match filter.limit {
            0 => OperationFilter::DEFAULT_LIMIT,
            n => n.min(OperationFilter::MAX_LIMIT),
        };
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        found
    }

    pub(crate) fn live_operations(&self) -> Vec<OperationRecord> {
        let live = self.live.values().filter_map(|id| self.operation(*id));
        let mut live: Vec<OperationRecord> = live.collect();
        live.sort_by_key(age);
        live
    }

    /// Operations that fit, oldest first.
    fn by_age(&self, fits: impl Fn(&&OperationRecord) -> bool) -> Vec<OperationRecord> {
        let records = self.operations.values().map(|operation| &operation.record);
        let mut found: Vec<OperationRecord> = records.filter(fits).cloned().collect();
        found.sort_by_key(age);
        found
    }
}

fn age(record: &OperationRecord) -> (Timestamp, OperationId) {
    (record.created_at, record.id)
}

pub(crate) fn illegal(what: String) -> StoreError {
    StoreError::IllegalTransition { what }
}

fn no_operation(id: OperationId) -> StoreError {
    let id = id.to_string();
    let what = "operation";
    StoreError::NotFound { what, id }
}
