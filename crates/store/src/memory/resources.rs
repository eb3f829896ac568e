//! Resources as they were observed, and their snapshots.

use proximity_domain::ids::HostId;
use proximity_domain::resource::{
    Found, KeptResource, Now, OfCluster, ResourceId, ResourceKind, Snapshot, SnapshotChange,
};
use proximity_domain::retention::PastSnapshot;
use proximity_domain::time::Timestamp;

use super::state::State;
use crate::calls::SnapshotWritten;
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::MAX_ROWS;
use crate::resources::{Noted, ResourceFilter, ResourceRecord};
use crate::row::to_json;
use crate::snapshots::at_least_one;

impl State {
    pub(crate) fn note_resources(
        &mut self,
        found: &[Found],
        at: Timestamp,
    ) -> Result<Noted, StoreError> {
        let mut noted = Noted::default();
        for found in found {
            let cluster = self.hosts.get(&found.host()).map(|host| OfCluster {
                host: host.label.to_string(),
                cluster_key: host.cluster_key.clone(),
            });
            if let Some(cluster) = cluster {
                self.note_resource(found, &cluster, at, &mut noted)?;
            }
        }
        Ok(noted)
    }

    fn note_resource(
        &mut self,
        found: &Found,
        cluster: &OfCluster,
        at: Timestamp,
        noted: &mut Noted,
    ) -> Result<(), StoreError> {
        let id = found.id();
        let before = self.resources.get(&id).cloned();
        let recorded = before.as_ref();
        let newest = recorded.and_then(|record| self.snapshots.get(&(id, record.seq)));
        let now = recorded.zip(newest).map(|(record, newest)| Now {
            state: &newest.state,
            is_gone: record.gone_at.is_some(),
        });
        let Some(follows) = found.follows(now) else {
            return Ok(());
        };
        noted.written += 1;
        let last = recorded.map_or(0, |record| record.seq);
        let told = follows.told(found, now, cluster, last + 1);
        let state = follows.state;
        let Some(change) = follows.change else {
            if let Some(snapshot) = self.snapshots.row(&(id, last)) {
                snapshot.state = state;
            }
            return Ok(());
        };
        noted.snapshots.push(SnapshotWritten {
            change,
            bytes: to_json("state", &state)?.len(),
        });
        let seq = last + 1;
        let record = ResourceRecord {
            id,
            host: found.host(),
            key: found.key().clone(),
            name: state.name().map(ToOwned::to_owned),
            status: state.status().to_owned(),
            listed_digest: state.listed_digest(),
            seq,
            oldest_seq: recorded.map_or(1, |record| record.oldest_seq),
            first_seen_at: recorded.map_or(at, |record| record.first_seen_at),
            changed_at: at,
            gone_at: (change == SnapshotChange::Deleted).then_some(at),
        };
        self.resources.put(id, record);
        let snapshot = Snapshot {
            seq,
            at,
            change,
            state,
        };
        self.snapshots.put((id, seq), snapshot);
        if let Some((kind, body)) = told {
            self.add_event(&NewEvent { kind, body }, None, None, at);
        }
        Ok(())
    }

    /// Those that pass the filter, in the order of lists.
    fn filtered(&self, filter: &ResourceFilter) -> Vec<&ResourceRecord> {
        let passes = |record: &&ResourceRecord| {
            let named =
                |name: &String| record.key.name == *name || record.name.as_ref() == Some(name);
            let stands = |status: &String| record.status == *status;
            filter.host.is_none_or(|host| host == record.host)
                && filter.kind.is_none_or(|kind| kind == record.key.kind)
                && filter.status.as_ref().is_none_or(stands)
                && filter.named.as_ref().is_none_or(named)
                && (filter.gone || record.gone_at.is_none())
                && self.has_host(record)
        };
        let mut found: Vec<&ResourceRecord> = self.resources.values().filter(passes).collect();
        found.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
        found
    }

    pub(crate) fn list_resources(&self, filter: &ResourceFilter) -> Vec<ResourceRecord> {
        let mut found = self.filtered(filter);
        if let Some(after) = filter.after {
            match self.resources.get(&after) {
                Some(after) => found.retain(|record| place(record) > place(after)),
                None => found.clear(),
            }
        }
        let page = found.into_iter().take(rows(filter.most()));
        page.cloned().collect()
    }

    pub(crate) fn count_resources(&self, filter: &ResourceFilter) -> u64 {
        self.filtered(filter).len() as u64
    }

    pub(crate) fn kept_resources(&self, host: HostId) -> Vec<KeptResource> {
        let filter = ResourceFilter {
            host: Some(host),
            gone: true,
            ..ResourceFilter::default()
        };
        let found = self.filtered(&filter).into_iter();
        let kept = found.map(|record| {
            let (key, is_gone) = (record.key.clone(), record.gone_at.is_some());
            KeptResource::of(key, &record.status, record.listed_digest, is_gone)
        });
        kept.collect()
    }

    /// None of a host entry that was removed.
    pub(crate) fn resource(&self, id: ResourceId) -> Option<ResourceRecord> {
        let record = self.resources.get(&id)?;
        self.has_host(record).then(|| record.clone())
    }

    fn has_host(&self, record: &ResourceRecord) -> bool {
        self.hosts.contains_key(&record.host)
    }

    pub(crate) fn past_resources(&self, before: Option<Timestamp>, limit: u32) -> Vec<ResourceId> {
        let is_past = |record: &&ResourceRecord| {
            let gone = record.gone_at.zip(before);
            gone.is_some_and(|(at, before)| at < before) || !self.has_host(record)
        };
        let past = self.resources.values().filter(is_past);
        past.map(|record| record.id).take(rows(limit)).collect()
    }

    pub(crate) fn remove_resources(&mut self, all: &[ResourceId]) -> u64 {
        let mut gone = 0;
        for id in all {
            let may_go = self.resources.get(id).is_some_and(|record| {
                record.key.kind == ResourceKind::Task
                    || record.gone_at.is_some()
                    || !self.has_host(record)
            });
            if may_go {
                self.remove_resource(*id);
                gone += 1;
            }
        }
        gone
    }

    fn remove_resource(&mut self, id: ResourceId) {
        for seq in self.numbers(id) {
            self.snapshots.remove(&(id, seq));
        }
        self.resources.remove(&id);
    }

    /// Of its snapshots, oldest first.
    fn numbers(&self, id: ResourceId) -> Vec<i64> {
        let own = self.snapshots.range((id, i64::MIN)..=(id, i64::MAX));
        own.map(|((_, seq), _)| *seq).collect()
    }

    fn own(&self, id: ResourceId) -> impl DoubleEndedIterator<Item = &Snapshot> {
        let own = self.snapshots.range((id, i64::MIN)..=(id, i64::MAX));
        own.map(|(_, snapshot)| snapshot)
    }

    pub(crate) fn snapshots_of(
        &self,
        id: ResourceId,
        before: Option<i64>,
        limit: u32,
    ) -> Vec<Snapshot> {
        let own = self.own(id).rev();
        let older = own.filter(|one| before.is_none_or(|before| one.seq < before));
        older.take(rows(limit)).cloned().collect()
    }

    pub(crate) fn snapshot_at(&self, id: ResourceId, at: Timestamp) -> Option<Snapshot> {
        self.own(id).rfind(|one| one.at <= at).cloned()
    }

    pub(crate) fn past_snapshots(&self, limit: u32) -> Vec<PastSnapshot> {
        let all = self.snapshots.keys();
        let past = all.filter_map(|(id, seq)| {
            let next = self.snapshots.get(&(*id, seq + 1))?;
            Some(PastSnapshot {
                resource: *id,
                seq: *seq,
                ended_at: next.at,
            })
        });
        let mut past: Vec<PastSnapshot> = past.collect();
        past.sort_by_key(|one| (one.ended_at, one.resource, one.seq));
        past.truncate(rows(limit));
        past
    }

    pub(crate) fn crowded_resources(&self, most: u64, limit: u32) -> Vec<(ResourceId, i64)> {
        let most = at_least_one(most);
        let all = self.resources.values();
        let crowded = all.filter(|record| record.seq - record.oldest_seq >= most);
        let up_to = crowded.map(|record| (record.id, record.seq - most));
        up_to.take(rows(limit)).collect()
    }

    pub(crate) fn clear_snapshots(&mut self, up_to: &[(ResourceId, i64)]) -> u64 {
        let mut gone = 0;
        for (id, to) in up_to {
            let Some(newest) = self.resources.get(id).map(|record| record.seq) else {
                continue;
            };
            for seq in self.numbers(*id) {
                if seq <= *to && seq < newest {
                    self.snapshots.remove(&(*id, seq));
                    gone += 1;
                }
            }
            let oldest = self.own(*id).next().map(|one| one.seq);
            if let (Some(oldest), Some(record)) = (oldest, self.resources.row(id)) {
                record.oldest_seq = oldest;
            }
        }
        gone
    }

    pub(crate) fn old_tasks(
        &self,
        before: Option<Timestamp>,
        most: u64,
        limit: u32,
    ) -> Vec<ResourceId> {
        let all = self.resources.values();
        let tasks = all.filter(|record| record.key.kind == ResourceKind::Task);
        let mut tasks: Vec<(Timestamp, ResourceId)> =
            tasks.map(|record| (record.changed_at, record.id)).collect();
        tasks.sort_unstable();
        let over = (tasks.len() as u64).saturating_sub(most);
        let is_old = |at: Timestamp| before.is_some_and(|before| at < before);
        let tasks = tasks.into_iter().zip(0_u64..);
        let old = tasks.filter(|((at, _), n)| *n < over || is_old(*at));
        old.map(|((_, id), _)| id).take(rows(limit)).collect()
    }
}

/// The place in lists.
fn place(record: &ResourceRecord) -> (HostId, &'static str, &str) {
    let key = &record.key;
    (record.host, key.kind.label(), key.name.as_str())
}

fn rows(limit: u32) -> usize {
    usize::try_from(limit.min(MAX_ROWS)).unwrap_or(usize::MAX)
}
