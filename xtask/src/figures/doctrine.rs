//! R9, R10, R10-quiet, R14, R15: the real reconciler over very many records and a cluster that does not say the whole truth, and the real
//! janitor.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// A node that fails.
pub(super) const PARTIAL: Figure = Figure {
    id: "R9",
    shows: "records archived and ports freed because one of 20 nodes fails, in seven ways at each of the six questions of a pass",
    goal: "0 of 10,000 (quick: of 1,000), 0 faults",
    binaries: &[Binary::Guarded],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1_800),
    measure: |bench| {
        let cases: &[&str] = if bench.mode.quick {
            &["--cases", "40"]
        } else {
            &[]
        };
        let found = ask(bench, "partial", cases)?;
        let (archived, freed) = (number(&found, "archived")?, number(&found, "freed")?);
        let (cases, faults) = (number(&found, "cases")?, number(&found, "faults")?);
        Ok(Measured {
            value: format!("{archived}/{freed}/{faults}/{cases}"),
            unit: "records archived/ports freed/faults/cases",
            reached: archived + freed + faults == 0 && cases > 0,
            raw: found,
        })
    },
};

/// Rights that shrink.
pub(super) const SHRINK: Figure = Figure {
    id: "R10",
    shows: "faults while the token that looks loses sight of one container, each tenth or all, runs out, or the pool is renamed; and in 100 looks after it is back",
    goal: "0 faults: nothing archived, an alarm within 2 looks, then 0 commits and 0 changing calls",
    binaries: &[Binary::Guarded],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1_800),
    measure: |bench| {
        let found = ask(bench, "shrink", &[])?;
        let (cases, faults) = (number(&found, "cases")?, number(&found, "faults")?);
        Ok(Measured {
            value: format!("{faults}/{cases}"),
            unit: "faults/cases",
            reached: faults == 0 && cases > 0,
            raw: found,
        })
    },
};

/// Loops at rest.
pub(super) const QUIET: Figure = Figure {
    id: "R10-quiet",
    shows: "changing calls and commits in cycles of every loop over apps at rest, one of them in conflict and told of",
    goal: "0 and 0 in 100 cycles (quick: in 20)",
    binaries: &[Binary::Guarded],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(600),
    measure: |bench| {
        let cycles = if bench.mode.quick { "20" } else { "100" };
        let found = ask(bench, "quiet", &["--cases", cycles])?;
        let (calls, commits) = (number(&found, "calls")?, number(&found, "commits")?);
        let cycles = number(&found, "cycles")?;
        Ok(Measured {
            value: format!("{calls}/{commits}/{cycles}"),
            unit: "changing calls/commits/cycles",
            reached: calls + commits == 0 && cycles > 0,
            raw: found,
        })
    },
};

/// Too many at once.
pub(super) const BRAKE: Figure = Figure {
    id: "R15",
    shows: "times that more containers were gone than may go in an hour, of 10, 100 and 10,000, and that nothing went before the very number was typed",
    goal: "every time, 0 faults (quick: of 10, 100 and 500)",
    binaries: &[Binary::Guarded],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1_200),
    measure: |bench| {
        let found = ask(bench, "brake", &[])?;
        let (asked, stopped) = (number(&found, "asked")?, number(&found, "stopped")?);
        let faults = number(&found, "faults")?;
        Ok(Measured {
            value: format!("{stopped}/{asked}/{faults}"),
            unit: "stopped/asked/faults",
            reached: asked > 0 && stopped == asked && faults == 0,
            raw: found,
        })
    },
};

/// The janitor.
pub(super) const JANITOR: Figure = Figure {
    id: "R14",
    shows: "requests that the janitor sends, and marks of apps somebody is at work on or that it should have made",
    goal: "0, 0 and 0 in 10^4 passes (quick: in 2,000), with marks in them",
    binaries: &[Binary::Guarded],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(600),
    measure: |bench| {
        let passes = if bench.mode.quick { "2000" } else { "10000" };
        let found = ask(bench, "janitor", &["--cases", passes])?;
        let (calls, wrong) = (number(&found, "calls")?, number(&found, "wrong")?);
        let (faults, marked) = (number(&found, "faults")?, number(&found, "marked")?);
        Ok(Measured {
            value: format!("{calls}/{wrong}/{faults}/{marked}"),
            unit: "requests/marks of what is alive/faults/marks",
            reached: calls + wrong + faults == 0 && marked > 0,
            raw: found,
        })
    },
};

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

/// Runs one of them, on fewer records in a quick measurement.
pub(super) fn ask(bench: &Bench<'_>, which: &str, more: &[&str]) -> Result<Value> {
    let quick = match which {
        "partial" => "1000",
        _ => "500",
    };
    let records = if bench.mode.quick { quick } else { "10000" };
    let mut program = Invocation::new(Binary::Guarded.path(bench.place))
        .args(["doctrine", which, "--records", records])
        .args(["--seed", &bench.seed.to_string()])
        .args(more.iter().copied())
        .until(bench.deadline);
    if bench.mode.sabotage {
        program = program.arg("--sabotage");
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("the looks")?;
    let last = answer.lines().last().unwrap_or_default();
    let found: Value = serde_json::from_str(last).context("reading the verdict")?;
    for fault in found["told"].as_array().into_iter().flatten() {
        say::note(format!("{which}: {fault}"));
    }
    Ok(found)
}

pub(super) fn number(found: &Value, name: &str) -> Result<u64> {
    let number = found[name].as_u64();
    number.with_context(|| format!("the verdict has no {name}"))
}
