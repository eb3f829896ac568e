//! What the janitor looks at, and the one thing that it writes.

use proximity_domain::app::{StatusEvent, StatusLabel};
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::janitor::Pulse;
use proximity_domain::names::Hostname;
use proximity_domain::time::Timestamp;

use crate::apps::{live_app, not_live, set_status};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{add_app_line, add_event};
use crate::records::LogLevel;
use crate::row::{Columns, each};
use crate::sql::{Row, query};
use crate::store::{Reader, Store};

/// An app on its way to somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transitional {
    /// The app.
    pub app: AppId,
    /// Its name.
    pub hostname: Hostname,
    /// Which way it is on.
    pub status: StatusLabel,
    /// Since when.
    pub since: Timestamp,
    /// Its live operation.
    pub operation: Option<OperationId>,
    /// How that is.
    pub pulse: Pulse,
}

macro_rules! transitional {
    ($tail:literal) => {
        concat!(
            "SELECT a.id, a.hostname, a.status, a.status_changed_at, o.id AS operation_id, o.state, \
             o.lease_until FROM apps a LEFT JOIN operations o ON o.app_id = a.id \
             AND o.state IN ('queued', 'running', 'unwinding', 'stuck') WHERE a.archived_at IS NULL \
             AND a.status IN ('deploying', 'adopting', 'cloning', 'updating', 'removing') ",
            $tail
        )
    };
}

impl Reader {
    /// Live apps that are on their way to somewhere, longest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn transitional_apps(&self) -> Result<Vec<Transitional>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.transitional_apps()));
        }
        let rows = query(transitional!("ORDER BY a.status_changed_at, a.id"))
            .fetch_all(self.named("transitional_apps"))
            .await?;
        each(&rows, transitional)
    }
}

impl Store {
    /// Marks an app that is stuck on its way as *error*. False if it is not as it was seen: settled, further, or in somebody's
    /// hands again; nothing is written then.
    ///
    /// # Errors
    /// The database's.
    pub async fn mark_stuck(
        &self,
        seen: &Transitional,
        why: Failure,
        event: &NewEvent,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.mark_stuck(seen, why, event, now));
        }
        self.write(async |tx| {
            let row = query(transitional!("AND a.id = $1"))
                .bind(seen.app.to_string())
                .fetch_optional(&mut *tx)
                .await?;
            let still = row.as_ref().map(transitional).transpose()?;
            if still.as_ref() != Some(seen) {
                return Ok(false);
            }
            let app = live_app(tx, seen.app).await?;
            let app = app.ok_or_else(|| not_live(seen.app))?;
            add_app_line(tx, LogLevel::Error, &why.message, seen.app, now).await?;
            let status = app.status.next(StatusEvent::Failed(why.clone(), now));
            let status = status.map_err(|e| StoreError::IllegalTransition {
                what: e.to_string(),
            })?;
            set_status(tx, seen.app, &status, seen.operation, now).await?;
            add_event(tx, event, Some(seen.app), seen.operation, now).await?;
            Ok(true)
        })
        .await
    }
}

fn transitional(row: &Row) -> Result<Transitional, StoreError> {
    let pulse = match (
        row.text_opt("state")?.as_deref(),
        row.moment_opt("lease_until")?,
    ) {
        (None, _) => Pulse::None,
        (Some("stuck"), _) => Pulse::Stuck,
        (Some(_), Some(until)) => Pulse::Leased { until },
        (Some(_), None) => Pulse::Waiting,
    };
    Ok(Transitional {
        app: row.parsed("id")?,
        hostname: row.parsed("hostname")?,
        status: row.label("status", StatusLabel::parse)?,
        since: row.moment("status_changed_at")?,
        operation: row.parsed_opt("operation_id")?,
        pulse,
    })
}
