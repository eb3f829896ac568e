//! The engine: what the API, the CLI and the worker call.

use std::sync::Arc;

use proximity_domain::time::{Clock, Timestamp};
use proximity_store::Store;
use tokio::sync::Notify;

use crate::at_work::AtWork;
use crate::catalog::Catalog;
use crate::cluster::Clusters;
use crate::seams::{Connect, IdSource, Ingress, Probe};

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
    /// What can be installed.
    pub catalog: Catalog,
    /// Tunables.
    pub limits: EngineLimits,
}

/// Tunables, with the defaults of the architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineLimits {
    /// Operations worked on at the same time.
    pub operations: usize,
    /// How long a claim lasts without being renewed, milliseconds.
    pub lease_ms: i64,
    /// How long a guest gets to shut down, seconds.
    pub shutdown_s: u32,
    /// How long a guest gets to show an address, milliseconds.
    pub network_ms: u64,
    /// How long a PVE task may run, milliseconds.
    pub task_ms: u64,
    /// How often a call whose outcome is unknown or that was not sent is looked at again.
    pub attempts: u32,
    /// Address people reach public ports under; the host in `url`.
    pub public_host: String,
    /// Address at which this process itself reaches the gateway's public ports.
    pub gateway_address: std::net::IpAddr,
    /// New guests are created with PVE's `protection`.
    pub protect: bool,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            operations: 8,
            lease_ms: 30_000,
            shutdown_s: 60,
            network_ms: 60_000,
            task_ms: 900_000,
            attempts: 3,
            public_host: "127.0.0.1".to_owned(),
            gateway_address: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            protect: true,
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
    pub(crate) clusters: Clusters,
    pub(crate) at_work: AtWork,
    /// Rung when there is something to claim.
    pub(crate) bell: Notify,
}

impl Engine {
    /// An engine over its parts. Nothing runs until a [`crate::worker::Worker`] does.
    #[must_use]
    pub fn new(parts: EngineParts) -> Self {
        let clusters = Clusters::new(
            parts.store.clone(),
            parts.connect.clone(),
            parts.clock.clone(),
        );
        Self {
            inner: Arc::new(Inner {
                parts,
                clusters,
                at_work: AtWork::default(),
                bell: Notify::new(),
            }),
        }
    }

    /// The catalog.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.inner.parts.catalog
    }

    /// Read-only view of the store.
    #[must_use]
    pub fn reader(&self) -> proximity_store::Reader {
        self.inner.parts.store.reader()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.parts.clock.now()
    }
}
