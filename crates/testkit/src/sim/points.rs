//! Scripts with a trap at each of their calls in turn: what became of each case, against the rules and against the script
//! without traps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use proximity_engine::saga::Guard;
use serde::Serialize;
use tokio::time::{Duration, Instant};

use super::cases::{Case, Plan, cases};
use super::chance::Chance;
use super::run::{Outcome, Play, play};
use super::scripts::Script;
use super::switches::shown;
use super::trace::Telling;

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
    /// Of the cases of a script one in so many is played with each seed, which draws them.
    pub one_in: u64,
    /// None is begun after so many seconds.
    pub seconds: Option<u64>,
    /// At the same time.
    pub threads: usize,
    /// The guard of the engine that is off.
    pub off: Option<Guard>,
    /// Ends with this.
    pub until: Option<Until>,
    /// A rule that does not count as showing that it is off: for the control of the figure.
    pub but: Option<&'static str>,
    /// Only this script.
    pub only: Option<&'static str>,
    /// The engine's token has every right, whatever the plan is.
    pub is_wide: bool,
}

/// What a plan is played until.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The first finding.
    Found,
    /// One by which the guard that is off shows.
    Shown,
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
    /// By which of its rules the guard that is off showed.
    pub shown_by: Option<&'static str>,
    /// Cases that ended otherwise than the script alone.
    pub differ: u64,
    /// Calls to a stranger's container without an honest look before them.
    pub onto_strangers: u64,
    /// Calls that left after an honest look, and met a stranger's container all the same.
    pub raced: u64,
    /// Calls that left after a look that showed what had been learned of it: one factor is another one, and no task told that it was made anew.
    pub learned: u64,
    /// Of all, those that the rights of the token kept away.
    pub fenced: u64,
    /// Cases in which the janitor marked an app.
    pub marked: u64,
    /// Cases with more claims of operations than the script alone.
    pub claimed: u64,
    /// Cases in which a person had an operation go on that was stuck, and in the script alone nobody had to.
    pub told_on: u64,
    /// Moments that have a name.
    pub named: BTreeMap<&'static str, Named>,
    /// What steps have done twice, or not at all, as the engine's rehearsal names it.
    pub rehearsed: BTreeSet<String>,
    /// What steps were to do: all there are, each done twice, left out, and taken back twice.
    pub to_rehearse: BTreeSet<String>,
    /// Some of those that are not as they have to be.
    pub told: Vec<Told>,
    #[serde(skip)]
    places: BTreeSet<String>,
}

/// What happened at a moment that has a name.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Named {
    /// Cases.
    pub cases: u64,
    /// Calls to a stranger's container.
    pub onto_strangers: u64,
    /// Of these, those that the rights of the token kept away.
    pub fenced: u64,
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
        if !case.play.rehearsal.is_plain() {
            self.rehearsed.extend(it.rehearsed.iter().cloned());
        }
        let (blind, raced, learned) = it.onto_strangers;
        self.onto_strangers += blind;
        self.raced += raced;
        self.learned += learned;
        self.fenced += it.fenced;
        if let Some(name) = case.name {
            let named = self.named.entry(name).or_default();
            named.cases += 1;
            named.onto_strangers += blind + raced + learned;
            named.fenced += it.fenced;
        }
        self.told_on += u64::from(it.told_on > plain.told_on);
        let is_marked = it.marked > plain.marked;
        self.marked += u64::from(is_marked);
        let is_claimed = points.plan == Plan::Jumps && it.claims > plain.claims;
        self.claimed += u64::from(is_claimed);
        let differs = points.plan.compares() && it.end != plain.end;
        self.differ += u64::from(differs);
        let first = it.violations.first();
        self.violations += u64::from(first.is_some());
        let by = points
            .off
            .and_then(|guard| shown(guard, &it.violations, points.but));
        self.shown_by = self.shown_by.or(by.map(|violation| violation.rule));
        let unfenced = blind + raced + learned > it.fenced;
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
        self.shown_by = self.shown_by.or(other.shown_by);
        self.differ += other.differ;
        self.onto_strangers += other.onto_strangers;
        self.raced += other.raced;
        self.learned += other.learned;
        self.fenced += other.fenced;
        self.marked += other.marked;
        self.claimed += other.claimed;
        self.told_on += other.told_on;
        for (name, other) in other.named {
            let named = self.named.entry(name).or_default();
            named.cases += other.cases;
            named.onto_strangers += other.onto_strangers;
            named.fenced += other.fenced;
        }
        self.rehearsed.extend(other.rehearsed);
        self.told.extend(other.told);
        self.told.truncate(TOLD);
        self.places.extend(other.places);
    }
}

/// What every step of every saga can do.
fn to_rehearse() -> BTreeSet<String> {
    let points = proximity_engine::saga::crash_points();
    let steps = points
        .iter()
        .filter_map(|point| point.strip_suffix("/after_intent"));
    let each = |step| ["act", "leave", "undo"].map(|does| format!("{does} {step}"));
    steps.flat_map(each).collect()
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
            .filter(|script| self.plan.is_about(script))
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
                if self.is_over_by(&found) {
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
        if self.plan == Plan::Twice {
            verdict.to_rehearse = to_rehearse();
        }
        Ok(verdict)
    }

    /// What it is played until.
    fn is_over_by(&self, verdict: &PointsVerdict) -> bool {
        self.until.is_some_and(|until| match until {
            Until::Found => !verdict.told.is_empty(),
            Until::Shown => verdict.shown_by.is_some(),
        })
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
            narrow: self.plan.is_narrow() && !self.is_wide,
            insists: self.plan.insists(),
            second: self.plan.has_second(),
            ..Play::of(seed, script.acts())
        };
        // The calls are those of an engine with all its guards.
        let alone = play(&plain, Telling::Nothing)?;
        if let Some(first) = alone.violations.first() {
            return Err(format!(
                "{} with seed {seed} and no trap breaks {}: {}",
                script.name, first.rule, first.what
            ));
        }
        let mut chance = Chance::of(seed, script.name);
        for case in cases(self.plan, script, &plain, &alone) {
            if !chance.one_in(self.one_in) {
                continue;
            }
            if is_over() || self.is_over_by(&verdict) {
                return Ok((verdict, false));
            }
            let beside = case.beside.as_ref();
            let beside = beside
                .map(|beside| play(beside, Telling::Nothing))
                .transpose()?;
            let (case, outcome) = self.played(case)?;
            let alone = beside.as_ref().unwrap_or(&alone);
            verdict.add(self, script, &case, alone, &outcome);
        }
        Ok((verdict, true))
    }

    /// Plays a case, and others in its place as long as nothing can happen in it.
    fn played(&self, mut case: Case) -> Result<(Case, Outcome), String> {
        let instead = std::mem::take(&mut case.instead);
        let mut outcome = play(&case.play.clone().without(self.off), Telling::Nothing)?;
        for other in instead {
            if outcome.sprung > 0 {
                break;
            }
            case.play = other;
            outcome = play(&case.play.clone().without(self.off), Telling::Nothing)?;
        }
        Ok((case, outcome))
    }
}
