//! R22: a server at work for very long.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "R22",
    shows: "a server that deploys, removes and reconciles again and again: growth of its memory and of its open files from the middle on, the database for each app that came and went by then, what is written while nothing changes, and what is left when all was removed: more of the journals than is to be kept, too",
    goal: "<= 1 %, <= 5, <= 14 KB, 0 bytes, 0, over 3·10^4 passes (quick: 30 s, <= 10 %)",
    binaries: &[Binary::FastLab, Binary::FastFigures],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1_800),
    measure,
};

/// Three times as many as are promised: the database has to outgrow what the server keeps of it in memory (8 MB) in the first half.
const CYCLES: &str = "30000";
/// How long it goes on at most.
const FULL_S: &str = "1600";
const QUICK_S: &str = "30";
/// Memory of half a minute is still being taken.
const QUICK_PERCENT: f64 = 10.0;
/// What stays of an app that is gone, at most: its record, its operations and its part of the audit are some 9 KB. With its
/// events, steps and log lines it would be 23 KB.
const BYTES_PER_APP: f64 = 14_000.0;

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let dir = bench.folder("soak")?;
    let (seconds, most_percent) = if bench.mode.quick {
        (QUICK_S, QUICK_PERCENT)
    } else {
        (FULL_S, 1.0)
    };
    let mut program = Invocation::new(Binary::FastFigures.path(bench.place))
        .args(["soak", "--program"])
        .arg(Binary::FastLab.path(bench.place))
        .arg("--dir")
        .arg(&dir)
        .args(["--cycles", CYCLES, "--seconds", seconds])
        .until(bench.deadline);
    if bench.mode.sabotage {
        program = program.arg("--sabotage");
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("the soak")?;
    let last = answer.lines().last().unwrap_or_default();
    let found: Value = serde_json::from_str(last).context("reading what was measured")?;
    let of = |value: &Value, name: &str| value.as_f64().with_context(|| format!("no {name}"));
    let memory = of(&found["trend"]["memory_percent"], "growth of memory")?;
    let files = of(&found["trend"]["more_files"], "growth of files")?;
    let database = of(
        &found["trend"]["database_bytes_per_app"],
        "growth of the database",
    )?;
    let written = of(&found["quiet_grown_bytes"], "quiet growth")?;
    let (left, cycles) = (
        of(&found["left"], "leftovers")?,
        of(&found["cycles"], "cycles")?,
    );
    let enough = bench.mode.quick || cycles >= 30_000.0;
    Ok(Measured {
        value: format!("{memory:.1}/{files:.1}/{database:.0}/{written:.0}/{left:.0}/{cycles:.0}"),
        unit: "% more memory/more files/bytes per app/bytes while nothing changes/left/passes",
        reached: memory <= most_percent
            && files <= 5.0
            && database <= BYTES_PER_APP
            && written + left == 0.0
            && enough,
        raw: found,
    })
}
