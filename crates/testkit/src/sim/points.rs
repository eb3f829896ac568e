//! Scripts with a trap at each of their calls in turn: what became of each case, against the rules and against the script
//! without traps.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use proximity_engine::saga::Guard;
use serde::Serialize;
use tokio::time::{Duration, Instant};

use super::cases::{Case, Plan, cases};
use super::run::{Outcome, Play, play};
use super::scripts::Script;

/// How many findings are told.
const TOLD: usize = 12;

/// What is to be played.
#[derive(Debug, Clone, Copy)]
pub struct Points {
    /// What is tried.
    pub plan: Plan,
    /// The first seed.
    pub from: u64,
    /// How many seeds: each is a schedule of its own.
    pub seeds: u64,
    /// None is begun after so many seconds.
    pub seconds: Option<u64>,
    /// At the same time.
    pub threads: usize,
    /// The guard of the engine that is off.
    pub off: Option<Guard>,
    /// Ends with the first finding.
    pub until_found: bool,
    /// Only this script.
    pub only: Option<&'static str>,
}

/// A case that did not come out as it has to.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// The script.
    pub script: &'static str,
    /// Where the trap was.
    pub point: String,
    /// What is wrong.
    pub what: String,
    /// The case, for `cargo xtask sim --case`.
    pub case: Play,
}

/// What came of them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PointsVerdict {
    /// Schedules whose cases were all played.
    pub schedules: u64,
    /// Cases whose trap was sprung.
    pub cases: u64,
    /// Cases in which the call that the trap waits for did not come, or nothing could happen at it.
    pub missed: u64,
    /// Different places at which a trap was sprung.
    pub points: usize,
    /// Cases that broke a rule.
    pub violations: u64,
    /// Cases that ended otherwise than the script alone.
    pub differ: u64,
    /// Calls to a stranger's container without an honest look before them.
    pub onto_strangers: u64,
    /// Calls that left after an honest look, and met a stranger's container all the same.
    pub raced: u64,
    /// Of both, those that the rights of the token kept away.
    pub fenced: u64,
    /// Cases in which the janitor marked an app.
    pub marked: u64,
    /// Cases with more claims of operations than the script alone.
    pub claimed: u64,
    /// Some of those that are not as they have to be.
    pub told: Vec<Told>,
    #[serde(skip)]
    places: BTreeSet<String>,
}

impl PointsVerdict {
    fn add(
        &mut self,
        points: &Points,
        script: &Script,
        case: &Case,
        plain: &Outcome,
        it: &Outcome,
    ) {
        let trapped = !case.play.traps.is_empty();
        if trapped && it.sprung == 0 {
            self.missed += 1;
            return;
        }
        self.cases += 1;
        self.places
            .insert(format!("{} {}", script.name, case.point));
        let (blind, raced) = it.onto_strangers;
        self.onto_strangers += blind;
        self.raced += raced;
        self.fenced += it.fenced;
        let is_marked = it.marked > plain.marked;
        self.marked += u64::from(is_marked);
        let is_claimed = points.plan == Plan::Jumps && it.claims > plain.claims;
        self.claimed += u64::from(is_claimed);
        let differs = points.plan.compares() && it.end != plain.end;
        self.differ += u64::from(differs);
        let first = it.violations.first();
        self.violations += u64::from(first.is_some());
        let unfenced = blind + raced > it.fenced;
        let what = match first {
            Some(first) => format!("{}: {}", first.rule, first.what),
            None if differs => format!("ends with {:?}, alone with {:?}", it.end, plain.end),
            None if is_marked => "the janitor marked an app".to_owned(),
            None if is_claimed => format!("{} claims, alone {}", it.claims, plain.claims),
            None if blind > 0 || unfenced => {
                format!(
                    "{blind} blind and {raced} raced calls onto a stranger, {} fenced",
                    it.fenced
                )
            }
            None => return,
        };
        self.told.push(Told {
            script: script.name,
            point: case.point.clone(),
            what,
            case: case.play.clone(),
        });
    }

    fn join(&mut self, other: Self) {
        self.cases += other.cases;
        self.missed += other.missed;
        self.violations += other.violations;
        self.differ += other.differ;
        self.onto_strangers += other.onto_strangers;
        self.raced += other.raced;
        self.fenced += other.fenced;
        self.marked += other.marked;
        self.claimed += other.claimed;
        self.told.extend(other.told);
        self.told.truncate(TOLD);
        self.places.extend(other.places);
    }
}

impl Points {
    /// Plays every case of every script, seed after seed. Which thread plays one changes nothing.
    ///
    /// # Errors
    /// A simulation itself could not go on.
    pub fn play(self) -> Result<PointsVerdict, String> {
        let next = AtomicU64::new(0);
        let over = AtomicBool::new(false);
        let scripts: Vec<Script> = Script::ALL
            .into_iter()
            .filter(|script| self.only.is_none_or(|only| only == script.name))
            .collect();
        let each = u64::try_from(scripts.len()).unwrap_or(1).max(1);
        // Outside of every simulation: the machine's own time.
        let end = self
            .seconds
            .map(|s| Instant::now() + Duration::from_secs(s));
        let is_over =
            || over.load(Ordering::Relaxed) || end.is_some_and(|end| Instant::now() >= end);
        let whole = Mutex::new((PointsVerdict::default(), 0));
        let lane = || -> Result<(), String> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number / each >= self.seeds || is_over() {
                    return Ok(());
                }
                let script = usize::try_from(number % each)
                    .ok()
                    .and_then(|at| scripts.get(at));
                let Some(script) = script else { return Ok(()) };
                let (found, is_whole) = self.one(script, self.from + number / each, &is_over)?;
                let mut all = whole.lock().unwrap_or_else(PoisonError::into_inner);
                if self.until_found && !found.told.is_empty() {
                    over.store(true, Ordering::Relaxed);
                }
                all.0.join(found);
                all.1 += u64::from(is_whole);
            }
        };
        std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..self.threads.max(1))
                .map(|_| scope.spawn(lane))
                .collect();
            lanes.into_iter().try_for_each(|lane| match lane.join() {
                Ok(played) => played,
                Err(_) => Err("a lane panicked".to_owned()),
            })
        })?;
        let (mut verdict, played) = whole.into_inner().unwrap_or_else(PoisonError::into_inner);
        verdict.schedules = played / each;
        verdict.points = verdict.places.len();
        Ok(verdict)
    }

    /// One script with one seed; whether all its cases were played.
    fn one(
        &self,
        script: &Script,
        seed: u64,
        is_over: &impl Fn() -> bool,
    ) -> Result<(PointsVerdict, bool), String> {
        let mut verdict = PointsVerdict::default();
        let plain = Play {
            narrow: self.plan.is_narrow(),
            ..Play::of(seed, script.acts())
        };
        // The calls are those of an engine with all its guards.
        let alone = play(&plain, false)?;
        if let Some(first) = alone.violations.first() {
            return Err(format!(
                "{} with seed {seed} and no trap breaks {}: {}",
                script.name, first.rule, first.what
            ));
        }
        for case in cases(self.plan, &plain, &alone.calls) {
            if is_over() || (self.until_found && !verdict.told.is_empty()) {
                return Ok((verdict, false));
            }
            let beside = case.beside.as_ref();
            let beside = beside.map(|beside| play(beside, false)).transpose()?;
            let outcome = play(&case.play.clone().without(self.off), false)?;
            verdict.add(
                self,
                script,
                &case,
                beside.as_ref().unwrap_or(&alone),
                &outcome,
            );
        }
        Ok((verdict, true))
    }
}
