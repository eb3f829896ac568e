//! P15: what is kept of changes, and how soon it is told among very many.

use std::time::Duration;

use anyhow::{Result, bail};

use super::observation::{WITH_SHIPPED, found, number};
use super::{Bench, Figure, Measured};
use crate::place::Place;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "P15",
    shows: "bytes of the database that 20 looks take at 1,000 containers that stay as they are, and each change of one; pages of the history of one, and its state at a moment, from the shipped server among 10^6 changes (quick: 5·10^4), p99",
    goal: "0, <= 1500, <= 10 ms, <= 20 ms",
    binaries: WITH_SHIPPED,
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1_200),
    measure,
};

/// Containers, all of them apps on record.
const GUESTS: u64 = 1_000;
/// Changes in the history, and requests of each kind. The control needs few, for each takes more.
const FULL: (u64, u64) = (1_000_000, 3_000);
const QUICK: (u64, u64) = (50_000, 300);
const SABOTAGED: (u64, u64) = (40_000, 60);
/// The goals.
const BYTES_PER_CHANGE: f64 = 1_500.0;
const PAGE_MS: f64 = 10.0;
const STATE_MS: f64 = 20.0;
const WHAT: &str = "history";

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let (events, requests) = match (bench.mode.sabotage, bench.mode.quick) {
        (true, _) => SABOTAGED,
        (false, true) => QUICK,
        (false, false) => FULL,
    };
    let (events, requests) = (events.to_string(), requests.to_string());
    let more = ["--events", &events, "--requests", &requests];
    let found = found(bench, WHAT, (GUESTS, GUESTS), &more);
    // In full it is a gigabyte.
    let folder = format!("observe-{WHAT}-{GUESTS}");
    let removed = std::fs::remove_dir_all(bench.place.target().join("figures").join(folder));
    let found = found?;
    removed?;
    let unchanged = number(&found, "unchanged_bytes")?;
    let each = number(&found, "changed_bytes")? / number(&found, "changes")?;
    let page = number(&found["read"], "page_p99_ms")?;
    let state = number(&found["read"], "state_p99_ms")?;
    if bench.mode.sabotage && (unchanged == 0.0 || each <= BYTES_PER_CHANGE) {
        bail!("looks that write took {unchanged} bytes, and changes with 4 KiB each {each:.0}");
    }
    Ok(Measured {
        value: format!("{unchanged:.0}/{each:.0}/{page:.1}/{state:.1}"),
        unit: "bytes of looks without a change/bytes of a change/ms for a page/ms for a state",
        reached: unchanged == 0.0
            && each <= BYTES_PER_CHANGE
            && page <= PAGE_MS
            && state <= STATE_MS,
        raw: found,
    })
}
