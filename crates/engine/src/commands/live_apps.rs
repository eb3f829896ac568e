//! All live apps.

use proximity_store::records::AppRecord;

use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// All live apps, in the order of their ids; of those that are recorded or archived meanwhile some may be among them.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn live_apps(&self) -> Result<Vec<AppRecord>, EngineError> {
        let mut all: Vec<AppRecord> = Vec::new();
        loop {
            let after = all.last().map(|app| app.id);
            let next = self.store().apps_by_id(after).await?;
            if next.is_empty() {
                return Ok(all);
            }
            all.extend(next);
        }
    }
}
