//! R2: processes that die inside the recovery of others.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow, bail};
use proximity_engine::saga::Guard;
use proximity_testkit::sim::{Life, Survived, survive};
use serde_json::json;

use super::{Args, lanes};
use crate::draw::Draw;
use crate::{say, verdict};

/// So many pairs of deaths are drawn unless told otherwise. Some first deaths leave nothing that somebody could die in.
const PAIRS: usize = 2_200;
/// Of the pairs one in so many goes on to a third death.
const TRIPLE_ONE_IN: usize = 3;

/// One first death, and how many second ones inside its recovery.
#[derive(Debug)]
struct First {
    life: Life,
    at: usize,
    pairs: usize,
}

/// What came of all of them.
#[derive(Debug, Default)]
struct Sum {
    singles: usize,
    pairs: usize,
    triples: usize,
    deaths: usize,
    places: BTreeSet<String>,
    slowest_ms: u64,
    /// Cases with something wrong.
    wrong: usize,
    told: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let off = lanes::off(args, Guard::Create)?;
    let mut undisturbed = BTreeMap::new();
    let mut all = Vec::new();
    for (number, life) in Life::all().into_iter().enumerate() {
        let alone = play(life, args.seed, &[], None)?;
        if let Some(fault) = alone.faults.first() {
            bail!("{life:?} without any death: {fault}");
        }
        all.extend((0..alone.came_by).map(|at| (number, life, at)));
        undisturbed.insert(number, alone);
    }
    let there_are = all.len();
    let firsts = firsts(all, args);
    let sum = lanes::each(&firsts, Sum::default(), |(number, first), sum| {
        let alone = undisturbed.get(number);
        let alone = alone.ok_or_else(|| anyhow!("a life that nobody lived"))?;
        let mut here = Sum::default();
        here.within(first, alone, args.seed, off)?;
        let mut sum = sum.lock().map_err(|_| anyhow!("a lane panicked"))?;
        sum.join(here);
        Ok(())
    })?;
    let verdict = json!({
        "places_there_are": there_are,
        "singles": sum.singles,
        "pairs": sum.pairs,
        "triples": sum.triples,
        "deaths": sum.deaths,
        "places": sum.places.len(),
        "undo_places": sum.places.iter().filter(|place| place.contains("undo")).count(),
        "slowest_recovery_ms": sum.slowest_ms,
        "faults": sum.wrong,
        "told": verdict::told(&sum.told),
    });
    Ok(say::line(&verdict.to_string())?)
}

/// The first deaths, drawn, with as many second ones as are wanted in all.
fn firsts(mut all: Vec<(usize, Life, usize)>, args: &Args) -> Vec<(usize, First)> {
    let wanted = args.cases.unwrap_or(PAIRS);
    let each = wanted.div_ceil(all.len().max(1));
    let mut draws = Draw::seeded(args.seed);
    let mut firsts = Vec::new();
    let mut left = wanted;
    while left > 0 && !all.is_empty() {
        let (number, life, at) = all.swap_remove(draws.below(all.len()));
        let pairs = each.min(left);
        left -= pairs;
        firsts.push((number, First { life, at, pairs }));
    }
    firsts
}

fn play(life: Life, seed: u64, deaths: &[usize], off: Option<Guard>) -> Result<Survived> {
    survive(life, seed, deaths, off).map_err(|why| anyhow!("{life:?} {deaths:?}: {why}"))
}

impl Sum {
    /// A first death, deaths in its recovery, and deaths in theirs.
    fn within(
        &mut self,
        first: &First,
        alone: &Survived,
        seed: u64,
        off: Option<Guard>,
    ) -> Result<()> {
        let First { life, at, pairs } = first;
        let single = play(*life, seed, &[*at], off)?;
        self.add(*life, &single, alone);
        self.singles += 1;
        let mut draws = Draw::seeded(seed ^ u64::try_from(at * 31 + pairs)?);
        for number in 0..*pairs {
            // One that nobody came by any more would be no pair.
            if single.came_by == 0 {
                break;
            }
            let second = draws.below(single.came_by);
            let pair = play(*life, seed, &[*at, second], off)?;
            self.add(*life, &pair, alone);
            self.pairs += 1;
            if (at + number) % TRIPLE_ONE_IN == 0 && pair.came_by > 0 {
                let third = draws.below(pair.came_by);
                let triple = play(*life, seed, &[*at, second, third], off)?;
                self.add(*life, &triple, alone);
                self.triples += 1;
            }
        }
        Ok(())
    }

    fn add(&mut self, life: Life, survived: &Survived, alone: &Survived) {
        self.deaths += survived.deaths;
        self.places.extend(survived.places.iter().cloned());
        self.slowest_ms = self.slowest_ms.max(survived.recovered_ms);
        let faults = survived.differs_from(alone);
        self.wrong += usize::from(!faults.is_empty());
        for fault in faults {
            let places = survived.places.join(", ");
            self.told
                .push(format!("{life:?}, dead at {places}: {fault}"));
        }
    }

    fn join(&mut self, other: Self) {
        self.singles += other.singles;
        self.pairs += other.pairs;
        self.triples += other.triples;
        self.deaths += other.deaths;
        self.places.extend(other.places);
        self.slowest_ms = self.slowest_ms.max(other.slowest_ms);
        self.wrong += other.wrong;
        self.told.extend(other.told);
    }
}
