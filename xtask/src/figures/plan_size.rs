//! P11: a plan of very many apps of which none is to be changed.
//!
//! The program has the shipped server plan, and reads and plans beside it. What it took is reported; what is reached is decided here.

use std::time::Duration;

use anyhow::Result;

use super::observation::{WITH_SHIPPED, found, number};
use super::{Bench, Figure, Measured};
use crate::place::Place;
use crate::say;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "P11",
    shows: "a plan of 5,000 apps of which none is to be changed, by the shipped server: its processor time beside that of terraform's core for as many resources, where that program is here, and beside fetching the list and reading the documents once; memory of the server; a plan of one app that was edited, at the middle",
    goal: "<= 1/50 of terraform's (<= 30 times the bare where it is not here), <= 60 MB, <= 30 ms",
    binaries: WITH_SHIPPED,
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(900),
    measure,
};

/// Apps, all of them on record, and containers of the cluster.
const APPS: u64 = 5_000;
/// The goals.
const OF_TERRAFORM: f64 = 1.0 / 50.0;
const TIMES_BARE: f64 = 30.0;
const MOST_MB: f64 = 60.0;
const EDITED_MS: f64 = 30.0;
const BESIDE: &str = "terraform";

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let beside = bench.place.program(BESIDE);
    let beside = beside.map(|program| program.display().to_string());
    let more: Vec<&str> = match &beside {
        Some(program) => vec!["--terraform", program],
        None => Vec::new(),
    };
    let found = found(bench, "plan", (APPS, APPS), &more)?;
    let (ours_ms, times) = (number(&found, "processor_ms")?, number(&found, "times")?);
    let most_mb = number(&found, "most_kib")? * 1024.0 / 1e6;
    let edited_ms = number(&found, "edited_ms")?;
    let theirs_ms = found["terraform_ms"].as_f64();
    let share = theirs_ms.map(|theirs_ms| ours_ms / theirs_ms);
    if share.is_none() {
        say::note("P11: terraform is not here: what is held against is the bare fetch");
    }
    let (shown, is_cheap) = match share {
        Some(share) => (format!("{share:.4}"), share <= OF_TERRAFORM),
        None => ("none".to_owned(), times <= TIMES_BARE),
    };
    Ok(Measured {
        value: format!("{shown}/{times:.1}/{most_mb:.1}/{edited_ms:.1}"),
        unit: "of terraform's processor time/times the bare/MB/ms for one edited",
        reached: is_cheap && most_mb <= MOST_MB && edited_ms <= EDITED_MS,
        raw: found,
    })
}
