//! The figures an issue promises: one file each, one table, one way to measure and to report.
//!
//! Adding one: write `figures/<id>.rs` with a `FIGURE` constant, then add its line to `FIGURES`.
//! A figure is in the table only when it measures and when its control ends short.

mod api_fuzz;
mod apply_size;
mod audit_chain;
mod beside_bare;
mod binary;
mod busy_api;
mod cli_start;
mod crash_matrix;
mod deploys;
mod disk_full;
mod disk_product;
mod disk_shim;
mod doctrine;
mod event_clients;
mod foreign_clients;
mod history;
mod hostile_inputs;
mod injection;
mod lab;
mod lanes;
mod least_privilege;
mod malformed_entries;
mod mutants;
mod node_helper;
mod node_loss;
mod observation;
mod overhead;
mod pairs;
mod plan_size;
mod plans;
mod port_allocator;
mod power_cut;
mod python;
mod record;
mod restart;
mod scratch;
mod seeded_bugs;
mod simulation;
mod soak;
mod trial;
mod two_engines;
mod under_fire;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub(crate) use self::binary::{AS_FOR_TESTS, Binary, SHIPPED_FEATURES};
pub(crate) use self::crash_matrix::run_lane;
pub(crate) use self::record::Verdict;

use self::record::Record;
use crate::clock::{Deadline, Stopwatch};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;
use crate::seed::Seed;

/// What a quick measurement may take on built binaries.
const QUICK_LIMIT: Duration = Duration::from_secs(60);

/// What building a program for one may take.
const BUILD_LIMIT: Duration = Duration::from_secs(1200);

/// Every figure there is.
pub(crate) const FIGURES: &[Figure] = &[
    crash_matrix::FIGURE,
    port_allocator::FIGURE,
    power_cut::FIGURE,
    disk_full::FIGURE,
    api_fuzz::FIGURE,
    cli_start::FIGURE,
    event_clients::FIGURE,
    foreign_clients::FIGURE,
    lab::FIGURE,
    least_privilege::FIGURE,
    deploys::FIGURE,
    overhead::FIGURE,
    observation::UNCHANGED,
    observation::REQUESTS,
    observation::CHANGES,
    observation::MEMORY,
    observation::IDLE,
    observation::SLOW,
    observation::STORM,
    plan_size::FIGURE,
    apply_size::FIGURE,
    history::FIGURE,
    busy_api::FIGURE,
    soak::FIGURE,
    audit_chain::FIGURE,
    restart::FIGURE,
    two_engines::FIGURE,
    beside_bare::STEPS,
    beside_bare::PORTS,
    node_helper::FIGURE,
    injection::FIGURE,
    hostile_inputs::FIGURE,
    malformed_entries::FIGURE,
    mutants::DESTRUCTION,
    mutants::OBSERVED,
    simulation::FIGURE,
    simulation::ADOPTED,
    seeded_bugs::FIGURE,
    plans::TWICE,
    plans::STALE,
    plans::SKIPPED,
    plans::TAKEN,
    plans::JUMPS,
    under_fire::RECOVERY,
    under_fire::CALLS,
    node_loss::LOSS,
    doctrine::PARTIAL,
    pairs::FIGURE,
    doctrine::SHRINK,
    doctrine::QUIET,
    doctrine::JANITOR,
    doctrine::BRAKE,
];

/// One promised figure.
pub(crate) struct Figure {
    /// `R1`, `P6` …
    pub(crate) id: &'static str,
    /// What it measures, in one line.
    pub(crate) shows: &'static str,
    /// What has to be reached, as the last line shows it.
    pub(crate) goal: &'static str,
    /// What is built before it is measured; building is not part of its time.
    pub(crate) binaries: &'static [Binary],
    /// Sees to what else has to be there, or says what is missing; not part of its time either.
    pub(crate) prepare: fn(&Place) -> Result<()>,
    /// It starts real containers.
    pub(crate) needs_root: bool,
    /// Part of the quick set that `test` measures.
    pub(crate) in_tests: bool,
    /// What the full measurement may take.
    pub(crate) full_limit: Duration,
    /// Measures it. With `mode.sabotage` one guard is off, and the result must be short.
    pub(crate) measure: fn(&Bench<'_>) -> Result<Measured>,
}

/// How a figure is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    /// A part of the cases, within a minute.
    pub(crate) quick: bool,
    /// The control: a guard is off, and the figure has to see it.
    pub(crate) sabotage: bool,
}

/// What a measurement gets to work with.
pub(crate) struct Bench<'a> {
    pub(crate) place: &'a Place,
    pub(crate) mode: Mode,
    /// All chance of the measurement comes from here.
    pub(crate) seed: Seed,
    /// Every program it starts has to be ended by then.
    pub(crate) deadline: Deadline,
}

impl Bench<'_> {
    /// The figure's folder of this name, empty; it stays for whoever wants to look afterwards.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.place.target().join("figures").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// What a measurement found.
pub(crate) struct Measured {
    /// The figure itself, as the last line shows it.
    pub(crate) value: String,
    pub(crate) unit: &'static str,
    /// The goal is reached.
    pub(crate) reached: bool,
    /// Everything the value was computed from.
    pub(crate) raw: serde_json::Value,
}

/// The figure of this name, in any case.
pub(crate) fn find(id: &str) -> Result<&'static Figure> {
    match FIGURES
        .iter()
        .find(|figure| figure.id.eq_ignore_ascii_case(id))
    {
        Some(figure) => Ok(figure),
        None => bail!("there is no figure {id:?}; `cargo xtask figures` names them"),
    }
}

/// What the figures of the quick set need together, each once; any other figure builds its own when it is measured.
pub(crate) fn binaries() -> Vec<Binary> {
    let mut all: Vec<Binary> = FIGURES
        .iter()
        .filter(|figure| figure.in_tests)
        .flat_map(|figure| figure.binaries.iter().copied())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The table of `cargo xtask figures`.
pub(crate) fn list() -> String {
    let mut text = String::new();
    for figure in FIGURES {
        let set = if figure.in_tests { "quick set" } else { "" };
        text.push_str(&format!(
            "{:<4} {:<9} {}; {}\n",
            figure.id, set, figure.shows, figure.goal
        ));
    }
    text.push_str(&format!("{} figures", FIGURES.len()));
    text
}

/// What this machine lacks that the figure needs: without it there is no figure, and that is neither a pass nor a miss.
pub(crate) fn lacks(place: &Place, figure: &Figure) -> Result<Option<String>> {
    if figure.needs_root && !place.is_root {
        return Ok(Some("it starts real containers and needs root".to_owned()));
    }
    for binary in figure.binaries {
        let lacks = binary.lacks(place, Deadline::after(BUILD_LIMIT))?;
        if lacks.is_some() {
            return Ok(lacks);
        }
    }
    Ok(None)
}

/// Measures every figure in full. True if all reached their goal.
pub(crate) fn measure_all(place: &Place, seed: Seed) -> Result<bool> {
    let mut all_reached = true;
    for figure in FIGURES {
        if let Some(why) = lacks(place, figure)? {
            say::line(format!("{}: SKIPPED: {why}", figure.id));
            all_reached = false;
            continue;
        }
        let mode = Mode {
            quick: false,
            sabotage: false,
        };
        all_reached &= measure(place, figure, mode, seed)?.verdict == Verdict::Pass;
    }
    Ok(all_reached)
}

/// How one measurement ended.
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    /// Why there is no value, or else the value.
    pub(crate) says: String,
}

/// Builds what it needs, measures it, writes the record and prints the last line.
pub(crate) fn measure(place: &Place, figure: &Figure, mode: Mode, seed: Seed) -> Result<Answer> {
    let limit = if mode.quick {
        QUICK_LIMIT
    } else {
        figure.full_limit
    };
    if let Some(why) = lacks(place, figure)? {
        bail!("{}: SKIPPED: {why}", figure.id);
    }
    for binary in figure.binaries {
        binary.build(place, Deadline::after(BUILD_LIMIT))?;
    }
    (figure.prepare)(place).with_context(|| format!("preparing {}", figure.id))?;
    say::line(format!("{}: {} (seed {seed})", figure.id, figure.shows));
    let bench = Bench {
        place,
        mode,
        seed,
        deadline: Deadline::after(limit),
    };
    let watch = Stopwatch::start();
    let measured = (figure.measure)(&bench);
    let mut record = Record::new(figure, &bench, watch.elapsed(), limit, measured);
    record.commit = commit(place);
    let file = place.target().join("figures").join(record.file_name());
    record
        .write(&file)
        .with_context(|| format!("writing {}", file.display()))?;
    if let Some(why) = record.complaint() {
        say::line(format!("{}: {why}", figure.id));
    }
    say::line(record.last_line());
    Ok(Answer {
        verdict: record.verdict(),
        says: record.complaint().unwrap_or(record.value()).to_owned(),
    })
}

/// What was measured: the commit, and whether the files still are what it says.
fn commit(place: &Place) -> Option<String> {
    let answer = Invocation::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .capture(place.root());
    let commit = answer.ok()?.expect_success("git describe").ok()?;
    Some(commit.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_every_full_limit_is_bounded() {
        for (at, figure) in FIGURES.iter().enumerate() {
            assert!(
                !FIGURES
                    .iter()
                    .skip(at + 1)
                    .any(|other| other.id == figure.id)
            );
            assert!(
                figure.full_limit <= Duration::from_secs(1800),
                "{}",
                figure.id
            );
        }
    }

    #[test]
    fn an_unknown_figure_is_refused() {
        let error = find("R0").err().map(|error| error.to_string());
        assert!(error.unwrap_or_default().contains("R0"));
    }
}
