//! What resources were from which moment on, and clearing away what is more than is kept of it.
//!
//! The newest snapshot of a resource is its state, and is never cleared away by itself, whoever asks; what is left has no gap. A task
//! is something that happened: it goes whole, as does what is gone, or was observed at a host entry that was removed.

use proximity_domain::resource::{ResourceId, Snapshot, SnapshotChange};
use proximity_domain::retention::PastSnapshot;
use proximity_domain::time::Timestamp;

use crate::error::StoreError;
use crate::journal::MAX_ROWS;
use crate::row::{Columns, each};
use crate::sql::{Row, query};
use crate::store::{Reader, Store};

/// Each but the first of a resource ends the one before it.
const PAST: &str = "SELECT s.resource_id, s.seq, n.at AS ended_at FROM snapshots n \
     JOIN snapshots s ON s.resource_id = n.resource_id AND s.seq = n.seq - 1 \
     WHERE n.seq > 1 ORDER BY n.at, s.resource_id, s.seq LIMIT $1";

const CLEAR: &str = "DELETE FROM snapshots WHERE resource_id = $1 AND seq <= $2 \
     AND seq < (SELECT r.seq FROM resources r WHERE r.id = $1)";

const KEPT_FROM: &str = "UPDATE resources SET oldest_seq = \
     (SELECT MIN(s.seq) FROM snapshots s WHERE s.resource_id = $1) WHERE id = $1";

/// Those of before a moment, and those that come after the newest `$2`.
const OLD_TASKS: &str = "SELECT id FROM resources WHERE kind = 'task' AND (changed_at < $1 \
     OR id IN (SELECT t.id FROM resources t WHERE t.kind = 'task' \
     ORDER BY t.changed_at DESC, t.id DESC LIMIT 1000000000 OFFSET $2)) \
     ORDER BY changed_at, id LIMIT $3";

/// Gone for long enough, or of a host entry that was removed.
const PAST_RESOURCES: &str = "SELECT r.id FROM resources r WHERE r.gone_at < $1 \
     OR NOT EXISTS (SELECT 1 FROM hosts h WHERE h.id = r.host_id) ORDER BY r.id LIMIT $2";

/// `$1` a resource that may go whole.
macro_rules! where_it_may_go {
    () => {
        "WHERE id = $1 AND (kind = 'task' OR gone_at IS NOT NULL \
         OR NOT EXISTS (SELECT 1 FROM hosts h WHERE h.id = resources.host_id))"
    };
}

const CLEAR_WHOLE: &str = concat!(
    "DELETE FROM snapshots WHERE resource_id IN (SELECT id FROM resources ",
    where_it_may_go!(),
    ")"
);

const REMOVE: &str = concat!("DELETE FROM resources ", where_it_may_go!());

impl Reader {
    /// Snapshots of a resource, newest first, older ones than number `before` if one is given; at most `limit` and at most 1,000.
    ///
    /// # Errors
    /// The database's.
    pub async fn snapshots(
        &self,
        resource: ResourceId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Snapshot>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.snapshots_of(resource, before, limit)));
        }
        let rows = query(
            "SELECT * FROM snapshots WHERE resource_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
        )
        .bind(resource.to_string())
        .bind(before.unwrap_or(i64::MAX))
        .bind(i64::from(limit.min(MAX_ROWS)))
        .fetch_all(self.named("snapshots"))
        .await?;
        each(&rows, snapshot)
    }

    /// What a resource was at that moment; `None` if it was not recorded by then, or that is no longer kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn snapshot_at(
        &self,
        resource: ResourceId,
        at: Timestamp,
    ) -> Result<Option<Snapshot>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.snapshot_at(resource, at)));
        }
        let row = query(
            "SELECT * FROM snapshots WHERE resource_id = $1 AND at <= $2 ORDER BY seq DESC LIMIT 1",
        )
        .bind(resource.to_string())
        .bind(at.0)
        .fetch_optional(self.named("snapshot_at"))
        .await?;
        row.as_ref().map(snapshot).transpose()
    }

    /// Snapshots that are the state no more, those that ended first; at most `limit` and at most 1,000.
    ///
    /// # Errors
    /// The database's.
    pub async fn past_snapshots(&self, limit: u32) -> Result<Vec<PastSnapshot>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.past_snapshots(limit)));
        }
        let limit = i64::from(limit.min(MAX_ROWS));
        let rows = query(PAST)
            .bind(limit)
            .fetch_all(self.named("past_snapshots"))
            .await?;
        each(&rows, |row| {
            Ok(PastSnapshot {
                resource: row.parsed("resource_id")?,
                seq: row.int("seq")?,
                ended_at: row.moment("ended_at")?,
            })
        })
    }

    /// Resources with more than `most` snapshots, and the numbers up to which those are too many; at most `limit` and at most 1,000.
    ///
    /// # Errors
    /// The database's.
    pub async fn crowded_resources(
        &self,
        most: u64,
        limit: u32,
    ) -> Result<Vec<(ResourceId, i64)>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.crowded_resources(most, limit)));
        }
        let most = at_least_one(most);
        let rows = query(
            "SELECT id, seq FROM resources WHERE seq - oldest_seq >= $1 ORDER BY id LIMIT $2",
        )
        .bind(most)
        .bind(i64::from(limit.min(MAX_ROWS)))
        .fetch_all(self.named("crowded_resources"))
        .await?;
        each(&rows, |row| Ok((row.parsed("id")?, row.int("seq")? - most)))
    }

    /// Tasks that changed before that moment, or of which there are `most` newer ones, oldest first; at most `limit` and at most
    /// 1,000.
    ///
    /// # Errors
    /// The database's.
    pub async fn old_tasks(
        &self,
        before: Option<Timestamp>,
        most: u64,
        limit: u32,
    ) -> Result<Vec<ResourceId>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.old_tasks(before, most, limit)));
        }
        let rows = query(OLD_TASKS)
            .bind(before.map_or(i64::MIN, |at| at.0))
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .bind(i64::from(limit.min(MAX_ROWS)))
            .fetch_all(self.named("old_tasks"))
            .await?;
        each(&rows, |row| row.parsed("id"))
    }
}

impl Reader {
    /// Resources that were seen to be gone before that moment, and those of host entries that were removed; at most `limit` and at
    /// most 1,000.
    ///
    /// # Errors
    /// The database's.
    pub async fn past_resources(
        &self,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<ResourceId>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.past_resources(before, limit)));
        }
        let rows = query(PAST_RESOURCES)
            .bind(before.map_or(i64::MIN, |at| at.0))
            .bind(i64::from(limit.min(MAX_ROWS)))
            .fetch_all(self.named("past_resources"))
            .await?;
        each(&rows, |row| row.parsed("id"))
    }
}

/// The newest is always kept.
pub(crate) fn at_least_one(most: u64) -> i64 {
    i64::try_from(most.max(1)).unwrap_or(i64::MAX)
}

impl Store {
    /// Clears snapshots of these resources away, each up to a number, in one commit; gives how many went. The newest one stays.
    ///
    /// # Errors
    /// The database's.
    pub async fn clear_snapshots(&self, up_to: &[(ResourceId, i64)]) -> Result<u64, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.clear_snapshots(up_to)));
        }
        self.write(async |tx| {
            let mut gone = 0;
            for (resource, seq) in up_to {
                let id = resource.to_string();
                let cleared = query(CLEAR).bind(id.as_str()).bind(*seq);
                let cleared = cleared.execute(&mut *tx).await?.rows_affected();
                if cleared > 0 {
                    let from = query(KEPT_FROM).bind(id.as_str());
                    from.execute(&mut *tx).await?;
                }
                gone += cleared;
            }
            Ok(gone)
        })
        .await
    }

    /// Removes these with their snapshots, in one commit; gives how many. What is there stays, unless it is a task or of a host entry
    /// that was removed.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove_resources(&self, all: &[ResourceId]) -> Result<u64, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.remove_resources(all)));
        }
        self.write(async |tx| {
            let mut gone = 0;
            for one in all {
                let id = one.to_string();
                let clear = query(CLEAR_WHOLE).bind(id.as_str());
                clear.execute(&mut *tx).await?;
                let remove = query(REMOVE).bind(id.as_str());
                gone += remove.execute(&mut *tx).await?.rows_affected();
            }
            Ok(gone)
        })
        .await
    }
}

fn snapshot(row: &Row) -> Result<Snapshot, StoreError> {
    Ok(Snapshot {
        seq: row.int("seq")?,
        at: row.moment("at")?,
        change: row.label("change", SnapshotChange::parse)?,
        state: row.json("state")?,
    })
}
