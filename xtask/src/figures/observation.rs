//! P1 to P5, P16 and R21: what it takes to observe a large cluster that mostly stays as it is.
//!
//! The program is optimised, as is the lab, which is a process of its own. What it saw is reported; what is reached is decided here.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

const BINARIES: &[Binary] = &[Binary::FastLab, Binary::FastFigures];
/// The server as it is shipped: without the lab in it, whose pages would count as its memory.
pub(super) const WITH_SHIPPED: &[Binary] = &[Binary::FastLab, Binary::FastFigures, Binary::Shipped];
/// As many as the goals speak of.
const MANY: u64 = 10_000;
/// Of a cluster ten times as large, only so many are on record: there are no ports for more.
const FEW: u64 = 100;

const fn figure(
    id: &'static str,
    shows: &'static str,
    goal: &'static str,
    seconds: u64,
    measure: fn(&Bench<'_>) -> Result<Measured>,
) -> Figure {
    Figure {
        id,
        shows,
        goal,
        binaries: BINARIES,
        prepare,
        needs_root: false,
        in_tests: false,
        full_limit: Duration::from_secs(seconds),
        measure,
    }
}

/// An unchanged cluster.
pub(super) const UNCHANGED: Figure = figure(
    "P1",
    "a pass of the reconciler over 10,000 unchanged containers, all on record, over TLS: beside fetching and reading their list once",
    "<= 4 times the bare fetch, wall and processor; 0 rows written",
    600,
    unchanged,
);

/// What is asked of it.
pub(super) const REQUESTS: Figure = figure(
    "P2",
    "requests of a pass over 100, 10,000 and 100,000 containers when nothing changed, and of one in which some did",
    "<= 3 and one for each changed container",
    1_800,
    requests,
);

/// Some changes.
pub(super) const CHANGES: Figure = figure(
    "P3",
    "what a pass takes more for each app of 10,000 that changed its power; and of 100,000 containers",
    "<= 60 us of a processor and <= 1024 bytes written for each; <= 1.3 times among ten times as many",
    1_800,
    changes,
);

/// Memory.
pub(super) const MEMORY: Figure = Figure {
    binaries: WITH_SHIPPED,
    ..figure(
        "P4",
        "memory of the server with 10,000 containers, all on record",
        "<= 40 MB, <= 25 MB and 1.5 KB for each",
        600,
        memory,
    )
};

/// Idling.
pub(super) const IDLE: Figure = Figure {
    binaries: WITH_SHIPPED,
    ..figure(
        "P5",
        "the server with nothing to do but to observe 10,000 containers, and 100",
        "<= 0.5 % and <= 0.05 % of a processor, <= 1 wake-up/s",
        1_500,
        idle,
    )
};

/// Nodes that hang, and far ones.
pub(super) const SLOW: Figure = figure(
    "P16",
    "a pass while one of 20 nodes hangs, beside one with all well; and over a way of 15 ms, beside the bare fetch over the same",
    "<= 1.2 times; <= the bare fetch and one round trip",
    600,
    slow,
);

/// Everything at once.
pub(super) const STORM: Figure = figure(
    "R21",
    "10,000 apps that change at once, 10,000 wake-ups, each call 15 ms at each node it comes past, one node that hangs for 30 s: time until the apps of the other nodes are handled and memory, beside the same without hanging and wake-ups; apps that are not handled, calls beyond two in flight at a node, passes owed afterwards",
    "<= 1.5 times, <= 2 times, 0, 0, <= 2 (quick: 200 apps, and what is on the node that hangs is not waited for)",
    1_800,
    storm,
);

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

/// What is measured of the server as it is shipped, in a process of its own.
const OF_SERVERS: [&str; 5] = ["server", "plan", "history", "busy", "apply"];

/// What the program found of `guests` containers, `apps` of them on record.
pub(super) fn found(
    bench: &Bench<'_>,
    what: &str,
    (guests, apps): (u64, u64),
    more: &[&str],
) -> Result<Value> {
    let dir = bench.folder(&format!("observe-{what}-{guests}"))?;
    let rounds = if bench.mode.quick { "3" } else { "9" };
    let mut program = Invocation::new(Binary::FastFigures.path(bench.place))
        .args(["observe", "--what", what, "--program"])
        .arg(Binary::FastLab.path(bench.place))
        .arg("--dir")
        .arg(&dir)
        .args(["--guests", &guests.to_string(), "--apps", &apps.to_string()])
        .args(["--rounds", rounds])
        .args(more.iter().copied())
        .until(bench.deadline);
    if OF_SERVERS.contains(&what) {
        program = program
            .arg("--server")
            .arg(Binary::Shipped.path(bench.place));
    }
    if bench.mode.sabotage {
        program = program.arg("--sabotage");
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("observing a cluster")?;
    let last = answer.lines().last().unwrap_or_default();
    serde_json::from_str(last).context("reading what was measured")
}

pub(super) fn number(found: &Value, name: &str) -> Result<f64> {
    let value = found[name].as_f64();
    value.with_context(|| format!("no {name} in {found}"))
}

fn unchanged(bench: &Bench<'_>) -> Result<Measured> {
    let found = found(bench, "unchanged", (MANY, MANY), &[])?;
    let (wall, processor) = (number(&found, "wall")?, number(&found, "processor")?);
    let (commits, written) = (number(&found, "commits")?, number(&found, "written_bytes")?);
    Ok(Measured {
        value: format!("{wall:.2}/{processor:.2}/{commits:.0}"),
        unit: "times the bare fetch/of its processor time/commits",
        reached: wall <= 4.0 && processor <= 4.0 && commits == 0.0 && written == 0.0,
        raw: found,
    })
}

fn requests(bench: &Bench<'_>) -> Result<Measured> {
    let sizes: &[(u64, u64)] = match bench.mode.quick {
        true => &[(FEW, FEW), (MANY, FEW)],
        false => &[(FEW, FEW), (MANY, MANY), (10 * MANY, MANY)],
    };
    let (mut each, mut all, mut reached) = (Vec::new(), Vec::new(), true);
    for size in sizes {
        let found = found(bench, "unchanged", *size, &[])?;
        let per_pass = number(&found, "calls")? / number(&found, "passes")?;
        reached &= per_pass <= 3.0;
        each.push(format!("{per_pass:.1}"));
        all.push(found);
    }
    let found = found(bench, "changes", (MANY, FEW), &[])?;
    let mut beyond = 0.0_f64;
    for row in found["by_changes"].as_array().into_iter().flatten() {
        beyond = beyond.max((number(row, "most_calls")? - 3.0) / number(row, "changes")?);
    }
    all.push(found);
    Ok(Measured {
        value: format!("{}/{beyond:.2}", each.join("/")),
        unit: "requests of a pass by size/for each change",
        reached: reached && beyond <= 1.0,
        raw: json!(all),
    })
}

fn changes(bench: &Bench<'_>) -> Result<Measured> {
    let apps = if bench.mode.quick { FEW } else { MANY };
    let near = found(bench, "changes", (MANY, apps), &[])?;
    let (mut most_us, mut most_bytes) = (0.0_f64, 0.0_f64);
    for row in near["by_changes"].as_array().into_iter().flatten() {
        // Of one alone the clock's grain is what is seen.
        if number(row, "changes")? < 10.0 {
            continue;
        }
        most_us = most_us.max(number(row, "processor_us_per_change")?);
        let written = row["written_bytes"].as_array().into_iter().flatten();
        let mut written: Vec<f64> = written.filter_map(Value::as_f64).collect();
        written.sort_by(f64::total_cmp);
        // Now and then the log is taken over into the database besides.
        let middle = written.get(written.len() / 2).copied();
        let middle = middle.context("nothing was written")?;
        most_bytes = most_bytes.max(middle / number(row, "changes")?);
    }
    let mut growth = 0.0;
    let mut all = vec![near];
    if !bench.mode.quick {
        let large = found(bench, "changes", (10 * MANY, apps), &[])?;
        let last = |found: &Value| {
            let rows = found["by_changes"].as_array();
            let row = rows.and_then(|rows| rows.last()).cloned();
            number(&row.unwrap_or_default(), "processor_us_per_change")
        };
        growth = last(&large)? / last(&all[0])?;
        all.push(large);
    }
    Ok(Measured {
        value: format!("{most_us:.0}/{most_bytes:.0}/{growth:.2}"),
        unit: "us/bytes for each change/times among ten times as many",
        reached: most_us <= 60.0 && most_bytes <= 1024.0 && growth <= 1.3,
        raw: json!(all),
    })
}

fn memory(bench: &Bench<'_>) -> Result<Measured> {
    let found = found(bench, "server", (MANY, MANY), &["--idle-s", "20"])?;
    let most = number(&found, "most_kib")? / 1024.0;
    Ok(Measured {
        value: format!("{most:.1}"),
        unit: "MB",
        reached: most <= 40.0,
        raw: found,
    })
}

fn idle(bench: &Bench<'_>) -> Result<Measured> {
    let span = ["--idle-s", if bench.mode.quick { "20" } else { "600" }];
    let small = found(bench, "server", (FEW, FEW), &span)?;
    let (few, woken) = (
        number(&small, "processor_percent")?,
        number(&small, "wake_ups_per_s")?,
    );
    let mut all = vec![small];
    let mut many = f64::NAN;
    if !bench.mode.quick {
        let large = found(bench, "server", (MANY, MANY), &span)?;
        many = number(&large, "processor_percent")?;
        all.push(large);
    }
    Ok(Measured {
        value: format!("{many:.3}/{few:.3}/{woken:.1}"),
        unit: "% of a processor with 10,000/with 100/wake-ups per second",
        reached: (bench.mode.quick || many <= 0.5) && few <= 0.05 && woken <= 1.0,
        raw: json!(all),
    })
}

fn slow(bench: &Bench<'_>) -> Result<Measured> {
    let found = found(bench, "slow", (MANY, FEW), &[])?;
    let hung = number(&found, "hung_us")? / number(&found, "near_us")?;
    let beyond = (number(&found, "far_us")? - number(&found, "far_floor_us")?) / 1000.0;
    let trip = number(&found, "far_trip_us")? / 1000.0;
    Ok(Measured {
        value: format!("{hung:.2}/{beyond:.1}"),
        unit: "times with a node that hangs/ms beyond the bare fetch from afar",
        reached: hung <= 1.2 && beyond <= trip,
        raw: found,
    })
}

/// So many change in a minute's measurement.
const QUICK_STORM: u64 = 200;

fn storm(bench: &Bench<'_>) -> Result<Measured> {
    let apps = if bench.mode.quick { QUICK_STORM } else { MANY };
    let found = found(bench, "storm", (apps, apps), &[])?;
    let later = number(&found, "others_ms")? / number(&found, "calm_ms")?;
    let larger = number(&found, "storm_kib")? / number(&found, "calm_kib")?;
    let (left, crowded) = (number(&found, "not_handled")?, number(&found, "crowded")?);
    let owed = number(&found, "passes_after")?;
    for told in found["told"].as_array().into_iter().flatten() {
        say::note(format!("R21: {told}"));
    }
    Ok(Measured {
        value: format!("{later:.2}/{larger:.2}/{left:.0}/{crowded:.0}/{owed:.0}"),
        unit: "times as late/times the memory/apps not handled/calls too many at a node/passes owed",
        reached: later <= 1.5 && larger <= 2.0 && left + crowded == 0.0 && owed <= 2.0,
        raw: found,
    })
}
