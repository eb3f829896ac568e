//! Network devices of guests as they were seen last: a row is written when something changed, and not for each look.

use proximity_domain::ids::GuestId;
use proximity_domain::interface::GuestInterface;
use proximity_domain::time::Timestamp;

use crate::error::StoreError;
use crate::row::{Columns, to_json};
use crate::sql::query;
use crate::store::{Reader, Store};

/// What a guest shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenInterfaces {
    /// By name.
    pub interfaces: Vec<GuestInterface>,
    /// Since when it shows just these, as far as it was looked at.
    pub since: Timestamp,
}

impl Store {
    /// Keeps what a guest shows. False, and nothing is written, if it showed the same before, or is gone.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_interfaces(
        &self,
        guest: GuestId,
        interfaces: &[GuestInterface],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.note_interfaces(guest, interfaces, now)));
        }
        self.write(async |tx| {
            let written = query(
                "INSERT INTO guest_interfaces (guest_id, interfaces, since) \
                 SELECT id, CAST($2 AS TEXT), CAST($3 AS BIGINT) FROM guests WHERE id = $1 AND gone_at IS NULL \
                 ON CONFLICT (guest_id) DO UPDATE SET interfaces = excluded.interfaces, since = excluded.since \
                 WHERE guest_interfaces.interfaces <> excluded.interfaces",
            )
            .bind(guest.to_string())
            .bind(to_json("interfaces", &interfaces)?)
            .bind(now.0)
            .execute(tx)
            .await?;
            Ok(written.rows_affected() > 0)
        })
        .await
    }
}

impl Reader {
    /// What a guest showed when it was looked at last; `None` if it never was while it ran.
    ///
    /// # Errors
    /// The database's.
    pub async fn interfaces(&self, guest: GuestId) -> Result<Option<SeenInterfaces>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.interfaces(guest)));
        }
        let row = query("SELECT * FROM guest_interfaces WHERE guest_id = $1")
            .bind(guest.to_string())
            .fetch_optional(self.named("interfaces"))
            .await?;
        row.map(|row| {
            Ok(SeenInterfaces {
                interfaces: row.json("interfaces")?,
                since: row.moment("since")?,
            })
        })
        .transpose()
    }
}
