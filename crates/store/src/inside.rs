//! What people have run inside the container of an app, outside of any operation: its audit.

use proximity_domain::ids::AppId;
use proximity_domain::time::Timestamp;
use serde_json::Value;

use crate::apps::{live_app, not_live};
use crate::error::StoreError;
use crate::journal::{Act, add_audit};
use crate::records::Actor;
use crate::store::Store;

impl Store {
    /// Records a command that is about to be run in the container of an app, before it is sent. Nothing secret belongs into `details`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the app is not live; the database's. The command must not be sent then.
    pub async fn note_command(
        &self,
        app: AppId,
        action: &str,
        details: Value,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.note_command(app, action, details, actor, now));
        }
        self.write(async |tx| {
            live_app(tx, app).await?.ok_or_else(|| not_live(app))?;
            let target = app.to_string();
            let act = Act::request(action, &target, details.clone());
            add_audit(tx, actor, act, now).await
        })
        .await
    }
}
