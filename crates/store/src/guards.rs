//! Adopted apps whose drift is told, and what was told of it last: each drift once, and its end once, also over a restart.

use proximity_domain::app::AppClass;
use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_domain::time::Timestamp;
use serde_json::json;

use crate::apps::{live_app, not_live};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event};
use crate::records::{Actor, AppRecord};
use crate::row::{Columns, damaged, each, to_json};
use crate::sql::{Row, query};
use crate::store::{Reader, Store};

/// An app that is guarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardedApp {
    /// The app.
    pub app: AppId,
    /// Since when.
    pub since: Timestamp,
    /// The drift that was told and has not ended.
    pub told: Option<ToldDrift>,
}

/// What was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldDrift {
    /// Keys that differ, in order.
    pub keys: Vec<String>,
    /// When.
    pub at: Timestamp,
}

/// What is told of a guard that begins or ends, and by which name it is audited.
pub(crate) fn told(app: &AppRecord, on: bool) -> (NewEvent, &'static str) {
    let body = json!({ "hostname": app.hostname });
    let (kind, action) = match on {
        true => (EventKind::AppGuarded, "app.guard"),
        false => (EventKind::AppUnguarded, "app.unguard"),
    };
    (NewEvent { kind, body }, action)
}

/// Refuses what was not adopted: it has no record to drift from.
pub(crate) fn refuse(app: &AppRecord) -> Result<(), StoreError> {
    match app.class {
        AppClass::Adopted => Ok(()),
        AppClass::Native => {
            let what = format!(
                "{} is no adopted app: there is no day of adoption to guard it against",
                app.hostname
            );
            Err(StoreError::IllegalTransition { what })
        }
    }
}

impl Store {
    /// Begins or ends the guard of an adopted app. False, and nothing is written, if it is so already.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the app is not live; [`StoreError::IllegalTransition`] if it is native.
    pub async fn guard(
        &self,
        app: AppId,
        on: bool,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.guard(app, on, actor, now));
        }
        self.write(async |tx| {
            let live = live_app(tx, app).await?.ok_or_else(|| not_live(app))?;
            refuse(&live)?;
            let id = app.to_string();
            let changed = if on {
                query("INSERT INTO guards (app_id, since) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                    .bind(&id)
                    .bind(now.0)
                    .execute(&mut *tx)
                    .await?
            } else {
                query("DELETE FROM guards WHERE app_id = $1")
                    .bind(&id)
                    .execute(&mut *tx)
                    .await?
            };
            if changed.rows_affected() == 0 {
                return Ok(false);
            }
            let (event, action) = told(&live, on);
            let body = event.body.clone();
            add_event(tx, &event, Some(app), None, now).await?;
            add_audit(tx, actor, Act::request(action, &id, body), now).await?;
            Ok(true)
        })
        .await
    }

    /// Tells of the drift of a guarded app, or of its end when there are no `keys`. False, and nothing is written, if just that
    /// was told last, the app is not guarded, or an operation is at work on it: that may be changing the container.
    ///
    /// # Errors
    /// The database's.
    pub async fn tell_drift(
        &self,
        app: AppId,
        keys: &[String],
        event: &NewEvent,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.tell_drift(app, keys, event, now)));
        }
        self.write(async |tx| {
            let row = query(
                "SELECT * FROM guards WHERE app_id = $1 AND NOT EXISTS (SELECT 1 FROM operations o \
                 WHERE o.app_id = $1 AND o.state IN ('queued', 'running', 'unwinding'))",
            )
            .bind(app.to_string())
            .fetch_optional(&mut *tx)
            .await?;
            let Some(guarded) = row.map(|row| guarded(&row)).transpose()? else {
                return Ok(false);
            };
            if guarded.was_told(keys) {
                return Ok(false);
            }
            let is_drift = !keys.is_empty();
            let text = is_drift.then(|| to_json("keys", &keys)).transpose()?;
            query("UPDATE guards SET told_keys = $2, told_at = $3 WHERE app_id = $1")
                .bind(app.to_string())
                .bind(text)
                .bind(is_drift.then_some(now.0))
                .execute(&mut *tx)
                .await?;
            add_event(tx, event, Some(app), None, now).await?;
            Ok(true)
        })
        .await
    }
}

impl GuardedApp {
    /// Whether just these keys were told last; none: whether no drift is told.
    #[must_use]
    pub fn was_told(&self, keys: &[String]) -> bool {
        let told = self.told.as_ref().map(|told| told.keys.as_slice());
        told.unwrap_or_default() == keys
    }
}

impl Reader {
    /// All guarded apps, by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn guards(&self) -> Result<Vec<GuardedApp>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_guards()));
        }
        let rows = query("SELECT * FROM guards ORDER BY app_id")
            .fetch_all(self.named("guards"))
            .await?;
        each(&rows, guarded)
    }

    /// Since when an app is guarded; `None` if it is not.
    ///
    /// # Errors
    /// The database's.
    pub async fn guarded_since(&self, app: AppId) -> Result<Option<Timestamp>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.guarded_since(app)));
        }
        let row = query("SELECT since FROM guards WHERE app_id = $1")
            .bind(app.to_string())
            .fetch_optional(self.named("guarded_since"))
            .await?;
        row.map(|row| row.moment("since")).transpose()
    }
}

fn guarded(row: &Row) -> Result<GuardedApp, StoreError> {
    let keys = row.json_opt::<Vec<String>>("told_keys")?;
    let at = row.moment_opt("told_at")?;
    let told = match (keys, at) {
        (Some(keys), Some(at)) => Some(ToldDrift { keys, at }),
        (None, None) => None,
        _ => return Err(damaged("told_keys", "without its moment".to_owned())),
    };
    Ok(GuardedApp {
        app: row.parsed("app_id")?,
        since: row.moment("since")?,
        told,
    })
}
