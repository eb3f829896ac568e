//! Applying a worker's effects inside the write of its step.

use proximity_domain::time::Timestamp;

use super::state::State;
use crate::apply::{is_transitional, progressed};
use crate::effects::Effects;
use crate::error::StoreError;
use crate::records::OperationRecord;
use crate::views::ArchivedBy;

impl State {
    pub(crate) fn apply(
        &mut self,
        operation: &OperationRecord,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let app = operation.app;
        for change in effects.guests {
            self.change_guest(change, app, operation.id, now)?;
        }
        if let Some(record) = effects.adoption {
            self.record_adoption(app, record)?;
        }
        if let Some(status) = &effects.status {
            self.set_status(app, status, Some(operation.id), now)?;
        }
        if let Some(url) = effects.url {
            let row = self.live_row(app)?;
            row.url = url;
            if let Some(site) = &mut row.site {
                (site.url, site.trouble) = (None, None);
            }
        }
        if let Some(change) = effects.change {
            let row = self.live_row(app)?;
            let asked = &mut row.asked;
            asked.resources = change.resources;
            if let Some(entry) = change.entry {
                asked.catalog_version = entry.version;
                row.entry_hash = Some(entry.hash);
            }
            if let Some(settings) = change.settings {
                asked.environment = settings.open;
                asked.environment_sealed = settings.sealed;
            }
        }
        if let Some(percent) = effects.percent
            && let Some(found) = self.operations.row(&operation.id)
        {
            found.record.percent = percent.min(100);
        }
        for line in &effects.log {
            self.add_log_line(line, app, operation.id, now);
        }
        if effects.percent.is_some() || !effects.log.is_empty() {
            let event = progressed(operation, effects.percent, effects.log.last());
            self.add_event(&event, Some(app), Some(operation.id), now);
        }
        for event in &effects.events {
            self.add_event(event, Some(app), Some(operation.id), now);
        }
        if effects.archive {
            let rest = effects.rest_ports.then_some(self.rest_ms);
            self.archive(app, ArchivedBy::Operation(operation.id), rest, now)?;
        }
        Ok(())
    }

    /// Refuses to end an operation that would leave its live app on the way to somewhere.
    pub(crate) fn refuse_limbo(&self, operation: &OperationRecord) -> Result<(), StoreError> {
        let Some(app) = self.live_app(operation.app) else {
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
}
