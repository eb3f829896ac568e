//! R5 and R13: random operations, faults and schedules, of everything there is and of adopted apps, every rule after each step;
//! and a seed that gives the same again.

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
    measure: everything,
};

/// The same about adopted apps.
pub(super) const ADOPTED: Figure = Figure {
    id: "R13",
    shows: "simulated sequences about adopted apps of at least 40 steps, those that broke a rule, among them that nothing but what was asked for happens to an adopted container, and those played twice that were not the same",
    goal: "10^5 (quick: 10^3), 0, 0 of at least 100 (quick: 10)",
    measure: adopted,
    ..FIGURE
};

/// How it is played.
struct Goal {
    id: &'static str,
    theme: &'static str,
    /// The guard that the control takes off.
    control: &'static str,
    /// Seconds.
    seconds: u64,
    /// How many sequences there have to be by then.
    sequences: u64,
    /// How many of them have to be played twice, and have to be the same.
    again: u64,
}

fn everything(bench: &Bench<'_>) -> Result<Measured> {
    let quick = bench.mode.quick;
    let goal = Goal {
        id: "R5",
        theme: "all",
        control: "identity",
        seconds: if quick { 50 } else { 1_750 },
        sequences: if quick { 20_000 } else { 1_000_000 },
        again: 100,
    };
    measure(bench, &goal)
}

fn adopted(bench: &Bench<'_>) -> Result<Measured> {
    let quick = bench.mode.quick;
    let goal = Goal {
        id: "R13",
        theme: "adopted",
        control: "adopted",
        seconds: if quick { 50 } else { 1_750 },
        sequences: if quick { 1_000 } else { 100_000 },
        again: if quick { 10 } else { 100 },
    };
    measure(bench, &goal)
}

/// Seeds of two runs do not overlap.
const APART: u64 = 1 << 32;

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>, goal: &Goal) -> Result<Measured> {
    let again_every = (goal.sequences / goal.again / 2).max(1);
    let from = bench.seed.to_string().parse::<u64>().unwrap_or(0) % APART * APART;
    let mut program = Invocation::new(Binary::Simulation.path(bench.place))
        .args(["many", "--threads", "2", "--from", &from.to_string()])
        .args(["--theme", goal.theme])
        .args(["--count", &goal.sequences.to_string()])
        .args(["--seconds", &goal.seconds.to_string()])
        .args(["--again-every", &again_every.to_string()])
        .until(bench.deadline);
    if bench.mode.sabotage {
        program = program.args(["--off", goal.control, "--until-found"]);
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
        let (id, theme) = (goal.id, goal.theme);
        say::note(format!(
            "{id}: {rule}: cargo xtask sim --seed {seed} --theme {theme}"
        ));
    }
    if bench.mode.sabotage && number("shown")? == 0 {
        bail!("the control found nothing by the rule that has to find it");
    }
    let (sequences, violations) = (number("sequences")?, number("violations")?);
    let (again, same) = (number("again")?, number("same")?);
    Ok(Measured {
        value: format!("{sequences}/{violations}/{}", again.saturating_sub(same)),
        unit: "sequences/violations/replays that differ",
        reached: sequences >= goal.sequences
            && violations == 0
            && again >= goal.again
            && same == again,
        raw: verdict,
    })
}
