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

/// Images that count at least.
const FULL: u64 = 2_000;
const QUICK: u64 = 150;

/// A piece of work: its parts are processes one after the other on one directory.
struct Work {
    parts: [&'static str; 2],
    /// Cuts that are tried, in full and quick: not every one gives an image of its own.
    cuts: (u64, u64),
}

const WORKS: [Work; 2] = [
    Work {
        parts: ["first", "second"],
        cuts: (2_800, 190),
    },
    // A database of version 1 of the schema is migrated.
    Work {
        parts: ["old", "upgrade"],
        cuts: (600, 60),
    },
];

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let wanted = if bench.mode.quick { QUICK } else { FULL };
    let verdicts: Result<Vec<Value>> = WORKS.iter().map(|work| cut(bench, work)).collect();
    let verdicts = verdicts?;
    let (mut faults, mut seen, mut all_seen) = (0, 0, true);
    for verdict in &verdicts {
        let number = |name: &str| {
            let found = verdict.get(name).and_then(Value::as_u64);
            found.with_context(|| format!("the verdict has no {name}"))
        };
        faults += number("faults")?;
        seen += number("images")?;
        let while_opening = number("while_opening")?;
        // Cut before and after the store was open, with something acknowledged that had to be there: else little was shown.
        all_seen &=
            while_opening > 0 && number("images")? > while_opening && number("acknowledged")? > 0;
        for fault in verdict["told"].as_array().into_iter().flatten() {
            say::note(format!("R17: {fault}"));
        }
    }
    Ok(Measured {
        value: format!("{faults}/{seen}"),
        unit: "faults/images",
        reached: faults == 0 && seen >= wanted && all_seen,
        raw: Value::Array(verdicts),
    })
}

/// Does one piece of work and judges what cuts of it leave.
fn cut(bench: &Bench<'_>, work: &Work) -> Result<Value> {
    let scratch = Scratch::new(bench.place, "R17")?;
    let (data, images) = (scratch.folder("data")?, scratch.folder("images")?);
    let journal = scratch.path().join("journal");
    for part in work.parts {
        run_part(bench, &data, &journal, part)?;
    }
    let (full, quick) = work.cuts;
    let cuts = if bench.mode.quick { quick } else { full };
    judge(bench, &journal, &images, cuts)
}

fn run_part(bench: &Bench<'_>, data: &Path, journal: &Path, part: &str) -> Result<()> {
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
