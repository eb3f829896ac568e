//! deploys: fifty at the same time on three nodes, and three servers that want one VMID; with the real programs.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "deploys",
    shows: "apps of 50 deployed at once that do not run alone with VMID, ports and page of their own; VMIDs not won by one of three",
    goal: "0 faults",
    binaries: &[Binary::Plain, Binary::Figures],
    prepare,
    needs_root: false,
    in_tests: true,
    full_limit: Duration::from_secs(600),
    measure,
};

const APPS: u64 = 50;
/// How often three servers want one VMID.
const RACES: u64 = 20;
const QUICK_RACES: u64 = 2;

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let races = if bench.mode.quick { QUICK_RACES } else { RACES };
    let dir = bench.folder("deploys")?;
    let mut program = Invocation::new(Binary::Figures.path(bench.place))
        .args(["deploys", "--program"])
        .arg(Binary::Plain.path(bench.place))
        .arg("--dir")
        .arg(&dir)
        .args(["--apps", &APPS.to_string()])
        .args(["--races", &races.to_string()])
        .until(bench.deadline);
    if bench.mode.sabotage {
        program = program.arg("--sabotage");
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("deploying side by side")?;
    let last = answer.lines().last().unwrap_or_default();
    let result: Value = serde_json::from_str(last).context("reading the verdict")?;
    let number = |value: &Value, name: &str| {
        let found = value.as_u64();
        found.with_context(|| format!("the verdict has no {name}"))
    };
    let of_apps = number(&result["faults"]["apps"], "faults of apps")?;
    let of_races = number(&result["faults"]["races"], "faults of races")?;
    let contested = number(&result["contested"], "contested races")?;
    if result["races"].as_u64() != Some(races) || (!bench.mode.sabotage && contested * 2 < races) {
        bail!("{contested} of {races} races were contested");
    }
    for fault in result["told"].as_array().into_iter().flatten() {
        say::note(format!("deploys: {fault}"));
    }
    Ok(Measured {
        value: format!("{}/{}", of_apps + of_races, APPS + races),
        unit: "faults/apps and races",
        // The control has to be seen by either half.
        reached: if bench.mode.sabotage {
            of_apps == 0 || of_races == 0
        } else {
            of_apps + of_races == 0
        },
        raw: result,
    })
}
