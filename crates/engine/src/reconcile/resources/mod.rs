//! What the clusters have, recorded: nodes, storages, guests of anybody and tasks. Observed and never acted on.
//!
//! A pass hands over which clusters its look shows otherwise than they were recorded, by a checksum, and waits for nothing; a loop of
//! its own then looks at those again, reads the list of everything, and writes what differs. A cluster that stays as it is is read
//! anew after each round of the slow sweep alone, for what no list of guests shows (storages, tasks); the sweep itself hands over
//! configurations. What is as it was writes nothing.

mod rows;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::HostId;
use proximity_domain::observe::Sight;
use proximity_domain::resource::{Census, Found, Now};
use proximity_pve::lxc::LxcConfig;
use proximity_pve::{Error as PveError, ReadClient};
use proximity_store::records::HostRecord;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Reconciler, look};
use crate::error::EngineError;

/// Snapshots that one commit makes at most: others wait for it.
const AT_ONCE: usize = 200;
const STORAGES: &str = "/storage";
const STORAGE_AUDIT: &str = "Datastore.Audit";

/// Which clusters are to be read anew. In memory: after a restart all are.
#[derive(Debug, Default)]
pub(super) struct Stock {
    hosts: Mutex<BTreeMap<HostId, Standing>>,
    due: Notify,
}

#[derive(Debug, Default)]
struct Standing {
    /// Checksum of what was recorded; none is of what never was.
    recorded: Option<u64>,
    is_due: bool,
    /// Why it could not be recorded, as it was said last.
    said: Option<String>,
}

impl Stock {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<HostId, Standing>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look shows the cluster with this checksum.
    pub(super) fn shown(&self, host: HostId, sum: u64) {
        let mut hosts = self.lock();
        let standing = hosts.entry(host).or_default();
        if standing.recorded != Some(sum) {
            standing.is_due = true;
            self.due.notify_one();
        }
    }

    /// All of them, for what no look shows.
    pub(super) fn all_due(&self) {
        let mut hosts = self.lock();
        for standing in hosts.values_mut() {
            standing.is_due = true;
        }
        if !hosts.is_empty() {
            self.due.notify_one();
        }
    }

    /// Forgets entries that are no more.
    pub(super) fn retain(&self, hosts: &[HostRecord]) {
        let is_there = |id: &HostId| hosts.iter().any(|entry| entry.id == *id);
        self.lock().retain(|host, _| is_there(host));
    }

    /// Takes those that are due.
    fn take(&self) -> Vec<HostId> {
        let mut hosts = self.lock();
        let due = hosts.iter_mut().filter(|(_, standing)| standing.is_due);
        let taken = due.map(|(host, standing)| {
            standing.is_due = false;
            *host
        });
        taken.collect()
    }

    /// It was recorded as a look with this checksum shows it.
    fn recorded(&self, host: HostId, sum: u64) {
        if let Some(standing) = self.lock().get_mut(&host) {
            standing.recorded = Some(sum);
            standing.said = None;
        }
    }

    /// It could not be: the next pass that sees it hands it over again. True if that was not said before.
    fn failed(&self, host: HostId, why: &str) -> bool {
        let mut hosts = self.lock();
        let Some(standing) = hosts.get_mut(&host) else {
            return false;
        };
        standing.recorded = None;
        let is_new = standing.said.as_deref() != Some(why);
        standing.said = Some(why.to_owned());
        is_new
    }
}

/// What recording came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceReport {
    /// Clusters that were read.
    pub read: usize,
    /// Snapshots that were written.
    pub written: u64,
    /// Why others could not be read, for people.
    pub failed: Vec<String>,
}

impl Reconciler {
    /// Records resources whenever a pass or the sweep hands a cluster over, until `shutdown`.
    pub async fn run_resources(&self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.stock.due.notified() => {}
            }
            let recorded = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                recorded = self.record_resources() => recorded,
            };
            match recorded {
                Ok(report) => tracing::debug!(?report, "resources were recorded"),
                Err(e) => {
                    tracing::warn!(error = %e, code = e.code(), "resources could not be recorded");
                }
            }
        }
    }

    /// Records the resources of all clusters that were handed over.
    ///
    /// # Errors
    /// The store's. A cluster that cannot be read is in the report instead.
    pub async fn record_resources(&self) -> Result<ResourceReport, EngineError> {
        let mut report = ResourceReport::default();
        for host in self.stock.take() {
            let (census, sum) = match self.census(host).await {
                Ok(found) => found,
                Err(why) => {
                    if self.stock.failed(host, &why) {
                        tracing::warn!(%host, "RESOURCES NOT RECORDED: {why}");
                    }
                    report.failed.push(why);
                    continue;
                }
            };
            match self.record(&census).await {
                Ok(written) => {
                    self.stock.recorded(host, sum);
                    report.written += written;
                    report.read += 1;
                }
                Err(e) => {
                    self.stock.failed(host, &e.to_string());
                    return Err(e);
                }
            }
        }
        Ok(report)
    }

    /// Everything a cluster has, after a complete look, with the look's checksum; or why there is none.
    async fn census(&self, host: HostId) -> Result<(Census, u64), String> {
        let site = self.sites.site(host).await;
        let site = site.map_err(|e| format!("{e}; {}", e.hint()))?;
        let (look, sum) = look::look_and_sum(&site).await?;
        let read = &site.read;
        let unanswered = |e: PveError| look::unanswered(&e, site.host.label.as_str());
        // One after the other: what is asked side by side needs a connection each.
        let items = read.resource_list().await.map_err(unanswered)?;
        let storages = storages(read).await.map_err(unanswered)?;
        let tasks = read.cluster_tasks().await.map_err(unanswered)?;
        let listed = rows::listed(items, &tasks);
        Ok((Census::of(look, listed, storages), sum))
    }

    /// Writes what differs from what is on record. Gives how many snapshots that makes.
    async fn record(&self, census: &Census) -> Result<u64, EngineError> {
        let kept = self.store.kept_resources(census.host()).await?;
        let found = census.findings(&kept);
        let mut written = 0;
        for part in found.chunks(AT_ONCE) {
            written += self.store.note_resources(part, self.clock.now()).await?;
        }
        Ok(written)
    }

    /// The sweep has read a container's configuration. It is written where the container is recorded and its configuration is not so
    /// already.
    pub(super) async fn keep_config(
        &self,
        place: &ContainerRef,
        config: &LxcConfig,
    ) -> Result<(), EngineError> {
        let found = Found::configured(place.host, place.vmid, &config.raw);
        let Some(record) = self.store.resource(found.id()).await? else {
            return Ok(());
        };
        let newest = self.store.snapshots(found.id(), None, 1).await?;
        let now = newest.first().map(|newest| Now {
            state: &newest.state,
            is_gone: record.gone_at.is_some(),
        });
        if found.follows(now).is_some() {
            let found = std::slice::from_ref(&found);
            self.store.note_resources(found, self.clock.now()).await?;
        }
        Ok(())
    }
}

/// Whether the token may see every storage.
async fn storages(read: &ReadClient) -> Result<Sight, PveError> {
    let held = read.permissions(Some(STORAGES)).await?;
    let all = held
        .get(STORAGES)
        .is_some_and(|held| held.propagates(STORAGE_AUDIT));
    Ok(if all { Sight::All } else { Sight::NotAll })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const HOST: HostId = HostId(Uuid::from_u128(1));

    #[test]
    fn a_cluster_is_due_until_it_was_recorded_as_it_is_shown() {
        let stock = Stock::default();
        assert_eq!(stock.take(), []);
        stock.shown(HOST, 7);
        assert_eq!(stock.take(), [HOST]);
        assert_eq!(stock.take(), [], "it is being recorded");
        stock.shown(HOST, 7);
        assert_eq!(stock.take(), [HOST], "it was not recorded");
        stock.recorded(HOST, 7);
        stock.shown(HOST, 7);
        assert_eq!(stock.take(), []);
        stock.shown(HOST, 8);
        assert_eq!(stock.take(), [HOST]);
        stock.recorded(HOST, 8);
        stock.all_due();
        assert_eq!(stock.take(), [HOST]);
        stock.retain(&[]);
        stock.all_due();
        assert_eq!(stock.take(), []);
    }

    #[test]
    fn why_it_failed_is_said_once() {
        let stock = Stock::default();
        stock.shown(HOST, 7);
        stock.take();
        let said = ["silent", "silent", "refused"].map(|why| stock.failed(HOST, why));
        assert_eq!(said, [true, false, true]);
        stock.shown(HOST, 7);
        assert_eq!(stock.take(), [HOST]);
        stock.recorded(HOST, 7);
        assert!(stock.failed(HOST, "refused"));
    }
}
