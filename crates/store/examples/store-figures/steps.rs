//! P7: durable step commits, alone and by many at once, beside bare commits; with and without a long history.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proximity_domain::time::Timestamp;
use proximity_store::Store;
use proximity_store::effects::Effects;
use proximity_store::records::Fence;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::bare::Bare;
use crate::times::Times;
use crate::world::{LEASE_MS, Shape, World};
use crate::{Inside, Mode};

/// Steps of an operation, as many as a real one has.
const STEPS: u32 = 10;
/// Operations that are at work at once.
const MANY: usize = 256;
const FEW: usize = 8;
/// Operations that are asked for before they are claimed; the queue takes some more.
const WAVE: usize = 500;
/// Rows of one bare transaction.
const BATCH: u32 = 100;

/// A store with claimed operations to work on.
struct Bench {
    store: Store,
    /// With how many commits each has made: one whose time was up goes on later. Each holds a pair of ports, and there
    /// are not so many of those.
    fences: Arc<Mutex<Vec<(Fence, u32)>>>,
    world: World,
    /// The control: one caller at a time, so nothing is committed together.
    one_at_a_time: Option<Arc<Mutex<()>>>,
}

impl Bench {
    async fn new(folder: &Path, history: u64, mode: Mode) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let range = |first, last| proximity_domain::ports::PortRange { first, last };
        let shape = Shape {
            public: range(1024, 32_000),
            internal: range(32_001, 65_000),
        };
        let world = World::shaped(&Inside(folder.to_owned()), shape).await;
        if history > 0 {
            age(folder, history);
        }
        Self {
            store: world.store.clone(),
            fences: Arc::default(),
            world,
            one_at_a_time: mode.sabotage.then(Arc::default),
        }
    }

    /// Makes so many operations ready, untimed, as many at a time as the queue takes.
    async fn stock(&mut self, operations: usize) {
        let fences = self.fences.lock().await;
        let commits: u32 = fences.iter().map(|(_, made)| 2 * STEPS - made).sum();
        drop(fences);
        let left = usize::try_from(commits / (2 * STEPS)).unwrap();
        let missing = operations.saturating_sub(left);
        for from in (0..missing).step_by(WAVE) {
            self.wave(WAVE.min(missing - from)).await;
        }
    }

    async fn wave(&mut self, operations: usize) {
        let mut making = tokio::task::JoinSet::new();
        for _ in 0..operations {
            let name = format!("app-{}", self.world.id().as_u128());
            let (app, operation) = self.world.new_app(&name);
            let (store, actor) = (self.store.clone(), self.world.actor.clone());
            making.spawn(async move {
                store
                    .create_app(app, operation, &actor, None, Timestamp(1))
                    .await
                    .unwrap();
            });
        }
        while let Some(made) = making.join_next().await {
            made.unwrap();
        }
        let mut seen = self.store.claimable().await.unwrap();
        seen.retain(|row| row.lease.is_none());
        let holder = self.world.holder;
        let claimed = self
            .store
            .claim_all_as_seen(&seen, holder, LEASE_MS, Timestamp(2))
            .await
            .unwrap();
        let fences = claimed.into_iter().map(|(_, fence)| (fence, 0));
        self.fences.lock().await.extend(fences);
    }

    /// `tasks` of them walk through the steps of one operation after the other, for that long.
    async fn run(&mut self, tasks: usize, time: Duration) -> (f64, Times) {
        let stop = Arc::new(AtomicBool::new(false));
        let start = Instant::now();
        let mut working = tokio::task::JoinSet::new();
        for _ in 0..tasks {
            let (store, fences) = (self.store.clone(), Arc::clone(&self.fences));
            let (stop, gate) = (Arc::clone(&stop), self.one_at_a_time.clone());
            working.spawn(async move {
                let mut times = Times::default();
                'all: loop {
                    let (fence, made) = fences.lock().await.pop().expect("enough operations");
                    for commit in made..2 * STEPS {
                        if stop.load(Ordering::Relaxed) {
                            fences.lock().await.push((fence, commit));
                            break 'all;
                        }
                        let _turn = match &gate {
                            Some(gate) => Some(gate.lock().await),
                            None => None,
                        };
                        let begun = Instant::now();
                        step(&store, &fence, commit).await;
                        times.add(begun.elapsed());
                    }
                }
                times
            });
        }
        tokio::time::sleep(time).await;
        stop.store(true, Ordering::Relaxed);
        let mut all = Times::default();
        while let Some(times) = working.join_next().await {
            all.extend(times.unwrap());
        }
        let commits = u32::try_from(all.len()).unwrap();
        (f64::from(commits) / start.elapsed().as_secs_f64(), all)
    }
}

async fn step(store: &Store, fence: &Fence, commit: u32) {
    let (index, none, now) = (commit / 2, Effects::default(), Timestamp(i64::from(commit)));
    let done = if commit.is_multiple_of(2) {
        let intent = json!({"vmid": 100});
        store
            .begin_step(fence, index, "create", intent, none, now)
            .await
    } else {
        store.finish_step(fence, index, json!({}), none, now).await
    };
    done.unwrap();
}

/// Rows of operations that ended long ago: nine steps and one operation in ten rows.
fn age(folder: &Path, rows: u64) {
    let connection = Connection::open(folder.join("proximity.db")).unwrap();
    let operations = rows / 10;
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = OFF;
             BEGIN IMMEDIATE;
             INSERT INTO apps (id, class, owner, hostname, catalog_id, catalog_version, host_id, node, status,
                 status_full, status_changed_at, resources, environment, guest_port, created_at, archived_at,
                 archived_by, archived_record)
                 SELECT '11111111-0000-0000-0000-000000000000', 'native', 'admin', 'old', 'nginx', '1', id, 'pve1',
                     'removing', '\"removing\"', 0, '{{}}', '{{}}', 80, 0, 0, 'x', '{{}}' FROM hosts;
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {operations})
             INSERT INTO operations (id, kind, app_id, state, state_full, input, requested_by, percent,
                 cancel_requested, epoch, created_at, finished_at)
                 SELECT printf('11111111-0000-0000-0000-%012d', i), 'start',
                     '11111111-0000-0000-0000-000000000000', 'succeeded', '{{}}', '{{}}', 'admin', 100, 0, 1, i - 1000000000, i
                 FROM n;
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {operations} * 9)
             INSERT INTO steps (operation_id, step_index, name, state, epoch, intent, output, started_at, changed_at)
                 SELECT printf('11111111-0000-0000-0000-%012d', i / 9), i % 9, 'create', 'succeeded', 1,
                     '{{\"vmid\":100}}', '{{}}', i, i FROM n;
             COMMIT;
             PRAGMA wal_checkpoint(TRUNCATE);"
        ))
        .unwrap();
}

/// Rates and times of one side, added up over the rounds.
#[derive(Default)]
struct Side {
    rates: Vec<f64>,
    times: Times,
}

impl Side {
    fn add(&mut self, (rate, times): (f64, Times)) {
        self.rates.push(rate);
        self.times.extend(times);
    }

    fn rate(&self) -> f64 {
        let mut sorted = self.rates.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    /// How many times the rate of `other`, round by round: the median, as the disk is now quick and now slow.
    fn times_as_fast_as(&self, other: &Self) -> f64 {
        let rounds = self.rates.iter().zip(&other.rates);
        let mut ratios: Vec<f64> = rounds.map(|(own, other)| own / other).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }

    fn told(&self) -> Value {
        let p99 = self.times.percentile_us(9900);
        json!({"rates_per_s": self.rates, "rate_per_s": self.rate(), "p50_us": self.times.percentile_us(5000), "p99_us": p99,
            "samples": self.times.len()})
    }
}

pub async fn measure(folder: &Path, mode: Mode) -> Value {
    let history = if mode.quick { 1_000_000 } else { 10_000_000 };
    // Longer ones would need more operations than there are pairs of ports.
    let (rounds, time) = if mode.quick { (20, 100) } else { (40, 150) };
    let time = Duration::from_millis(time);
    let mut bare = Bare::new(&folder.join("bare"));
    let mut young = Bench::new(&folder.join("young"), 0, mode).await;
    let mut old = Bench::new(&folder.join("old"), history, mode).await;
    let names = [
        "bare_alone",
        "alone",
        "few",
        "bare_batched",
        "many",
        "many_old",
        "alone_old",
    ];
    let mut sides = names.map(|_| Side::default());
    for _ in 0..rounds {
        // Each in turn, so that what else the machine does meets all of them.
        let enough = usize::try_from(time.as_millis()).unwrap() * 60 / 20 + 2 * MANY;
        young.stock(enough).await;
        old.stock(enough).await;
        sides[0].add(bare.run(1, time));
        sides[1].add(young.run(1, time).await);
        sides[2].add(young.run(FEW, time).await);
        sides[3].add(bare.run(BATCH, time));
        sides[4].add(young.run(MANY, time).await);
        sides[5].add(old.run(MANY, time).await);
        sides[6].add(old.run(1, time).await);
    }
    let [
        bare_alone,
        alone,
        few,
        bare_batched,
        many,
        many_old,
        alone_old,
    ] = &sides;
    let p99 = |side: &Side| side.times.percentile_us(9900);
    let raw: serde_json::Map<String, Value> = names
        .iter()
        .zip(&sides)
        .map(|(name, side)| ((*name).to_owned(), side.told()))
        .collect();
    json!({
        "alone_of_bare": alone.times_as_fast_as(bare_alone),
        "many_of_batched": many.times_as_fast_as(bare_batched),
        "alone_p99_of_bare": p99(alone) / p99(bare_alone),
        "few_p99_of_bare": p99(few) / p99(bare_alone),
        "slower_with_history": many.times_as_fast_as(many_old).max(alone.times_as_fast_as(alone_old)),
        "history_rows": history,
        "raw": raw,
    })
}
