//! A whole world: emulated PVE, store on disk, engine, worker.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use proximity_domain::ids::{HostId, InstallationId, OperationId};
use proximity_domain::names::NodeName;
use proximity_domain::operation::OperationState;
use proximity_domain::ports::PortRange;
use proximity_domain::time::{Clock, Timestamp};
use proximity_engine::caddy::{CaddyIngress, CaddyOptions};
use proximity_engine::catalog::Catalog;
use proximity_engine::cluster::{RealConnect, tokens};
use proximity_engine::commands::HelperProgram;
use proximity_engine::engine::{Engine, EngineLimits, EngineParts};
use proximity_engine::seams::{Connect, Connection, Ingress, Probe};
use proximity_engine::worker::Worker;
use proximity_pve::transport::https::{Fingerprint, ShownCertificate};
use proximity_pve_emulator::core::{Access, Node};
use proximity_store::records::{
    Actor, Endpoint, HostPlacement, HostRecord, OperationRecord, PurposeTokens, TlsTrust,
};
use proximity_store::{MemoryOptions, Store, StoreOptions};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::ingress::Routes;
use crate::least::Least;
use crate::pve::{NodeRoom, Pve};
use crate::sources::{CountedIds, RealClock};

/// How large a world is.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// How many pairs of ports there are.
    pub pairs: u16,
    /// The node.
    pub node: NodeRoom,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            pairs: 4,
            node: NodeRoom::default(),
        }
    }
}

/// Everything a test of the engine needs. The worker runs until [`TestWorld::stop_worker`] or drop.
#[derive(Debug)]
pub struct TestWorld {
    /// The emulated PVE of the first host entry.
    pub pve: Pve,
    /// Routes and probe.
    pub routes: Routes,
    /// The store under the engine.
    pub store: Store,
    /// The engine.
    pub engine: Engine,
    /// An administrator.
    pub actor: Actor,
    worker: Option<(CancellationToken, JoinHandle<()>)>,
    /// Removed with the world, unless it was given.
    folder: Option<TempDir>,
}

/// What a world is made of.
#[derive(Debug, Default)]
pub struct WorldParts {
    /// Host entries: the first is called `lab`, the others `lab2`, `lab3`, …
    pub clusters: Vec<Pve>,
    /// Tunables of the engine.
    pub limits: EngineLimits,
    /// Where its random numbers start; worlds that share a cluster need different ones.
    pub seed: u64,
    /// Limits of where new guests go, on every host entry.
    pub placement: HostPlacement,
    /// How many pairs of ports there are; 4 if 0.
    pub pairs: u16,
    /// Where the store is.
    pub place: Place,
    /// The folder of the catalog's extra entries; those of the fixtures if `None`.
    pub catalog: Option<PathBuf>,
    /// What looks at apps from outside; the world's routes if `None`.
    pub probe: Option<Arc<dyn Probe>>,
    /// What the first host entry is reached with, if that is not one token for everything.
    pub least: Option<Least>,
    /// The helper for nodes that this server ships.
    pub helper: Option<HelperProgram>,
    /// The engine's clock; the machine's if `None`.
    pub clock: Option<Arc<dyn Clock>>,
    /// Each host entry has an endpoint of every node, as one has that was added; else one, of which the node is not known.
    pub endpoint_of_each_node: bool,
    /// What leads under host names; nothing if `None`.
    pub names: Option<Names>,
}

/// What leads under host names in a world.
#[derive(Debug, Clone)]
pub enum Names {
    /// The world's routes.
    InMemory,
    /// A Caddy, whose ports are the world's routes.
    Caddy(CaddyOptions),
}

/// Where the store of a world is.
#[derive(Debug, Clone, Default)]
pub enum Place {
    /// In a directory that goes with the world.
    #[default]
    Temporary,
    /// In this one, where it stays.
    Folder(PathBuf),
    /// In memory.
    Memory,
    /// Where this one is.
    Opened(Store),
}

#[derive(Debug)]
struct InProcess(Vec<(HostId, Pve)>);

#[async_trait]
impl Connect for InProcess {
    fn connect(&self, host: &HostRecord) -> Result<Connection, String> {
        // Other hosts are reached as their records say.
        let Some((_, pve)) = self.0.iter().find(|(id, _)| *id == host.id) else {
            return RealConnect.connect(host);
        };
        assert!(!pve.is_faulty(), "a fault of the test");
        Ok(Connection {
            transport: Arc::new(pve.reached_with(&tokens(host))),
            guest_access: Some(Arc::new(pve.guests.clone())),
        })
    }

    async fn fingerprint(&self, url: &str) -> Result<Fingerprint, String> {
        if is_served(url) {
            return RealConnect.fingerprint(url).await;
        }
        let shown = self.0.iter().find_map(|(_, pve)| pve.fingerprint_at(url));
        let shown = shown.ok_or("nobody answers there")?;
        shown.parse().map_err(|e| format!("{e}"))
    }

    async fn certificate(&self, url: &str) -> Result<ShownCertificate, String> {
        if is_served(url) {
            return RealConnect.certificate(url).await;
        }
        // No server, no certificate: the cluster knows fingerprints alone.
        let fingerprint = self.fingerprint(url).await?;
        Ok(ShownCertificate {
            fingerprint,
            good_until_s: None,
        })
    }
}

/// Servers of tests listen on loopback, where no cluster in the process has an address.
fn is_served(url: &str) -> bool {
    url.starts_with("https://127.")
}

impl TestWorld {
    /// A world with one host, `lab`, and a worker at work.
    ///
    /// # Errors
    /// Whatever could not be made, as text.
    pub async fn start(access: Access) -> Result<Self, String> {
        Self::start_with(access, EngineLimits::default()).await
    }

    /// As [`TestWorld::start`], with other limits.
    ///
    /// # Errors
    /// Whatever could not be made, as text.
    pub async fn start_with(access: Access, limits: EngineLimits) -> Result<Self, String> {
        Self::start_in(access, limits, Room::default()).await
    }

    /// As [`TestWorld::start_with`], in a room of this size.
    ///
    /// # Errors
    /// Whatever could not be made, as text.
    pub async fn start_in(
        access: Access,
        limits: EngineLimits,
        room: Room,
    ) -> Result<Self, String> {
        Self::start_of(WorldParts {
            clusters: vec![Pve::start_in(access, room.node)],
            limits,
            pairs: room.pairs,
            ..WorldParts::default()
        })
        .await
    }

    /// A world of these parts, with a worker at work.
    ///
    /// # Errors
    /// Whatever could not be made, as text.
    pub async fn start_of(parts: WorldParts) -> Result<Self, String> {
        let clock = parts.clock.unwrap_or_else(|| Arc::new(RealClock));
        let (store, folder) = open(parts.place, clock.now(), parts.pairs).await?;
        let actor = Actor {
            account: "admin".to_owned(),
            token: None,
            request: None,
        };
        let mut hosts = Vec::new();
        for (pve, i) in parts.clusters.iter().zip(0_u8..) {
            let mut record = host(clock.now(), i, pve);
            record.placement = parts.placement.clone();
            if parts.endpoint_of_each_node {
                record.endpoints = endpoints(pve);
            }
            if let Some(least) = parts.least.as_ref().filter(|_| i == 0) {
                least.write_into(&mut record);
            }
            hosts.push((record.id, pve.clone()));
            let known = store.host(record.id).await.map_err(|e| e.to_string())?;
            // A store that another world has opened before has it already, and as it was left.
            if known.is_none() {
                store
                    .add_host(record, &actor, clock.now())
                    .await
                    .map_err(|e| e.to_string())?;
            }
        }
        let guests = parts.clusters.iter().map(|p| p.guests.clone()).collect();
        let mut routes = Routes::to(guests);
        if matches!(parts.names, Some(Names::InMemory)) {
            routes = routes.leading_names();
        }
        let folder_of_entries = parts.catalog.unwrap_or_else(fixtures);
        let catalog = Catalog::load(&[folder_of_entries]).map_err(|e| e.to_string())?;
        let engine = Engine::new(EngineParts {
            store: store.clone(),
            clock: clock.clone(),
            ids: Arc::new(CountedIds::seeded(1_000 + parts.seed * 1_000_000)),
            connect: Arc::new(InProcess(hosts)),
            ingress: ingress(&routes, &store, parts.names)?,
            probe: parts.probe.unwrap_or_else(|| Arc::new(routes.clone())),
            catalog,
            helper: parts.helper,
            limits: parts.limits,
        });
        let pve = parts.clusters.into_iter().next();
        let mut world = Self {
            pve: pve.ok_or("a world needs a cluster")?,
            routes,
            store,
            engine,
            actor,
            worker: None,
            folder,
        };
        world.start_worker();
        Ok(world)
    }

    /// The folder it made for its record; none in memory, or where it was given one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(TempDir::path)
    }

    /// Puts a worker to work.
    pub fn start_worker(&mut self) {
        let stop = CancellationToken::new();
        let worker = Worker::new(self.engine.clone(), true);
        self.worker = Some((stop.clone(), tokio::spawn(worker.run(stop))));
    }

    /// Ends the worker as a shutdown does; returns when it has ended.
    ///
    /// # Errors
    /// It panicked.
    pub async fn stop_worker(&mut self) -> Result<(), String> {
        match self.worker.take() {
            Some((stop, task)) => {
                stop.cancel();
                task.await.map_err(|e| e.to_string())
            }
            None => Ok(()),
        }
    }

    /// Waits until `what` is so, looking again and again.
    ///
    /// # Errors
    /// It was not within 20 s.
    pub async fn until(&self, what: impl AsyncFn() -> bool) -> Result<(), String> {
        self.within(Duration::from_secs(20), what).await
    }

    /// As [`TestWorld::until`], for what takes longer.
    ///
    /// # Errors
    /// It was not within that time.
    pub async fn within(&self, most: Duration, what: impl AsyncFn() -> bool) -> Result<(), String> {
        let looking = async {
            while !what().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(most, looking)
            .await
            .map_err(|_| "it did not come to be".to_owned())
    }

    /// Ends the worker in the middle of whatever it does, without a chance to finish: as a crash would.
    pub async fn crash_worker(&mut self) {
        if let Some((_, task)) = self.worker.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Waits until the operation is final or stuck, and its app let go: a look at it meanwhile would leave the app alone.
    ///
    /// # Errors
    /// It was not within 30 s, or cannot be read.
    pub async fn settled(&self, id: OperationId) -> Result<OperationRecord, String> {
        let looking = async {
            loop {
                let op = self.store.operation(id).await.map_err(|e| e.to_string())?;
                let op = op.ok_or_else(|| format!("operation {id} is not there"))?;
                let is_over =
                    op.state.is_final() || matches!(op.state, OperationState::Stuck { .. });
                if is_over && !self.engine.is_at_work(id) {
                    return Ok(op);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), looking)
            .await
            .map_err(|_| format!("operation {id} did not settle"))?
    }
}

impl Drop for TestWorld {
    fn drop(&mut self) {
        if let Some((_, task)) = self.worker.take() {
            task.abort();
        }
    }
}

/// The engine's ingress: the routes, behind a Caddy if there is one.
fn ingress(
    routes: &Routes,
    store: &Store,
    names: Option<Names>,
) -> Result<Arc<dyn Ingress>, String> {
    let ports = Arc::new(routes.clone());
    match names {
        Some(Names::Caddy(options)) => {
            let caddy = CaddyIngress::new(ports, store.installation(), options);
            Ok(Arc::new(caddy.map_err(|e| e.to_string())?))
        }
        Some(Names::InMemory) | None => Ok(ports),
    }
}

/// Changes the record in this folder behind the store's back, as damage does.
///
/// # Errors
/// SQLite's.
pub fn damage(folder: &Path, sql: &str) -> rusqlite::Result<()> {
    rusqlite::Connection::open(folder.join("proximity.db"))?.execute_batch(sql)
}

/// The folder of the catalog entries for tests.
#[must_use]
pub fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/catalog")
}

/// The store at its place, and the directory that goes with it.
async fn open(
    place: Place,
    now: Timestamp,
    pairs: u16,
) -> Result<(Store, Option<TempDir>), String> {
    let (path, folder) = match place {
        Place::Opened(store) => return Ok((store, None)),
        Place::Memory => return Ok((Store::in_memory(&options(pairs)), None)),
        Place::Folder(path) => (path, None),
        Place::Temporary => {
            let folder = TempDir::new().map_err(|e| e.to_string())?;
            (folder.path().to_owned(), Some(folder))
        }
    };
    let options = on_disk(&path, options(pairs));
    let store = Store::open(options, now).await.map_err(|e| e.to_string())?;
    Ok((store, folder))
}

fn on_disk(folder: &Path, options: MemoryOptions) -> StoreOptions {
    StoreOptions {
        path: folder.join("proximity.db"),
        key_file: folder.join("key"),
        public: options.public,
        internal: options.internal,
        rest_ms: options.rest_ms,
    }
}

fn options(pairs: u16) -> MemoryOptions {
    let pairs = match pairs {
        0 => Room::default().pairs,
        some => some,
    };
    let internal = (8100 + pairs).max(9100);
    MemoryOptions {
        installation: InstallationId(Uuid::from_u128(1)),
        public: PortRange {
            first: 8100,
            last: 8099 + pairs,
        },
        internal: PortRange {
            first: internal,
            last: internal - 1 + pairs,
        },
        rest_ms: 86_400_000,
    }
}

/// In the order in which the cluster counts them; by their addresses, for a name might lead to several nodes, and be no node's own.
#[allow(clippy::unwrap_used)] // constants
fn endpoints(pve: &Pve) -> Vec<Endpoint> {
    pve.meddle(|world| {
        let endpoint = |node: &Node| Endpoint {
            url: format!("https://{}:8006", node.address),
            node: Some(node.name.parse().unwrap()),
            trust: TlsTrust::System,
        };
        world.nodes().iter().map(endpoint).collect()
    })
}

#[allow(clippy::unwrap_used)] // constants
fn host(now: Timestamp, number: u8, pve: &Pve) -> HostRecord {
    let label = match number {
        0 => "lab".to_owned(),
        n => format!("lab{}", n + 1),
    };
    let mut known_nodes: Vec<NodeName> =
        pve.meddle(|w| w.nodes().iter().map(|n| n.name.parse().unwrap()).collect());
    known_nodes.sort_unstable();
    HostRecord {
        id: HostId(Uuid::from_u128(5 + u128::from(number))),
        label: label.parse().unwrap(),
        cluster_key: format!("node:pve{number}"),
        endpoints: vec![Endpoint {
            url: "https://in-process".to_owned(),
            node: None,
            trust: TlsTrust::System,
        }],
        token_id: "root@pam!proximity".to_owned(),
        token_secret: "in-process".to_owned().into(),
        purpose_tokens: PurposeTokens::default(),
        ssh: None,
        pool: None,
        storage: "local".parse().unwrap(),
        template_storage: "local".parse().unwrap(),
        bridge: "vmbr0".parse().unwrap(),
        placement: HostPlacement::default(),
        known_nodes,
        pve_version: "9.2.11".to_owned(),
        created_at: now,
    }
}
