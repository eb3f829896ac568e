//! The engine: what the API, the CLI and the worker call.

use std::sync::Arc;
use std::time::Duration;

use proximity_domain::apply::ChangeState;
use proximity_domain::ids::OperationId;
use proximity_domain::janitor;
use proximity_domain::prepared::Policy;
use proximity_domain::retention::Retention;
use proximity_domain::retry::RetryPolicy;
use proximity_domain::time::{Clock, Timestamp};
use proximity_domain::told::Told;
use proximity_store::Store;
use tokio::sync::Notify;

use crate::at_work::{AtWork, InFlight};
use crate::catalog::Catalog;
use crate::cluster::Clusters;
use crate::commands::{HelperProgram, MOST_INSIDE, MOST_PROGRAMS};
use crate::entries::Entries;
use crate::fetching::Fetching;
use crate::housekeeping::TIDY_EVERY;
use crate::janitor::{JANITOR_EVERY, Janitor};
use crate::reconcile::Reconciler;
use crate::seams::{Connect, IdSource, Ingress, Probe};
use crate::sources::SourceLimits;
use crate::templates::Shelf;

/// Everything the engine needs from outside, and what may be tuned.
#[derive(Debug)]
pub struct EngineParts {
    /// Durable state.
    pub store: Store,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids and random numbers.
    pub ids: Arc<dyn IdSource>,
    /// Ways to the clusters.
    pub connect: Arc<dyn Connect>,
    /// Gateway.
    pub ingress: Arc<dyn Ingress>,
    /// Health requests.
    pub probe: Arc<dyn Probe>,
    /// What can be installed, until it is read again.
    pub catalog: Catalog,
    /// The helper for the nodes; none in a build without it.
    pub helper: Option<HelperProgram>,
    /// Tunables.
    pub limits: EngineLimits,
}

/// Tunables, with the defaults of the architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineLimits {
    /// Operations worked on at the same time. Each host may have one beyond.
    pub operations: usize,
    /// Of these, per host.
    pub operations_per_host: usize,
    /// How long operations in flight may take to reach a safe point at shutdown, milliseconds.
    pub drain_ms: u64,
    /// How long a claim lasts without being renewed, milliseconds.
    pub lease_ms: i64,
    /// How long a guest gets to shut down, seconds.
    pub shutdown_s: u32,
    /// How long a guest gets to show an address, milliseconds.
    pub network_ms: u64,
    /// How long a PVE task may run, milliseconds.
    pub task_ms: u64,
    /// How long one node may be without an answer when a place for a new guest is looked for, milliseconds; what a call
    /// waits for its turn there does not count.
    pub node_ms: u64,
    /// How far apart the looks are that together prove an absence nothing else explains, milliseconds: as long as that a
    /// create call whose answer was lost may still arrive.
    pub late_ms: u64,
    /// How long the way to the node has to be free after a destroy call whose answer was lost, and of which no task is seen, before
    /// another one is sent or the number is given back, and after a lift of the protection whose answer was lost, before anything is put
    /// back, milliseconds.
    pub destroy_late_ms: u64,
    /// How long the way to the node has to be free after a shutdown or forced stop whose answer was lost, and of which no task is seen,
    /// before anything goes on, milliseconds.
    pub power_off_late_ms: u64,
    /// How long after its audit such a call may arrive at the latest, also behind a node that hangs, milliseconds: then all of that goes
    /// on in any case.
    pub proxied_late_ms: u64,
    /// How often, and after which waits, what did not work is tried again where looking shows that it is safe.
    pub retry: RetryPolicy,
    /// Address people reach public ports under; the host in `url`.
    pub public_host: String,
    /// Address at which this process itself reaches the gateway's public ports.
    pub gateway_address: std::net::IpAddr,
    /// New guests are created with PVE's `protection`.
    pub protect: bool,
    /// How long an app may be on its way with nobody at work.
    pub stuck: janitor::Limits,
    /// From one look for such apps to the next.
    pub janitor_every: Duration,
    /// From the end of one round of the slow sweep to the beginning of the next, to the minute.
    pub sweep_rest: Duration,
    /// How much of the journals is kept.
    pub retention: Retention,
    /// From one look for what is more than that, and for what has expired, to the next.
    pub tidy_every: Duration,
    /// How repositories are read.
    pub sources: SourceLimits,
    /// The folders of the catalog are looked at again and again.
    pub catalog_watch: bool,
    /// Which prepared templates are made and kept, and whether any are.
    pub templates: Policy,
}

const OPERATIONS: usize = 32;
const OPERATIONS_PER_HOST: usize = 4;
const DRAIN_MS: u64 = 10_000;
const LEASE_MS: i64 = 30_000;
const SHUTDOWN_S: u32 = 60;
const NETWORK_MS: u64 = 60_000;
const TASK_MS: u64 = 900_000;
const NODE_MS: u64 = 5_000;
const LATE_MS: u64 = 30_000;
const DESTROY_LATE_MS: u64 = 10_000;
const POWER_OFF_LATE_MS: u64 = 20_000;
// Each leaves within 5 s of its audit (PERMIT_VALID_MS) or not at all, and PVE's proxies give it up after 30 s: docs/adr/0018.
const PROXIED_LATE_MS: u64 = 40_000;
const SWEEP_REST: Duration = Duration::from_secs(600);

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            operations: OPERATIONS,
            operations_per_host: OPERATIONS_PER_HOST,
            drain_ms: DRAIN_MS,
            lease_ms: LEASE_MS,
            shutdown_s: SHUTDOWN_S,
            network_ms: NETWORK_MS,
            task_ms: TASK_MS,
            node_ms: NODE_MS,
            late_ms: LATE_MS,
            destroy_late_ms: DESTROY_LATE_MS,
            power_off_late_ms: POWER_OFF_LATE_MS,
            proxied_late_ms: PROXIED_LATE_MS,
            retry: RetryPolicy::DEFAULT,
            public_host: "127.0.0.1".to_owned(),
            gateway_address: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            protect: true,
            stuck: janitor::Limits::default(),
            janitor_every: JANITOR_EVERY,
            sweep_rest: SWEEP_REST,
            retention: Retention::default(),
            tidy_every: TIDY_EVERY,
            sources: SourceLimits::default(),
            catalog_watch: false,
            templates: Policy::default(),
        }
    }
}

/// The engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) parts: EngineParts,
    pub(crate) clusters: Arc<Clusters>,
    pub(crate) reconciler: Reconciler,
    pub(crate) janitor: Janitor,
    pub(crate) at_work: AtWork,
    pub(crate) in_flight: InFlight,
    /// Held from reading a host entry to the commit of its change.
    pub(crate) host_changes: tokio::sync::Mutex<()>,
    /// Held while the helper is put on nodes or taken away: a second one would take the first one's line out.
    pub(crate) helper_changes: tokio::sync::Mutex<()>,
    /// Held while doctor looks: each look asks every node, and enters it.
    pub(crate) doctor: tokio::sync::Mutex<()>,
    /// Places for commands that people have run inside containers.
    pub(crate) inside: Arc<tokio::sync::Semaphore>,
    /// Those among them for programs of a person's choice.
    pub(crate) programs: Arc<tokio::sync::Semaphore>,
    /// Held from reading what is promised to the commit of a new promise.
    pub(crate) placing: tokio::sync::Mutex<()>,
    /// Whose turn it is to bring an OS template.
    pub(crate) fetching: Fetching,
    /// Rung when there is something to claim.
    pub(crate) bell: Notify,
    /// Is told how long each plan took.
    pub(crate) plans_told: Told<Duration>,
    /// Is told how each change of an apply ended.
    pub(crate) changes_told: Told<ChangeState>,
    /// Rung when there is an apply to carry out, or one to stop.
    pub(crate) applies: Notify,
    /// Rung when a source is to be looked at.
    pub(crate) sources: Notify,
    /// The catalog as it is now.
    pub(crate) entries: Entries,
    /// What is known of prepared templates beside the record.
    pub(crate) shelf: Shelf,
}

impl Engine {
    /// An engine over its parts. Nothing runs until a [`crate::worker::Worker`] does.
    #[must_use]
    pub fn new(parts: EngineParts) -> Self {
        let clusters = Arc::new(Clusters::new(
            parts.store.clone(),
            parts.connect.clone(),
            parts.clock.clone(),
        ));
        let at_work = AtWork::default();
        let entries = Entries::new(parts.catalog.clone());
        let (store, clock) = (parts.store.clone(), parts.clock.clone());
        let (sites, rest) = (clusters.clone(), parts.limits.sweep_rest);
        let reconciler = Reconciler::new(
            store.clone(),
            clock.clone(),
            sites,
            at_work.clone(),
            rest,
            parts.limits.retention.snapshots.age_ms,
        );
        Self {
            inner: Arc::new(Inner {
                reconciler,
                janitor: Janitor::new(store, clock, parts.limits.stuck, parts.limits.janitor_every),
                parts,
                clusters,
                at_work,
                in_flight: InFlight::default(),
                host_changes: tokio::sync::Mutex::default(),
                helper_changes: tokio::sync::Mutex::default(),
                doctor: tokio::sync::Mutex::default(),
                inside: Arc::new(tokio::sync::Semaphore::new(MOST_INSIDE)),
                programs: Arc::new(tokio::sync::Semaphore::new(MOST_PROGRAMS)),
                placing: tokio::sync::Mutex::default(),
                fetching: Fetching::default(),
                bell: Notify::new(),
                plans_told: Told::default(),
                changes_told: Told::default(),
                applies: Notify::new(),
                sources: Notify::new(),
                entries,
                shelf: Shelf::default(),
            }),
        }
    }

    /// Read-only view of the store.
    #[must_use]
    pub fn reader(&self) -> proximity_store::Reader {
        self.inner.parts.store.reader()
    }

    /// What keeps the record true to the clusters.
    #[must_use]
    pub fn reconciler(&self) -> &Reconciler {
        &self.inner.reconciler
    }

    /// Whether this process is at work on an operation. It is for a moment longer than the record says: what ends an operation is
    /// committed first, and then the app is let go.
    #[must_use]
    pub fn is_at_work(&self, id: OperationId) -> bool {
        self.inner.in_flight.has(id)
    }

    /// What marks apps that are stuck on their way.
    #[must_use]
    pub fn janitor(&self) -> &Janitor {
        &self.inner.janitor
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.parts.clock.now()
    }
}
