//! lab: how fast the emulated cluster hands out the list of 10,000 guests, beside a TLS server that only sends the same
//! bytes; and its share of the processor time while somebody fetches and reads that list again and again.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;

/// The least part of a bare server's answers per second.
const LEAST_OF_BARE: f64 = 0.7;
/// The most of the processor time that client and emulator use together.
const MOST_OF_CPU: f64 = 0.3;

pub(super) const FIGURE: Figure = Figure {
    id: "lab",
    shows: "the emulated cluster handing out 10,000 guests: answers per second beside a TLS server that only sends the same bytes; its share of the processor time of a loop that fetches and reads them",
    goal: ">= 0.7 of bare, <= 0.30 of the processor time",
    binaries: &[Binary::LabFigures],
    prepare: nothing,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(180),
    measure,
};

fn nothing(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let folder = bench.folder("lab")?;
    let mut program = Invocation::new(Binary::LabFigures.path(bench.place))
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
        .expect_success("lab-figures")?;
    let found: Value =
        serde_json::from_str(said.trim()).with_context(|| format!("reading {said}"))?;
    let number = |name: &str| {
        let value = found[name].as_f64();
        value.with_context(|| format!("no {name} in {found}"))
    };
    let (of_bare, share) = (number("of_bare")?, number("cpu_share")?);
    let per_second = number("per_second")?;
    Ok(Measured {
        value: format!("{of_bare:.2}/{share:.2}/{per_second:.0}"),
        unit: "of bare/of the processor time/answers per second",
        reached: of_bare >= LEAST_OF_BARE && share <= MOST_OF_CPU && found["guests"] == 10_000,
        raw: json!({"quick": bench.mode.quick, "found": found}),
    })
}
