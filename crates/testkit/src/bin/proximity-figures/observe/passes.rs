//! Passes of the reconciler, in this process.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use proximity_domain::time::Clock;
use proximity_engine::reconcile::Pass;
use proximity_store::power::ReadPower;
use proximity_testkit::sources::RealClock;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Args;
use super::cost::{self, Cost, median};
use super::floor::Floor;
use super::world::{FIRST_VMID, World, runs};

/// How often one side does its work before it is the other's turn.
const REPEATS: u32 = 5;
/// Where the cluster is for P16: each call takes so long.
const FAR_MS: u64 = 15;
/// A node that hangs.
const HANGS: &str = "pve7";
/// Changes at the same time.
const CHANGES: [usize; 4] = [1, 10, 100, 1_000];

/// One pass; refuses one that found anything to complain about.
async fn pass(world: &World) -> Result<usize> {
    let report = world.engine.reconciler().pass(&Pass::Work).await?;
    if !report.result.success {
        bail!("a pass did not succeed: {:?}", report.result.errors);
    }
    Ok(report.refreshed)
}

/// A pass that must find nothing to do.
async fn quiet(world: &World) -> Result<()> {
    match pass(world).await? {
        0 => Ok(()),
        changed => bail!("{changed} changed by themselves"),
    }
}

/// Says that the app is what it is not, as if its container had changed since.
async fn mistake(world: &World, number: usize) -> Result<()> {
    let vmid = FIRST_VMID + u32::try_from(number)?;
    let (is, other) = match runs(vmid) {
        true => (ReadPower::Running, ReadPower::Stopped),
        false => (ReadPower::Stopped, ReadPower::Running),
    };
    let app = world.apps[number];
    if !world
        .store
        .follow_power(app, is, other, RealClock.now())
        .await?
    {
        bail!("the app of {vmid} is not as it was made");
    }
    Ok(())
}

/// P1 and P2: nothing changed.
pub(super) async fn unchanged(world: &World, args: &Args) -> Result<Value> {
    let floor = Floor::new(world.lab.file())?;
    floor.once(args.guests).await?;
    quiet(world).await?;
    let (commits, written) = (*world.store.commits().borrow(), world.written()?);
    let (mut wall, mut processor, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    let mut calls = 0;
    let mut spoilt = 0;
    for round in 0..args.rounds {
        let bare = async || floor.once(args.guests).await;
        let ours = async || {
            if args.sabotage {
                // Something is written, so that the record is read anew.
                spoilt += 1;
                mistake(world, 0).await?;
                return pass(world).await.map(drop);
            }
            quiet(world).await
        };
        let before = world.lab.counted().await?.calls;
        let (bare, ours) = if round % 2 == 0 {
            let bare = cost::of(REPEATS, bare).await?;
            (bare, cost::of(REPEATS, ours).await?)
        } else {
            let ours = cost::of(REPEATS, ours).await?;
            (cost::of(REPEATS, bare).await?, ours)
        };
        calls += world.lab.counted().await?.calls - before - u64::from(REPEATS);
        let (w, p) = ours.times(bare);
        wall.push(w);
        processor.push(p);
        costs.push((micros(bare), micros(ours)));
    }
    let passes = u64::from(args.rounds * REPEATS);
    Ok(json!({
        "wall": median(wall), "processor": median(processor), "calls": calls, "passes": passes,
        "commits": *world.store.commits().borrow() - commits, "grown_bytes": world.written()? - written,
        "bare_and_ours_us": costs, "spoilt": spoilt,
    }))
}

fn micros(cost: Cost) -> (u128, u128) {
    (cost.wall.as_micros(), cost.processor.as_micros())
}

/// P2 and P3: some changed.
pub(super) async fn changes(world: &World, args: &Args) -> Result<Value> {
    quiet(world).await?;
    let mut found = Vec::new();
    for changes in CHANGES.into_iter().filter(|n| *n <= world.apps.len()) {
        let (mut processor, mut calls, mut grown) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            let calm = cost::of(REPEATS, async || quiet(world).await).await?;
            for number in 0..changes {
                mistake(world, number).await?;
            }
            let (before, written) = (world.lab.counted().await?.calls, world.written()?);
            let mut refreshed = 0;
            let busy = cost::of(1, async || {
                refreshed = pass(world).await?;
                Ok(())
            })
            .await?;
            if refreshed != changes {
                bail!("{refreshed} of {changes} changes were followed");
            }
            calls.push(world.lab.counted().await?.calls - before);
            grown.push(world.written()?.saturating_sub(written));
            let more = busy.processor.saturating_sub(calm.processor);
            #[allow(clippy::cast_precision_loss)] // some thousand
            processor.push(more.as_secs_f64() * 1e6 / changes as f64);
        }
        let most = calls.iter().max().copied().unwrap_or_default();
        found.push(json!({
            "changes": changes, "processor_us_per_change": median(processor), "most_calls": most,
            "grown_bytes": grown,
        }));
    }
    Ok(json!({ "guests": args.guests, "by_changes": found }))
}

/// P16: how long a pass takes as it is, with one node that hangs, and with a cluster that is far away.
pub(super) async fn slow(world: &World, args: &Args) -> Result<Value> {
    let floor = Floor::new(world.lab.file())?;
    floor.once(args.guests).await?;
    quiet(world).await?;
    // One on a node that will hang, the others elsewhere; what hangs stays to be followed.
    let (on_it, elsewhere) = hanging(world).await?;
    let near = followed(world, args, &elsewhere).await?;
    let hangs = json!({ "calls": { "node": HANGS }, "kind": { "hang": {} } });
    world.lab.order("/faults", &hangs).await?;
    mistake(world, on_it).await?;
    let hung = followed(world, args, &elsewhere).await?;
    world.lab.mend().await?;
    if pass(world).await? != 1 {
        bail!("what hung was not followed when it answered again");
    }
    for node in world.lab.file().api.iter().map(|api| &api.node) {
        let path = format!("/nodes/{node}");
        world
            .lab
            .order(&path, &json!({ "slow_ms": FAR_MS }))
            .await?;
    }
    let bare = cost::of(args.rounds, async || floor.once(args.guests).await).await?;
    let trip = cost::of(args.rounds, async || floor.trip().await).await?;
    let far = cost::of(args.rounds, async || quiet(world).await).await?;
    Ok(json!({
        "near_us": near.as_micros(), "hung_us": hung.as_micros(), "far_floor_us": bare.wall.as_micros(),
        "far_us": far.wall.as_micros(), "far_trip_us": trip.wall.as_micros(),
    }))
}

/// An app whose container is on the node that hangs, and some of others.
async fn hanging(world: &World) -> Result<(usize, Vec<usize>)> {
    let placed = world.lab.placed().await?;
    let (on_it, elsewhere): (Vec<_>, Vec<_>) = placed
        .values()
        .take(world.apps.len())
        .enumerate()
        .partition(|(_, (node, _))| node == HANGS);
    let first = on_it.first().context("nothing is on the node that hangs")?;
    let others = elsewhere.into_iter().take(10).map(|(number, _)| number);
    Ok((first.0, others.collect()))
}

/// How long it takes until changes of these are followed: the middle of several passes.
async fn followed(world: &World, args: &Args, apps: &[usize]) -> Result<Duration> {
    let mut all = Vec::new();
    for _ in 0..args.rounds {
        for app in apps {
            mistake(world, *app).await?;
        }
        let begun = Instant::now();
        let report = world.engine.reconciler().pass(&Pass::Work).await?;
        all.push(begun.elapsed());
        if report.refreshed != apps.len() {
            bail!(
                "{} of {} changes were followed",
                report.refreshed,
                apps.len()
            );
        }
    }
    all.sort_unstable();
    Ok(all.get(all.len() / 2).copied().unwrap_or_default())
}
