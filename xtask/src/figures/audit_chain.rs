//! R31: the chain of the audit.
//!
//! The program fills an audit by the product's calls, changes it in its file and asks the product what it sees. What it saw is
//! reported; what is reached is decided here.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::scratch::Scratch;
use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "R31",
    shows: "changes of an audit in its file (drawn ones, every bit of some entries, its end cut off, with and without something written on) that are found and named by their first number; calls that a cluster was sent, and those of which the audit has more or fewer; entries verified in a second",
    goal: "all of 10,000, of 10 entries and of 100 cuts (quick: 500, 1, 10), 0 unlike, >= 200,000/s",
    binaries: &[Binary::FastFigures],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(300),
    measure,
};

/// How much of it is measured.
struct Extent {
    entries: u64,
    tampers: u64,
    bits_of: u64,
    cuts: u64,
    apps: u64,
}

const FULL: Extent = Extent {
    entries: 100_000,
    tampers: 10_000,
    bits_of: 10,
    cuts: 100,
    apps: 24,
};
const QUICK: Extent = Extent {
    entries: 10_000,
    tampers: 500,
    bits_of: 1,
    cuts: 10,
    apps: 4,
};
/// Each makes hundreds of links anew.
const SABOTAGED: u64 = 20;
/// The goal.
const PER_SECOND: f64 = 200_000.0;

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let extent = if bench.mode.quick { QUICK } else { FULL };
    let found = found(bench, &extent)?;
    for told in found["told"].as_array().into_iter().flatten() {
        say::note(format!("R31: {told}"));
    }
    let (mut made, mut seen, mut each) = (0, 0, true);
    for (kind, wanted) in [
        ("tampers", extent.tampers),
        ("bits", extent.bits_of * BITS),
        ("cuts", 2 * extent.cuts),
    ] {
        let number = |name: &str| whole(&found[kind], name);
        made += number("made")?;
        seen += number("found")?;
        each &= number("made")? >= wanted;
    }
    let (sent, unlike) = (whole(&found, "sent")?, whole(&found, "unlike")?);
    let rate = found["per_second"].as_f64().context("no per_second")?;
    let all_sent = sent >= CALLS * extent.apps && unlike == 0;
    Ok(Measured {
        value: format!("{seen}/{made}/{unlike}/{sent}/{rate:.0}"),
        unit: "found/changes/unlike/calls/entries per s",
        reached: each && seen == made && all_sent && rate >= PER_SECOND,
        raw: found,
    })
}

/// Bits that an entry has at least: its link alone has 512, its numbers 128.
const BITS: u64 = 640;
/// Calls that an app's life takes at least.
const CALLS: u64 = 3;

/// What the program found.
fn found(bench: &Bench<'_>, extent: &Extent) -> Result<Value> {
    let scratch = Scratch::new(bench.place, "R31")?;
    let tampers = match bench.mode.sabotage {
        true => SABOTAGED,
        false => extent.tampers,
    };
    let mut program = Invocation::new(Binary::FastFigures.path(bench.place))
        .args(["audit", "--seed", &bench.seed.to_string(), "--dir"])
        .arg(scratch.path())
        .until(bench.deadline);
    for (name, value) in [
        ("--entries", extent.entries),
        ("--tampers", tampers),
        ("--bits-of", extent.bits_of),
        ("--cuts", extent.cuts),
        ("--apps", extent.apps),
    ] {
        program = program.args([name, &value.to_string()]);
    }
    if bench.mode.sabotage {
        program = program.arg("--sabotage");
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("the audit")?;
    let last = answer.lines().last().unwrap_or_default();
    serde_json::from_str(last).context("reading what was found")
}

fn whole(found: &Value, name: &str) -> Result<u64> {
    let number = found[name].as_u64();
    number.with_context(|| format!("no {name} in {found}"))
}
