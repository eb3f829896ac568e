//! Taking an observed power state for an app's status, outside of any operation.

use proximity_domain::app::{Status, StatusLabel};
use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_domain::time::Timestamp;
use serde_json::json;

use crate::apps::{live_app, not_live, set_status, status_changed};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event};
use crate::records::{Actor, AppRecord};
use crate::row::to_json;
use crate::sql::{Tx, query};
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

/// The power of one app's container, and the power that is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenPower {
    /// The app.
    pub app: AppId,
    /// As its status says.
    pub from: ReadPower,
    /// As it was read.
    pub to: ReadPower,
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
    /// The status of apps that were *running* or *stopped* follows what was read, in one commit. Gives those that did: not one
    /// that is not `from` any more, or that an operation is at work on. Never leads out of any other status; nothing is written
    /// for none.
    ///
    /// # Errors
    /// The database's.
    pub async fn follow_powers(
        &self,
        seen: &[SeenPower],
        now: Timestamp,
    ) -> Result<Vec<AppId>, StoreError> {
        if seen.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(model) = self.model() {
            return model.write(|state| state.follow_powers(seen, now));
        }
        self.write(async |tx| {
            let mut followed = Vec::new();
            for seen in seen.iter().filter(|seen| seen.from != seen.to) {
                if follow(tx, seen, now).await? {
                    followed.push(seen.app);
                }
            }
            Ok(followed)
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

/// There may be thousands, so that the record is not read but compared where it lies.
async fn follow(tx: &mut Tx, seen: &SeenPower, now: Timestamp) -> Result<bool, StoreError> {
    let (from, to) = (seen.from.status(), seen.to.status());
    let changed = query(
        "UPDATE apps SET status = $2, status_full = $3, status_changed_at = $4 \
         WHERE id = $1 AND archived_at IS NULL AND status = $5 AND NOT EXISTS (SELECT 1 FROM operations o \
         WHERE o.app_id = $1 AND o.state IN ('queued', 'running', 'unwinding', 'stuck'))",
    )
    .bind(seen.app.to_string())
    .bind(to.label().label())
    .bind(to_json("status", &to)?)
    .bind(now.0)
    .bind(from.label().label())
    .execute(&mut *tx)
    .await?;
    if changed.rows_affected() == 0 {
        return Ok(false);
    }
    let event = status_changed(&from, &to);
    add_event(tx, &event, Some(seen.app), None, now).await?;
    Ok(true)
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
