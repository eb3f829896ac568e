//! Many seeds, one after the other on each thread: what they found, and whether a seed gives the same again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use proximity_engine::saga::Guard;
use serde::Serialize;
use tokio::time::{Duration, Instant};

use super::act::Theme;
use super::run::{Outcome, Play, play};
use super::switches::shown;
use super::trace::Telling;
use super::watch::Violation;

/// How many findings are told.
const TOLD: usize = 20;

/// What is to be played.
#[derive(Debug, Clone, Copy)]
pub struct Many {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub count: u64,
    /// What they are about.
    pub theme: Theme,
    /// Acts in each.
    pub steps: usize,
    /// At the same time.
    pub threads: usize,
    /// None is begun after so many seconds.
    pub seconds: Option<u64>,
    /// Every so many seeds one is played again with its whole trace, and the two traces compared; 0: none.
    pub again_every: u64,
    /// Ends with the first finding.
    pub until_found: bool,
    /// The guard of the engine that is off.
    pub off: Option<Guard>,
    /// A rule that does not count as showing that it is off: for the control of the figure.
    pub but: Option<&'static str>,
}

/// A seed that broke a rule.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// The first rule it broke.
    pub violation: Violation,
}

/// What they found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    /// Seeds played.
    pub sequences: u64,
    /// Acts carried out.
    pub acts: u64,
    /// Changes the engine sent.
    pub changes: u64,
    /// Of these, those that reached another container than the one that was looked at, which had got its number meanwhile.
    pub raced: u64,
    /// Operations that were stuck at the end.
    pub stuck: u64,
    /// Virtual hours that passed.
    pub virtual_hours: u64,
    /// Seeds that broke a rule.
    pub violations: u64,
    /// Of these, those by which the guard that is off shows.
    pub shown: u64,
    /// By which rule it showed first.
    pub shown_by: Option<&'static str>,
    /// Some of them.
    pub told: Vec<Found>,
    /// Seeds played twice with their whole trace.
    pub again: u64,
    /// Of these, those whose traces were the same, byte by byte.
    pub same: u64,
    /// The sums over the traces of some of them, for another process to compare.
    pub sums: Vec<Sum>,
}

/// A seed, and the sum over its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// The seed.
    pub seed: u64,
    /// The sum.
    pub sum: u64,
}

impl Verdict {
    fn add(&mut self, many: &Many, seed: u64, outcome: &Outcome) {
        self.sequences += 1;
        self.acts += u64::try_from(outcome.acts).unwrap_or(0);
        self.changes += outcome.changes;
        self.raced += outcome.raced;
        self.stuck += outcome.stuck;
        // Milliseconds until the end, hours then.
        self.virtual_hours += outcome.virtual_ms;
        let violations = &outcome.violations;
        let by = many
            .off
            .and_then(|guard| shown(guard, violations, many.but));
        self.shown += u64::from(by.is_some());
        self.shown_by = self.shown_by.or(by.map(|violation| violation.rule));
        if let Some(first) = outcome.violations.first() {
            self.violations += 1;
            self.told.push(Found {
                seed,
                violation: first.clone(),
            });
        }
    }
}

impl Many {
    /// Plays them all. Which thread plays a seed changes nothing: each has a runtime, a world and chance of its own.
    ///
    /// # Errors
    /// A simulation itself could not go on.
    pub fn play(self) -> Result<Verdict, String> {
        let next = AtomicU64::new(0);
        let over = AtomicBool::new(false);
        // Outside of every simulation: the machine's own time.
        let end = self
            .seconds
            .map(|s| Instant::now() + Duration::from_secs(s));
        let verdict = Mutex::new(Verdict::default());
        let lane = || -> Result<(), String> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let late = end.is_some_and(|end| Instant::now() >= end);
                if number >= self.count || late || over.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let seed = self.from + number;
                let again = self.again_every > 0 && number.is_multiple_of(self.again_every);
                let drawn = Play::draw(self.theme, seed, self.steps).without(self.off);
                // Nobody compares the trace of a seed that is played once.
                let telling = if again {
                    Telling::Lines
                } else {
                    Telling::Nothing
                };
                let outcome = play(&drawn, telling)?;
                let same = again.then(|| play(&drawn, telling)).transpose()?;
                let mut verdict = verdict.lock().unwrap_or_else(PoisonError::into_inner);
                verdict.add(&self, seed, &outcome);
                if let Some(second) = same {
                    verdict.again += 1;
                    verdict.same += u64::from(second.trace == outcome.trace);
                    let sum = outcome.sum.map(|(sum, _)| Sum { seed, sum });
                    verdict.sums.extend(sum);
                }
                let found = match self.off {
                    Some(_) => verdict.shown,
                    None => verdict.violations,
                };
                if self.until_found && found > 0 {
                    over.store(true, Ordering::Relaxed);
                }
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
        let mut verdict = verdict.into_inner().unwrap_or_else(PoisonError::into_inner);
        verdict.virtual_hours /= 3_600_000;
        verdict.told.sort_by_key(|found| found.seed);
        verdict.told.truncate(TOLD);
        verdict.sums.sort_by_key(|sum| sum.seed);
        verdict.sums.truncate(TOLD);
        Ok(verdict)
    }
}
