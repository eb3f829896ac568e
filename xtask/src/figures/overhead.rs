//! P6: what a deploy takes beyond the cluster's own tasks; with the real programs.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "P6",
    shows: "time of a deploy beyond the cluster's own: making the container (2 s), starting it (1 s), each entry into it (0.2 s)",
    goal: "p50 <= 100 ms, p99 <= 300 ms",
    binaries: &[Binary::Shipped, Binary::FastLab, Binary::Figures],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1_200),
    measure,
};

/// More than a hundred, so that the 99th of a hundred is not the slowest one.
const DEPLOYS: usize = 120;
const QUICK_DEPLOYS: usize = 8;
const MOST_P50_MS: i64 = 100;
const MOST_P99_MS: i64 = 300;

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let deploys = if bench.mode.quick {
        QUICK_DEPLOYS
    } else {
        DEPLOYS
    };
    let dir = bench.folder("overhead")?;
    let mut program = Invocation::new(Binary::Figures.path(bench.place))
        .args(["overhead", "--program"])
        .arg(Binary::Shipped.path(bench.place))
        .arg("--lab")
        .arg(Binary::FastLab.path(bench.place))
        .arg("--dir")
        .arg(&dir)
        .args(["--deploys", &deploys.to_string()])
        .until(bench.deadline);
    if bench.mode.sabotage {
        program = program.arg("--sabotage");
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("deploying one after the other")?;
    let last = answer.lines().last().unwrap_or_default();
    let found: Value = serde_json::from_str(last).context("reading what was measured")?;
    let number = |name: &str| {
        let value = found[name].as_i64();
        value.with_context(|| format!("no {name} in {found}"))
    };
    let (p50, p99, calls) = (number("p50_ms")?, number("p99_ms")?, number("calls")?);
    Ok(Measured {
        value: format!("{p50}/{p99}/{calls}"),
        unit: "ms p50/ms p99/calls to Proxmox VE per deploy",
        reached: p50 <= MOST_P50_MS && p99 <= MOST_P99_MS,
        raw: found,
    })
}
