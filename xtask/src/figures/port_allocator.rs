//! R16: 64 tasks in each of 4 processes take port pairs and give them back, with kills inside.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::scratch::Scratch;
use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "R16",
    shows: "port pairs that were doubled, leaked or wrongly refused by 64 tasks × 4 processes with kills",
    goal: "0 faults",
    binaries: &[Binary::Figures],
    prepare,
    needs_root: false,
    in_tests: true,
    full_limit: Duration::from_secs(240),
    measure,
};

/// Seconds of work and kills.
const FULL: (u64, u64) = (180, 40);
const QUICK: (u64, u64) = (12, 6);

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let (seconds, kills) = if bench.mode.quick { QUICK } else { FULL };
    let scratch = Scratch::new(bench.place, "R16")?;
    let mut program = Invocation::new(Binary::Figures.path(bench.place))
        .args(["ports", "crowd", "--processes", "4", "--tasks", "64"])
        .args([
            "--seconds",
            &seconds.to_string(),
            "--kills",
            &kills.to_string(),
        ])
        .args(["--seed", &bench.seed.to_string(), "--dir"])
        .arg(scratch.path())
        .until(bench.deadline);
    if bench.mode.sabotage {
        program = program.arg("--sabotage");
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("the processes")?;
    let verdict: Value = serde_json::from_str(&answer).context("reading the verdict")?;
    let number = |name: &str| {
        let found = verdict.get(name).and_then(Value::as_u64);
        found.with_context(|| format!("the verdict has no {name}"))
    };
    for fault in verdict["told"].as_array().into_iter().flatten() {
        say::note(format!("R16: {fault}"));
    }
    let (faults, taken) = (number("faults")?, number("taken")?);
    Ok(Measured {
        value: format!("{faults}/{taken}"),
        unit: "faults/pairs",
        // Without a refusal the end of the range was not reached, and nothing was shown about it.
        reached: faults == 0 && number("refused")? > 0 && number("processes")? == 4 + kills,
        raw: verdict,
    })
}
