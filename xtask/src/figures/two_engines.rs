//! R20: two engines on one database file; the one that was stopped goes on after the other took over.
//!
//! The rounds are played by a program of the testkit, which reports what it saw; what is reached is decided here.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "R20",
    shows: "stale writes and calls of an engine that was suspended while another took over",
    goal: "0 stale or doubled, takeover within 2 s",
    binaries: &[Binary::Programs],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(900),
    measure,
};

const ROUNDS: usize = 500;
const QUICK_ROUNDS: usize = 16;
const LANES: usize = 4;
const LONGEST_TAKEOVER_MS: u64 = 2_000;

fn prepare(_place: &Place) -> Result<()> {
    Ok(())
}

/// What the program prints.
#[derive(Deserialize)]
struct Sum {
    rounds: Vec<Round>,
}

#[derive(Deserialize)]
struct Round {
    round: usize,
    what: String,
    stopped: bool,
    killed: bool,
    takeover_ms: Option<u64>,
    wrong: Wrong,
}

#[derive(Deserialize)]
struct Wrong {
    stale_writes: usize,
    stale_calls: usize,
    duplicates: usize,
    notes: Vec<String>,
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let planned = if bench.mode.quick || bench.mode.sabotage {
        QUICK_ROUNDS
    } else {
        ROUNDS
    };
    let folder = bench.folder("two-engines")?;
    let mut run = Invocation::new(Binary::Programs.path(bench.place))
        .args(["two-engines"])
        .args([
            format!("dir={}", folder.display()),
            format!("rounds={planned}"),
            format!("lanes={LANES}"),
            format!("seed={}", bench.seed.draws().below(1 << 40)),
        ])
        .until(bench.deadline);
    if bench.mode.sabotage {
        run = run.args(["late=1"]);
    }
    let answer = run
        .capture(bench.place.root())?
        .expect_success("playing the rounds")?;
    let raw: serde_json::Value = serde_json::from_str(&answer).context("reading the rounds")?;
    let sum: Sum = serde_json::from_str(&answer).context("reading the rounds")?;
    if sum.rounds.len() != planned {
        bail!("{} of {planned} rounds were played", sum.rounds.len());
    }
    Ok(add_up(&sum.rounds, raw))
}

/// Reached when nothing is stale or doubled, take-overs were quick, and most rounds showed what they are for.
fn add_up(rounds: &[Round], raw: serde_json::Value) -> Measured {
    for round in rounds {
        for note in &round.wrong.notes {
            say::note(format!(
                "R20: round {} ({}): {note}",
                round.round, round.what
            ));
        }
    }
    let total = |of: fn(&Wrong) -> usize| rounds.iter().map(|r| of(&r.wrong)).sum::<usize>();
    let wrong = total(|w| w.stale_writes) + total(|w| w.stale_calls) + total(|w| w.duplicates);
    let takeovers: Vec<u64> = rounds.iter().filter_map(|r| r.takeover_ms).collect();
    let slowest = takeovers.iter().max().copied().unwrap_or(u64::MAX);
    let stopped = rounds.iter().filter(|r| r.stopped).count();
    let killed = rounds.iter().filter(|r| r.killed).count();
    let told = stopped * 4 >= rounds.len() * 3 && killed > 0 && takeovers.len() * 2 > rounds.len();
    Measured {
        value: format!("{wrong}/{} in {slowest}", takeovers.len()),
        unit: "stale/takeovers in ms at most",
        reached: wrong == 0 && slowest <= LONGEST_TAKEOVER_MS && told,
        raw,
    }
}
