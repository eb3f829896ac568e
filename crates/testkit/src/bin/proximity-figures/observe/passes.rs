//! Passes of the reconciler, in this process.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use proximity_domain::event::EventKind;
use proximity_domain::time::Clock;
use proximity_engine::reconcile::{Pass, ReconcileReport};
use proximity_store::effects::NewEvent;
use proximity_store::power::{ReadPower, SeenPower};
use proximity_testkit::sources::RealClock;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Args;
use super::cost::{self, Cost, median};
use super::floor::Floor;
use super::world::{FIRST_VMID, World};

/// How often one side does its work before it is the other's turn.
const REPEATS: u32 = 5;
/// Where the cluster is for P16: each call takes so long.
const FAR_MS: u64 = 15;
/// A node that hangs.
const HANGS: &str = "pve7";
/// Between two passes, as the server makes them; and how long after somebody was at work a list is taken by its word, seconds.
const EVERY_S: u64 = 10;
const LAG_S: u64 = 331;
/// A node that did not answer is asked again by then.
const LEFT_FOR_S: u64 = 90;
/// Changes at the same time.
const CHANGES: [usize; 4] = [1, 10, 100, 1_000];

/// One pass; refuses one that found anything to complain about.
pub(super) async fn pass(world: &World) -> Result<ReconcileReport> {
    let report = world.at_work()?.reconciler().pass(&Pass::Work).await?;
    if !report.result.success {
        bail!("a pass did not succeed: {:?}", report.result.errors);
    }
    Ok(report)
}

/// A pass that must find nothing to do.
pub(super) async fn quiet(world: &World) -> Result<()> {
    match pass(world).await?.refreshed {
        0 => Ok(()),
        changed => bail!("{changed} changed by themselves"),
    }
}

/// Somebody switches the containers of these apps, which follow each other, on or off.
pub(super) async fn switch(world: &World, apps: Range<usize>, running: bool) -> Result<()> {
    let first = FIRST_VMID + u32::try_from(apps.start)?;
    let order = json!({ "first_vmid": first, "guests": apps.len(), "running": running });
    world.lab.order("/world/scenery/power", &order).await?;
    Ok(())
}

/// A list that is asked for so long after somebody was at work is not of before: a little more than the reconciler waits.
pub(super) async fn settle(world: &World) -> Result<()> {
    for _ in 0..LAG_S.div_ceil(EVERY_S) {
        world.pass_time(Duration::from_secs(EVERY_S));
        quiet(world).await?;
    }
    Ok(())
}

/// Writes something, so that the record is read anew: the power of the first app as it is not. A pass may have put it right since
/// the last time.
async fn spoil(world: &World) -> Result<()> {
    let app = *world.apps.first().context("no app")?;
    let powers = [
        (ReadPower::Running, ReadPower::Stopped),
        (ReadPower::Stopped, ReadPower::Running),
    ];
    for (from, to) in powers {
        let seen = SeenPower { app, from, to };
        let done = world.store.follow_powers(&[seen], RealClock.now()).await?;
        if !done.is_empty() {
            return Ok(());
        }
    }
    bail!("the first app neither runs nor is stopped");
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
                spoilt += 1;
                spoil(world).await?;
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
        "commits": *world.store.commits().borrow() - commits, "written_bytes": world.written()? - written,
        "bare_and_ours_us": costs, "spoilt": spoilt,
    }))
}

fn micros(cost: Cost) -> (u128, u128) {
    (cost.wall.as_micros(), cost.processor.as_micros())
}

/// What a pass took that followed changes.
#[derive(Debug, Default)]
struct Followed {
    processor_us: Vec<f64>,
    calls: Vec<u64>,
    written: Vec<u64>,
}

/// P2 and P3: some changed. First of what was not looked at since the reconciler began, so that each is asked; then again and
/// again. The control does not wait until lists count. The list of tasks is as long as that of a cluster that is in use.
pub(super) async fn changes(world: &World, args: &Args) -> Result<Value> {
    let order = json!({ "each": 25 });
    world.lab.order("/world/scenery/tasks", &order).await?;
    quiet(world).await?;
    let most = *CHANGES.iter().max().context("no changes")?;
    let most = most.min(world.apps.len());
    let calm = cost::of(REPEATS, async || quiet(world).await).await?;
    let (mut unknown, mut first) = (Followed::default(), 0);
    // All of them alike afterwards.
    for running in [false, true] {
        switch(world, 0..most, running).await?;
        first += follow(world, &mut unknown, calm).await?;
    }
    if !args.sabotage {
        settle(world).await?;
    }
    let mut running = true;
    let mut found = Vec::new();
    for changes in CHANGES.into_iter().filter(|n| *n <= world.apps.len()) {
        let mut known = Followed::default();
        // An even number, so that all are alike again.
        for _ in 0..args.rounds.next_multiple_of(2) {
            let calm = cost::of(REPEATS, async || quiet(world).await).await?;
            running = !running;
            switch(world, 0..changes, running).await?;
            let followed = follow(world, &mut known, calm).await?;
            if followed != changes {
                bail!("{followed} of {changes} changes were followed");
            }
        }
        found.push(json!({
            "changes": changes, "processor_us_per_change": median(known.processor_us),
            "most_calls": known.calls.iter().max(), "written_bytes": known.written,
        }));
    }
    Ok(json!({
        "guests": args.guests, "by_changes": found, "unknown": { "changes": first, "most_calls": unknown.calls,
        "processor_us_per_change": unknown.processor_us },
    }))
}

/// A pass that follows what changed, and the one after it, which reads anew what was written; beyond what calm ones take.
async fn follow(world: &World, seen: &mut Followed, calm: Cost) -> Result<usize> {
    let (calls, written) = (world.lab.counted().await?.calls, world.written()?);
    let mut refreshed = 0;
    let busy = cost::of(1, async || {
        refreshed = pass(world).await?.refreshed;
        Ok(())
    })
    .await?;
    seen.calls.push(world.lab.counted().await?.calls - calls);
    let after = cost::of(1, async || quiet(world).await).await?;
    seen.written.push(world.written()?.saturating_sub(written));
    let more = (busy.processor + after.processor).saturating_sub(2 * calm.processor);
    #[allow(clippy::cast_precision_loss)] // some thousand
    seen.processor_us
        .push(more.as_secs_f64() * 1e6 / refreshed as f64);
    Ok(refreshed)
}

/// P16: how long a pass takes as it is, with one node that hangs, and with a cluster that is far away.
/// The control keeps nothing from pass to pass: neither that a node hangs, nor connections.
pub(super) async fn slow(world: &mut World, args: &Args) -> Result<Value> {
    let floor = Floor::new(world.lab.file())?;
    floor.once(args.guests).await?;
    quiet(world).await?;
    // One on a node that will hang, the others elsewhere; what hangs stays to be followed.
    let (on_it, elsewhere) = hanging(world).await?;
    let (near, _) = followed(world, args, &elsewhere).await?;
    world.forgets = args.sabotage;
    let hangs = json!({ "calls": { "node": HANGS }, "kind": { "hang": {} } });
    world.lab.order("/faults", &hangs).await?;
    misplace(world, on_it).await?;
    let (hung, longest) = followed(world, args, &elsewhere).await?;
    world.lab.mend().await?;
    until_followed(world).await?;
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
        "near_us": near.as_micros(), "hung_us": hung.as_micros(), "longest_us": longest.as_micros(), "far_floor_us": bare.wall.as_micros(),
        "far_us": far.wall.as_micros(), "far_trip_us": trip.wall.as_micros(),
    }))
}

/// Passes leave a node that did not answer alone for a minute; then the one app on it is found where it is.
async fn until_followed(world: &World) -> Result<()> {
    for _ in 0..LEFT_FOR_S / EVERY_S {
        let report = world.at_work()?.reconciler().pass(&Pass::Work).await?;
        if report.moved == 1 {
            return Ok(());
        }
        world.pass_time(Duration::from_secs(EVERY_S));
    }
    bail!("what hung was not followed when it answered again");
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

/// How long passes take that follow these to where they are: the middle of several, and the longest.
async fn followed(world: &World, args: &Args, apps: &[usize]) -> Result<(Duration, Duration)> {
    let mut all = Vec::new();
    for _ in 0..args.rounds {
        for app in apps {
            misplace(world, *app).await?;
        }
        let begun = Instant::now();
        let report = world.at_work()?.reconciler().pass(&Pass::Work).await?;
        all.push(begun.elapsed());
        if report.moved != apps.len() {
            bail!("{} of {} were followed", report.moved, apps.len());
        }
    }
    all.sort_unstable();
    let middle = all.get(all.len() / 2).copied().unwrap_or_default();
    Ok((middle, all.last().copied().unwrap_or_default()))
}

/// Says that the app's container is where it is not, as if it had been moved since.
async fn misplace(world: &World, number: usize) -> Result<()> {
    let app = world.apps[number];
    let guests = world.store.recorded_guests(app).await?;
    let guest = guests.first().context("no guest")?;
    let elsewhere = match guest.place().node.as_str() {
        "pve1" => "pve2",
        _ => "pve1",
    };
    let event = NewEvent {
        kind: EventKind::GuestMoved,
        body: json!({}),
    };
    let (id, node) = (guest.id(), elsewhere.parse()?);
    world
        .store
        .guest_moved(app, id, &node, event, RealClock.now())
        .await?;
    Ok(())
}
