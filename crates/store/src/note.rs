//! Progress inside a step: lines and events that belong to no change of state.

use proximity_domain::time::Timestamp;

use crate::apply::apply;
use crate::effects::Effects;
use crate::error::StoreError;
use crate::queue::held;
use crate::records::Fence;
use crate::store::Store;

impl Store {
    /// Commits effects of a step that is still at work: log lines, a volume seen for the first time, events.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    pub async fn note(
        &self,
        fence: &Fence,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(async |tx| {
            let operation = held(tx, fence).await?;
            apply(tx, &operation, effects, self.shared.rest_ms, now).await
        })
        .await
    }
}
