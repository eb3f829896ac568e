//! R6: guards of the engine that are taken off, one at a time; the simulation has to find each by a rule of its own.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "R6",
    shows: "guards of invariants and against known mistakes that were taken off, and were found by a rule of their own",
    goal: "every one, in at most 10^5 simulated sequences each (quick: kept cases first)",
    binaries: &[Binary::Simulation],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1_800),
    measure,
};

/// How many sequences each may take.
const SEQUENCES: u64 = 100_000;
/// How many seconds each may take.
const FULL_S: u64 = 300;
const QUICK_S: u64 = 5;
/// The control: this rule finds nothing, and the guard that only it can find stays unfound.
const RULE: &str = "I10-audit-first";
/// Where cases are kept that show what a guard is for.
const CASES: &str = "fixtures/sim";
/// Seeds of two runs do not overlap.
const APART: u64 = 1 << 32;

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let short = bench.mode.quick || bench.mode.sabotage;
    let seconds = if short { QUICK_S } else { FULL_S };
    let from = bench.seed.to_string().parse::<u64>().unwrap_or(0) % APART * APART;
    let mut program = Invocation::new(Binary::Simulation.path(bench.place))
        .args(["switches", "--from", &from.to_string()])
        .args(["--count", &SEQUENCES.to_string()])
        .args(["--seconds", &seconds.to_string()])
        .until(bench.deadline);
    if short {
        program = program.args(["--cases", CASES]);
    }
    if bench.mode.sabotage {
        program = program.args(["--but", RULE]);
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("the simulation")?;
    let switches: Result<Vec<Value>, _> = answer.lines().map(serde_json::from_str).collect();
    judge(&switches.context("reading what was found")?)
}

/// Tells what was not found, and adds up.
fn judge(switches: &[Value]) -> Result<Measured> {
    let mut found = 0;
    for switch in switches {
        let Some(is_found) = switch["found"].as_bool() else {
            bail!("a line without an answer: {switch}");
        };
        found += usize::from(is_found);
        if !is_found {
            let (guard, played) = (&switch["guard"], &switch["sequences"]);
            say::note(format!("R6: {guard} was not found in {played} sequences"));
        }
    }
    let all = switches.len();
    Ok(Measured {
        value: format!("{found}/{all}"),
        unit: "found/taken off",
        reached: all > 0 && found == all,
        raw: json!(switches),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_not_found_is_short_and_none_at_all_as_well() {
        let reached = |found: &[bool]| {
            let lines: Vec<Value> = found.iter().map(|it| json!({"found": it})).collect();
            judge(&lines).unwrap().reached
        };
        assert!(reached(&[true, true]));
        assert!(!reached(&[true, false]));
        assert!(!reached(&[]));
        assert!(judge(&[json!({})]).is_err());
    }
}
