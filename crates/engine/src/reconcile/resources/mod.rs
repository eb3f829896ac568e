//! What the clusters have, recorded: nodes, storages, guests of anybody and tasks. Observed and never acted on.
//!
//! A pass hands over which clusters its look shows otherwise than they were recorded, by a checksum, and waits for nothing; a loop of
//! its own then looks at those again, reads the list of everything, and writes what differs. A cluster that stays as it is is read
//! anew after each round of the slow sweep alone, for what no list of guests shows (storages, tasks); the sweep itself hands over
//! configurations. What is as it was writes nothing.

mod hidden;
mod rows;
mod stock;

use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::HostId;
use proximity_domain::observe::Sight;
use proximity_domain::resource::{Census, Found, Now, ResourceKey};
use proximity_pve::lxc::LxcConfig;
use proximity_pve::{Error as PveError, ReadClient};
use proximity_store::StoreError;
use tokio_util::sync::CancellationToken;

use super::{Reconciler, Site, look};
use crate::error::EngineError;

use rows::Row;
pub(super) use stock::Stock;

/// Snapshots that one commit makes at most: others wait for it.
const AT_ONCE: usize = 200;
const STORAGES: &str = "/storage";
const STORAGE_AUDIT: &str = "Datastore.Audit";

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

/// What one endpoint says of a whole cluster.
struct Told {
    site: Site,
    census: Census<Row>,
    /// The look's checksum.
    sum: u64,
    /// How often another endpoint was asked first, before it was read.
    moves: u64,
}

/// Why a cluster was not recorded.
enum NotRecorded {
    /// It could not be read: why, for people.
    Unread(String),
    /// It could not be written.
    Unwritten(EngineError),
}

impl From<String> for NotRecorded {
    fn from(why: String) -> Self {
        Self::Unread(why)
    }
}

impl From<StoreError> for NotRecorded {
    fn from(error: StoreError) -> Self {
        Self::Unwritten(error.into())
    }
}

impl Reconciler {
    /// Records resources whenever a pass or the sweep hands a cluster over, until `shutdown`.
    pub async fn run_resources(&self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.stock.notified() => {}
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
        let mut due = self.stock.take(self.moment()).into_iter();
        while let Some(host) = due.next() {
            match self.record_one(host).await {
                Ok(written) => {
                    report.written += written;
                    report.read += 1;
                }
                Err(NotRecorded::Unread(why)) => {
                    if self.stock.failed(host, &why, self.moment()) {
                        tracing::warn!(%host, "RESOURCES NOT RECORDED: {why}");
                    }
                    report.failed.push(why);
                }
                Err(NotRecorded::Unwritten(e)) => {
                    self.stock.failed(host, &e.to_string(), self.moment());
                    self.stock.again(due);
                    return Err(e);
                }
            }
        }
        Ok(report)
    }

    /// Writes what differs from what is on record of one cluster, part by part: no more of it is there at once than one commit makes.
    /// Gives how many snapshots that makes.
    async fn record_one(&self, host: HostId) -> Result<u64, NotRecorded> {
        let told = self.told(host).await?;
        let kept = self.store.kept_resources(host).await?;
        let gone = told.census.doubtful(&kept).collect();
        let (seen, asked_to) = self.seen(&told, gone).await?;
        // Nodes stay last.
        let mut found = seen.into_iter().chain(told.census.certain(&kept));
        let mut written = 0;
        loop {
            let part: Vec<Found> = found.by_ref().take(AT_ONCE).collect();
            if part.is_empty() {
                break;
            }
            written += self.store.note_resources(&part, self.clock.now()).await?;
        }
        match asked_to {
            None => self.stock.recorded(host, told.sum),
            Some(asked_to) => self.stock.recorded_up_to(host, asked_to),
        }
        Ok(written)
    }

    /// Everything a cluster has, after a complete look, by the word of one endpoint; or why there is none.
    async fn told(&self, host: HostId) -> Result<Told, String> {
        let site = self.sites.site(host).await;
        let site = site.map_err(|e| format!("{e}; {}", e.hint()))?;
        for _ in 0..look::TRIES {
            let moves = site.read.moves();
            let (census, sum) = census(&site, self.tasks_since_s()).await?;
            if site.read.moves() == moves {
                return Ok(Told {
                    site,
                    census,
                    sum,
                    moves,
                });
            }
        }
        Err(look::by_turns(site.host.label.as_str()))
    }

    /// Tasks that ended before this are not recorded: what is kept no longer would come back after each clearing. Seconds since 1970.
    fn tasks_since_s(&self) -> u64 {
        let Some(kept_ms) = self.tasks_kept_ms else {
            return 0;
        };
        let since_ms = self.clock.now().0.saturating_sub(kept_ms);
        u64::try_from(since_ms.div_euclid(1_000)).unwrap_or_default()
    }

    /// What of this is gone and not hidden from the token; and up to which resource that was asked, if not of all.
    async fn seen(
        &self,
        told: &Told,
        gone: Vec<Found>,
    ) -> Result<(Vec<Found>, Option<ResourceKey>), String> {
        let Site { host, read, .. } = &told.site;
        let asked_to = self.stock.asked_to(host.id);
        let (part, asked_to) = hidden::part(gone, Found::key, asked_to.as_ref());
        let seen = hidden::seen(read, part).await;
        let seen = seen.map_err(|e| look::unanswered(&e, host.label.as_str()))?;
        if read.moves() != told.moves {
            return Err(look::by_turns(host.label.as_str()));
        }
        Ok((seen, asked_to))
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

/// The look, then the list of everything and the tasks that did not end before that moment, with the look's checksum.
async fn census(site: &Site, since_s: u64) -> Result<(Census<Row>, u64), String> {
    let look = look::whole(site).await?;
    let read = &site.read;
    let unanswered = |e: PveError| look::unanswered(&e, site.host.label.as_str());
    // One after the other: what is asked side by side needs a connection each.
    let items = read.resource_list().await.map_err(unanswered)?;
    let storages = storages(read).await.map_err(unanswered)?;
    let mut tasks = read.cluster_tasks().await.map_err(unanswered)?;
    tasks.retain(|row| rows::is_kept(row, since_s));
    let listed = rows::listed(items, tasks);
    Ok((Census::of(look.inventory, listed, storages), look.sum))
}

/// Whether the token may see every storage.
async fn storages(read: &ReadClient) -> Result<Sight, PveError> {
    let held = read.permissions(Some(STORAGES)).await?;
    let all = held
        .get(STORAGES)
        .is_some_and(|held| held.propagates(STORAGE_AUDIT));
    Ok(if all { Sight::All } else { Sight::NotAll })
}
