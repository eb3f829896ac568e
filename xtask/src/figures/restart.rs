//! P13: a server with many operations at work is killed and started again, beside the real lab and the real gateway.
//!
//! The server is the one developers run. What the program saw is reported; what is reached is decided here.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "P13",
    shows: "a server killed with many deploys at work: its first answer, the last one taken over, things done twice",
    goal: "<= 200 ms, <= 2000 ms, 0 faults",
    binaries: &[Binary::CrashPoints, Binary::Plain, Binary::Figures],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1200),
    measure,
};

/// Apps that are there already, and deploys at work.
const FULL: (u64, u64) = (10_000, 500);
const QUICK: (u64, u64) = (1_000, 40);
const FIRST_ANSWER_MS: u64 = 200;
const ALL_RESUMED_MS: u64 = 2_000;

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let (apps, at_work) = if bench.mode.quick { QUICK } else { FULL };
    let dir = bench.folder("restart")?;
    let mut program = Invocation::new(Binary::Figures.path(bench.place))
        .args(["restart", "--program"])
        .arg(Binary::Plain.path(bench.place))
        .arg("--dir")
        .arg(&dir)
        .args(["--apps", &apps.to_string()])
        .args(["--at-work", &at_work.to_string()])
        .until(bench.deadline);
    if bench.mode.sabotage {
        program = program
            .arg("--forgetful")
            .arg(Binary::CrashPoints.path(bench.place));
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("killing a server at work")?;
    let last = answer.lines().last().unwrap_or_default();
    judge(serde_json::from_str(last).context("reading the verdict")?)
}

fn judge(result: Value) -> Result<Measured> {
    let number = |name: &str| {
        let found = result.get(name).and_then(Value::as_u64);
        found.with_context(|| format!("the verdict has no {name}"))
    };
    let (first, all, faults) = (
        number("first_answer_ms")?,
        number("all_resumed_ms")?,
        number("faults")?,
    );
    for fault in result["told"].as_array().into_iter().flatten() {
        say::note(format!("P13: {fault}"));
    }
    Ok(Measured {
        value: format!("{first}/{all}/{faults}"),
        unit: "ms first answer/ms all resumed/faults",
        reached: first <= FIRST_ANSWER_MS && all <= ALL_RESUMED_MS && faults == 0,
        raw: result,
    })
}
