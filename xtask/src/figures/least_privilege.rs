//! R32, its first half: the rights of the table are enough, each of them is needed, and what is not ours is kept from us.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "R32",
    shows: "privileges of the tokens that break something by name when they are dropped; what breaks with all of them, or gets through to what is not ours",
    goal: "every one, 0 faults",
    binaries: &[Binary::Figures],
    prepare,
    needs_root: false,
    in_tests: true,
    full_limit: Duration::from_secs(300),
    measure,
};

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let mut program = Invocation::new(Binary::Figures.path(bench.place))
        .arg("least")
        .until(bench.deadline);
    if bench.mode.sabotage {
        program = program.arg("--sabotage");
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("the cases")?;
    let last = answer.lines().last().unwrap_or_default();
    let verdict: Value = serde_json::from_str(last).context("reading the verdict")?;
    let number = |name: &str| {
        let found = verdict[name].as_u64();
        found.with_context(|| format!("the verdict has no {name}"))
    };
    for fault in verdict["told"].as_array().into_iter().flatten() {
        say::note(format!("R32: {fault}"));
    }
    let (cases, broken, faults) = (number("cases")?, number("broken")?, number("faults")?);
    Ok(Measured {
        value: format!("{broken}/{cases}/{faults}"),
        unit: "privileges that break something/privileges/faults",
        reached: cases > 0 && broken == cases && faults == 0,
        raw: verdict,
    })
}
