//! `cargo xtask catalog-test`: every shipped entry in a real container, from its deploy to its removal.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;

use crate::clock::{Deadline, Stopwatch};
use crate::figures::Binary;
use crate::invocation::{Captured, Ended};
use crate::packages::{self, Packages};
use crate::place::Place;
use crate::say;
use crate::try_run;

/// How long the program may take to be built.
const BUILD: Duration = Duration::from_secs(1200);
/// How long one entry may take: some are compiled, and the first one may have to make the container template.
const LIMIT: Duration = Duration::from_secs(3600);
/// Lines of what a failed one complained that are shown.
const COMPLAINTS: usize = 12;

/// What is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Wish {
    /// Only these entries; all of the catalog unless said.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Go on with the next entry after one that failed.
    #[arg(long)]
    keep_going: bool,
}

/// The last line of `try --once --app`.
#[derive(Debug, Clone, Deserialize)]
struct Report {
    guests: String,
    app: String,
    version: String,
    sign: String,
    answers: bool,
    seconds_to_answer: f64,
    answers_after_restart: bool,
    /// Files that did not come out the same; none where it was not looked.
    changed: Option<Vec<String>>,
    answers_after_change: bool,
    stop_refuses: bool,
    answers_after_start: bool,
    removed: bool,
    leftovers: Vec<serde_json::Value>,
}

/// What came of one entry.
#[derive(Debug, Clone)]
enum Outcome {
    /// All came out as promised.
    Passed(Report),
    /// Why it did not.
    Failed(String),
    /// One before it failed.
    NotRun,
}

/// One entry, what came of it, and how many seconds that took.
#[derive(Debug, Clone)]
struct Row {
    id: String,
    outcome: Outcome,
    seconds: u64,
}

/// Runs it. True if every entry that was asked for came out as promised.
///
/// # Errors
/// There is no such entry, or the program cannot be built.
pub(crate) fn run(place: &Place, wish: &Wish) -> Result<bool> {
    let ids = chosen(&all(place)?, &wish.ids)?;
    if let Some(why) = missing(place)? {
        say::note(format!("SKIPPED, nothing was tested: {why}"));
        say::line(json!({ "catalog_test": { "asked": ids.len(), "skipped": why } }));
        return Ok(true);
    }
    Binary::Plain.build(place, Deadline::after(BUILD))?;
    let mut rows: Vec<Row> = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        let stop = !wish.keep_going && rows.iter().any(has_failed);
        if stop {
            rows.push(Row {
                id: id.clone(),
                outcome: Outcome::NotRun,
                seconds: 0,
            });
            continue;
        }
        say::note(format!("{id} ({} of {})", n + 1, ids.len()));
        let watch = Stopwatch::start();
        let outcome = match rehearse(place, id) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        if let Outcome::Failed(why) = &outcome {
            say::note(format!("{id} failed: {why}"));
        }
        rows.push(Row {
            id: id.clone(),
            outcome,
            seconds: watch.elapsed().as_secs(),
        });
    }
    say::line(table(&rows));
    say::line(summary(&rows));
    Ok(rows
        .iter()
        .all(|row| matches!(row.outcome, Outcome::Passed(_))))
}

fn has_failed(row: &Row) -> bool {
    matches!(row.outcome, Outcome::Failed(_))
}

/// The ids of the shipped entries, ordered.
fn all(place: &Place) -> Result<Vec<String>> {
    let folder = place.root().join("catalog");
    let entries = std::fs::read_dir(&folder);
    let mut ids = Vec::new();
    for entry in entries.with_context(|| format!("looking into {}", folder.display()))? {
        let entry = entry?;
        if entry.path().join("app.yaml").is_file() {
            ids.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    ids.sort();
    Ok(ids)
}

/// Those that were asked for, in that order and once; all where none was named.
fn chosen(all: &[String], asked: &[String]) -> Result<Vec<String>> {
    if asked.is_empty() {
        return Ok(all.to_vec());
    }
    let unknown: Vec<&str> = asked
        .iter()
        .filter(|id| !all.contains(id))
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        bail!(
            "no shipped entry is called {}; there are {}",
            unknown.join(", "),
            all.join(", ")
        );
    }
    let mut ids: Vec<String> = Vec::new();
    for id in asked {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    Ok(ids)
}

/// What this machine lacks; nothing where it can be tested.
fn missing(place: &Place) -> Result<Option<String>> {
    if !place.is_root {
        return Ok(Some("real containers need root".to_owned()));
    }
    Ok(match packages::ensure(place)? {
        Packages::Present => None,
        Packages::Installed(names) => {
            say::note(format!("installed {}", names.join(", ")));
            None
        }
        Packages::Missing(advice) => Some(advice),
    })
}

fn rehearse(place: &Place, id: &str) -> Result<Outcome> {
    let args = ["--once", "--private", "--app", id, "--dir"].map(str::to_owned);
    let run = try_run::invocation(place, &args)
        .arg(place.target().join("catalog-test"))
        .until(Deadline::after(LIMIT))
        .capture(place.root())?;
    judge(id, &run)
}

/// What one run came to. A report on its last line says more than how it ended.
fn judge(id: &str, run: &Captured) -> Result<Outcome> {
    let last = run.stdout.lines().last().unwrap_or_default();
    if last.starts_with('{') {
        let report: Report = serde_json::from_str(last)
            .with_context(|| format!("the last line is no report: {last:?}"))?;
        let mut complaints = complaints(&report, id);
        if complaints.is_empty() && !run.ended.is_success() {
            complaints.push(format!("`proximity try` {}", run.ended.describe()));
        }
        return Ok(if complaints.is_empty() {
            Outcome::Passed(report)
        } else {
            Outcome::Failed(complaints.join("; "))
        });
    }
    if run.ended == Ended::Code(0) {
        return Ok(Outcome::Failed("it printed no report".to_owned()));
    }
    let lines = run.stderr.lines().filter(|line| !line.trim().is_empty());
    let mut said: Vec<&str> = lines.collect();
    let tail = said.split_off(said.len().saturating_sub(COMPLAINTS));
    let how = run.ended.describe();
    Ok(Outcome::Failed(format!(
        "it {how}: {}",
        tail.join("\n    ")
    )))
}

/// What is wrong with a report; nothing if all is as promised.
fn complaints(report: &Report, id: &str) -> Vec<String> {
    let (guests, app, sign) = (&report.guests, &report.app, &report.sign);
    let changed = report.changed.as_deref();
    let promises = [
        (guests == "lxc", format!("guests are {guests:?}, not lxc")),
        (app == id, format!("the report is of {app}")),
        (report.answers, format!("no {sign} of its own")),
        (
            report.answers_after_restart,
            "it did not come back after a restart".to_owned(),
        ),
        (
            changed.is_some_and(<[String]>::is_empty),
            format!("carried out again, its recipe changed {changed:?}"),
        ),
        (
            report.answers_after_change,
            "it did not come back after a change of settings".to_owned(),
        ),
        (
            report.stop_refuses,
            "a stopped app still answers".to_owned(),
        ),
        (
            report.answers_after_start,
            "it did not come back after start".to_owned(),
        ),
        (
            report.removed,
            "the container is still there after removal".to_owned(),
        ),
        (
            report.leftovers.is_empty(),
            format!("left behind: {:?}", report.leftovers),
        ),
    ];
    promises
        .into_iter()
        .filter(|(kept, _)| !kept)
        .map(|(_, complaint)| complaint)
        .collect()
}

/// One line for each entry.
fn table(rows: &[Row]) -> String {
    let mut lines = vec![format!(
        "{:<18} {:<9} {:<10} {:>9} {:>7}  {}",
        "ENTRY", "VERSION", "SIGN", "DEPLOY S", "ALL S", "RESULT"
    )];
    for row in rows {
        let (version, sign, deploy, result) = match &row.outcome {
            Outcome::Passed(report) => (
                report.version.as_str(),
                report.sign.as_str(),
                format!("{:.1}", report.seconds_to_answer),
                "ok".to_owned(),
            ),
            Outcome::Failed(why) => {
                let first = why.lines().next().unwrap_or_default();
                ("-", "-", "-".to_owned(), format!("FAILED: {first}"))
            }
            Outcome::NotRun => ("-", "-", "-".to_owned(), "not run".to_owned()),
        };
        lines.push(format!(
            "{:<18} {version:<9} {sign:<10} {deploy:>9} {:>7}  {result}",
            row.id, row.seconds
        ));
    }
    lines.join("\n")
}

/// The last line: what was asked for, and what came of it.
fn summary(rows: &[Row]) -> String {
    let mut passed = BTreeMap::new();
    let mut failed = BTreeMap::new();
    let mut not_run = Vec::new();
    for row in rows {
        match &row.outcome {
            Outcome::Passed(report) => {
                let of = json!({ "version": report.version, "sign": report.sign,
                    "seconds_to_answer": report.seconds_to_answer, "seconds": row.seconds });
                passed.insert(row.id.as_str(), of);
            }
            Outcome::Failed(why) => {
                failed.insert(row.id.as_str(), why.as_str());
            }
            Outcome::NotRun => not_run.push(row.id.as_str()),
        }
    }
    json!({ "catalog_test": {
        "asked": rows.len(), "passed": passed, "failed": failed, "not_run": not_run,
    } })
    .to_string()
}

#[cfg(test)]
#[path = "catalog_test_tests.rs"]
mod tests;
