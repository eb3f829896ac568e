//! Replays recordings of a real PVE. The work is done by a program beside the emulator: xtask uses
//! no crate of the product.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::Deadline;
use crate::figures::SHIPPED_FEATURES;
use crate::invocation::{Captured, Invocation};
use crate::ledger::{Outcome, Tally};
use crate::place::Place;

const PROGRAM: &str = "conformance";
/// The recordings that are kept with the sources.
const KEPT: &str = "fixtures/pve-traces";

/// Builds the program and lets it replay a folder; true if everything is as recorded.
pub(crate) fn run(place: &Place, folder: &Path, arguments: &[OsString]) -> Result<bool> {
    let deadline = Deadline::after(Duration::from_secs(1_800));
    let replay = built(place, folder, deadline)?.args(arguments);
    Ok(replay.run(place.root())?.is_success())
}

/// Replays what is kept with the sources, and counts.
pub(crate) fn judge(place: &Place, deadline: Deadline) -> Result<Outcome> {
    let replay = built(place, Path::new(KEPT), deadline)?;
    Ok(outcome(&replay.tee(place.root())?))
}

fn built(place: &Place, folder: &Path, deadline: Deadline) -> Result<Invocation> {
    let build = Invocation::new("cargo")
        .args([
            "build",
            "--quiet",
            "--locked",
            "--workspace",
            "--features",
            SHIPPED_FEATURES,
            "--example",
            PROGRAM,
        ])
        .until(deadline);
    let ended = build.run(place.root())?;
    if !ended.is_success() {
        bail!("`{}` {}", build.shown(), ended.describe());
    }
    let program = place.target().join("debug/examples").join(PROGRAM);
    Ok(Invocation::new(program).arg(folder).until(deadline))
}

/// Counts scenarios from the program's last line. Nothing replayed has shown nothing.
fn outcome(run: &Captured) -> Outcome {
    let last = run.stdout.lines().last().unwrap_or_default();
    let Some((passed, scenarios, left_out)) = figure(last) else {
        return Outcome::failed(format!("the replay {}, uncounted", run.ended.describe()));
    };
    let tally = Tally {
        passed,
        failed: scenarios.saturating_sub(passed),
        skipped: left_out,
    };
    let whole = scenarios > 0 && passed == scenarios && run.ended.is_success();
    let remark = last.to_owned();
    let counted = Outcome {
        tally,
        remarks: vec![remark],
    };
    if whole || tally.failed > 0 {
        return counted;
    }
    counted.and(Outcome::failed(format!(
        "the replay {}",
        run.ended.describe()
    )))
}

/// `FIGURE conformance N/M scenarios (…; left out K) …`.
fn figure(line: &str) -> Option<(u64, u64, u64)> {
    let counts = line.strip_prefix("FIGURE conformance ")?;
    let (passed, rest) = counts.split_once('/')?;
    let scenarios = rest.split(' ').next()?;
    let left_out = line.split("left out ").nth(1)?.split(')').next()?;
    Some((
        passed.parse().ok()?,
        scenarios.parse().ok()?,
        left_out.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::Ended;

    fn counted(last: &str, code: i32) -> Tally {
        let run = Captured {
            ended: Ended::Code(code),
            stdout: format!("pass a: 2/2 steps\n{last}\n"),
            stderr: String::new(),
        };
        outcome(&run).tally
    }

    #[test]
    fn only_a_whole_replay_is_without_failure() {
        let line = |of: &str| {
            format!("FIGURE conformance {of} scenarios (goal 3/3; steps 9/9; left out 2) pass")
        };
        let tally = |passed, failed, skipped| Tally {
            passed,
            failed,
            skipped,
        };
        assert_eq!(counted(&line("3/3"), 0), tally(3, 0, 2));
        assert_eq!(counted(&line("2/3"), 1), tally(2, 1, 2));
        assert_eq!(counted(&line("3/3"), 1), tally(3, 1, 2));
        assert_eq!(counted(&line("0/0"), 0), tally(0, 1, 2));
        assert_eq!(counted("error: no such folder", 2), tally(0, 1, 0));
    }
}
