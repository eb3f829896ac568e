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
/// What there has to be a guard of: invariants, and the mistakes of other systems that issue E names.
const ROWS: [&str; 25] = [
    "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I9", "F1", "F2", "F3", "F4", "F5", "H1", "H2", "H3",
    "H4", "H5", "H6", "H7", "H8", "H10", "H11", "H12", "H13",
];
/// Those that the simulation takes no guard off of, and why.
const ELSEWHERE: [(&str, &str); 5] = [
    (
        "I5",
        "figure R16 takes it off: who holds a port is the store's own rule",
    ),
    (
        "H2",
        "planned with backups (issue I): there are none whose place could be lost",
    ),
    ("H6", "figure R14 takes it off"),
    ("H10", "planned with restores (issue I)"),
    ("H13", "figures R16 and deploys take it off"),
];
/// H12 has no guard that could be off: nothing of a node is kept between two placements.
const NOTHING_KEPT: &str = "H12";
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
    let bare = rows(switches);
    let all = switches.len();
    Ok(Measured {
        value: format!("{found}/{all}"),
        unit: "found/taken off",
        reached: all > 0 && found == all && bare == 0,
        raw: json!(switches),
    })
}

/// Tells of each row by which guards it was tried; how many have none, and no reason.
fn rows(switches: &[Value]) -> usize {
    let mut bare = 0;
    for row in ROWS {
        let is_of = |switch: &&Value| {
            let rows = switch["rows"].as_array().into_iter().flatten();
            rows.filter_map(Value::as_str).any(|it| it == row)
        };
        let by: Vec<String> = switches.iter().filter(is_of).map(told).collect();
        let elsewhere = ELSEWHERE.iter().find(|(it, _)| *it == row);
        let line = match elsewhere {
            _ if !by.is_empty() => by.join("; "),
            Some((_, why)) => (*why).to_owned(),
            None if row == NOTHING_KEPT => {
                "nothing of a node is kept between placements".to_owned()
            }
            None => {
                bare += 1;
                "no guard of it was taken off".to_owned()
            }
        };
        say::note(format!("R6: {row}: {line}"));
    }
    bare
}

/// A guard, and how it was found.
fn told(switch: &Value) -> String {
    let text = |name: &str| switch[name].as_str().unwrap_or("nothing").to_owned();
    let (guard, by, how) = (text("guard"), text("by"), text("how"));
    format!("{guard} by {by} ({how}, {})", switch["sequences"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_not_found_is_short_and_none_at_all_as_well() {
        let reached = |found: &[bool]| {
            let lines: Vec<Value> = found
                .iter()
                .map(|it| json!({"found": it, "guard": "one", "rows": ROWS}))
                .collect();
            judge(&lines).unwrap().reached
        };
        assert!(reached(&[true, true]));
        assert!(!reached(&[true, false]));
        assert!(!reached(&[]));
        assert!(judge(&[json!({})]).is_err());
    }

    #[test]
    fn a_row_without_a_guard_or_a_reason_is_short() {
        let but = |missing: &str| {
            let rows: Vec<&str> = ROWS.into_iter().filter(|row| *row != missing).collect();
            let line = json!({"found": true, "guard": "one", "rows": rows});
            judge(&[line]).unwrap().reached
        };
        assert!(but("H2"));
        assert!(!but("H1"));
    }
}
