//! Mutants of the guards: each line of what decides whether something may be destroyed, or is gone, is broken in turn, and a
//! test of the crate has to see it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;

use super::{Bench, Figure, Measured};
use crate::clock::Deadline;
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;
use crate::tools::MUTANTS;

/// What is broken: the guards of the doctrine, all of them in the crate of pure rules.
const GUARDS: &[&str] = &[
    "crates/domain/src/accounts.rs",
    "crates/domain/src/backup.rs",
    "crates/domain/src/destroy.rs",
    "crates/domain/src/guest.rs",
    "crates/domain/src/guest_snapshot.rs",
    "crates/domain/src/mark.rs",
];
/// What decides whether something is gone, whose it is and what the janitor may mark.
const OBSERVATION: &[&str] = &[
    "crates/domain/src/adopted.rs",
    "crates/domain/src/identity.rs",
    "crates/domain/src/janitor.rs",
    "crates/domain/src/observe/*.rs",
    "crates/domain/src/recorded.rs",
];
/// Quick takes one part of so many, drawn anew each time.
const PARTS: usize = 12;
/// How long the tests may take on one mutant, seconds; one that never ends is seen.
const TEST_S: &str = "60";
/// Programs that are compiled by a test take longest, and say nothing of a mutant.
const NOT_RUN: &str = "compile";
/// No test has this name: what the control runs.
const NO_TEST: &str = "no test has this name";

const fn figure(
    id: &'static str,
    shows: &'static str,
    measure: fn(&Bench<'_>) -> Result<Measured>,
) -> Figure {
    Figure {
        id,
        shows,
        goal: "0 survivors",
        binaries: &[],
        prepare,
        needs_root: false,
        in_tests: false,
        full_limit: Duration::from_secs(1800),
        measure,
    }
}

/// Of what may be destroyed.
pub(super) const DESTRUCTION: Figure = figure(
    "mutants",
    "changes of one expression in the guards that no test of their crate sees",
    |bench| measure(bench, GUARDS),
);

/// Of what is taken for gone, for ours, or for left behind.
pub(super) const OBSERVED: Figure = figure(
    "mutants-observed",
    "changes of one expression in absence, orphans, mass brake, identity and janitor that no test of their crate sees",
    |bench| measure(bench, OBSERVATION),
);

fn prepare(place: &Place) -> Result<()> {
    let deadline = Deadline::after(Duration::from_secs(1800));
    MUTANTS.ensure(place, deadline).map(|_| ())
}

/// What the tool says of one build or test: of the tree as it is, or of one mutant.
#[derive(Debug, Deserialize)]
struct Report {
    outcomes: Vec<Outcome>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    scenario: Scenario,
    summary: Summary,
}

#[derive(Debug, Deserialize)]
enum Scenario {
    Baseline,
    Mutant(Mutant),
}

#[derive(Debug, Deserialize)]
struct Mutant {
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Summary {
    Success,
    CaughtMutant,
    MissedMutant,
    Unviable,
    Failure,
    Timeout,
}

/// What came of all of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    /// Those that compile.
    judged: usize,
    survivors: Vec<String>,
}

impl Report {
    fn count(self) -> Count {
        let mut count = Count::default();
        for outcome in self.outcomes {
            let Scenario::Mutant(mutant) = outcome.scenario else {
                continue;
            };
            match outcome.summary {
                Summary::CaughtMutant | Summary::Timeout => count.judged += 1,
                Summary::Success | Summary::MissedMutant => {
                    count.judged += 1;
                    count.survivors.push(mutant.name);
                }
                Summary::Unviable | Summary::Failure => {}
            }
        }
        count
    }
}

fn measure(bench: &Bench<'_>, files: &[&str]) -> Result<Measured> {
    let folder = bench.folder("mutants")?;
    run(bench, files, &folder)?;
    let file = folder.join("mutants.out").join("outcomes.json");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("what came of it is not in {}", file.display()))?;
    let report: Report = serde_json::from_str(&text).context("reading what came of it")?;
    let count = report.count();
    for survivor in &count.survivors {
        say::note(format!("mutants: nobody sees {survivor}"));
    }
    let (survivors, judged) = (count.survivors.len(), count.judged);
    Ok(Measured {
        value: format!("{survivors}/{judged}"),
        unit: "survivors/mutants",
        reached: survivors == 0 && judged > 0,
        raw: json!({ "files": files, "judged": judged, "survivors": count.survivors }),
    })
}

/// Its exit code is not asked: what came of each mutant is in its report.
fn run(bench: &Bench<'_>, files: &[&str], folder: &PathBuf) -> Result<()> {
    let mut tool = Invocation::new(MUTANTS.path(bench.place)?)
        .args(["mutants", "--package", "proximity-domain"])
        .args(files.iter().flat_map(|file| ["--file", file]))
        .args(["--baseline", "skip", "--timeout", TEST_S, "--no-times"])
        .arg("--output")
        .arg(folder)
        .until(bench.deadline);
    if bench.mode.quick {
        let part = bench.seed.draws().below(PARTS);
        tool = tool.args(["--shard", &format!("{part}/{PARTS}")]);
    }
    tool = tool.args(["--", "--lib", "--tests", "--", "--skip", NOT_RUN]);
    if bench.mode.sabotage {
        tool = tool.arg(NO_TEST);
    }
    tool.variable("CARGO_PROFILE_TEST_DEBUG", "false")
        .capture(bench.place.root())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_compiles_is_judged_and_what_passes_survives() {
        let outcome = |summary: &str, of: &str| json!({ "scenario": { "Mutant": { "name": of } }, "summary": summary });
        let outcomes = json!({ "outcomes": [
            { "scenario": "Baseline", "summary": "Success" },
            outcome("CaughtMutant", "a"), outcome("Timeout", "b"), outcome("Unviable", "c"),
            outcome("MissedMutant", "d"),
        ] });
        let report: Report = serde_json::from_value(outcomes).unwrap();
        let survivors = vec!["d".to_owned()];
        assert_eq!(
            report.count(),
            Count {
                judged: 3,
                survivors
            }
        );
    }
}
