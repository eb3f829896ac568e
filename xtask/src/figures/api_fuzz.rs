//! R25: requests made by schemathesis from the API's own document, against a world that has everything in it.

mod report;
pub(super) mod world;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use self::report::Report;
use self::world::World;
use super::{Bench, Binary, Figure, Measured};
use crate::invocation::{Ended, Invocation};
use crate::place::Place;
use crate::say;

/// What is installed, to the last package.
const REQUIREMENTS: &str = include_str!("api_fuzz/requirements.txt");
/// Cases of the full measurement.
const CASES: usize = 5_000;
/// Longest an answer may take.
const LONGEST_MS: f64 = 2_000.0;
/// Part of the operations that have to have answered 2xx.
const SUCCEEDED: f64 = 0.9;

/// What is looked at in every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

pub(crate) const FIGURE: Figure = Figure {
    id: "R25",
    shows: "faults in answers to requests that schemathesis makes from the OpenAPI document, as an administrator",
    goal: "0 faults (5xx, breaks of the schema, over 2 s); 90 % of operations seen to succeed",
    binaries: &[Binary::ApiWorld],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1200),
    measure,
};

fn folder(place: &Place) -> PathBuf {
    place.target().join("figures").join("api-fuzz")
}

fn python(place: &Place) -> PathBuf {
    place.target().join("schemathesis")
}

fn prepare(place: &Place) -> Result<()> {
    super::python::install(place, &python(place), REQUIREMENTS)
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let folder = folder(bench.place);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let world = World::start(&Binary::ApiWorld.path(bench.place))?;
    let document = world.document(bench.mode.sabotage)?;
    let file = folder.join("openapi.json");
    std::fs::write(&file, serde_json::to_string_pretty(&document)?)?;
    // Streams never end; what is left out is said, and counts as not seen to succeed.
    let streams = report::streams(&document);
    for stream in &streams {
        say::note(format!(
            "R25: {stream} never ends and is left to the tests of events"
        ));
    }
    run(bench, &world, &file, &folder, &streams)?;
    let report = Report::read(&folder, &document)?;
    if report.held > 0 {
        let held = report.held;
        say::note(format!(
            "R25: {held} answers came late because Proxmox VE holds its refusal of a token or a login for 3 s"
        ));
    }
    world.end()?;
    Ok(judge(&report, &streams, bench.mode.quick))
}

fn run(
    bench: &Bench<'_>,
    world: &World,
    document: &Path,
    folder: &Path,
    streams: &[String],
) -> Result<()> {
    // Random ones of each operation; the coverage phase and the chains come on top.
    let examples = if bench.mode.quick { "6" } else { "240" };
    let inside = world.inside();
    let (enter, rest) = inside.split_first().context("no way into the world")?;
    let mut invocation = Invocation::new(enter)
        .args(rest)
        .arg(python(bench.place).join("bin").join("schemathesis"))
        .args([
            "run",
            "--no-color",
            "--continue-on-failure",
            "--generation-database=none",
        ])
        .arg(document)
        .args(["--url", &world.url, "--header"])
        .arg(format!("Authorization: Bearer {}", world.token))
        .args(["--checks", CHECKS, "--seed"])
        .arg(bench.seed.to_string())
        .args(["--max-examples", examples])
        .args([
            "--phases",
            "examples,coverage,fuzzing,stateful",
            "--report",
            "har,json",
        ])
        .arg(format!(
            "--report-har-path={}",
            folder.join("exchanges.har").display()
        ))
        .arg(format!(
            "--report-json-path={}",
            folder.join("report.json").display()
        ));
    if bench.mode.quick {
        invocation = invocation.args(["--max-time", "25"]);
    }
    for stream in streams {
        invocation = invocation.args(["--exclude-operation-id", stream]);
    }
    let captured = invocation.until(bench.deadline).capture(folder)?;
    std::fs::write(folder.join("output.txt"), &captured.stdout)?;
    // 0: nothing found; 1: something. Everything else is no measurement.
    match captured.ended {
        Ended::Code(0 | 1) => Ok(()),
        ended => bail!("schemathesis {}: {}", ended.describe(), captured.stderr),
    }
}

fn judge(report: &Report, streams: &[String], quick: bool) -> Measured {
    let slow = report.slowest_ms > LONGEST_MS;
    let faults = report.server_errors + report.failures + usize::from(slow);
    let all = report.operations + streams.len();
    let part = report.succeeded.len() as f64 / all.max(1) as f64;
    let enough = quick || report.cases >= CASES;
    Measured {
        value: format!(
            "{faults}/{} ({:.0} % of {all} operations)",
            report.cases,
            part * 100.0
        ),
        unit: "faults/cases",
        reached: faults == 0 && part >= SUCCEEDED && enough && report.cases > 0,
        raw: serde_json::json!({
            "cases": report.cases, "answers_5xx": report.server_errors, "failures": report.failures,
            "failures_by_title": report.titles, "held_by_pve": report.held, "slowest_ms": report.slowest_ms, "by_status": report.by_status,
            "operations": all, "succeeded": report.succeeded, "never_succeeded": report.missing, "left_out": streams,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(
        cases: usize,
        server_errors: usize,
        failures: usize,
        seen: usize,
        slowest_ms: f64,
    ) -> Report {
        Report {
            cases,
            server_errors,
            failures,
            slowest_ms,
            operations: 10,
            succeeded: (0..seen).map(|n| n.to_string()).collect(),
            ..Report::default()
        }
    }

    #[test]
    fn one_fault_of_any_kind_or_too_little_seen_is_short() {
        assert!(judge(&report(5000, 0, 0, 9, 10.0), &[], false).reached);
        assert!(judge(&report(50, 0, 0, 9, 10.0), &[], true).reached);
        for short in [
            report(4999, 0, 0, 10, 10.0),
            report(5000, 1, 0, 10, 10.0),
            report(5000, 0, 1, 10, 10.0),
            report(5000, 0, 0, 8, 10.0),
            report(5000, 0, 0, 10, 2001.0),
        ] {
            assert!(!judge(&short, &[], false).reached);
        }
        let left_out = ["stream".to_owned(), "other".to_owned()];
        assert!(!judge(&report(5000, 0, 0, 10, 10.0), &left_out, false).reached);
    }
}
