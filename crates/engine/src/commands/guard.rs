//! The guard of an adopted app: whether its drift is told, because a person said so.

use proximity_domain::time::Timestamp;
use proximity_store::records::{Actor, AppRecord};

use crate::engine::Engine;
use crate::error::EngineError;

/// What is on record now.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardView {
    /// The app.
    pub app: AppRecord,
    /// Since when its drift is told; `None` = it is not.
    pub since: Option<Timestamp>,
}

impl Engine {
    /// Begins or ends the guard of an adopted app. The container is not touched, and nothing is read now: the slow sweep tells of
    /// what it reads anyway. The same again changes nothing.
    ///
    /// # Errors
    /// Unknown app, or one that was not adopted.
    pub async fn guard(
        &self,
        actor: &Actor,
        app: &str,
        on: bool,
    ) -> Result<GuardView, EngineError> {
        let app = self.find_app(app).await?;
        let store = self.store();
        store.guard(app.id, on, actor, self.now()).await?;
        let since = store.guarded_since(app.id).await?;
        Ok(GuardView { app, since })
    }
}
