//! R10-quiet: once wishes and faults have come to rest, no loop changes or writes anything (I9). One app's container is in conflict, and
//! that was told: it is seen in each round, and told no more.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use proximity_domain::guest::ContainerRef;
use proximity_domain::operation::OperationState;
use proximity_engine::apply::Applier;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::policy::Reverter;
use proximity_engine::reconcile::Pass;
use proximity_engine::saga::Guard;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::Access;
use proximity_store::records::AppRecord;
use proximity_testkit::pve::Pve;
use proximity_testkit::sources::MovedClock;
use proximity_testkit::world::{TestWorld, WorldParts};
use serde_json::json;

use super::Args;
use super::guards::Off;
use crate::{say, verdict};

/// The apps, one on each node. The first is the one in conflict.
const APPS: [(&str, &str); 3] = [("one", "pve1"), ("two", "pve2"), ("three", "pve3")];
/// So many cycles, when nothing else is asked for.
const CYCLES: usize = 100;
/// At rest is what wrote nothing in so many cycles in a row,
const AT_REST: usize = 3;
/// and it has to come to that within so many.
const TO_REST: usize = 30;
/// From one cycle to the next.
const APART_MS: u64 = 10_000;

/// A world in which one cycle of each loop is played after the other.
struct Quiet {
    w: TestWorld,
    clock: Arc<MovedClock>,
    reverter: Reverter,
    applier: Applier,
}

/// What was done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Done {
    commits: u64,
    calls: usize,
}

pub(super) async fn run(args: &Args) -> Result<()> {
    let mut quiet = Quiet::raise().await?;
    quiet.come_to_rest().await?;
    let _off = Off::if_control(args.sabotage, Guard::Quiet)?;
    let first = quiet.done();
    let cycles = args.cases.unwrap_or(CYCLES);
    let mut faults = Vec::new();
    for cycle in 0..cycles {
        let before = quiet.done();
        quiet.cycle().await?;
        let after = quiet.done();
        if after != before {
            faults.push(format!("cycle {cycle}: {before:?}, then {after:?}"));
        }
    }
    let last = quiet.done();
    let alarms = quiet.w.store.alarms().await?.len();
    ensure!(alarms == 1, "{alarms} containers are in conflict, not one");
    let verdict = json!({
        "apps": APPS.len(),
        "cycles": cycles,
        "commits": last.commits - first.commits,
        "calls": last.calls - first.calls,
        "told": verdict::told(&faults),
    });
    Ok(say::line(&verdict.to_string())?)
}

impl Quiet {
    async fn raise() -> Result<Self> {
        let clock = Arc::new(MovedClock::default());
        let nodes = APPS.map(|(_, node)| node);
        let parts = WorldParts {
            clusters: vec![Pve::cluster(0, &nodes, Access::Full)],
            clock: Some(clock.clone()),
            endpoint_of_each_node: true,
            ..WorldParts::default()
        };
        let world = TestWorld::start_of(parts).await;
        let w = world.map_err(|why| anyhow!(why))?;
        let mut quiet = Self {
            reverter: Reverter::new(w.engine.clone()),
            applier: Applier::new(w.engine.clone(), true),
            w,
            clock,
        };
        for (name, node) in APPS {
            quiet.deploy(name, node).await?;
        }
        quiet.bring_into_conflict(APPS[0].0).await?;
        let stopped = quiet.w.stop_worker().await;
        stopped.map_err(|why| anyhow!(why))?;
        Ok(quiet)
    }

    async fn deploy(&self, name: &str, node: &str) -> Result<()> {
        let request = CreateApp {
            catalog_id: "beacon".to_owned(),
            hostname: name.to_owned(),
            node: Some(node.to_owned()),
            ..CreateApp::default()
        };
        let made = self.w.engine.create_app(&self.w.actor, request).await?;
        let operation = made.operation.context("nobody is at work on it")?;
        self.ends_well(operation).await
    }

    async fn ends_well(&self, operation: proximity_domain::ids::OperationId) -> Result<()> {
        let ended = self.w.settled(operation).await;
        let ended = ended.map_err(|why| anyhow!(why))?;
        ensure!(
            ended.state == OperationState::Succeeded,
            "{:?}",
            ended.state
        );
        Ok(())
    }

    /// Two factors of its identity become others.
    async fn bring_into_conflict(&self, name: &str) -> Result<()> {
        let (engine, actor) = (&self.w.engine, &self.w.actor);
        let stop = Action::Stop { force: false };
        let stopped = engine.act(actor, name, stop).await?;
        self.ends_well(stopped.id).await?;
        let app = self.w.store.app_by_hostname(name).await?;
        let place = self.place(&app.context("the app is gone")?).await?;
        let device = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:AA:BB:CC,ip=dhcp,type=veth";
        let other = [("net0", device), ("description", "mine")];
        let path = format!("/nodes/{}/lxc/{}/config", place.node, place.vmid);
        let put = self.w.pve.as_root(Method::Put, &path, &other).await;
        ensure!(put.status == 200, "{} {}", put.status, put.reason);
        Ok(())
    }

    async fn place(&self, app: &AppRecord) -> Result<ContainerRef> {
        let guests = self.w.store.recorded_guests(app.id).await?;
        let guest = guests.first().context("it has no container")?;
        Ok(guest.place().clone())
    }

    /// All that is new is put on record, and the list tells all of it.
    async fn come_to_rest(&mut self) -> Result<()> {
        let mut quiet = 0;
        for _ in 0..TO_REST {
            self.w.pve.meddle(|world| world.tell_now());
            let before = self.done();
            self.cycle().await?;
            quiet = match self.done() == before {
                true => quiet + 1,
                false => 0,
            };
            if quiet == AT_REST {
                return Ok(());
            }
        }
        Err(anyhow!("it has not come to rest in {TO_REST} cycles"))
    }

    /// Each loop once.
    async fn cycle(&mut self) -> Result<()> {
        let reconciler = self.w.engine.reconciler();
        reconciler.pass(&Pass::Work).await?;
        reconciler.sweep().await?;
        reconciler.record_resources().await?;
        self.reverter.pass().await?;
        self.applier.pass().await?;
        self.w.engine.janitor().pass(false).await?;
        self.clock.pass(APART_MS);
        Ok(())
    }

    fn done(&self) -> Done {
        Done {
            commits: *self.w.store.commits().borrow(),
            calls: self.w.pve.changes().len(),
        }
    }
}
