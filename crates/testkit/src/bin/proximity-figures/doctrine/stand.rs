//! A cluster of many nodes and containers, and a record of each of them as a deploy leaves it.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use futures::stream::{self, StreamExt, TryStreamExt};
use proximity_domain::app::Status;
use proximity_domain::ids::{AppId, HostId, OperationId};
use proximity_engine::reconcile::{Pass, ReconcileReport};
use proximity_pve_emulator::core::{Access, Scenery};
use proximity_store::effects::{Effects, GuestChange};
use proximity_store::records::{NewApp, NewOperation};
use proximity_testkit::least::Least;
use proximity_testkit::pve::Pve;
use proximity_testkit::sources::MovedClock;
use proximity_testkit::world::{TestWorld, WorldParts};

use crate::things::{LEASE_MS, Things};

/// The number of the first container.
const FIRST: u32 = 20_000;
/// Records made at the same time.
const AT_ONCE: usize = 64;

/// The world of one figure. Nobody is at work in it but its reconciler, whose clock is moved.
#[derive(Debug)]
pub(super) struct Stand {
    pub(super) w: TestWorld,
    pub(super) nodes: Vec<String>,
    pub(super) count: u32,
    clock: Arc<MovedClock>,
}

impl Stand {
    /// So many nodes, and so many containers, in turn on all of them.
    pub(super) async fn raise(nodes: u32, count: u32) -> Result<Self> {
        let pve = Self::cluster(nodes, count)?;
        Self::over(pve, nodes, count, None).await
    }

    /// As [`Stand::raise`], looked at with a token that holds what the table of calls gives it, and nothing more.
    pub(super) async fn raise_with_least(nodes: u32, count: u32) -> Result<Self> {
        let pve = Self::cluster(nodes, count)?;
        let least = Least::on(&pve, None).await.map_err(|why| anyhow!(why))?;
        Self::over(pve, nodes, count, Some(least)).await
    }

    fn cluster(nodes: u32, count: u32) -> Result<Pve> {
        let names = names(nodes);
        let of: Vec<&str> = names.iter().map(String::as_str).collect();
        let pve = Pve::cluster(0, &of, Access::Full);
        let order = Scenery {
            guests: count,
            first_vmid: FIRST,
            running_percent: 100,
            pools: 0,
        };
        pve.meddle(|world| world.set_up_scenery(order, 0))
            .map_err(|why| anyhow!(why))?;
        Ok(pve)
    }

    async fn over(pve: Pve, nodes: u32, count: u32, least: Option<Least>) -> Result<Self> {
        let clock = Arc::new(MovedClock::default());
        let parts = WorldParts {
            clusters: vec![pve],
            clock: Some(clock.clone()),
            pairs: u16::try_from(count)?,
            least,
            ..WorldParts::default()
        };
        let mut w = TestWorld::start_of(parts)
            .await
            .map_err(|why| anyhow!(why))?;
        w.stop_worker().await.map_err(|why| anyhow!(why))?;
        let stand = Self {
            w,
            nodes: names(nodes),
            count,
            clock,
        };
        stand.record().await?;
        Ok(stand)
    }

    /// The numbers of all containers.
    pub(super) fn vmids(&self) -> std::ops::Range<u32> {
        FIRST..FIRST + self.count
    }

    /// The node that a container is on.
    pub(super) fn node_of(&self, vmid: u32) -> Option<&String> {
        let at = usize::try_from(vmid.checked_sub(FIRST)?).ok()?;
        self.nodes.get(at % self.nodes.len())
    }

    /// The containers of this node.
    pub(super) fn on(&self, node: &str) -> Vec<u32> {
        let here = |vmid: &u32| self.node_of(*vmid).is_some_and(|its| its == node);
        self.vmids().filter(here).collect()
    }

    /// One look, half a minute after the one before.
    pub(super) async fn look(&self) -> Result<ReconcileReport> {
        self.pass(&Pass::Work).await
    }

    pub(super) async fn pass(&self, pass: &Pass) -> Result<ReconcileReport> {
        let report = self.w.engine.reconciler().pass(pass).await?;
        self.clock.pass(30_000);
        Ok(report)
    }

    /// So much time passes, and nobody looks.
    pub(super) fn wait(&self, ms: u64) {
        self.clock.pass(ms);
    }

    /// Records that are there no more.
    pub(super) async fn archived(&self) -> Result<u64> {
        let live = self.w.store.live_apps().await?;
        Ok(u64::from(self.count).saturating_sub(live))
    }

    /// Ports that somebody had once and nobody has now.
    pub(super) async fn freed(&self) -> Result<usize> {
        Ok(self.w.store.ports().await?.freed.len())
    }

    /// Calls of ours that would change the cluster.
    pub(super) fn changing_calls(&self) -> usize {
        self.w.pve.changes().len()
    }

    async fn record(&self) -> Result<()> {
        let hosts = self.w.store.hosts().await?;
        let host = hosts.first().context("there is no host")?.id;
        let mut things = Things::from(9);
        let mut wishes = Vec::new();
        let mut vmid_of = HashMap::new();
        for vmid in self.vmids() {
            let wish = things.app(&format!("app-{vmid}"), host)?;
            vmid_of.insert(wish.0.id, vmid);
            wishes.push(wish);
        }
        let at = things.now();
        let things = tokio::sync::Mutex::new(things);
        let making = Making {
            stand: self,
            host,
            vmid_of,
            things,
            at,
        };
        let mut work = Vec::new();
        for (app, operation) in wishes {
            work.push(making.one(app, operation));
        }
        let made = stream::iter(work).buffer_unordered(AT_ONCE);
        made.try_collect::<Vec<()>>().await?;
        Ok(())
    }
}

fn names(nodes: u32) -> Vec<String> {
    (1..=nodes).map(|number| format!("pve{number}")).collect()
}

/// What is needed to make records side by side.
struct Making<'a> {
    stand: &'a Stand,
    host: HostId,
    vmid_of: HashMap<AppId, u32>,
    things: tokio::sync::Mutex<Things>,
    at: proximity_domain::time::Timestamp,
}

impl Making<'_> {
    /// An app is asked for; then the operation that waits longest, whosever it is, comes to its end.
    async fn one(&self, app: NewApp, operation: NewOperation) -> Result<()> {
        let store = &self.stand.w.store;
        let actor = self.stand.w.actor.clone();
        store
            .create_app(app, operation, &actor, None, self.at)
            .await?;
        let holder = self.things.lock().await.holder;
        let claimed = store.claim(holder, LEASE_MS, false, self.at).await?;
        let (op, fence) = claimed.context("nothing waits")?;
        let guest = self.guest(op.app, op.id).await?;
        let effects = Effects {
            guests: vec![GuestChange::Insert(guest)],
            status: Some(Status::Running),
            ..Effects::default()
        };
        Ok(store.complete(&fence, effects, self.at).await?)
    }

    async fn guest(
        &self,
        app: AppId,
        operation: OperationId,
    ) -> Result<proximity_domain::guest::NativeGuest> {
        let vmid = self.vmid_of.get(&app).context("another app")?;
        let mut things = self.things.lock().await;
        let store = &self.stand.w.store;
        let mut guest = things.guest(store, self.host, (app, operation), *vmid)?;
        let node = self.stand.node_of(*vmid).context("it is on no node")?;
        guest.place.node = node.parse()?;
        let volid = format!("local:{vmid}/vm-{vmid}-disk-0.raw");
        guest.identity.rootfs_volid = Some(volid.parse()?);
        Ok(guest)
    }
}
