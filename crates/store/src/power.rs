//! Taking an observed power state for an app's status, outside of any operation.

use proximity_domain::app::{Status, StatusLabel};
use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_domain::time::Timestamp;
use serde_json::json;

use crate::apps::{live_app, not_live, set_status};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event};
use crate::records::{Actor, AppRecord};
use crate::sql::Tx;
use crate::store::Store;

/// Power as it was read from the container itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadPower {
    /// It runs.
    Running,
    /// It is stopped.
    Stopped,
}

impl ReadPower {
    /// The status it stands for.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Running => Status::Running,
            Self::Stopped => Status::Stopped,
        }
    }
}

/// What is told and audited of a resolved app.
pub(crate) fn resolved(app: &AppRecord, power: ReadPower) -> NewEvent {
    NewEvent {
        kind: EventKind::AppResolved,
        body: json!({
            "app": app.id,
            "hostname": app.hostname,
            "was": app.status.label().label(),
            "to": power.status().label().label(),
        }),
    }
}

impl Store {
    /// The status of an app that was *running* or *stopped* follows what was read. False if it is not `from` any more, or an
    /// operation is at work; nothing is written then. Never leads out of any other status.
    ///
    /// # Errors
    /// The database's.
    pub async fn follow_power(
        &self,
        app: AppId,
        from: ReadPower,
        to: ReadPower,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.follow_power(app, from, to, now));
        }
        self.write(async |tx| {
            let Some(record) = live_app(tx, app).await? else {
                return Ok(false);
            };
            if record.operation.is_some() || record.status != from.status() {
                return Ok(false);
            }
            set_status(tx, app, &to.status(), None, now).await?;
            Ok(true)
        })
        .await
    }

    /// A person accepts the power state that was read for an app in *error*; audited.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while the app has a live operation, a stuck one included; [`StoreError::IllegalTransition`] if it
    /// is not in *error*; [`StoreError::NotFound`].
    pub async fn resolve_app(
        &self,
        app: AppId,
        power: ReadPower,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AppRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.resolve_app(app, power, actor, now));
        }
        self.write(async |tx| resolve(tx, app, power, actor, now).await)
            .await
    }
}

async fn resolve(
    tx: &mut Tx,
    id: AppId,
    power: ReadPower,
    actor: &Actor,
    now: Timestamp,
) -> Result<AppRecord, StoreError> {
    let app = live_app(tx, id).await?.ok_or_else(|| not_live(id))?;
    refuse_unresolvable(&app)?;
    set_status(tx, id, &power.status(), None, now).await?;
    let event = resolved(&app, power);
    add_event(tx, &event, Some(id), None, now).await?;
    let target = id.to_string();
    add_audit(
        tx,
        actor,
        Act::request("app.resolve", &target, event.body),
        now,
    )
    .await?;
    live_app(tx, id).await?.ok_or_else(|| not_live(id))
}

/// Only what is in *error*, with nobody at work, is resolved.
pub(crate) fn refuse_unresolvable(app: &AppRecord) -> Result<(), StoreError> {
    if let Some(operation) = app.operation {
        let app = app.id;
        return Err(StoreError::Busy { app, operation });
    }
    if app.status.label() != StatusLabel::Error {
        let (id, label) = (app.id, app.status.label().label());
        let what = format!("app {id} is {label}: only an app in error is resolved");
        return Err(StoreError::IllegalTransition { what });
    }
    Ok(())
}
