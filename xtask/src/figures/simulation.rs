//! R5: random operations, faults and schedules, every rule after each step; and a seed that gives the same again.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "R5",
    shows: "simulated sequences of at least 40 steps, those that broke a rule, and those played twice that were not the same byte by byte",
    goal: "10^6 (quick: 2·10^4), 0, 0 of at least 100",
    binaries: &[Binary::Simulation],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1800),
    measure,
};

/// How long it plays, in seconds, how many sequences there have to be by then, and which of them are played twice.
const FULL: (u64, u64, u64) = (1_750, 1_000_000, 2_000);
const QUICK: (u64, u64, u64) = (50, 20_000, 100);
/// Seeds of two runs do not overlap.
const APART: u64 = 1 << 32;

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let (seconds, goal, again_every) = if bench.mode.quick { QUICK } else { FULL };
    let from = bench.seed.to_string().parse::<u64>().unwrap_or(0) % APART * APART;
    let mut program = Invocation::new(Binary::Simulation.path(bench.place))
        .args(["many", "--threads", "2", "--from", &from.to_string()])
        .args([
            "--count",
            &goal.to_string(),
            "--seconds",
            &seconds.to_string(),
        ])
        .args(["--again-every", &again_every.to_string()])
        .until(bench.deadline);
    if bench.mode.sabotage {
        program = program.args(["--off", "identity", "--until-found"]);
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("the simulation")?;
    let last = answer.lines().last().unwrap_or_default();
    let verdict: Value = serde_json::from_str(last).context("reading the verdict")?;
    let number = |name: &str| {
        let found = verdict[name].as_u64();
        found.with_context(|| format!("the verdict has no {name}"))
    };
    for found in verdict["told"].as_array().into_iter().flatten() {
        let (seed, rule) = (&found["seed"], &found["violation"]["rule"]);
        say::note(format!("R5: {rule}: cargo xtask sim --seed {seed}"));
    }
    if bench.mode.sabotage && number("shown")? == 0 {
        bail!("the control found nothing by the rule that has to find it");
    }
    let (sequences, violations) = (number("sequences")?, number("violations")?);
    let (again, same) = (number("again")?, number("same")?);
    Ok(Measured {
        value: format!("{sequences}/{violations}/{}", again.saturating_sub(same)),
        unit: "sequences/violations/replays that differ",
        reached: sequences >= goal && violations == 0 && again >= 100 && same == again,
        raw: verdict,
    })
}
