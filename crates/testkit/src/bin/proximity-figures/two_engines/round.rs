//! One round: a claim, a stop, a take-over, and the first one goes on.

use std::time::Duration;

use proximity_domain::ids::OperationId;
use proximity_domain::operation::OperationState;
use proximity_domain::time::Clock;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::saga::crash_points;
use proximity_store::records::OperationRecord;
use proximity_testkit::sources::RealClock;
use rustix::process::Signal;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use super::args::Args;
use super::child::Engine;
use super::judge::{Wrong, changes, judge_calls, rows};
use super::lane::{LEASE_MS, Lane};

const LOOK: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(40);

/// What a round showed.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) round: usize,
    what: String,
    /// It was stopped while it worked (a moment drawn by chance may come after the end).
    stopped: bool,
    /// The second engine was killed while it took over.
    killed: bool,
    /// From the stop to the claim of the second one.
    takeover_ms: Option<u64>,
    wrong: Wrong,
}

/// Numbers by chance: from seed and round alone.
struct Draws(u64);

impl Draws {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit.max(1)
    }
}

/// How the first engine is stopped.
enum Stop {
    /// At a place of its step.
    At(String),
    /// So many milliseconds after its claim.
    After(u64),
}

struct Plan {
    stop: Stop,
    kill_at: Option<String>,
}

/// Every second place is the one right before a call: there a stop hurts most. The control has no others.
fn plan(saga: &str, draws: &mut Draws, round: usize, late: bool) -> Plan {
    let places: Vec<String> = crash_points()
        .into_iter()
        .filter(|p| p.starts_with(&format!("{saga}/")))
        .collect();
    let calls: Vec<String> = places
        .iter()
        .filter(|p| p.ends_with("/before_call") && !p.contains("/install/"))
        .cloned()
        .collect();
    // A successor comes by these wherever it took over.
    let ends: Vec<String> = places.iter().rev().take(2).cloned().collect();
    let mut one_of = |from: &[String]| {
        let at = usize::try_from(draws.below(from.len() as u64)).unwrap_or(0);
        from.get(at).cloned().unwrap_or_default()
    };
    let stop = match if late { 0 } else { round % 4 } {
        0 | 1 => Stop::At(one_of(&calls)),
        2 => Stop::At(one_of(&places)),
        _ => Stop::After(draws.below(400)),
    };
    let mut one_of = |from: &[String]| {
        let at = usize::try_from(draws.below(from.len() as u64)).unwrap_or(0);
        from.get(at).cloned().unwrap_or_default()
    };
    Plan {
        stop,
        kill_at: (round % 5 == 4).then(|| one_of(&ends)),
    }
}

/// Plays one round in the lane. A deploy, or the removal of what the round before deployed.
pub(super) async fn play(lane: &mut Lane, args: &Args, round: usize) -> Result<Report, String> {
    let mut draws = Draws(args.number::<u64>("seed")? ^ (round as u64) << 20);
    let removes = lane.app.is_some();
    let late = args.get("late").is_some();
    let plan = plan(
        if removes { "remove" } else { "deploy" },
        &mut draws,
        round,
        late,
    );
    let (mut first, mut second) = engines(lane, args, &plan).await?;
    let op = ask(lane, round).await?;
    first.begin().await?;
    let stopped = stop(lane, &first, op, &plan.stop).await?;
    let since = Instant::now();
    let epoch = operation(lane, op).await?.epoch.0;
    let mut wrong = Wrong::default();
    second.begin().await?;
    let mut taken = Vec::new();
    let mut takeover_ms = None;
    if stopped && !operation(lane, op).await?.state.is_final() {
        claimed_above(lane, op, epoch).await?;
        taken.push((epoch + 1, now_ms()));
        takeover_ms = Some(ms(since.elapsed()));
    }
    let mut third = None;
    if plan.kill_at.is_some() {
        third = replace_if_killed(lane, &common(args), &mut second, op, &mut taken).await?;
    }
    settled(lane, op).await?;
    // It stood still for twice the time that taking over took.
    tokio::time::sleep_until(since + Duration::from_millis(2 * takeover_ms.unwrap_or(0))).await;
    let before = rows(&lane.store, op).await?;
    first.signal(Signal::CONT)?;
    first.signal(Signal::TERM)?;
    first.ended().await?;
    let after = rows(&lane.store, op).await?;
    if before != after || after.fallen > 0 {
        wrong.stale_writes += after.count.abs_diff(before.count).max(after.fallen).max(1);
        wrong
            .notes
            .push(format!("before {before:?} after {after:?}"));
    }
    let killed = third.is_some();
    end(third.unwrap_or(second)).await?;
    judge_calls(
        &changes(&lane.pve.journal().entries(), op)?,
        &taken,
        &mut wrong,
    );
    judge_guests(lane, op, removes, &mut wrong).await?;
    Ok(Report {
        round,
        what: describe(removes, &plan),
        stopped,
        killed,
        takeover_ms,
        wrong,
    })
}

/// What every engine of a run is told.
fn common(args: &Args) -> Vec<String> {
    let mut all = vec![format!("lease_ms={LEASE_MS}")];
    all.extend(args.get("late").map(|_| "late=1".to_owned()));
    all
}

/// Starts both, side by side; none of them works yet.
async fn engines(lane: &Lane, args: &Args, plan: &Plan) -> Result<(Engine, Engine), String> {
    let (mut first, mut second) = (common(args), common(args));
    if let Stop::At(place) = &plan.stop {
        first.push(format!("stop_at={place}"));
    }
    second.extend(plan.kill_at.iter().map(|place| format!("crash_at={place}")));
    tokio::try_join!(
        Engine::start(&lane.dir, &first),
        Engine::start(&lane.dir, &second),
    )
}

fn describe(removes: bool, plan: &Plan) -> String {
    let saga = if removes { "remove" } else { "deploy" };
    match &plan.stop {
        Stop::At(place) => place.clone(),
        Stop::After(ms) => format!("{saga} after {ms} ms"),
    }
}

/// A shutdown with nothing in flight ends well.
async fn end(mut last: Engine) -> Result<(), String> {
    last.signal(Signal::TERM)?;
    let ended = last.ended().await?;
    if ended.success() {
        Ok(())
    } else {
        Err(format!("an engine ended with {ended}"))
    }
}

async fn ask(lane: &mut Lane, round: usize) -> Result<OperationId, String> {
    if let Some(app) = &lane.app {
        let remove = Action::Delete {
            confirm: Some(app.hostname.to_string()),
            force_stop: false,
            purge: false,
        };
        let op = lane
            .engine
            .act(&lane.actor, app.hostname.as_str(), remove)
            .await
            .map_err(|e| e.to_string())?;
        return Ok(op.id);
    }
    let request = CreateApp {
        catalog_id: "bare".to_owned(),
        hostname: format!("round-{round}"),
        ..CreateApp::default()
    };
    let app = lane
        .engine
        .create_app(&lane.actor, request)
        .await
        .map_err(|e| e.to_string())?;
    let op = app.operation.ok_or("no operation")?;
    lane.app = Some(app);
    Ok(op)
}

/// Stops the first engine as planned. Whether it stands still; it does not if it was done before.
async fn stop(lane: &Lane, first: &Engine, op: OperationId, how: &Stop) -> Result<bool, String> {
    let over = async || {
        let now = operation(lane, op).await;
        now.is_ok_and(|o| is_settled(&o))
    };
    if let Stop::After(ms) = how {
        let claimed = async {
            while operation(lane, op).await?.epoch.0 == 0 {
                sleep(LOOK).await;
            }
            Ok::<_, String>(())
        };
        timeout(PATIENCE, claimed)
            .await
            .map_err(|_| "nobody claimed it".to_owned())??;
        sleep(Duration::from_millis(*ms)).await;
        first.signal(Signal::STOP)?;
        first.stopped(async || false).await?;
    } else if !first.stopped(over).await? {
        return Ok(false);
    }
    while first.holds_write_lock()? {
        first.signal(Signal::CONT)?;
        sleep(LOOK).await;
        first.signal(Signal::STOP)?;
        first.stopped(async || false).await?;
    }
    Ok(true)
}

async fn operation(lane: &Lane, op: OperationId) -> Result<OperationRecord, String> {
    let found = lane.store.operation(op).await.map_err(|e| e.to_string())?;
    found.ok_or_else(|| "the operation is gone".to_owned())
}

fn is_settled(op: &OperationRecord) -> bool {
    op.state.is_final() || matches!(op.state, OperationState::Stuck { .. })
}

async fn claimed_above(lane: &Lane, op: OperationId, epoch: i64) -> Result<(), String> {
    let looking = async {
        while operation(lane, op).await?.epoch.0 <= epoch {
            sleep(LOOK).await;
        }
        Ok(())
    };
    timeout(PATIENCE, looking)
        .await
        .map_err(|_| "nobody took it over".to_owned())?
}

/// Waits until the second engine is dead by its crash point, or the operation is done. A dead one has a successor.
async fn replace_if_killed(
    lane: &Lane,
    more: &[String],
    second: &mut Engine,
    op: OperationId,
    taken: &mut Vec<(i64, u64)>,
) -> Result<Option<Engine>, String> {
    let dead = timeout(PATIENCE, async {
        tokio::select! {
            ended = second.ended() => ended.map(|_| true),
            () = async { while !operation(lane, op).await.is_ok_and(|o| is_settled(&o)) { sleep(LOOK).await; } } => Ok(false),
        }
    })
    .await
    .map_err(|_| "the second engine neither died nor was done".to_owned())??;
    if !dead {
        return Ok(None);
    }
    let epoch = operation(lane, op).await?.epoch.0;
    let mut third = Engine::start(&lane.dir, more).await?;
    third.begin().await?;
    if !is_settled(&operation(lane, op).await?) {
        claimed_above(lane, op, epoch).await?;
        taken.push((epoch + 1, now_ms()));
    }
    Ok(Some(third))
}

async fn settled(lane: &Lane, op: OperationId) -> Result<(), String> {
    let looking = async {
        loop {
            let now = operation(lane, op).await?;
            if now.state == OperationState::Succeeded {
                return Ok(());
            }
            if is_settled(&now) {
                return Err(format!("it did not succeed: {:?}", now.state));
            }
            sleep(LOOK).await;
        }
    };
    timeout(PATIENCE, looking)
        .await
        .map_err(|_| "it was not carried out".to_owned())?
}

/// There are the guests there should be, each once.
async fn judge_guests(
    lane: &mut Lane,
    op: OperationId,
    removes: bool,
    wrong: &mut Wrong,
) -> Result<(), String> {
    let wanted = if removes {
        lane.app = None;
        0
    } else {
        1
    };
    let there = lane.guests.vmids().len();
    if there != wanted {
        wrong.duplicates += there.abs_diff(wanted);
        wrong
            .notes
            .push(format!("{there} guests instead of {wanted} after {op}"));
    }
    let broken = lane.store.invariants().await.map_err(|e| e.to_string())?;
    if !broken.is_empty() {
        wrong.stale_writes += broken.len();
        wrong.notes.extend(broken);
    }
    Ok(())
}

fn now_ms() -> u64 {
    u64::try_from(RealClock.now().0).unwrap_or(0)
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
