//! R21: everything changes at once while somebody rings again and again, the cluster is slow, and one node hangs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use proximity_domain::app::StatusLabel;
use proximity_engine::engine::Engine;
use proximity_engine::reconcile::Pass;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::passes::switch;
use super::world::World;
use super::{Args, cost};
use crate::verdict;

/// What each call takes at each node that it comes past.
const SLOW_MS: u64 = 15;
/// The node that hangs, and for how long.
const HANGS: &str = "pve7";
const HANGS_FOR: Duration = Duration::from_secs(30);
/// Calls that a node may have in flight.
const PER_NODE: u64 = 2;
const WAKE_UPS: u64 = 10_000;
/// So many at a time, as far apart.
const RUNG_AT_ONCE: u64 = 10;
const BETWEEN: Duration = Duration::from_millis(4);
/// How often it is looked what was handled, and how much memory is in use.
const LOOK: Duration = Duration::from_millis(200);
/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Passes that are still owed afterwards would be made in this time.
const AFTER: Duration = Duration::from_secs(6);
const LIST: &str = "GET /cluster/resources";

/// What one round showed.
#[derive(Debug)]
struct Round {
    /// Until what is not on the node that may hang was handled.
    others: Duration,
    /// Apps that were not handled in the end.
    left: usize,
    most_kib: u64,
}

/// What a round waits for.
#[derive(Debug, Clone, Copy)]
enum Wait {
    All,
    /// What is not on the node that hangs: that one is left alone for a minute.
    Others,
}

/// First a calm round, then a storm.
pub(super) async fn watch(world: &World, args: &Args) -> Result<Value> {
    let names = world.lab.file().api.iter().map(|api| &api.node);
    for node in names {
        let slow = json!({ "slow_ms": SLOW_MS });
        world.lab.order(&format!("/nodes/{node}"), &slow).await?;
    }
    let checks = json!({ "calls_per_node": PER_NODE });
    world.lab.order("/checks", &checks).await?;
    let memory = Memory::watch();
    let stop = CancellationToken::new();
    let (engine, stopped) = (world.engine.clone(), stop.clone());
    let running = tokio::spawn(async move { engine.reconciler().run(stopped).await });
    // So that all of them change twice.
    round(world, &memory, (false, Wait::All)).await?;
    let calm = round(world, &memory, (true, Wait::All)).await?;
    let lists = world.lab.calls_of(LIST).await?;
    let hangs = json!({ "calls": { "node": HANGS }, "kind": { "hang": {} } });
    world.lab.order("/faults", &hangs).await?;
    let began = Instant::now();
    let (wakers, rung) = (TaskTracker::new(), Arc::new(AtomicU64::new(0)));
    let ringing = ring(world, args, &wakers, rung.clone());
    let mending = mend(world);
    let wait = if args.others { Wait::Others } else { Wait::All };
    let storming = round(world, &memory, (false, wait));
    let (storm, ringing, mending) = tokio::join!(storming, ringing, mending);
    let storm = storm?;
    ringing?;
    mending?;
    let took = began.elapsed();
    let during = world.lab.calls_of(LIST).await? - lists;
    sleep(AFTER).await;
    let after = world.lab.calls_of(LIST).await? - lists - during;
    let (crowded, told) = world.lab.violations().await?;
    stop.cancel();
    running.await.context("the reconciler")?;
    Ok(json!({
        "guests": args.guests, "apps": args.apps, "wake_ups": rung.load(Ordering::Relaxed),
        "calm_ms": ms(calm.others), "others_ms": ms(storm.others), "all_ms": ms(took),
        "not_handled": calm.left + storm.left, "crowded": crowded, "told": verdict::told(&told),
        "passes": during, "passes_after": after,
        "calm_kib": calm.most_kib, "storm_kib": storm.most_kib,
    }))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn mend(world: &World) -> Result<()> {
    sleep(HANGS_FOR).await;
    world.lab.mend().await
}

/// Rings again and again. The control: whoever rings has a pass made for himself.
async fn ring(
    world: &World,
    args: &Args,
    wakers: &TaskTracker,
    rung: Arc<AtomicU64>,
) -> Result<()> {
    while rung.load(Ordering::Relaxed) < WAKE_UPS {
        for _ in 0..RUNG_AT_ONCE {
            let engine = world.engine.clone();
            rung.fetch_add(1, Ordering::Relaxed);
            if args.sabotage {
                // Dropped with this program: they would go on for minutes.
                drop(wakers.spawn(pass_for_one(engine)));
            } else {
                engine.reconciler().nudge();
            }
        }
        sleep(BETWEEN).await;
    }
    Ok(())
}

async fn pass_for_one(engine: Engine) {
    // What it finds is told by the one that is made for all.
    let _ = engine.reconciler().pass(&Pass::Work).await;
}

/// Somebody switches all of them; until all is handled.
async fn round(world: &World, memory: &Memory, (on, wait): (bool, Wait)) -> Result<Round> {
    memory.begin();
    switch(world, 0..world.apps.len(), on).await?;
    world.engine.reconciler().nudge();
    let (began, mut others) = (Instant::now(), None);
    let wanted = if on {
        StatusLabel::Running
    } else {
        StatusLabel::Stopped
    };
    let left = loop {
        let (left, elsewhere) = left(world, wanted).await?;
        if elsewhere == 0 && others.is_none() {
            others = Some(began.elapsed());
        }
        let left = match wait {
            Wait::All => left,
            Wait::Others => elsewhere,
        };
        if left == 0 || began.elapsed() > PATIENCE {
            break left;
        }
        sleep(LOOK).await;
    };
    Ok(Round {
        others: others.unwrap_or(PATIENCE),
        left,
        most_kib: memory.most(),
    })
}

/// How many apps are not yet as they have to be, in all and beside the node that hangs.
async fn left(world: &World, wanted: StatusLabel) -> Result<(usize, usize)> {
    let hosts = world.store.hosts().await?;
    let host = hosts.first().context("no host")?;
    let guests = world.store.watched_guests(host.id).await?;
    let left: Vec<_> = guests.iter().filter(|it| it.status != wanted).collect();
    let elsewhere = left
        .iter()
        .filter(|it| it.watched.place.node.as_str() != HANGS);
    Ok((left.len(), elsewhere.count()))
}

/// The most memory of this process since a moment.
struct Memory {
    most_kib: Arc<AtomicU64>,
    _watching: AbortOnDropHandle<()>,
}

impl Memory {
    fn watch() -> Self {
        let most_kib = Arc::new(AtomicU64::new(0));
        let most = most_kib.clone();
        let watching = tokio::spawn(async move {
            loop {
                // What cannot be read now can be read next time.
                if let Ok(now) = cost::resident_kib(Path::new("/proc/self")) {
                    most.fetch_max(now, Ordering::Relaxed);
                }
                sleep(LOOK).await;
            }
        });
        Self {
            most_kib,
            _watching: AbortOnDropHandle::new(watching),
        }
    }

    fn begin(&self) {
        self.most_kib.store(0, Ordering::Relaxed);
    }

    fn most(&self) -> u64 {
        self.most_kib.load(Ordering::Relaxed)
    }
}
