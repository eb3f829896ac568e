//! The helper on the nodes, as it is shipped: how large it is and how fast it starts, that it has no network code, that it enters
//! nothing but what it may, that hostile requests get nowhere in 64 MB, and that commands over one connection cost little more
//! than LXC's own program.

mod commands;
mod hostile;
mod kernel_calls;
mod network;
mod refusals;
mod stand;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::{Bench, Binary, Figure, Measured, trial};
use crate::clock::Stopwatch;
use crate::place::Place;
use crate::say;

const MOST_BYTES: u64 = 3_000_000;
const MOST_START_MS: f64 = 5.0;
/// How many times the time of LXC's own program commands may take.
const MOST_TIMES: f64 = 1.5;

pub(super) const FIGURE: Figure = Figure {
    id: "helper",
    shows: "the helper on the nodes: its size, its start (median), 50 commands beside bare lxc-attach; faults are network code in it, containers entered that it had to refuse, hostile requests that break it",
    goal: "<= 3 MB, <= 5 ms, <= 1.5 times bare, 0 faults (10,000 hostile requests in 64 MB; quick: 1,000)",
    binaries: &[Binary::NodeHelper, Binary::Plain],
    prepare,
    needs_root: true,
    in_tests: true,
    full_limit: Duration::from_secs(300),
    measure,
};

fn prepare(place: &Place) -> Result<()> {
    network::prepare(place)?;
    trial::prepare(place)
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let helper = Binary::NodeHelper.path(bench.place);
    let weighed = if bench.mode.sabotage {
        Binary::Plain.path(bench.place)
    } else {
        helper.clone()
    };
    let bytes = std::fs::metadata(weighed)?.len();
    let start_ms = start(bench, &helper)?;
    let network = network::code(bench)?;
    let refusals = refusals::refused(bench, &helper)?;
    let hostile = hostile::hostile(bench, &helper)?;
    let times = commands::measure(bench)?;
    say::note(format!(
        "helper: {} pieces of network code; {} of {} refusals and {} of {} hostile sessions went wrong",
        network.len(),
        refusals.wrong.len(),
        refusals.asked,
        hostile.wrong.len(),
        hostile.sessions
    ));
    for wrong in refusals.wrong.iter().chain(&hostile.wrong) {
        say::note(format!("helper: {wrong}"));
    }
    let faults = network.len() + refusals.wrong.len() + hostile.wrong.len();
    let of_bare = times.of_bare();
    let kept = [
        ("its size", bytes <= MOST_BYTES),
        ("its start", start_ms <= MOST_START_MS),
        ("its commands", of_bare <= MOST_TIMES),
        ("network code", network.is_empty()),
        ("what it refuses", refusals.wrong.is_empty()),
        ("hostile requests", hostile.wrong.is_empty()),
    ];
    if bench.mode.sabotage {
        seen(&kept)?;
    }
    Ok(Measured {
        value: format!(
            "{:.2} MB/{start_ms:.2} ms/{of_bare:.2}/{faults}",
            megabytes(bytes)
        ),
        unit: "size/start/times bare/faults",
        reached: kept.iter().all(|(_, kept)| *kept),
        raw: json!({
            "bytes": bytes, "start_ms": start_ms, "network_code": network,
            "refusals": refusals.asked, "refusals_wrong": refusals.wrong,
            "hostile_sessions": hostile.sessions, "hostile_wrong": hostile.wrong,
            "commands": commands::COMMANDS, "bare_ms": times.bare_ms, "helper_ms": times.helper_ms,
        }),
    })
}

/// In the control each part has to be short by itself.
fn seen(kept: &[(&str, bool)]) -> Result<()> {
    let unseen: Vec<&str> = kept
        .iter()
        .filter_map(|(part, kept)| kept.then_some(*part))
        .collect();
    if unseen.is_empty() {
        return Ok(());
    }
    bail!(
        "what was done to this part is not seen: {}",
        unseen.join(", ")
    );
}

fn megabytes(bytes: u64) -> f64 {
    // Exact up to 2^53, far beyond any program.
    #[allow(clippy::cast_precision_loss)]
    let bytes = bytes as f64;
    bytes / 1e6
}

/// Median of many starts, milliseconds. The control sleeps before each.
fn start(bench: &Bench<'_>, helper: &Path) -> Result<f64> {
    let rounds = match (bench.mode.sabotage, bench.mode.quick) {
        (true, _) => 20,
        (false, true) => 100,
        (false, false) => 1_000,
    };
    let mut taken = Vec::new();
    for _ in 0..rounds {
        let mut command = if bench.mode.sabotage {
            let mut shell = Command::new("sh");
            shell
                .args(["-c", "sleep 0.05; exec \"$@\"", "sh"])
                .arg(helper);
            shell
        } else {
            Command::new(helper)
        };
        command
            .arg("version")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let watch = Stopwatch::start();
        let status = command
            .status()
            .with_context(|| format!("starting {}", helper.display()))?;
        taken.push(watch.elapsed().as_secs_f64() * 1e3);
        if !status.success() {
            bail!("{} ended with {status}", helper.display());
        }
    }
    Ok(median(taken))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_of_which_one_part_is_well_is_none() {
        assert!(seen(&[("a", false), ("b", false)]).is_ok());
        let why = seen(&[("a", false), ("b", true)]).map_err(|e| e.to_string());
        assert!(why.unwrap_err().ends_with(": b"));
    }
}
