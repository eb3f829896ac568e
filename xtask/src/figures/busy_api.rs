//! P8: answers of a server that is at work, beside those of the same server with nothing else to do.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::observation::{WITH_SHIPPED, found, number};
use super::{Bench, Figure, Measured};
use crate::place::Place;
use crate::say;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "P8",
    shows: "500 requests a second to the shipped server, nine of ten reading, while it makes one pass after the other over 10,000 containers and has 20 deploys under way: requests without an answer; reads, writes (p99) and all of them (p99.9), and how many times the p99 of the same server with nothing else to do; a page of 50 of 10,000 apps, at the middle, with nothing else to do",
    goal: "0, <= 15 ms, <= 40 ms, <= 100 ms, <= 3 times, <= 5 ms",
    binaries: WITH_SHIPPED,
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(600),
    measure,
};

/// Apps, all of them on record, and containers of the cluster.
const APPS: u64 = 10_000;
/// For how long requests are sent each time, seconds.
const FULL_S: &str = "60";
const QUICK_S: &str = "6";
/// Deploys under way, once all of which have to be done.
const DEPLOYS: f64 = 20.0;
/// The goals.
const READS_MS: f64 = 15.0;
const WRITES_MS: f64 = 40.0;
const SLOWEST_MS: f64 = 100.0;
const TIMES_QUIET: f64 = 3.0;
const PAGE_MS: f64 = 5.0;

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let seconds = if bench.mode.quick { QUICK_S } else { FULL_S };
    let found = found(bench, "busy", (APPS, APPS), &["--load-s", seconds])?;
    judge(found)
}

fn judge(found: Value) -> Result<Measured> {
    let (quiet, busy) = (&found["quiet"], &found["busy"]);
    let lost = number(quiet, "lost")? + number(busy, "lost")?;
    for told in [quiet, busy] {
        for why in told["told"].as_array().into_iter().flatten() {
            say::note(format!("P8: {why}"));
        }
    }
    let (reads, writes) = (
        number(busy, "reads_p99_ms")?,
        number(busy, "writes_p99_ms")?,
    );
    let slowest = number(busy, "p999_ms")?;
    let times_reads = reads / number(quiet, "reads_p99_ms")?;
    let times = times_reads.max(writes / number(quiet, "writes_p99_ms")?);
    let page = number(quiet, "pages_p50_ms")?;
    let is_at_work = number(&found, "passes")? >= 1.0 && number(&found, "deploys")? >= DEPLOYS;
    Ok(Measured {
        value: format!("{lost:.0}/{reads:.1}/{writes:.1}/{slowest:.1}/{times:.2}/{page:.1}"),
        unit: "lost/ms for reads/for writes/for the slowest of a thousand/times the quiet/ms for a page",
        reached: lost == 0.0
            && is_at_work
            && reads <= READS_MS
            && writes <= WRITES_MS
            && slowest <= SLOWEST_MS
            && times <= TIMES_QUIET
            && page <= PAGE_MS,
        raw: found,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(change: &dyn Fn(&mut Value)) -> bool {
        let told = |reads: f64, writes: f64| {
            json!({
                "lost": 0, "told": [], "reads_p99_ms": reads, "writes_p99_ms": writes, "p999_ms": 90.0,
                "pages_p50_ms": 4.0,
            })
        };
        let mut found = json!({
            "quiet": told(5.0, 14.0), "busy": told(15.0, 40.0), "passes": 9, "deploys": 20,
        });
        change(&mut found);
        judge(found).unwrap().reached
    }

    #[test]
    fn each_of_the_goals_counts() {
        assert!(of(&|_| {}));
        for (phase, field, value) in [
            ("quiet", "lost", 1.0),
            ("busy", "lost", 1.0),
            ("busy", "reads_p99_ms", 15.1),
            ("busy", "writes_p99_ms", 40.1),
            ("busy", "p999_ms", 100.1),
            ("quiet", "reads_p99_ms", 4.9),
            ("quiet", "writes_p99_ms", 13.0),
            ("quiet", "pages_p50_ms", 5.1),
        ] {
            assert!(!of(&|found| found[phase][field] = json!(value)), "{field}");
        }
        assert!(!of(&|found| found["deploys"] = json!(0)));
        assert!(!of(&|found| found["passes"] = json!(0)));
    }
}
