//! A whole world: emulated PVE, store on disk, engine, worker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proximity_domain::ids::{HostId, OperationId};
use proximity_domain::operation::OperationState;
use proximity_domain::ports::PortRange;
use proximity_domain::time::{Clock, Timestamp};
use proximity_engine::catalog::Catalog;
use proximity_engine::cluster::RealConnect;
use proximity_engine::engine::{Engine, EngineLimits, EngineParts};
use proximity_engine::seams::{Connect, Connection};
use proximity_engine::worker::Worker;
use proximity_pve_emulator::core::Access;
use proximity_store::records::{Actor, Endpoint, HostRecord, OperationRecord, TlsTrust};
use proximity_store::{Store, StoreOptions};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::ingress::Routes;
use crate::pve::{NodeRoom, Pve};
use crate::sources::{CountedIds, RealClock};

/// The host whose cluster is in this process; others are reached as their records say.
const LAB: &str = "lab";

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
    /// The emulated PVE.
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
    _folder: TempDir,
}

#[derive(Debug)]
struct InProcess(Pve);

impl Connect for InProcess {
    fn connect(&self, host: &HostRecord) -> Result<Connection, String> {
        if host.label.as_str() != LAB {
            return RealConnect.connect(host);
        }
        Ok(Connection {
            transport: Arc::new(self.0.clone()),
            guest_access: Some(Arc::new(self.0.guests.clone())),
        })
    }
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
        let folder = TempDir::new().map_err(|e| e.to_string())?;
        let clock: Arc<dyn Clock> = Arc::new(RealClock);
        let internal = (8100 + room.pairs).max(9100);
        let options = StoreOptions {
            path: folder.path().join("proximity.db"),
            key_file: folder.path().join("key"),
            public: PortRange {
                first: 8100,
                last: 8099 + room.pairs,
            },
            internal: PortRange {
                first: internal,
                last: internal - 1 + room.pairs,
            },
            rest_ms: 86_400_000,
        };
        let store = Store::open(options, clock.now())
            .await
            .map_err(|e| e.to_string())?;
        let pve = Pve::start_in(access, room.node);
        let routes = Routes::to(pve.guests.clone());
        let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/catalog");
        let catalog = Catalog::load(&[fixtures]).map_err(|e| e.to_string())?;
        let engine = Engine::new(EngineParts {
            store: store.clone(),
            clock: clock.clone(),
            ids: Arc::new(CountedIds::seeded(1_000)),
            connect: Arc::new(InProcess(pve.clone())),
            ingress: Arc::new(routes.clone()),
            probe: Arc::new(routes.clone()),
            catalog,
            limits,
        });
        let actor = Actor {
            account: "admin".to_owned(),
            token: None,
        };
        store
            .add_host(host(clock.now()), &actor, clock.now())
            .await
            .map_err(|e| e.to_string())?;
        let mut world = Self {
            pve,
            routes,
            store,
            engine,
            actor,
            worker: None,
            _folder: folder,
        };
        world.start_worker();
        Ok(world)
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
        let looking = async {
            while !what().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looking)
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

    /// Waits until the operation is final or stuck.
    ///
    /// # Errors
    /// It was not within 30 s, or cannot be read.
    pub async fn settled(&self, id: OperationId) -> Result<OperationRecord, String> {
        let looking = async {
            loop {
                let op = self.store.operation(id).await.map_err(|e| e.to_string())?;
                let op = op.ok_or_else(|| format!("operation {id} is not there"))?;
                if op.state.is_final() || matches!(op.state, OperationState::Stuck { .. }) {
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

#[allow(clippy::unwrap_used)] // constants
fn host(now: Timestamp) -> HostRecord {
    HostRecord {
        id: HostId(Uuid::from_u128(5)),
        label: LAB.parse().unwrap(),
        cluster_key: "node:pve1".to_owned(),
        endpoints: vec![Endpoint {
            url: "https://in-process".to_owned(),
            node: None,
            trust: TlsTrust::System,
        }],
        token_id: "root@pam!proximity".to_owned(),
        token_secret: "in-process".to_owned().into(),
        ssh: None,
        pool: None,
        storage: "local".parse().unwrap(),
        template_storage: "local".parse().unwrap(),
        bridge: "vmbr0".parse().unwrap(),
        pve_version: "9.2.11".to_owned(),
        created_at: now,
    }
}
