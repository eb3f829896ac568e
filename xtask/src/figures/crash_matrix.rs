//! R1: what a kill at every step leaves behind.
//!
//! The places are not listed here: the crash-point build is asked for them, so that a new step is
//! a new case by itself. Each place is one deploy and one remove in a lab of its own; what the lab
//! holds afterwards is compared with what the product says it holds. The scenario, `Found` for one
//! place, is given to `measure_with`; the figure joins the table together with it.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{Bench, Binary, Measured, lanes};
use crate::invocation::Invocation;
use crate::seed::Seed;

/// A point at which the crash-point build can kill itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct CrashPoint {
    /// `deploy_app`, `remove_app` …
    saga: String,
    /// The step, as its table names it.
    step: String,
    /// Where in the step: before the effect, between effect and record, after the record.
    moment: String,
}

/// What one scenario left behind, counted in the lab and in the product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Found {
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

impl fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.saga, self.step, self.moment)
    }
}

impl Found {
    fn sum(self) -> u32 {
        let Self {
            lost_guests,
            leaked_guests,
            doubled_guests,
            leaked_ports,
            unconverged,
        } = self;
        lost_guests + leaked_guests + doubled_guests + leaked_ports + unconverged
    }
}

/// How many labs run side by side: they mostly wait for tasks of the emulated cluster.
const LANES: usize = 6;

/// Runs the scenario at every place, or at one place per step when quick, and adds up. The number
/// given to the scenario is its lane's: no two scenarios with the same number run at a time.
pub(crate) fn measure_with(
    bench: &Bench<'_>,
    scenario: impl Fn(&Bench<'_>, usize, &CrashPoint) -> Result<Found> + Sync,
) -> Result<Measured> {
    let points = choose(enumerate(bench)?, bench.mode.quick, bench.seed);
    let found = lanes::run(LANES, &points, bench.deadline, |lane, point| {
        scenario(bench, lane, point).with_context(|| format!("killed at {point}"))
    })?;
    Ok(add_up(&points, &found))
}

fn add_up(points: &[CrashPoint], found: &[Found]) -> Measured {
    let faults: u32 = found.iter().map(|found| found.sum()).sum();
    let cases = points.iter().zip(found);
    let raw = cases.map(|(point, found)| serde_json::json!({ "point": point, "found": found }));
    Measured {
        value: format!("{faults}/{}", points.len()),
        unit: "faults/kills",
        reached: faults == 0,
        raw: raw.collect(),
    }
}

/// Asks the build where it can be killed.
fn enumerate(bench: &Bench<'_>) -> Result<Vec<CrashPoint>> {
    let answer = Invocation::new(Binary::CrashPoints.path(bench.place))
        .args(["crash-points", "--json"])
        .until(bench.deadline)
        .capture(bench.place.root())?
        .expect_success("asking for the crash points")?;
    let points: Vec<CrashPoint> =
        serde_json::from_str(&answer).context("reading the crash points")?;
    if points.is_empty() {
        bail!("the build names no crash point: nothing would be shown");
    }
    Ok(points)
}

/// All of them, or for each step one drawn by the seed.
fn choose(points: Vec<CrashPoint>, quick: bool, seed: Seed) -> Vec<CrashPoint> {
    if !quick {
        return points;
    }
    let mut steps: BTreeMap<(String, String), Vec<CrashPoint>> = BTreeMap::new();
    for point in points {
        let step = (point.saga.clone(), point.step.clone());
        steps.entry(step).or_default().push(point);
    }
    let mut draws = seed.draws();
    steps
        .into_values()
        .map(|mut moments| moments.swap_remove(draws.below(moments.len())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<CrashPoint> {
        let mut all = Vec::new();
        for step in ["deploy_app/start", "remove_app/start", "deploy_app/install"] {
            for moment in ["before", "inside", "after"] {
                let (saga, step) = step.split_once('/').unwrap();
                all.push(CrashPoint {
                    saga: saga.to_owned(),
                    step: step.to_owned(),
                    moment: moment.to_owned(),
                });
            }
        }
        all
    }

    #[test]
    fn quick_takes_every_step_once() {
        let seed: Seed = "3".parse().unwrap();
        let chosen = choose(points(), true, seed);
        let steps: Vec<_> = chosen
            .iter()
            .map(|p| format!("{}/{}", p.saga, p.step))
            .collect();
        assert_eq!(
            steps,
            ["deploy_app/install", "deploy_app/start", "remove_app/start"]
        );
        assert_eq!(chosen, choose(points(), true, seed));
        assert_eq!(choose(points(), false, seed).len(), 9);
    }

    #[test]
    fn one_fault_anywhere_misses_the_goal() {
        let mut found = [Found::default(); 9];
        assert!(add_up(&points(), &found).reached);
        found[4].doubled_guests = 1;
        let measured = add_up(&points(), &found);
        assert!(!measured.reached);
        assert_eq!(measured.value, "1/9");
    }

    #[test]
    fn any_kind_of_fault_counts() {
        assert_eq!(Found::default().sum(), 0);
        assert_eq!(
            Found {
                leaked_ports: 1,
                lost_guests: 2,
                ..Found::default()
            }
            .sum(),
            3
        );
    }
}
