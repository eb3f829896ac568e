//! R14: the janitor asks no cluster for anything, and marks nobody who is at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context, Result, anyhow};
use proximity_domain::app::StatusLabel;
use proximity_domain::failure::Failure;
use proximity_domain::ids::AppId;
use proximity_domain::time::{Clock, Monotonic, Timestamp};
use proximity_engine::saga::Guard;
use proximity_pve_emulator::core::Access;
use proximity_store::effects::Effects;
use proximity_store::records::Fence;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{Place, TestWorld, WorldParts};
use serde_json::json;

use super::Args;
use super::guards::Off;
use crate::draw::Draw;
use crate::things::Things;
use crate::{say, verdict};

/// So many passes, when nothing else is asked for.
const PASSES: usize = 10_000;
/// Passes in one world, and so many apps at the most.
const IN_ONE: usize = 40;
const MINUTE_MS: i64 = 60_000;
/// The seeds' limit, and what a lease may be over; as the documents say it, not as the code does.
const LIMIT_MS: i64 = 60 * MINUTE_MS;
const OVER_MS: i64 = 5 * MINUTE_MS;

/// A clock that stands still until it is moved.
#[derive(Debug)]
struct Still(AtomicI64);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(u64::try_from(self.now().0).unwrap_or(0))
    }
}

/// How the deploy of an app is.
#[derive(Debug)]
enum Work {
    Waits,
    Held(Fence, i64),
    Stuck,
}

/// An app that is deployed, as whoever deploys it knows it.
#[derive(Debug)]
struct Known {
    app: AppId,
    since: i64,
    work: Work,
    marked: bool,
}

impl Known {
    fn is_alive(&self, now: i64) -> bool {
        match self.work {
            Work::Waits => true,
            Work::Held(_, until) => now - until < OVER_MS,
            Work::Stuck => false,
        }
    }

    fn has_to_be_marked(&self, now: i64) -> bool {
        self.marked || (!self.is_alive(now) && now - self.since > LIMIT_MS)
    }
}

/// What was seen.
#[derive(Debug, Default)]
struct Found {
    passes: usize,
    marked: usize,
    /// Marks of apps somebody was at work on.
    wrong: usize,
    calls: u64,
    faults: Vec<String>,
}

pub(super) async fn run(args: &Args) -> Result<()> {
    let _off = Off::if_control(args.sabotage, Guard::Alive)?;
    let mut found = Found::default();
    let mut draw = Draw::seeded(args.seed);
    while found.passes < args.cases.unwrap_or(PASSES) {
        Lives::begin(&mut draw)
            .await?
            .live(&mut draw, &mut found)
            .await?;
    }
    let verdict = json!({
        "passes": found.passes,
        "marked": found.marked,
        "wrong": found.wrong,
        "calls": found.calls,
        "faults": found.faults.len(),
        "told": verdict::told(&found.faults),
    });
    Ok(say::line(&verdict.to_string())?)
}

/// A world with apps that come and go, and its janitor.
struct Lives {
    w: TestWorld,
    clock: Arc<Still>,
    things: Things,
    known: Vec<Known>,
}

impl Lives {
    async fn begin(draw: &mut Draw) -> Result<Self> {
        let clock = Arc::new(Still(AtomicI64::new(1_800_000_000_000)));
        let parts = WorldParts {
            clusters: vec![Pve::start(Access::Full)],
            clock: Some(clock.clone()),
            pairs: u16::try_from(IN_ONE)?,
            place: Place::Memory,
            ..WorldParts::default()
        };
        let world = TestWorld::start_of(parts).await;
        let mut w = world.map_err(|why| anyhow!(why))?;
        w.stop_worker().await.map_err(|why| anyhow!(why))?;
        let things = Things::from(draw.number() >> 1);
        Ok(Self {
            w,
            clock,
            things,
            known: Vec::new(),
        })
    }

    async fn live(&mut self, draw: &mut Draw, found: &mut Found) -> Result<()> {
        for _ in 0..IN_ONE {
            self.act(draw).await?;
            let ms = draw.below(90 * 60_000);
            self.clock.0.fetch_add(i64::try_from(ms)?, Ordering::SeqCst);
            self.pass(draw.below(5) == 0, found).await?;
        }
        Ok(())
    }

    /// One thing that somebody does.
    async fn act(&mut self, draw: &mut Draw) -> Result<()> {
        let now = self.clock.now();
        let lease = i64::try_from(draw.below(240))? * MINUTE_MS + 1;
        let which = draw.below(self.known.len().max(1));
        let act = draw.below(5);
        let store = &self.w.store;
        let Some(known) = self.known.get_mut(which).filter(|_| act > 1) else {
            return self.deploy(now).await;
        };
        match &mut known.work {
            Work::Waits => {
                let claimed = store.claim(self.things.holder, lease, false, now).await?;
                let (op, fence) = claimed.context("somebody waits, and nothing can be claimed")?;
                let its = self.known.iter_mut().find(|known| known.app == op.app);
                its.context("an app that nobody made")?.work = Work::Held(fence, now.0 + lease);
            }
            Work::Held(fence, until) if act == 2 => {
                store.renew(fence, lease, now).await?;
                *until = (now.0 + lease).max(*until + 1);
            }
            Work::Held(fence, _) if act == 3 && !known.marked => {
                let why = Failure::new("test_stuck", "it cannot go on".to_owned(), "Look.");
                store
                    .stick(fence, None, why, Effects::default(), now)
                    .await?;
                known.work = Work::Stuck;
            }
            Work::Held(..) | Work::Stuck => {}
        }
        Ok(())
    }

    async fn deploy(&mut self, now: Timestamp) -> Result<()> {
        let hosts = self.w.store.hosts().await?;
        let host = hosts.first().context("there is no host")?.id;
        let name = format!("app-{}", self.known.len());
        let (app, operation) = self.things.app(&name, host)?;
        let id = app.id;
        let store = &self.w.store;
        store
            .create_app(app, operation, &self.w.actor, None, now)
            .await?;
        self.known.push(Known {
            app: id,
            since: now.0,
            work: Work::Waits,
            marked: false,
        });
        Ok(())
    }

    /// One pass, and what is on record afterwards.
    async fn pass(&mut self, dry: bool, found: &mut Found) -> Result<()> {
        let now = self.clock.now().0;
        let calls = self.w.pve.calls();
        let report = self.w.engine.janitor().pass(dry).await?.result;
        found.passes += 1;
        found.calls += self.w.pve.calls() - calls;
        found.marked += report.stuck_marked_error;
        for known in &mut self.known {
            let record = self.w.store.app(known.app).await?;
            let record = record.context("an app that is gone")?;
            let is_marked = record.status.label() == StatusLabel::Error;
            let has_to = known.marked || (!dry && known.has_to_be_marked(now));
            if is_marked && !known.marked && known.is_alive(now) {
                found.wrong += 1;
            }
            if is_marked != has_to {
                let what = format!("marked: {is_marked}, at {now}, dry: {dry}: {known:?}");
                found.faults.push(what);
            }
            known.marked = is_marked;
        }
        Ok(())
    }
}
