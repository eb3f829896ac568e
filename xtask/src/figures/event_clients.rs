//! SSE: what clients are told of the events of a server that is killed again and again under load.
//!
//! Half of the clients begin with the first event, half with the next one; some take their time. Each sequence has to be
//! that of the log, from its beginning to the end, without a gap and without a repeat.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "SSE",
    shows: "clients whose sequence of events has a gap or a repeat, the server killed under load",
    goal: "0 faults at 200 clients, server's memory ≤ 192 MiB",
    binaries: &[Binary::Plain, Binary::Figures],
    prepare,
    needs_root: false,
    in_tests: true,
    full_limit: Duration::from_secs(300),
    measure,
};

const CLIENTS: u64 = 200;
/// Kills, and load between two of them in milliseconds.
const FULL: (u64, u64) = (10, 4_000);
const QUICK: (u64, u64) = (3, 1_500);
/// Events that have to be in the log at least, or there was no load.
const LEAST_EVENTS: u64 = 300;
/// Most memory the server may ever hold.
const MEMORY_MIB: u64 = 192;
/// The library of the client that nobody here wrote.
const LIBRARY: &str = "sseclient==0.0.27";

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let (kills, life_ms) = if bench.mode.quick { QUICK } else { FULL };
    let dir = bench.folder("event-clients")?;
    let mut program = Invocation::new(Binary::Figures.path(bench.place))
        .args(["sse", "--program"])
        .arg(Binary::Plain.path(bench.place))
        .arg("--dir")
        .arg(&dir)
        .args(["--clients", &CLIENTS.to_string()])
        .args(["--kills", &kills.to_string()])
        .args(["--life-ms", &life_ms.to_string()])
        .until(bench.deadline);
    if bench.mode.sabotage {
        program = program.arg("--sabotage");
    }
    let foreign = !bench.mode.quick && !bench.mode.sabotage;
    if foreign {
        program = match library(bench) {
            Ok(python) => program
                .arg("--foreign")
                .arg(python)
                .arg(script(bench.place)),
            Err(error) => {
                say::line(format!("SSE: the foreign client is SKIPPED: {error:#}"));
                program
            }
        };
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("following events")?;
    let last = answer.lines().last().unwrap_or_default();
    let result: Value = serde_json::from_str(last).context("reading the verdict")?;
    judge(result)
}

fn judge(result: Value) -> Result<Measured> {
    let number = |name: &str| {
        let found = result.get(name).and_then(Value::as_u64);
        found.with_context(|| format!("the verdict has no {name}"))
    };
    let (faults, events, memory) = (
        number("faults")?,
        number("events")?,
        number("peak_rss_mib")?,
    );
    let (kills, reconnects) = (number("kills")?, number("reconnects")?);
    for fault in result["told"].as_array().into_iter().flatten() {
        say::note(format!("SSE: {fault}"));
    }
    if events < LEAST_EVENTS || reconnects < CLIENTS * kills / 2 {
        bail!("{events} events and {reconnects} reconnects are no load; see the record");
    }
    let foreign_fault = result["foreign"]["fault"].as_str();
    if let Some(fault) = foreign_fault {
        say::note(format!("SSE: the foreign client: {fault}"));
    }
    let faults = faults + u64::from(foreign_fault.is_some());
    say::note(format!(
        "SSE: {events} events, {kills} kills, {reconnects} reconnects, {memory} MiB at most"
    ));
    Ok(Measured {
        value: format!("{faults}/{CLIENTS}"),
        unit: "faults/clients",
        reached: faults == 0 && memory <= MEMORY_MIB,
        raw: result,
    })
}

fn script(place: &Place) -> PathBuf {
    place
        .root()
        .join("fixtures")
        .join("clients")
        .join("follow_events.py")
}

/// A virtual environment with the library; made once.
fn library(bench: &Bench<'_>) -> Result<PathBuf> {
    let folder = bench.place.target().join("python-clients");
    let python = folder.join("bin").join("python");
    let run = |program: &Path, args: &[&str]| -> Result<()> {
        let answer = Invocation::new(program)
            .args(args)
            .until(bench.deadline)
            .capture(bench.place.root())?;
        answer.expect_success(&args.join(" ")).map(|_| ())
    };
    if run(&python, &["-c", "import sseclient"]).is_err() {
        let at = folder.display().to_string();
        run(Path::new("python3"), &["-m", "venv", &at])?;
        run(&python, &["-m", "pip", "install", "--quiet", LIBRARY])?;
    }
    Ok(python)
}
