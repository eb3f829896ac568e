//! The engine's process in a simulation: it begins, it is killed, the next one takes over.

use std::sync::Arc;

use async_trait::async_trait;
use proximity_domain::ids::HolderId;
use proximity_domain::time::Clock;
use proximity_engine::catalog::Catalog;
use proximity_engine::engine::{Engine, EngineLimits, EngineParts};
use proximity_engine::seams::{Connect, Connection, IdSource};
use proximity_engine::worker::Worker;
use proximity_engine::{housekeeping, route_sweep};
use proximity_pve::transport::https::{Fingerprint, ShownCertificate};
use proximity_store::Store;
use proximity_store::records::HostRecord;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cluster::SimCluster;
use super::inside::{Inside, Outside};
use super::insist;
use super::standstill::Standstill;

/// The number of a process that is beside the one that people ask.
const BESIDE: u32 = 0;

/// What every process of a simulation is made of.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) store: Store,
    pub(super) cluster: SimCluster,
    pub(super) outside: Outside,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) catalog: Catalog,
    pub(super) limits: EngineLimits,
    /// Two processes work over the record: none knows the other one for dead.
    pub(super) is_shared: bool,
    /// Processes can stand still.
    pub(super) stalls: bool,
    /// People ask again for what they were refused, and have go on what is stuck.
    pub(super) insists: bool,
}

/// A process that runs.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) engine: Engine,
    number: u32,
    /// By which its claims are on record.
    holder: Option<HolderId>,
    tasks: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    standstill: Option<Standstill>,
}

#[derive(Debug)]
struct ToCluster(SimCluster, u32);

#[async_trait]
impl Connect for ToCluster {
    fn connect(&self, _host: &HostRecord) -> Result<Connection, String> {
        let inside = Inside {
            cluster: self.0.clone(),
            process: self.1,
        };
        Ok(Connection {
            transport: Arc::new(self.0.way(self.1)),
            guest_access: Some(Arc::new(inside)),
        })
    }

    async fn fingerprint(&self, url: &str) -> Result<Fingerprint, String> {
        Err(format!("nobody shows a certificate at {url}"))
    }

    async fn certificate(&self, url: &str) -> Result<ShownCertificate, String> {
        Err(format!("nobody shows a certificate at {url}"))
    }
}

impl Process {
    /// Begins as `serve` does: worker, sweep of the routes, housekeeping, reconciler, slow sweep, janitor. `exclusive`: it knows
    /// that every process before it is dead, and there is none beside it.
    pub(super) fn begin(machine: &Machine, number: u32, exclusive: bool) -> Self {
        let mut process = Self::idle(machine, number);
        let (engine, stop) = (process.engine.clone(), process.stop.clone());
        let worker = Worker::new(engine.clone(), exclusive && !machine.is_shared);
        process.holder = Some(worker.holder());
        let (reconciling, ended) = (engine.clone(), stop.clone());
        let (sweeping, swept) = (engine.clone(), stop.clone());
        let (diagnosing, over) = (engine.clone(), stop.clone());
        process.works_on(worker.run(stop.clone()));
        process.works_on(route_sweep::run(engine.clone(), stop.clone()));
        process.works_on(housekeeping::run(engine, stop));
        process.works_on(async move { reconciling.reconciler().run(ended).await });
        process.works_on(async move { sweeping.reconciler().run_sweep(swept).await });
        process.works_on(async move { diagnosing.janitor().run(over).await });
        if machine.insists {
            let (store, cluster) = (machine.store.clone(), machine.cluster.clone());
            let (engine, stop) = (process.engine.clone(), process.stop.clone());
            process.works_on(insist::run(engine, store, cluster, stop));
        }
        process
    }

    /// Begins beside another one as in figure R20: a worker alone, which takes over from whoever is silent for a whole lease.
    pub(super) fn beside(machine: &Machine) -> Self {
        let mut process = Self::idle(machine, BESIDE);
        let stop = process.stop.clone();
        let worker = Worker::new(process.engine.clone(), false);
        process.holder = Some(worker.holder());
        process.works_on(worker.run(stop));
        process
    }

    /// With nothing at work in it.
    fn idle(machine: &Machine, number: u32) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(machine.cluster.clock.clone());
        let engine = Engine::new(EngineParts {
            store: machine.store.clone(),
            clock,
            ids: machine.ids.clone(),
            connect: Arc::new(ToCluster(machine.cluster.clone(), number)),
            ingress: Arc::new(machine.outside.clone()),
            probe: Arc::new(machine.outside.clone()),
            catalog: machine.catalog.clone(),
            helper: None,
            limits: machine.limits.clone(),
        });
        let standstill = machine.stalls.then(Standstill::default);
        if let Some(standstill) = &standstill {
            let mut cluster = machine.cluster.lock();
            cluster.processes.insert(number, standstill.clone());
        }
        Self {
            engine,
            number,
            holder: None,
            tasks: Vec::new(),
            stop: CancellationToken::new(),
            standstill,
        }
    }

    /// Nothing of it runs for so long, milliseconds.
    pub(super) fn stall(&self, ms: u64) {
        if let Some(standstill) = &self.standstill {
            standstill.stall(ms);
        }
    }

    /// Nothing of it runs now.
    pub(super) fn stands_still(&self) -> bool {
        self.standstill.as_ref().is_some_and(Standstill::stands)
    }

    /// Which process it is, from 1; or [`BESIDE`].
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// By which the claims of its worker are on record.
    pub(super) fn holder(&self) -> Option<HolderId> {
        self.holder
    }

    /// Something at work in it, such as a person's request: it stands still with the process, and dies with it.
    pub(super) fn works_on(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.retain(|task| !task.is_finished());
        self.tasks.push(match &self.standstill {
            Some(standstill) => standstill.spawn(work),
            None => tokio::spawn(work),
        });
    }

    /// kill -9: everything ends where it stands. What left for the cluster is on its way all the same.
    pub(super) async fn kill(self) {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            // Cancelled, as it was told to be, or at its end.
            let _ = task.await;
        }
        // What the worker had begun is dropped when its turn comes.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }

    /// Ends as a shutdown does.
    pub(super) async fn shut_down(self) {
        self.stop.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
    }
}
