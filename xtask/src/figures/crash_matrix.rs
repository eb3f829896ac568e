//! R1: what a kill at every step of deploy and remove leaves behind.
//!
//! The places are not listed here: the crash-point build is asked for them, so that a new step is a
//! new case by itself. Nor are the calls to the cluster at which the shipped build is killed: a life that nobody disturbs
//! shows them, and the lab holds them. Lanes run side by side, each in a private namespace with a lab of real
//! containers; in each case a server with a data directory of its own deploys one app and removes
//! it, is killed on the way, started again, and what lab and gateway hold is compared with what is
//! recorded.

mod calls;
mod cases;
mod child;
mod held;
mod http;
mod inside;
mod lane;
mod life;
mod look;
mod server;
mod stand;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use self::cases::{Case, Kill};
use self::lane::Lane;
use self::life::{Calls, Report};
use self::stand::Order;
use super::{Bench, Binary, Figure, Measured, lanes};
use crate::clock::Deadline;
use crate::invocation::Invocation;
use crate::packages::{self, Packages};
use crate::place::Place;
use crate::say;

pub(crate) use self::inside::run as run_lane;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "R1",
    shows: "faults after kill -9 at every step of deploy, apply and remove, and at random moments",
    goal: "0 faults",
    binaries: &[Binary::CrashPoints, Binary::Plain],
    prepare,
    needs_root: true,
    in_tests: true,
    full_limit: Duration::from_secs(600),
    measure,
};

/// How many lanes run side by side.
const LANES: usize = 4;

/// Real containers need some packages and a template, which takes a minute the first time.
fn prepare(place: &Place) -> Result<()> {
    match packages::ensure(place)? {
        Packages::Present => {}
        Packages::Installed(names) => say::note(format!("installed {}", names.join(", "))),
        Packages::Missing(advice) => bail!("{advice}"),
    }
    let ended = Invocation::new(Binary::CrashPoints.path(place))
        .args(["crash-points", "template"])
        .arg(templates(place))
        .until(Deadline::after(Duration::from_secs(900)))
        .run(place.root())?;
    if !ended.is_success() {
        bail!("making the container template {}", ended.describe());
    }
    Ok(())
}

/// Where the template is kept; the tests of the lab use the same.
fn templates(place: &Place) -> PathBuf {
    place.target().join("lab")
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let names = enumerate(bench)?;
    let folder = bench.place.target().join("figures").join("crash-lanes");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let started: Result<Vec<Lane>> = (0..LANES)
        .map(|number| {
            let folder = folder.join(number.to_string());
            Lane::start(&folder, &order(bench, folder.clone()))
        })
        .collect();
    let mut started = started?;
    let calm = started.first_mut().context("no lane")?;
    let seen = undisturbed(calm, bench.deadline)?;
    let cases = cases::plan(&names, &seen, bench.mode.quick, &mut bench.seed.draws())?;
    let started: Vec<Mutex<Lane>> = started.into_iter().map(Mutex::new).collect();
    let reports = lanes::run(started.len(), &cases, bench.deadline, |number, case| {
        let lane = started.get(number).context("no such lane")?;
        let Ok(mut lane) = lane.lock() else {
            bail!("a lane panicked");
        };
        let report = lane.run(case, bench.deadline)?;
        tell(&report);
        Ok(report)
    })?;
    let ends = end(started)?;
    Ok(add_up(&names, &cases, &reports, &ends, bench.mode.quick))
}

/// The calls of a life without kills.
fn undisturbed(lane: &mut Lane, deadline: Deadline) -> Result<Calls> {
    let report = lane.run(&cases::calm(), deadline)?;
    if !report.faults.is_empty() {
        bail!("without any kill there are faults: {:?}", report.faults);
    }
    report.calls.context("the calls were not counted")
}

fn order(bench: &Bench<'_>, folder: PathBuf) -> Order {
    let place = bench.place;
    Order {
        plain: Binary::Plain.path(place),
        crash_points: Binary::CrashPoints.path(place),
        templates: templates(place),
        catalog: place.root().join("fixtures").join("catalog"),
        run: folder.join("run"),
        logs: folder.join("logs"),
        sabotage: bench.mode.sabotage,
    }
}

/// Ends the lanes side by side. Gives what was wrong at their ends.
fn end(started: Vec<Mutex<Lane>>) -> Result<Vec<String>> {
    let mut lanes = Vec::new();
    for lane in started {
        let Ok(mut lane) = lane.into_inner() else {
            bail!("a lane panicked");
        };
        lane.close();
        lanes.push(lane);
    }
    let mut wrong = Vec::new();
    for (number, lane) in lanes.into_iter().enumerate() {
        let left = lane
            .end()
            .with_context(|| format!("ending lane {number}"))?;
        wrong.extend(
            left.into_iter()
                .map(|what| format!("lane {number}: {what}")),
        );
    }
    Ok(wrong)
}

/// Asks the build where it can be killed.
fn enumerate(bench: &Bench<'_>) -> Result<Vec<String>> {
    let answer = Invocation::new(Binary::CrashPoints.path(bench.place))
        .args(["crash-points", "--json"])
        .until(bench.deadline)
        .capture(bench.place.root())?
        .expect_success("asking for the crash points")?;
    serde_json::from_str(&answer).context("reading the crash points")
}

fn tell(report: &Report) {
    let case = &report.case;
    if report.faults.is_empty() {
        say::note(format!("R1: {case}: well"));
    }
    for fault in &report.faults {
        say::note(format!("R1: {case}: {:?}: {}", fault.kind, fault.what));
    }
}

/// The goal is reached when nothing is wrong and every kill that was planned happened.
fn add_up(
    names: &[String],
    planned: &[Case],
    reports: &[Report],
    ends: &[String],
    quick: bool,
) -> Measured {
    let wanted: usize = planned.iter().map(kills_of).sum();
    let kills: usize = reports.iter().map(|report| report.kills as usize).sum();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for fault in reports.iter().flat_map(|report| &report.faults) {
        *kinds.entry(format!("{:?}", fault.kind)).or_default() += 1;
    }
    let faults = kinds.values().sum::<usize>() + ends.len();
    let mut recovered: Vec<u64> = reports
        .iter()
        .flat_map(|report| report.recovered_ms.clone())
        .collect();
    recovered.sort_unstable();
    let all = || planned.iter().flat_map(|case| [&case.deploy, &case.remove]);
    let places: BTreeSet<&str> = all().filter_map(Kill::place).collect();
    let at_calls = all().filter(|kill| matches!(kill, Kill::AtCall(_))).count();
    Measured {
        value: format!("{faults}/{kills}"),
        unit: "faults/kills",
        reached: faults == 0 && kills == wanted && kills > 0,
        raw: serde_json::json!({
            "places_there_are": names.len(), "places_tried": places.len(),
            "kills_at_calls": at_calls, "kills_planned": wanted,
            "kills": kills, "quick": quick, "faults_by_kind": kinds, "faults_at_the_end": ends,
            "slowest_recovery_ms": recovered.last(), "reports": reports,
        }),
    }
}

fn kills_of(case: &Case) -> usize {
    [&case.deploy, &case.remove]
        .into_iter()
        .filter(|kill| **kill != Kill::Never)
        .count()
}
