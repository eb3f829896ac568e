//! Apps in numbers.

use crate::error::StoreError;
use crate::row::{Columns, each};
use crate::sql::query;
use crate::store::Reader;
use crate::views::AppCount;

impl Reader {
    /// Live apps, counted by everything they can be told apart by; of `owner` only, if one is given.
    ///
    /// # Errors
    /// The database's.
    pub async fn app_counts(&self, owner: Option<&str>) -> Result<Vec<AppCount>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.app_counts(owner)));
        }
        let rows = query(
            "SELECT a.class, a.status, a.node, a.catalog_id, h.label, COUNT(*) AS apps \
             FROM apps a JOIN hosts h ON h.id = a.host_id \
             WHERE a.archived_at IS NULL AND ($1 IS NULL OR a.owner = $1) \
             GROUP BY a.class, a.status, a.node, a.catalog_id, h.label \
             ORDER BY a.class, a.status, h.label, a.node, a.catalog_id",
        )
        .bind(owner)
        .fetch_all(self)
        .await?;
        each(&rows, |row| {
            Ok(AppCount {
                class: row.text("class")?,
                status: row.text("status")?,
                host: row.text("label")?,
                node: row.text("node")?,
                catalog_id: row.text("catalog_id")?,
                apps: row.number("apps")?,
            })
        })
    }
}
