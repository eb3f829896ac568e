//! Operations: retry, abandon, cancel.

use proximity_domain::app::StatusEvent;
use proximity_domain::failure::Failure;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_store::records::{Actor, AppRecord, NewOperation, OperationRecord, RequestKey};
use proximity_store::views::OperationFilter;

use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// Retries an operation: a stuck one goes on after its last finished step under a new epoch; a failed one, which was
    /// unwound, becomes a new operation (with a new VMID and mark, where it creates a guest). Only the app's last operation is
    /// repeated: an older one, a removal above all, was asked for in other circumstances.
    ///
    /// # Errors
    /// Unknown, in another state, not the last one, an update, or the app is busy.
    pub async fn retry_operation(
        &self,
        actor: &Actor,
        id: OperationId,
    ) -> Result<OperationRecord, EngineError> {
        self.retry_operation_once(actor, id, None).await
    }

    /// As [`Engine::retry_operation`]; the same key gives the same operation.
    ///
    /// # Errors
    /// Those of [`Engine::retry_operation`], and a key that was used for another request.
    pub async fn retry_operation_once(
        &self,
        actor: &Actor,
        id: OperationId,
        key: Option<RequestKey>,
    ) -> Result<OperationRecord, EngineError> {
        let op = self.find_operation(id).await?;
        let retried = match &op.state {
            OperationState::Stuck { .. } => {
                self.store()
                    .retry_stuck_once(id, key, actor, self.now())
                    .await?
            }
            OperationState::Failed { .. } | OperationState::Cancelled => {
                self.repeat(actor, &op, key).await?
            }
            OperationState::Queued
            | OperationState::Running
            | OperationState::Unwinding { .. }
            | OperationState::Succeeded => {
                return Err(EngineError::NotInState {
                    app: format!("operation {id}"),
                    status: op.state.label().to_owned(),
                    action: "retry".to_owned(),
                });
            }
        };
        self.inner.bell.notify_one();
        Ok(retried)
    }

    async fn repeat(
        &self,
        actor: &Actor,
        op: &OperationRecord,
        key: Option<RequestKey>,
    ) -> Result<OperationRecord, EngineError> {
        let app = self
            .store()
            .app(op.app)
            .await?
            .ok_or_else(|| EngineError::NotFound {
                what: "app",
                name: op.app.to_string(),
            })?;
        if self
            .last_operation(&app)
            .await?
            .is_some_and(|o| o.id != op.id)
        {
            return Err(EngineError::NotInState {
                app: app.hostname.to_string(),
                status: "past that operation".to_owned(),
                action: format!("retry of an older {}", op.kind.label()),
            });
        }
        if op.kind == OperationKind::Update {
            // What it was given went with its end, and so did the configuration that it was decided from.
            return Err(EngineError::NotUpdated {
                code: "not_repeated",
                message: format!(
                    "an update of {} that has ended is not repeated",
                    app.hostname
                ),
            });
        }
        if op.kind == OperationKind::Deploy {
            self.refuse_deploy_over_a_guest(&app).await?;
        }
        let event = match op.kind {
            OperationKind::Deploy => Some(StatusEvent::DeployStarted),
            OperationKind::Remove | OperationKind::Forget => Some(StatusEvent::RemoveStarted),
            OperationKind::Start
            | OperationKind::Stop
            | OperationKind::Restart
            | OperationKind::Adopt
            | OperationKind::RestoreKeys
            | OperationKind::Update => None,
        };
        let status = event
            .map(|e| app.status.clone().next(e))
            .transpose()
            .map_err(|_| EngineError::NotInState {
                app: app.hostname.to_string(),
                status: app.status.label().label().to_owned(),
                action: format!("retry of {}", op.kind.label()),
            })?;
        let again = NewOperation {
            id: OperationId(self.inner.parts.ids.uuid()),
            kind: op.kind,
            app: op.app,
            input: op.input.clone(),
            retry_of: Some(op.id),
            key,
        };
        Ok(self
            .store()
            .enqueue(again, status, actor, self.now())
            .await?)
    }

    /// An abandoned deploy may have left a guest: a second one beside it would be a double.
    async fn refuse_deploy_over_a_guest(&self, app: &AppRecord) -> Result<(), EngineError> {
        let guests = self.store().native_guests(app.id).await?;
        match guests.first() {
            None => Ok(()),
            Some(guest) => Err(EngineError::NotInState {
                app: app.hostname.to_string(),
                status: format!(
                    "holding container {} of an abandoned deploy",
                    guest.identity.vmid
                ),
                action: "retry of deploy (remove the app instead)".to_owned(),
            }),
        }
    }

    /// Closes a stuck operation without a call to PVE: the app goes to error, guest and ports stay recorded and reserved.
    /// An adoption leaves no app, and a restore of keys leaves it what it was.
    ///
    /// # Errors
    /// Unknown, or not stuck.
    pub async fn abandon_operation(
        &self,
        actor: &Actor,
        id: OperationId,
    ) -> Result<OperationRecord, EngineError> {
        let op = self.find_operation(id).await?;
        let OperationState::Stuck { failure, .. } = &op.state else {
            return Err(EngineError::NotInState {
                app: format!("operation {id}"),
                status: op.state.label().to_owned(),
                action: "abandon".to_owned(),
            });
        };
        let why = Failure {
            message: format!("abandoned: {}", failure.message),
            hint: format!("{}; what was said before: {}", left(op.kind), failure.hint),
            ..failure.clone()
        };
        Ok(self.store().abandon(id, why, actor, self.now()).await?)
    }

    /// Asks a live operation to stop and undo what it began.
    ///
    /// # Errors
    /// Unknown, or ended already.
    pub async fn cancel_operation(
        &self,
        actor: &Actor,
        id: OperationId,
    ) -> Result<OperationRecord, EngineError> {
        let op = self.find_operation(id).await?;
        if op.state.is_final() || matches!(op.state, OperationState::Stuck { .. }) {
            return Err(EngineError::NotInState {
                app: format!("operation {id}"),
                status: op.state.label().to_owned(),
                action: "cancel".to_owned(),
            });
        }
        let asked = self.store().request_cancel(id, actor, self.now()).await?;
        // Whoever is at work on it here need not look at the record to know.
        self.inner.in_flight.cancel(id);
        self.inner.bell.notify_one();
        Ok(asked)
    }

    async fn find_operation(&self, id: OperationId) -> Result<OperationRecord, EngineError> {
        self.store()
            .operation(id)
            .await?
            .ok_or_else(|| EngineError::NotFound {
                what: "operation",
                name: id.to_string(),
            })
    }

    pub(crate) async fn last_operation(
        &self,
        app: &AppRecord,
    ) -> Result<Option<OperationRecord>, EngineError> {
        let filter = OperationFilter {
            app: Some(app.id),
            limit: 1,
            ..OperationFilter::default()
        };
        Ok(self.store().operations(filter).await?.into_iter().next())
    }
}

/// What an operation that is given up leaves, and what to do with it.
fn left(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Adopt => {
            "the container was not touched, and nothing of it is on record; adopt it again when you want to"
        }
        OperationKind::RestoreKeys => "look at what differs now with: proximity drift APP",
        OperationKind::Update => {
            "memory, cores, disk or settings of its container may be other ones than on record; look at its container, then ask for what you want with: proximity configure APP"
        }
        OperationKind::Deploy
        | OperationKind::Start
        | OperationKind::Stop
        | OperationKind::Restart
        | OperationKind::Remove
        | OperationKind::Forget => {
            "what it left is still recorded; remove the app when you are done with it"
        }
    }
}
