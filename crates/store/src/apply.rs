//! Applying a worker's effects inside the transaction of its step.

use proximity_domain::app::StatusLabel;
use proximity_domain::event::EventKind;
use proximity_domain::time::Timestamp;
use serde_json::json;

use crate::adoptions;
use crate::apps::{change_app, live_app, not_live, set_status};
use crate::archive::archive;
use crate::effects::{Effects, NewEvent, NewLogLine};
use crate::error::StoreError;
use crate::guests;
use crate::journal::{add_event, add_log_line};
use crate::records::OperationRecord;
use crate::sql::{Tx, query};
use crate::store::Shared;
use crate::views::ArchivedBy;

/// Applies `effects` of `operation` to its app.
pub(crate) async fn apply(
    tx: &mut Tx,
    operation: &OperationRecord,
    effects: &Effects,
    shared: &Shared,
    now: Timestamp,
) -> Result<(), StoreError> {
    let app = operation.app;
    for change in &effects.guests {
        guests::change(tx, change, app, operation.id, now).await?;
    }
    if let Some(record) = &effects.adoption {
        adoptions::record(tx, &shared.sealer, app, record, now).await?;
    }
    if let Some(status) = &effects.status {
        set_status(tx, app, status, Some(operation.id), now).await?;
    }
    if let Some(url) = &effects.url {
        // What was fetched by its host name was fetched before that.
        let changed = query(
            "UPDATE apps SET url = $2, site_url = NULL, site_trouble = NULL \
             WHERE id = $1 AND archived_at IS NULL",
        )
        .bind(app.to_string())
        .bind(url)
        .execute(&mut *tx)
        .await?;
        if changed.rows_affected() == 0 {
            return Err(not_live(app));
        }
    }
    if let Some(change) = &effects.change {
        change_app(tx, &shared.sealer, app, change).await?;
    }
    if let Some(percent) = effects.percent {
        query("UPDATE operations SET percent = $2 WHERE id = $1")
            .bind(operation.id.to_string())
            .bind(i64::from(percent.min(100)))
            .execute(&mut *tx)
            .await?;
    }
    for line in &effects.log {
        add_log_line(tx, line, app, operation.id, now).await?;
    }
    if effects.percent.is_some() || !effects.log.is_empty() {
        let event = progressed(operation, effects.percent, effects.log.last());
        add_event(tx, &event, Some(app), Some(operation.id), now).await?;
    }
    for event in &effects.events {
        add_event(tx, event, Some(app), Some(operation.id), now).await?;
    }
    if effects.archive {
        let rest = effects.rest_ports.then_some(shared.rest_ms);
        let by = ArchivedBy::Operation(operation.id);
        archive(tx, app, by, rest, now).await?;
    }
    Ok(())
}

/// One event per commit that moves or says something, however many lines it says.
pub(crate) fn progressed(
    operation: &OperationRecord,
    percent: Option<u8>,
    newest: Option<&NewLogLine>,
) -> NewEvent {
    let percent = percent.unwrap_or(operation.percent).min(100);
    NewEvent {
        kind: EventKind::OperationProgressed,
        body: json!({
            "kind": operation.kind,
            "percent": percent,
            "step": newest.and_then(|line| line.step.as_deref()),
            "message": newest.map(|line| line.message.as_str()),
        }),
    }
}

/// Refuses to end an operation that would leave its live app on the way to somewhere, with nobody to take it there.
pub(crate) async fn refuse_limbo(
    tx: &mut Tx,
    operation: &OperationRecord,
) -> Result<(), StoreError> {
    let Some(app) = live_app(tx, operation.app).await? else {
        return Ok(());
    };
    let label = app.status.label();
    if is_transitional(label) {
        let what = format!(
            "operation {} cannot end while its app is {}",
            operation.id,
            label.label()
        );
        return Err(StoreError::IllegalTransition { what });
    }
    Ok(())
}

/// On the way from one status to another: only while an operation lives.
pub(crate) fn is_transitional(label: StatusLabel) -> bool {
    match label {
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Updating
        | StatusLabel::Removing => true,
        StatusLabel::Running | StatusLabel::Stopped | StatusLabel::Error => false,
    }
}
