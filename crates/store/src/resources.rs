//! Resources of the clusters as they were observed. Each change of one is a snapshot ([`crate::snapshots`]) and an event, written in
//! the same commit; what is as it was writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::ids::HostId;
use proximity_domain::resource::{
    Found, KeptResource, ListedDigest, Now, OfCluster, ResourceId, ResourceKey, ResourceKind,
    ResourceState, SnapshotChange,
};
use proximity_domain::time::Timestamp;

use crate::calls::SnapshotWritten;
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::add_event;
use crate::pages;
use crate::pages::next;
use crate::row::{Columns, each, to_json};
use crate::sql::{Row, Tx, query, query_scalar};
use crate::store::{Reader, Store, aside};

/// A resource, beside its states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRecord {
    /// Its id.
    pub id: ResourceId,
    /// The host entry whose cluster has it.
    pub host: HostId,
    /// What the cluster calls it.
    pub key: ResourceKey,
    /// What people call it, if that is something else.
    pub name: Option<String>,
    /// Its status now, or when it was seen last, e.g. `running`.
    pub status: String,
    /// Checksum of what a list said of it.
    pub listed_digest: ListedDigest,
    /// Number of its newest snapshot.
    pub seq: i64,
    /// Number of the oldest one that is kept.
    pub oldest_seq: i64,
    /// When it was recorded first.
    pub first_seen_at: Timestamp,
    /// When its newest snapshot was made.
    pub changed_at: Timestamp,
    /// When it was seen to be gone; `None` while it is there.
    pub gone_at: Option<Timestamp>,
}

/// Which resources to list, by host entry, kind and what the cluster calls them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceFilter {
    /// Only of this host entry.
    pub host: Option<HostId>,
    /// Only of this kind.
    pub kind: Option<ResourceKind>,
    /// Only with this status.
    pub status: Option<String>,
    /// Only what people or the cluster call so.
    pub named: Option<String>,
    /// Those that are gone too.
    pub gone: bool,
    /// Only resources after this one in the order of the list.
    pub after: Option<ResourceId>,
    /// How many at most; 0 means [`ResourceFilter::DEFAULT_LIMIT`], more than [`ResourceFilter::MAX_LIMIT`] means that.
    pub limit: u32,
}

impl ResourceFilter {
    /// Rows unless asked otherwise.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// Most rows.
    pub const MAX_LIMIT: u32 = 1000;

    /// How many at most.
    pub(crate) fn most(&self) -> u32 {
        match self.limit {
            0 => Self::DEFAULT_LIMIT,
            n => n.min(Self::MAX_LIMIT),
        }
    }
}

/// What one commit wrote of resources.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// How many of them.
    pub(crate) written: u64,
    /// Those of which it was a snapshot, and not what the newest one lacked.
    pub(crate) snapshots: Vec<SnapshotWritten>,
}

/// Its host entry is there. What was observed at one that was removed is in no list.
macro_rules! of_a_host {
    () => {
        "EXISTS (SELECT 1 FROM hosts h WHERE h.id = r.host_id)"
    };
}

/// `$1` host entry, `$2` kind, `$3` status, `$4` name, `$5` whether those that are gone too.
macro_rules! where_filter {
    () => {
        "WHERE ($1 IS NULL OR r.host_id = $1) AND ($2 IS NULL OR r.kind = $2) \
         AND ($3 IS NULL OR r.status = $3) AND ($4 IS NULL OR r.item = $4 OR r.name = $4) \
         AND ($5 = 1 OR r.gone_at IS NULL)"
    };
}

const COUNT: &str = concat!(
    "SELECT COUNT(*) FROM resources r ",
    where_filter!(),
    " AND ",
    of_a_host!()
);
const PAGE: &str = concat!(
    "SELECT r.* FROM resources r LEFT JOIN resources b ON b.id = $6 ",
    where_filter!(),
    " AND ",
    of_a_host!(),
    " AND ($6 IS NULL OR (r.host_id, r.kind, r.item) > (b.host_id, b.kind, b.item)) \
     ORDER BY r.host_id, r.kind, r.item LIMIT $7"
);

const ONE: &str = concat!(
    "SELECT r.* FROM resources r WHERE r.id = $1 AND ",
    of_a_host!()
);

/// `$1` host entry, `$2` and `$3` the kind and the name that the page is behind, `$4` how many.
const KEPT: &str = concat!(
    "SELECT r.kind, r.item, r.status, r.listed_digest, r.gone_at FROM resources r \
     WHERE r.host_id = $1 AND (r.kind, r.item) > ($2, $3) AND ",
    of_a_host!(),
    " ORDER BY r.kind, r.item LIMIT $4"
);

const NOW: &str = "SELECT r.seq, r.gone_at, s.state FROM resources r \
     JOIN snapshots s ON s.resource_id = r.id AND s.seq = r.seq WHERE r.id = $1";

const PUT: &str = "INSERT INTO resources (id, host_id, kind, item, name, status, listed_digest, seq, \
     oldest_seq, first_seen_at, changed_at, gone_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9, $10) \
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, status = excluded.status, \
     listed_digest = excluded.listed_digest, seq = excluded.seq, changed_at = excluded.changed_at, \
     gone_at = excluded.gone_at";

/// What the row of a resource says is no part of what is added: that a list says.
const COMPLETE: &str = "UPDATE snapshots SET state = $3 WHERE resource_id = $1 AND seq = $2";

impl Store {
    /// Writes down what follows from what was found out, in one commit: of each resource that is not so already a snapshot and its
    /// event, or what the newest snapshot lacks, which is no event. Gives how many were written. Of what was found at a host entry
    /// that is gone by now nothing follows.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_resources(&self, found: &[Found], at: Timestamp) -> Result<u64, StoreError> {
        if let Some(model) = self.model() {
            let noted = model.write(|state| state.note_resources(found, at))?;
            return Ok(self.tell_of(noted));
        }
        let noted = self.write(async |tx| {
            let hosts: BTreeSet<HostId> = found.iter().map(Found::host).collect();
            let mut clusters = BTreeMap::new();
            for host in hosts {
                if let Some(cluster) = of_cluster(tx, host).await? {
                    clusters.insert(host, cluster);
                }
            }
            let mut noted = Noted::default();
            for found in found {
                if let Some(cluster) = clusters.get(&found.host()) {
                    note(tx, found, cluster, at, &mut noted).await?;
                }
            }
            Ok(noted)
        });
        Ok(self.tell_of(noted.await?))
    }

    /// What is committed is told of. Gives how much that was.
    fn tell_of(&self, noted: Noted) -> u64 {
        for snapshot in noted.snapshots {
            self.shared.listeners.snapshots.tell(snapshot);
        }
        noted.written
    }
}

impl Reader {
    /// Resources that pass the filter, a page of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn resources(
        &self,
        filter: &ResourceFilter,
    ) -> Result<Vec<ResourceRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.list_resources(filter)));
        }
        let rows = query(PAGE)
            .bind(filter.host.map(|host| host.to_string()))
            .bind(filter.kind.map(ResourceKind::label))
            .bind(&filter.status)
            .bind(&filter.named)
            .bind(i64::from(filter.gone))
            .bind(filter.after.map(|id| id.to_string()))
            .bind(i64::from(filter.most()))
            .fetch_all(self.named("resources"))
            .await?;
        each(&rows, resource)
    }

    /// How many resources pass the filter, on all pages.
    ///
    /// # Errors
    /// The database's.
    pub async fn resource_count(&self, filter: &ResourceFilter) -> Result<u64, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.count_resources(filter)));
        }
        let count: i64 = query_scalar(COUNT)
            .bind(filter.host.map(|host| host.to_string()))
            .bind(filter.kind.map(ResourceKind::label))
            .bind(&filter.status)
            .bind(&filter.named)
            .bind(i64::from(filter.gone))
            .fetch_one(self.named("resource_count"))
            .await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// One resource, gone or not; none of a host entry that was removed.
    ///
    /// # Errors
    /// The database's.
    pub async fn resource(&self, id: ResourceId) -> Result<Option<ResourceRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.resource(id)));
        }
        let row = query(ONE)
            .bind(id.to_string())
            .fetch_optional(self.named("resource"))
            .await?;
        row.as_ref().map(resource).transpose()
    }

    /// All resources of a host entry, as a look is held against them.
    ///
    /// # Errors
    /// The database's.
    pub async fn kept_resources(&self, host: HostId) -> Result<Vec<KeptResource>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.kept_resources(host)));
        }
        let reader = self.clone();
        aside(async move {
            let kept = reader.read_as("kept_resources", async |tx| read_kept(tx, host).await);
            kept.await
        })
        .await
    }
}

/// All of them, as one snapshot shows them, page by page.
async fn read_kept(tx: &mut Tx, host: HostId) -> Result<Vec<KeptResource>, StoreError> {
    let host = host.to_string();
    let mut all: Vec<KeptResource> = Vec::new();
    loop {
        let (kind, item) = all.last().map_or(("", ""), |last| {
            (last.key.kind.label(), last.key.name.as_str())
        });
        let rows = query(KEPT)
            .bind(host.as_str())
            .bind(kind)
            .bind(item)
            .bind(pages::PAGE)
            .fetch_all(&mut *tx)
            .await?;
        let is_last = next(&rows).is_none();
        all.extend(each(&rows, kept)?);
        if is_last {
            return Ok(all);
        }
    }
}

fn kept(row: &Row) -> Result<KeptResource, StoreError> {
    let status = row.text("status")?;
    let is_gone = row.moment_opt("gone_at")?.is_some();
    let digest = row.parsed("listed_digest")?;
    Ok(KeptResource::of(key(row)?, &status, digest, is_gone))
}

/// The names of a host entry's cluster; `None` if the entry is gone.
async fn of_cluster(tx: &mut Tx, host: HostId) -> Result<Option<OfCluster>, StoreError> {
    let row = query("SELECT label, cluster_key FROM hosts WHERE id = $1")
        .bind(host.to_string())
        .fetch_optional(tx)
        .await?;
    let names = |row: &Row| -> Result<OfCluster, StoreError> {
        Ok(OfCluster {
            host: row.text("label")?,
            cluster_key: row.text("cluster_key")?,
        })
    };
    row.as_ref().map(names).transpose()
}

/// Writes what follows from one thing that was found out; nothing if it is so already.
async fn note(
    tx: &mut Tx,
    found: &Found,
    cluster: &OfCluster,
    at: Timestamp,
    noted: &mut Noted,
) -> Result<(), StoreError> {
    let id = found.id().to_string();
    let row = query(NOW)
        .bind(id.as_str())
        .fetch_optional(&mut *tx)
        .await?;
    let recorded = row.as_ref().map(recorded).transpose()?;
    let now = recorded.as_ref().map(|(_, is_gone, state)| Now {
        state,
        is_gone: *is_gone,
    });
    let Some(follows) = found.follows(now) else {
        return Ok(());
    };
    noted.written += 1;
    let newest = recorded.as_ref().map_or(0, |(seq, ..)| *seq);
    let Some(change) = follows.change else {
        query(COMPLETE)
            .bind(id.as_str())
            .bind(newest)
            .bind(to_json("state", &follows.state)?)
            .execute(tx)
            .await?;
        return Ok(());
    };
    let state = to_json("state", &follows.state)?;
    noted.snapshots.push(SnapshotWritten {
        change,
        bytes: state.len(),
    });
    let seq = newest + 1;
    put(tx, found, change, &follows.state, seq, at).await?;
    query(
        "INSERT INTO snapshots (resource_id, seq, at, change, state) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id.as_str())
    .bind(seq)
    .bind(at.0)
    .bind(change.label())
    .bind(state)
    .execute(&mut *tx)
    .await?;
    if let Some((kind, body)) = follows.told(found, now, cluster, seq) {
        add_event(tx, &NewEvent { kind, body }, None, None, at).await?;
    }
    Ok(())
}

fn recorded(row: &Row) -> Result<(i64, bool, ResourceState), StoreError> {
    let is_gone = row.moment_opt("gone_at")?.is_some();
    Ok((row.int("seq")?, is_gone, row.json("state")?))
}

async fn put(
    tx: &mut Tx,
    found: &Found,
    change: SnapshotChange,
    state: &ResourceState,
    seq: i64,
    at: Timestamp,
) -> Result<(), StoreError> {
    let gone_at = (change == SnapshotChange::Deleted).then_some(at.0);
    query(PUT)
        .bind(found.id().to_string())
        .bind(found.host().to_string())
        .bind(found.key().kind.label())
        .bind(found.key().name.as_str())
        .bind(state.name())
        .bind(state.status())
        .bind(state.listed_digest().to_string())
        .bind(seq)
        .bind(at.0)
        .bind(gone_at)
        .execute(tx)
        .await?;
    Ok(())
}

fn key(row: &Row) -> Result<ResourceKey, StoreError> {
    Ok(ResourceKey {
        kind: row.label("kind", ResourceKind::parse)?,
        name: row.text("item")?,
    })
}

fn resource(row: &Row) -> Result<ResourceRecord, StoreError> {
    Ok(ResourceRecord {
        id: row.parsed("id")?,
        host: row.parsed("host_id")?,
        key: key(row)?,
        name: row.text_opt("name")?,
        status: row.text("status")?,
        listed_digest: row.parsed("listed_digest")?,
        seq: row.int("seq")?,
        oldest_seq: row.int("oldest_seq")?,
        first_seen_at: row.moment("first_seen_at")?,
        changed_at: row.moment("changed_at")?,
        gone_at: row.moment_opt("gone_at")?,
    })
}
