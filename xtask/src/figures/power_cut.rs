//! R17: what a power cut leaves of the database, at every moment of a piece of work.
//!
//! The work runs on the real store under a shim that keeps a journal of every write and every promise. From the journal
//! come the images that a cut may leave; each is opened with the real store.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::scratch::Scratch;
use super::{Bench, Binary, Figure, Measured, disk_shim};
use crate::invocation::Invocation;
use crate::say;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "R17",
    shows: "images that a power cut may leave, and what is wrong with them",
    goal: "0 faults in 2,000 images; quick: in 150",
    binaries: &[Binary::Figures],
    prepare: disk_shim::build,
    needs_root: false,
    in_tests: true,
    full_limit: Duration::from_secs(360),
    measure,
};

/// Images that count at least, and cuts that are tried for them: not every cut gives an image of its own.
const FULL: (u64, u64) = (2_000, 3_000);
const QUICK: (u64, u64) = (150, 220);

/// One piece of work: its parts are processes one after the other on one directory.
const PARTS: [&str; 2] = ["first", "second"];

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let (wanted, cuts) = if bench.mode.quick { QUICK } else { FULL };
    let scratch = Scratch::new(bench.place, "R17")?;
    let (data, images) = (scratch.folder("data")?, scratch.folder("images")?);
    let journal = scratch.path().join("journal");
    for part in PARTS {
        work(bench, &data, &journal, part)?;
    }
    let verdict = judge(bench, &journal, &images, cuts)?;
    let number = |name: &str| {
        let found = verdict.get(name).and_then(Value::as_u64);
        found.with_context(|| format!("the verdict has no {name}"))
    };
    let (faults, seen) = (number("faults")?, number("images")?);
    for fault in verdict["told"].as_array().into_iter().flatten() {
        say::note(format!("R17: {fault}"));
    }
    Ok(Measured {
        value: format!("{faults}/{seen}"),
        unit: "faults/images",
        reached: faults == 0 && seen >= wanted && number("while_opening")? > 0,
        raw: verdict,
    })
}

fn work(bench: &Bench<'_>, data: &Path, journal: &Path, part: &str) -> Result<()> {
    let program = Invocation::new(Binary::Figures.path(bench.place))
        .args(["power-cut", "work", "--part", part, "--dir"])
        .arg(data)
        .variable("DISK_SHIM_JOURNAL", journal)
        .variable("DISK_SHIM_LIE", if bench.mode.sabotage { "1" } else { "0" })
        .until(bench.deadline);
    disk_shim::before(bench.place, program, data)
        .capture(bench.place.root())?
        .expect_success("the work")?;
    Ok(())
}

fn judge(bench: &Bench<'_>, journal: &Path, images: &Path, cuts: u64) -> Result<Value> {
    let answer = Invocation::new(Binary::Figures.path(bench.place))
        .args(["power-cut", "judge", "--journal"])
        .arg(journal)
        .arg("--scratch")
        .arg(images)
        .args([
            "--images",
            &cuts.to_string(),
            "--seed",
            &bench.seed.to_string(),
        ])
        .until(bench.deadline)
        .capture(bench.place.root())?
        .expect_success("judging the images")?;
    serde_json::from_str(&answer).context("reading the verdict")
}
