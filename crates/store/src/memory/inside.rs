//! What people have run inside the container of an app: its audit.

use proximity_domain::ids::AppId;
use proximity_domain::time::Timestamp;
use serde_json::Value;

use super::apps::no_app;
use super::state::State;
use crate::error::StoreError;
use crate::journal::Act;
use crate::records::Actor;

impl State {
    pub(crate) fn note_command(
        &mut self,
        app: AppId,
        action: &str,
        details: Value,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.live_app(app).ok_or_else(|| no_app(app))?;
        let target = app.to_string();
        self.add_audit(actor, Act::request(action, &target, details), now);
        Ok(())
    }
}
