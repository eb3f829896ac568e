//! What is done at a host outside of any operation: its audit, and whether anything of ours needs the host.

use proximity_domain::ids::HostId;
use proximity_domain::time::Timestamp;
use serde_json::json;

use crate::error::StoreError;
use crate::hosts::users;
use crate::journal::{Act, add_audit};
use crate::records::Actor;
use crate::store::{Reader, Store};

impl Store {
    /// Records one change that is about to be made at a host, e.g. of its accounts, before it is sent. `label` names the host;
    /// it need not have an entry yet. Nothing secret belongs into `change`.
    ///
    /// # Errors
    /// The database's; the change must not be sent then.
    pub async fn note_host_act(
        &self,
        label: &str,
        action: &str,
        change: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let details = json!({ "change": change });
        if let Some(model) = self.model() {
            return model.write(|state| {
                state.add_audit(actor, Act::request(action, label, details), now);
                Ok(())
            });
        }
        self.write(async |tx| add_audit(tx, actor, Act::request(action, label, details), now).await)
            .await
    }

    /// How many apps, guests that are not gone and unfinished operations need the host; while there is one, it stays.
    ///
    /// # Errors
    /// The database's.
    pub async fn host_users(&self, id: HostId) -> Result<usize, StoreError> {
        if let Some(model) = Reader::model(self) {
            return Ok(model.read(|state| state.users_of(id)));
        }
        self.write(async |tx| users(tx, id).await).await
    }
}
