//! Actions on an app: start, stop, restart, delete, retry.

use proximity_domain::app::{AppClass, Status, StatusEvent, StatusLabel};
use proximity_domain::ids::OperationId;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_store::records::{Actor, AppRecord, NewOperation, OperationRecord, RequestKey};
use serde_json::json;

use crate::engine::Engine;
use crate::error::EngineError;

/// What to do with an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start it and prove that it answers.
    Start,
    /// Shut it down.
    Stop {
        /// Kill it when it does not shut down by itself.
        force: bool,
    },
    /// Shut it down and start it.
    Restart {
        /// Kill it when it does not shut down by itself.
        force: bool,
    },
    /// Remove it: a container that we created is destroyed, one that we adopted is left as it is.
    Delete {
        /// The host name, typed again.
        confirm: Option<String>,
        /// Kill it when it does not shut down by itself.
        force_stop: bool,
        /// Consent to PVE's `purge`: its number is taken out of PVE's jobs of backups too.
        purge: bool,
    },
    /// Try the last operation again.
    Retry,
}

impl Action {
    fn label(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop { .. } => "stop",
            Self::Restart { .. } => "restart",
            Self::Delete { .. } => "delete",
            Self::Retry => "retry",
        }
    }
}

impl Engine {
    /// Records an operation for `action` on the app with this id or host name.
    ///
    /// # Errors
    /// Unknown app, busy app, a status that does not allow it, a missing confirmation.
    pub async fn act(
        &self,
        actor: &Actor,
        app: &str,
        action: Action,
    ) -> Result<OperationRecord, EngineError> {
        self.act_once(actor, app, action, None).await
    }

    /// As [`Engine::act`]; the same key gives the same operation.
    ///
    /// # Errors
    /// Those of [`Engine::act`], and a key that was used for another request.
    pub async fn act_once(
        &self,
        actor: &Actor,
        app: &str,
        action: Action,
        key: Option<RequestKey>,
    ) -> Result<OperationRecord, EngineError> {
        self.act_because(actor, app, action, key, None).await
    }

    /// As [`Engine::act_once`], with the reason that is audited where no person asked for it.
    pub(crate) async fn act_because(
        &self,
        actor: &Actor,
        app: &str,
        action: Action,
        key: Option<RequestKey>,
        because: Option<String>,
    ) -> Result<OperationRecord, EngineError> {
        let app = self.find_app(app).await?;
        let (kind, mut input) = match &action {
            Action::Start => (OperationKind::Start, json!({})),
            Action::Stop { force } => (OperationKind::Stop, json!({ "force": force })),
            Action::Restart { force } => (OperationKind::Restart, json!({ "force": force })),
            Action::Delete {
                confirm,
                force_stop,
                purge,
            } => {
                if confirm.as_deref() != Some(app.hostname.as_str()) {
                    return Err(EngineError::ConfirmationNeeded {
                        hostname: app.hostname.to_string(),
                    });
                }
                self.refuse_drifted(&app).await?;
                removal(&app, *force_stop, *purge)?
            }
            Action::Retry => return self.retry_app(actor, &app, key).await,
        };
        if let Some(because) = because {
            input["because"] = json!(because);
        }
        let status = status_for(&app, &action, kind)?;
        let op = NewOperation {
            id: OperationId(self.inner.parts.ids.uuid()),
            kind,
            app: app.id,
            input,
            retry_of: None,
            key,
        };
        let op = self.store().enqueue(op, status, actor, self.now()).await?;
        self.inner.bell.notify_one();
        Ok(op)
    }

    /// What destroys waits until a person has re-identified a container whose identity has changed; giving an adopted one back
    /// destroys nothing.
    async fn refuse_drifted(&self, app: &AppRecord) -> Result<(), EngineError> {
        let guests = self.store().native_guests(app.id).await?;
        let Some(guest) = guests.iter().find(|guest| guest.learned.is_some()) else {
            return Ok(());
        };
        let (name, vmid) = (&app.hostname, guest.place.vmid);
        Err(EngineError::Upstream {
            code: "identity_conflict",
            message: format!(
                "container {vmid} of {name} is not destroyed: one factor of its identity has changed since it was made"
            ),
            hint: format!("look at the change, then accept it with: proximity reidentify {name}"),
        })
    }

    /// The app with this id or host name.
    pub(crate) async fn find_app(&self, app: &str) -> Result<AppRecord, EngineError> {
        let found = match app.parse() {
            Ok(id) => self.store().app(id).await?,
            Err(_) => self.store().app_by_hostname(app).await?,
        };
        found.ok_or_else(|| EngineError::NotFound {
            what: "app",
            name: app.to_owned(),
        })
    }

    async fn retry_app(
        &self,
        actor: &Actor,
        app: &AppRecord,
        key: Option<RequestKey>,
    ) -> Result<OperationRecord, EngineError> {
        if let Some(live) = app.operation {
            return self.retry_operation_once(actor, live, key).await;
        }
        let last = self.last_operation(app).await?;
        match last {
            Some(op)
                if matches!(
                    op.state,
                    OperationState::Failed { .. } | OperationState::Cancelled
                ) =>
            {
                self.retry_operation_once(actor, op.id, key).await
            }
            Some(_) | None => Err(EngineError::NotInState {
                app: app.hostname.to_string(),
                status: app.status.label().label().to_owned(),
                action: "retry".to_owned(),
            }),
        }
    }
}

/// What removes an app of its class, once and for all decided by the class it was born with.
///
/// # Errors
/// Consent to `purge` for what is left as it is: whoever gives it takes the app for one of ours.
fn removal(
    app: &AppRecord,
    force_stop: bool,
    purge: bool,
) -> Result<(OperationKind, serde_json::Value), EngineError> {
    refuse_purge(app, purge)?;
    Ok(match app.class {
        AppClass::Native => (
            OperationKind::Remove,
            json!({ "force": force_stop, "purge": purge }),
        ),
        AppClass::Adopted => {
            let was = app.status.label().label();
            (OperationKind::Forget, json!({ "was": was }))
        }
    })
}

/// Nothing of an adopted app is purged.
pub(super) fn refuse_purge(app: &AppRecord, purge: bool) -> Result<(), EngineError> {
    match app.class {
        AppClass::Adopted if purge => Err(EngineError::Invalid {
            field: "purge".to_owned(),
            message: format!(
                "{} was adopted: its container is left as it is, and its number in PVE's jobs with it",
                app.hostname
            ),
        }),
        AppClass::Adopted | AppClass::Native => Ok(()),
    }
}

/// The app's status while the operation runs, `None` = unchanged.
fn status_for(
    app: &AppRecord,
    action: &Action,
    kind: OperationKind,
) -> Result<Option<Status>, EngineError> {
    let refuse = || EngineError::NotInState {
        app: app.hostname.to_string(),
        status: app.status.label().label().to_owned(),
        action: action.label().to_owned(),
    };
    let label = app.status.label();
    match kind {
        OperationKind::Remove | OperationKind::Forget => app
            .status
            .clone()
            .next(StatusEvent::RemoveStarted)
            .map(Some)
            .map_err(|_| refuse()),
        OperationKind::Start | OperationKind::Stop | OperationKind::Restart => match label {
            StatusLabel::Running | StatusLabel::Stopped | StatusLabel::Error => Ok(None),
            StatusLabel::Deploying
            | StatusLabel::Adopting
            | StatusLabel::Cloning
            | StatusLabel::Updating
            | StatusLabel::Removing => Err(refuse()),
        },
        OperationKind::Deploy
        | OperationKind::Adopt
        | OperationKind::RestoreKeys
        | OperationKind::Update => Err(refuse()),
    }
}
