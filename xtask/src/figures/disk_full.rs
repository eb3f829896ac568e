//! R18: what a full or broken disk does to a server, its worker and what they have acknowledged.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::scratch::Scratch;
use super::{Bench, Binary, Figure, Measured, disk_product, disk_shim, lanes};
use crate::invocation::Invocation;
use crate::say;
use crate::seed::Draws;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "R18",
    shows: "faults of a server whose disk is full or fails at write k, whose log has no space, or that may open 32 files",
    goal: "0 faults",
    binaries: &[Binary::Figures, Binary::Plain],
    prepare: disk_shim::build,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(600),
    measure,
};

/// Writes that fail, counted from the request.
const WRITES: u64 = 300;
/// Cases of the quick form, for each mode.
const QUICK: u64 = 12;
/// So many writes, and so many syncs, a request has in any case.
const EARLY: usize = 5;
/// Servers side by side.
const LANES: usize = 6;
/// Bytes of the plan that the shim maps: `struct plan` of the shim.
pub(super) const PLAN_BYTES: usize = 40;

const MODES: [&str; 3] = ["no-space", "write-error", "sync-error"];
/// What a full file system is tried with, and how often.
const FILLED: (&str, u64) = ("filled", 10);

/// One server's cases.
struct Lane {
    mode: &'static str,
    at: Vec<u64>,
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let scratch = Scratch::new(bench.place, "R18")?;
    let cases = plan(bench)?;
    let numbered: Vec<(usize, Lane)> = cases.into_iter().enumerate().collect();
    let wanted: usize = numbered.iter().map(|(_, lane)| lane.at.len()).sum();
    let verdicts = lanes::run(LANES, &numbered, bench.deadline, |_, (number, lane)| {
        let folder = scratch.folder(&number.to_string())?;
        match disk_product::Trouble::of(lane.mode) {
            Some(trouble) => trouble.measure(bench, &folder, *number, lane.at.len()),
            None => run(bench, &folder, lane),
        }
    })?;
    let sum = |name: &str| {
        verdicts
            .iter()
            .filter_map(|v| v[name].as_u64())
            .sum::<u64>()
    };
    for fault in verdicts
        .iter()
        .filter_map(|v| v["told"].as_array())
        .flatten()
    {
        say::note(format!("R18: {fault}"));
    }
    let (faults, reached) = (sum("faults"), sum("reached"));
    let mut answers: BTreeMap<String, u64> = BTreeMap::new();
    for (status, count) in verdicts
        .iter()
        .filter_map(|v| v["answers"].as_object())
        .flatten()
    {
        *answers.entry(status.clone()).or_default() += count.as_u64().unwrap_or(0);
    }
    let refused = answers.get("507").copied().unwrap_or(0) > 0;
    let every_mode_hit = numbered.iter().all(|(_, lane)| {
        let of_mode = numbered
            .iter()
            .zip(&verdicts)
            .filter(|((_, other), _)| other.mode == lane.mode);
        of_mode
            .filter_map(|(_, v)| v["reached"].as_u64())
            .sum::<u64>()
            > 0
    });
    if !every_mode_hit {
        say::note("R18: in some mode no call failed at all: nothing was shown of it".to_owned());
    }
    Ok(Measured {
        value: format!("{faults}/{reached}"),
        unit: "faults/failing disks",
        reached: faults == 0 && sum("cases") as usize == wanted && refused && every_mode_hit,
        raw: serde_json::json!({
            "cases": wanted, "reached": reached, "answers": answers,
            "without_filled": !bench.place.is_root, "lanes": verdicts,
        }),
    })
}

/// Which writes fail for which server.
fn plan(bench: &Bench<'_>) -> Result<Vec<Lane>> {
    if bench.mode.sabotage {
        let at = (1..=QUICK).map(|n| 10 * n).collect();
        return Ok(vec![Lane {
            mode: "pretend",
            at,
        }]);
    }
    let mut draws = bench.seed.draws();
    let mut lanes = Vec::new();
    for (mode, count) in disk_product::cases(bench.mode.quick, bench.place.is_root) {
        let at = (1..=count).collect();
        lanes.push(Lane { mode, at });
    }
    for mode in MODES {
        let all: Vec<u64> = if bench.mode.quick {
            // The first one early, where every mode is certain to come by.
            let early = draws.below(EARLY) as u64 + 1;
            let others = (1..QUICK).map(|_| within(&mut draws));
            std::iter::once(early).chain(others).collect()
        } else {
            (1..=WRITES).collect()
        };
        let each = if bench.mode.quick { all.len() } else { 75 };
        lanes.extend(all.chunks(each).map(|at| Lane {
            mode,
            at: at.to_vec(),
        }));
    }
    if bench.place.is_root {
        let (mode, count) = FILLED;
        let at = (1..=count).collect();
        lanes.push(Lane { mode, at });
    } else {
        say::note(
            "R18: a file system that is really full needs root for its mount: left out".to_owned(),
        );
    }
    Ok(lanes)
}

fn within(draws: &mut Draws) -> u64 {
    let below = usize::try_from(WRITES).unwrap_or(usize::MAX);
    draws.below(below) as u64 + 1
}

/// What begins a program to which `folder` is a file system of this size: a mount of its own, gone with the process.
pub(super) fn on_small_disk(size: &str, folder: &Path) -> Invocation {
    let mount = format!("mount -t tmpfs -o size={size} tmpfs \"$0\" && exec \"$@\"");
    Invocation::new("unshare")
        .args(["--mount", "sh", "-c", &mount])
        .arg(folder)
}

fn run(bench: &Bench<'_>, folder: &Path, lane: &Lane) -> Result<Value> {
    let data = folder.join("data");
    std::fs::create_dir(&data)?;
    let plan = folder.join("plan");
    std::fs::write(&plan, [0; PLAN_BYTES])?;
    let at: Vec<String> = lane.at.iter().map(u64::to_string).collect();
    let binary = Binary::Figures.path(bench.place);
    let program = if lane.mode == FILLED.0 {
        on_small_disk("24m", &data).arg(binary)
    } else {
        disk_shim::before(bench.place, Invocation::new(binary), &data)
            .variable("DISK_SHIM_PLAN", &plan)
    };
    let answer = program
        .args(["disk", "world", "--mode", lane.mode, "--at", &at.join(",")])
        .arg("--plan")
        .arg(&plan)
        .arg("--dir")
        .arg(&data)
        .until(bench.deadline)
        .capture(bench.place.root())?
        .expect_success("the server under a failing disk")?;
    serde_json::from_str(&answer).context("reading the verdict")
}
