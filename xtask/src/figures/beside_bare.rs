//! The figures that compare the store with a bare loop on SQLite: P7 and P14.
//!
//! Both sides run in one optimised program, turn by turn on one file system; see `crates/store/examples`.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;

/// Durable steps per second.
pub(super) const STEPS: Figure = Figure {
    id: "P7",
    shows: "durable step commits beside bare SQLite commits: alone, 256 at once, after a long history",
    goal: "alone >= 0.6, many >= 0.5 of batched, p99 <= 3, history <= 1.2",
    binaries: &[Binary::StoreFigures],
    prepare: nothing,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(600),
    measure: steps,
};

/// Port allocation.
pub(super) const PORTS: Figure = Figure {
    id: "P14",
    shows: "p99 of creating an app with its ports beside one bare commit, 0 % and 99.9 % of 20,000 ports held",
    goal: "<= 1.5",
    binaries: &[Binary::StoreFigures],
    prepare: nothing,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(300),
    measure: ports,
};

fn nothing(_: &Place) -> Result<()> {
    Ok(())
}

fn steps(bench: &Bench<'_>) -> Result<Measured> {
    let found = run(bench, "steps")?;
    let number = |name: &str| number(&found, name);
    let (alone, many) = (number("alone_of_bare")?, number("many_of_batched")?);
    let (p99, few_p99) = (number("alone_p99_of_bare")?, number("few_p99_of_bare")?);
    let history = number("slower_with_history")?;
    let reached = alone >= 0.6 && many >= 0.5 && p99.max(few_p99) <= 3.0 && history <= 1.2;
    Ok(Measured {
        value: format!("{alone:.2}/{many:.2}/{:.2}/{history:.2}", p99.max(few_p99)),
        unit: "of bare",
        reached,
        raw: json!({"quick": bench.mode.quick, "found": found}),
    })
}

fn ports(bench: &Bench<'_>) -> Result<Measured> {
    let found = run(bench, "ports")?;
    let worst = number(&found, "p99_of_bare")?;
    Ok(Measured {
        value: format!("{worst:.2}"),
        unit: "of a bare commit",
        reached: worst <= 1.5,
        raw: json!({"quick": bench.mode.quick, "found": found}),
    })
}

fn number(found: &Value, name: &str) -> Result<f64> {
    found[name]
        .as_f64()
        .with_context(|| format!("no {name} in {found}"))
}

/// Runs the program in a folder of its own below `target`, which is the file system of both sides.
fn run(bench: &Bench<'_>, what: &str) -> Result<Value> {
    let folder = bench
        .place
        .target()
        .join("figures")
        .join(format!("store-{what}"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let mut program = Invocation::new(Binary::StoreFigures.path(bench.place))
        .arg(what)
        .arg(&folder)
        .until(bench.deadline);
    if bench.mode.quick {
        program = program.arg("--quick");
    }
    if bench.mode.sabotage {
        program = program.arg("--sabotage");
    }
    let said = program
        .capture(bench.place.root())?
        .expect_success("store-figures");
    std::fs::remove_dir_all(&folder)?;
    let said = said?;
    serde_json::from_str(said.trim()).with_context(|| format!("reading {said}"))
}
