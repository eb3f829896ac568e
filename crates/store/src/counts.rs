//! Apps in numbers.

use std::collections::BTreeMap;

use proximity_domain::create::Resources;
use proximity_domain::ids::HostId;
use proximity_domain::names::NodeName;

use crate::error::StoreError;
use crate::row::{Columns, each};
use crate::sql::query;
use crate::store::Reader;
use crate::views::{AppCount, Promised};

/// Every placement asks this: it looks at the apps that are being deployed, however many others there are.
pub(crate) const PROMISED: &str = "SELECT host_id, node, resources, COUNT(*) AS apps FROM apps \
     WHERE archived_at IS NULL AND status = 'deploying' GROUP BY host_id, node, resources";

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
            "SELECT a.class, a.status, a.node, a.catalog_id, a.exposed, h.label, COUNT(*) AS apps \
             FROM apps a JOIN hosts h ON h.id = a.host_id \
             WHERE a.archived_at IS NULL AND ($1 IS NULL OR a.owner = $1) \
             GROUP BY a.class, a.status, a.node, a.catalog_id, a.exposed, h.label \
             ORDER BY a.class, a.status, h.label, a.node, a.catalog_id, a.exposed",
        )
        .bind(owner)
        .fetch_all(self.named("app_counts"))
        .await?;
        each(&rows, |row| {
            Ok(AppCount {
                class: row.text("class")?,
                status: row.text("status")?,
                host: row.text("label")?,
                node: row.text("node")?,
                catalog_id: row.text("catalog_id")?,
                exposed: row.int("exposed")? == 1,
                apps: row.number("apps")?,
            })
        })
    }

    /// What the apps that are being deployed take, by host and node.
    ///
    /// # Errors
    /// The database's.
    pub async fn promised(&self) -> Result<Vec<Promised>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.promised()));
        }
        let rows = query(PROMISED).fetch_all(self.named("promised")).await?;
        let alike = each(&rows, |row| {
            let place = (row.parsed("host_id")?, row.parsed("node")?);
            Ok((place, row.json("resources")?, row.number("apps")?))
        })?;
        Ok(sum(alike))
    }
}

/// Sums up per node; each item is a place, what one app takes there, and how many such apps there are.
pub(crate) fn sum(
    alike: impl IntoIterator<Item = ((HostId, NodeName), Resources, u64)>,
) -> Vec<Promised> {
    let mut all: BTreeMap<(HostId, NodeName), (u64, u64)> = BTreeMap::new();
    for (place, each, apps) in alike {
        let (memory, disk) = all.entry(place).or_default();
        *memory = memory.saturating_add(each.memory_mib.saturating_mul(apps));
        *disk = disk.saturating_add(u64::from(each.disk_gib).saturating_mul(apps));
    }
    let promised = all.into_iter().map(|((host, node), sums)| Promised {
        host,
        node,
        memory_mib: sums.0,
        disk_gib: sums.1,
    });
    promised.collect()
}
