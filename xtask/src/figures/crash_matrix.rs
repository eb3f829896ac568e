//! R1: what a kill at every step leaves behind.
//!
//! The places are not listed here: the crash-point build is asked for them (`crash-points --json`,
//! names of the form `saga/step/place`), so that a new step is a new case by itself. Each place is
//! one deploy and one remove in a lab of its own, with `serve --crash-at PLACE`; what the lab
//! holds afterwards is compared with what the product says it holds. That scenario is given to
//! `measure_with`; the figure joins the table together with it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::{Bench, Binary, Measured, lanes};
use crate::invocation::Invocation;
use crate::seed::Draws;

/// How many labs run side by side: they mostly wait for tasks of the emulated cluster.
const LANES: usize = 6;

/// What one scenario saw and left behind, counted in the lab and in the product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Found {
    /// The process died at the place. False where a step never comes by it: nothing is shown then.
    pub(crate) killed: bool,
    /// Recorded, but not in the lab.
    pub(crate) lost_guests: u32,
    /// In the lab, but not recorded.
    pub(crate) leaked_guests: u32,
    /// More than one guest for one app.
    pub(crate) doubled_guests: u32,
    /// Reserved for no app.
    pub(crate) leaked_ports: u32,
    /// Operations that neither ended nor ask for a person.
    pub(crate) unconverged: u32,
}

/// One step and the places in it, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    name: String,
    places: Vec<String>,
}

/// What was tried in one step.
#[derive(Debug, Serialize)]
struct Tried {
    step: String,
    places: Vec<(String, Found)>,
}

impl Found {
    fn faults(self) -> u32 {
        self.lost_guests
            + self.leaked_guests
            + self.doubled_guests
            + self.leaked_ports
            + self.unconverged
    }
}

/// Runs the scenario at every place and adds up; when quick, at one place per step that really
/// kills, in an order drawn by the seed. The number given to the scenario is its lane's: no two
/// scenarios with the same number run at a time.
pub(crate) fn measure_with(
    bench: &Bench<'_>,
    scenario: impl Fn(&Bench<'_>, usize, &str) -> Result<Found> + Sync,
) -> Result<Measured> {
    let steps = steps(enumerate(bench)?, &mut bench.seed.draws())?;
    let tried = lanes::run(LANES, &steps, bench.deadline, |lane, step| {
        let mut places = Vec::new();
        for place in &step.places {
            let found = scenario(bench, lane, place).with_context(|| format!("at {place}"))?;
            places.push((place.clone(), found));
            if bench.mode.quick && found.killed {
                break;
            }
        }
        Ok(Tried {
            step: step.name.clone(),
            places,
        })
    })?;
    Ok(add_up(&tried))
}

/// The goal is reached when nothing was left behind, and every step was killed at least once.
fn add_up(tried: &[Tried]) -> Measured {
    let all = || {
        tried
            .iter()
            .flat_map(|tried| &tried.places)
            .map(|(_, found)| *found)
    };
    let faults: u32 = all().map(Found::faults).sum();
    let kills = all().filter(|found| found.killed).count();
    let spared = |tried: &&Tried| !tried.places.iter().any(|(_, found)| found.killed);
    let spared: Vec<&str> = tried
        .iter()
        .filter(spared)
        .map(|tried| tried.step.as_str())
        .collect();
    Measured {
        value: format!("{faults}/{kills}"),
        unit: "faults/kills",
        reached: faults == 0 && kills > 0 && spared.is_empty(),
        raw: serde_json::json!({ "steps_never_killed": spared, "tried": tried }),
    }
}

/// Asks the build where it can be killed.
fn enumerate(bench: &Bench<'_>) -> Result<Vec<String>> {
    let answer = Invocation::new(Binary::CrashPoints.path(bench.place))
        .args(["crash-points", "--json"])
        .until(bench.deadline)
        .capture(bench.place.root())?
        .expect_success("asking for the crash points")?;
    serde_json::from_str(&answer).context("reading the crash points")
}

/// The places by step, in an order drawn for each.
fn steps(names: Vec<String>, draws: &mut Draws) -> Result<Vec<Step>> {
    let mut steps: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in names {
        let Some((step, _)) = name.rsplit_once('/') else {
            bail!("{name:?} is not of the form saga/step/place");
        };
        steps.entry(step.to_owned()).or_default().push(name);
    }
    if steps.is_empty() {
        bail!("the build names no crash point: nothing would be shown");
    }
    Ok(steps
        .into_iter()
        .map(|(name, mut rest)| {
            let mut places = Vec::new();
            while !rest.is_empty() {
                places.push(rest.swap_remove(draws.below(rest.len())));
            }
            Step { name, places }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    const KILLED: Found = Found {
        killed: true,
        lost_guests: 0,
        leaked_guests: 0,
        doubled_guests: 0,
        leaked_ports: 0,
        unconverged: 0,
    };

    fn draws() -> Draws {
        "3".parse::<Seed>().unwrap().draws()
    }

    fn names() -> Vec<String> {
        let steps = ["deploy/start", "remove/start", "deploy/install"];
        let places = ["before_intent", "after_call", "after_record"];
        let pairs = steps
            .iter()
            .flat_map(|step| places.map(|place| format!("{step}/{place}")));
        pairs.collect()
    }

    fn tried(step: &str, found: &[Found]) -> Tried {
        let places = found
            .iter()
            .map(|found| (step.to_owned(), *found))
            .collect();
        Tried {
            step: step.to_owned(),
            places,
        }
    }

    #[test]
    fn every_step_has_all_its_places_in_an_order_the_seed_repeats() {
        let found = steps(names(), &mut draws()).unwrap();
        let shown: Vec<&str> = found.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(shown, ["deploy/install", "deploy/start", "remove/start"]);
        assert!(found.iter().all(|step| step.places.len() == 3));
        assert_eq!(found, steps(names(), &mut draws()).unwrap());
        assert!(steps(Vec::new(), &mut draws()).is_err());
        assert!(steps(vec!["odd".to_owned()], &mut draws()).is_err());
    }

    #[test]
    fn one_fault_anywhere_misses_the_goal() {
        let good = [
            tried("a", &[KILLED, Found::default()]),
            tried("b", &[KILLED]),
        ];
        assert!(add_up(&good).reached);
        assert_eq!(add_up(&good).value, "0/2");
        let doubled = Found {
            doubled_guests: 1,
            ..KILLED
        };
        let bad = add_up(&[tried("a", &[KILLED]), tried("b", &[doubled])]);
        assert!(!bad.reached);
        assert_eq!(bad.value, "1/2");
    }

    #[test]
    fn a_step_that_was_never_killed_misses_the_goal() {
        let spared = [tried("a", &[KILLED]), tried("b", &[Found::default()])];
        assert!(!add_up(&spared).reached);
        assert!(!add_up(&[]).reached);
    }

    #[test]
    fn any_kind_of_fault_counts() {
        assert_eq!(KILLED.faults(), 0);
        for faulty in [
            Found {
                lost_guests: 1,
                ..KILLED
            },
            Found {
                leaked_guests: 1,
                ..KILLED
            },
            Found {
                doubled_guests: 1,
                ..KILLED
            },
            Found {
                leaked_ports: 1,
                ..KILLED
            },
            Found {
                unconverged: 1,
                ..KILLED
            },
        ] {
            assert_eq!(faulty.faults(), 1);
        }
    }
}
