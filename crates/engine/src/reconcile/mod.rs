//! Keeps the record true to the clusters: what is missing is suspected, proven and archived, what moved is followed, and the
//! power of settled apps is taken from what was read. Diagnoses, and never acts on Proxmox VE.
//!
//! Flow of a pass: one complete look per cluster ([`look`]), compared with the record in memory; suspicions are counted
//! ([`missing`]); what is ripe is proven by direct reads and the lists of other nodes and archived, unless the mass brake stops; what moved or changed its
//! power is followed ([`follow`]), read directly unless the list's word counts by itself ([`settled`]). Beside the passes a slow sweep ([`sweep`]) reads the configuration of every
//! container in turn, for a list does not tell whose a container is; what is wrong is told once ([`alarm`]), what is not as documents want it too ([`documents`]), an adopted container in
//! our pool too ([`pool`]). A pass that tells of something tells of itself too ([`telling`]). What the clusters have at all is recorded in a loop of its own ([`resources`]), which a pass whose list is
//! another one wakes.
//! Guarantees: there is no way to a change of Proxmox VE in these types, only [`ReadClient`]s and the store; an app with a
//! live operation is left to it; what could not be seen is unknown; a pass that finds nothing new writes nothing and sends
//! three requests per cluster.

mod addresses;
mod alarm;
mod documents;
mod doubtful;
mod faces;
mod follow;
mod guard;
mod identify;
mod lent;
mod look;
mod missing;
mod outcome;
mod pace;
mod patience;
mod pool;
mod prove;
mod resources;
mod rounds;
mod settled;
mod sights;
mod suspect;
mod sweep;
mod telling;
mod twins;
mod verified;
mod watch;
mod words;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::{GuestId, HostId};
use proximity_domain::observe::{CompleteInventory, NotProven, Others};
use proximity_domain::time::{Anchor, Clock, Monotonic, Timestamp};
use proximity_domain::told::Told;
use proximity_pve::ReadClient;
use proximity_store::Store;
use proximity_store::observation::WatchedGuest;
use proximity_store::opening::opened_by;
use proximity_store::records::{Actor, HostRecord};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument, debug_span};

use crate::at_work::AtWork;
use crate::error::EngineError;

use addresses::Addresses;
pub(crate) use documents::{KEY, actual, power_of, sides_of};
use doubtful::Doubtful;
pub(crate) use identify::tasks_lately;
pub(crate) use look::{direct, sight};
pub use outcome::{
    ANOMALOUS_LINE, BrakeView, EXPECTED_LINE, OrphanView, PassEnd, ReconcileReport, ReconcileResult,
};
use pace::Pace;
use patience::{Hung, Kept};
use prove::LateEndpoints;
pub use resources::ResourceReport;
use resources::Stock;
use sights::Sights;
pub use sweep::SweepReport;
use verified::Verified;
use watch::Watch;
pub(crate) use words::{AtHand, Wanted, Word, words_of_each};

/// How often the clusters are observed.
const EVERY: Duration = Duration::from_secs(10);
/// So many observations make the pass that is told of whatever it finds: once an hour.
const TOLD_EVERY: u32 = 360;
/// Guests asked about at the same time.
const AT_ONCE: usize = 4;

/// One cluster as the reconciler gets it: the entry, and a client that can only read.
#[derive(Debug, Clone)]
pub struct Site {
    /// The host entry.
    pub host: HostRecord,
    /// Reads, and nothing else.
    pub read: ReadClient,
    /// It is an emulated cluster on this machine, whose guests have loopback addresses.
    pub on_this_machine: bool,
}

/// Where the reconciler finds the clusters.
#[async_trait]
pub trait Sites: Send + Sync + Debug {
    /// The cluster of this host entry.
    ///
    /// # Errors
    /// The entry is gone, or cannot be used.
    async fn site(&self, host: HostId) -> Result<Site, EngineError>;
}

/// What a pass may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pass {
    /// Look and follow; orphans are archived unless the mass brake stops.
    Work,
    /// Look and tell; nothing is written.
    Dry,
    /// As [`Pass::Work`]; a person typed how many containers are missing, which releases the mass brake for exactly so many.
    Confirmed {
        /// The number.
        missing: u64,
        /// Who.
        actor: Actor,
    },
}

/// The reconciler. One pass at a time.
#[derive(Debug)]
pub struct Reconciler {
    store: Store,
    clock: Arc<dyn Clock>,
    anchor: Anchor,
    sites: Arc<dyn Sites>,
    at_work: AtWork,
    /// Kept between passes; a restart loses nothing that counts.
    watch: Mutex<Watch>,
    sights: Sights,
    /// Paces the slow sweep, over all clusters.
    pace: Pace,
    verified: Verified,
    hung: Hung,
    late: LateEndpoints,
    /// Why a guest is not proven to be gone, where that takes other nodes' lists.
    unproven: Kept<GuestId, NotProven>,
    /// Whose list of tasks told nothing of what changed its power.
    untold: Kept<HostId, ()>,
    /// What the sweep reads next.
    doubtful: Doubtful,
    /// What the sweep read of where containers are reached.
    addresses: Addresses,
    /// Whose resources are to be recorded anew.
    stock: Stock,
    /// So long tasks of Proxmox VE are kept once they have ended; `None`: without end.
    tasks_kept_ms: Option<i64>,
    /// From one round of the slow sweep to the next.
    sweep_rest: Duration,
    /// A round of the sweep is under way.
    sweeping: AtomicBool,
    /// Passes that this process has begun.
    passes: AtomicU64,
    nudged: Notify,
    /// Is told of each pass.
    passes_told: Told<PassEnd>,
}

/// What a pass saw of one cluster.
struct Seen {
    /// When its list was asked for, and when it had come, by the clock that nobody sets.
    asked: Monotonic,
    answered: Monotonic,
    /// When its look began.
    began: Timestamp,
    /// When it had come to its end.
    ended: Timestamp,
    site: Site,
    inventory: CompleteInventory,
    /// Checksum of what does not change by itself.
    sum: u64,
    /// How often another endpoint had been asked first.
    moves: u64,
    /// The token sees the tasks of all in the cluster's list.
    shows_tasks: bool,
    /// The looks of its other nodes, once they were asked for.
    others: Mutex<Option<Arc<Others>>>,
    guests: Arc<Vec<WatchedGuest>>,
}

impl Seen {
    /// How many containers are on no record.
    fn unmanaged(&self) -> u64 {
        let mut recorded: Vec<_> = self.guests.iter().map(|g| g.watched.place.vmid).collect();
        recorded.sort_unstable();
        let others = self.inventory.containers();
        let others = others.filter(|(vmid, _)| recorded.binary_search(vmid).is_err());
        u64::try_from(others.count()).unwrap_or(u64::MAX)
    }
}

impl Reconciler {
    pub(crate) fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        sites: Arc<dyn Sites>,
        at_work: AtWork,
        sweep_rest: Duration,
        tasks_kept_ms: Option<i64>,
    ) -> Self {
        Self {
            anchor: Anchor::of(clock.as_ref()),
            watch: Mutex::new(Watch::new(&store)),
            store,
            clock,
            sites,
            at_work,
            sights: Sights::default(),
            pace: Pace::default(),
            verified: Verified::default(),
            hung: Hung::default(),
            late: LateEndpoints::default(),
            unproven: Kept::default(),
            untold: Kept::default(),
            doubtful: Doubtful::default(),
            addresses: Addresses::default(),
            stock: Stock::default(),
            tasks_kept_ms,
            sweep_rest,
            sweeping: AtomicBool::new(false),
            passes: AtomicU64::new(0),
            nudged: Notify::new(),
            passes_told: Told::default(),
        }
    }

    /// Observes every 10 s, or when nudged, until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        for round in 0_u32.. {
            tokio::select! {
                biased;
                () = tokio::time::sleep(EVERY) => {}
                () = self.nudged.notified() => {}
                () = shutdown.cancelled() => return,
            }
            let passed = tokio::select! {
                biased;
                passed = self.pass(&Pass::Work) => passed,
                () = shutdown.cancelled() => return,
            };
            match passed {
                Ok(report) => report.tell(round.is_multiple_of(TOLD_EVERY)),
                Err(e) => {
                    tracing::warn!(error = %e, code = e.code(), "the record could not be reconciled");
                }
            }
        }
    }

    /// Something may have changed: observe soon.
    pub fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// The hosts by label, and whether the newest pass saw each cluster whole. None is there before the first pass.
    #[must_use]
    pub fn seen_whole(&self) -> Vec<(String, bool)> {
        self.sights.whole()
    }

    /// How many containers are on no record, by the label of their host. A host that the newest pass did not see whole is left
    /// out.
    #[must_use]
    pub fn unmanaged(&self) -> BTreeMap<String, u64> {
        self.sights.unmanaged()
    }

    /// From now on `told` is told of each pass that has ended, whoever asked for it. The first one that is set stays.
    pub fn observe_passes(&self, told: impl Fn(PassEnd) + Send + Sync + 'static) {
        self.passes_told.set(told);
    }

    /// One pass over all clusters. One that tells of something says that it begins before that, and what came of it at its end; one
    /// that finds nothing new says nothing.
    ///
    /// # Errors
    /// The store cannot be read. A cluster that cannot be seen is in the result instead.
    pub async fn pass(&self, pass: &Pass) -> Result<ReconcileReport, EngineError> {
        let begun = self.moment();
        let span = debug_span!("reconcile_pass", result = Empty);
        let passed = self.pass_once(pass).instrument(span.clone()).await;
        let took = Duration::from_millis(self.moment().since_ms(begun));
        let end = PassEnd::of(&passed, took);
        span.record("result", end.result);
        self.passes_told.tell(end);
        passed
    }

    async fn pass_once(&self, pass: &Pass) -> Result<ReconcileReport, EngineError> {
        let mut watch = self.watch.lock().await;
        let mut report = ReconcileReport::default();
        if *pass == Pass::Dry {
            self.pass_over(pass, &mut watch, &mut report).await?;
            return Ok(report);
        }
        let telling = self.telling(pass);
        let work = Box::pin(self.pass_over(pass, &mut watch, &mut report));
        let (done, is_told) = opened_by(telling.begins(), work).await;
        if is_told {
            let ends = telling.ends(&report, done.is_ok());
            // All that the pass did is done and told, whether or not its end can be.
            if let Err(error) = self.store.announce(&ends, self.clock.now()).await {
                tracing::warn!(%error, "what a pass came to could not be told as an event");
            }
        }
        done.map(|()| report)
    }

    /// As [`Reconciler::pass`]. What was found until an error stays in the report.
    async fn pass_over(
        &self,
        pass: &Pass,
        watch: &mut Watch,
        report: &mut ReconcileReport,
    ) -> Result<(), EngineError> {
        let now = self.clock.now();
        watch.settled.begin(self.at_work.take_left(), self.moment());
        let mut seen = Vec::new();
        let hosts = self.store.hosts().await?;
        self.sights.retain(&hosts);
        self.stock.retain(&hosts);
        watch.record.refresh().await?;
        *report = ReconcileReport::of(watch.record.live_apps());
        let (mut looks, mut recorded) = (Vec::new(), Vec::new());
        for host in &hosts {
            let guests = watch.record.guests(host.id);
            recorded.push(Arc::clone(&guests));
            looks.push(self.see(host.id, guests));
        }
        let all = recorded.iter().flat_map(|guests| guests.iter());
        let count: usize = recorded.iter().map(|guests| guests.len()).sum();
        watch.faces.keep(count, all.map(|g| g.watched.guest));
        // Side by side: one that is silent must not keep the others from being looked at in time.
        for (host, found) in hosts.iter().zip(join_all(looks).await) {
            match found {
                Ok(found) => {
                    watch.settled.looked(host.id, found.asked, found.answered);
                    self.lose(&found, &mut watch.faces);
                    self.sights.note(host, Ok(found.unmanaged()));
                    if *pass != Pass::Dry {
                        self.stock.shown(host.id, found.sum);
                    }
                    report.result.real_vmids_count += found.inventory.guests();
                    seen.push(found);
                }
                Err(why) => {
                    report.unseen(host.label.as_str(), &why);
                    self.sights.note(host, Err(why));
                }
            }
        }
        let live = report.result.total_apps;
        let missing = self.count(&seen, watch, pass, now, live).await?;
        self.follow(&seen, watch, pass, now, report).await?;
        self.watch_pools(&seen, watch, pass, now).await?;
        self.settle(&seen, missing, pass, now, report).await?;
        // By the next pass Proxmox VE has closed what is kept, and each would wake us to say so.
        if !self.sweeping.load(Ordering::Relaxed) {
            seen.iter().for_each(|found| found.site.read.rest());
        }
        report.result.success = report.result.errors.is_empty();
        Ok(())
    }

    /// One cluster: a complete look beside what is on record there, or why there is no complete look. The record was read before
    /// the look, so that a guest recorded meanwhile is not missed in a list that is older.
    async fn see(&self, host: HostId, guests: Arc<Vec<WatchedGuest>>) -> Result<Seen, String> {
        let site = self.sites.site(host).await;
        let site = site.map_err(|e| format!("{e}; {}", e.hint()))?;
        let (began, asked) = (self.steady(), self.moment());
        let look = look::whole(&site).await?;
        Ok(Seen {
            asked,
            answered: self.moment(),
            began,
            ended: self.steady(),
            site,
            inventory: look.inventory,
            sum: look.sum,
            moves: look.moves,
            shows_tasks: look.shows_tasks,
            others: Mutex::default(),
            guests,
        })
    }

    /// Now, by the clock that nobody sets.
    fn moment(&self) -> Monotonic {
        self.clock.monotonic()
    }

    /// Now, held to the time that really passed: for ages. What is recorded bears the wall clock's time.
    fn steady(&self) -> Timestamp {
        self.anchor.now(self.clock.as_ref())
    }
}

/// As people name a place: `lab/pve1/101`.
fn named(label: &str, place: &ContainerRef) -> String {
    format!("{label}/{}/{}", place.node, place.vmid)
}

/// The account behind what the loops do.
pub(crate) fn system() -> Actor {
    Actor {
        account: "system".to_owned(),
        token: None,
        request: None,
    }
}
