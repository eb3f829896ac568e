//! `proximity try --once` as a stage: its report is read and judged field by field.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Stand;
use crate::invocation::{Captured, Invocation};
use crate::ledger::Outcome;
use crate::try_run;

/// What the first page may take, counted from the accepted request, with the template there.
const LIMIT_TO_200_S: f64 = 20.0;

/// The last line of `try --once`.
#[derive(Debug, Deserialize)]
struct Report {
    guests: String,
    http_status: u16,
    body_marker: bool,
    seconds_to_200: f64,
    stop_refuses: bool,
    start_again_200: bool,
    removed: bool,
    leftovers: Vec<serde_json::Value>,
}

/// Runs it with simulated containers as an ordinary user, then, as root, with real ones.
pub(super) fn run(stand: &Stand<'_>) -> Result<Outcome> {
    let simulated = simulated(stand)?;
    if !stand.place.is_root {
        let skipped = Outcome::skipped("`try` with real containers needs root");
        return Ok(simulated.and(skipped));
    }
    let run = try_run::invocation(stand.place, &["--once".to_owned()])
        .until(stand.deadline)
        .tee(stand.place.root())?;
    Ok(simulated.and(outcome(&run, "lxc")?))
}

/// User and group of nobody: what it may do, everybody may.
const NOBODY: u32 = 65_534;

fn simulated(stand: &Stand<'_>) -> Result<Outcome> {
    let args = ["--guests", "simulated", "--once"];
    if !stand.place.is_root {
        let run = try_run::invocation(stand.place, &args.map(str::to_owned))
            .until(stand.deadline)
            .tee(stand.place.root())?;
        return outcome(&run, "simulated");
    }
    // The checkout may be closed to others, so the program comes along to where they may be.
    let name = format!("proximity-try-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder)?;
    let run = as_nobody(stand, &folder, &args);
    std::fs::remove_dir_all(&folder)?;
    outcome(&run?, "simulated")
}

fn as_nobody(stand: &Stand<'_>, folder: &Path, args: &[&str]) -> Result<Captured> {
    let program = folder.join("proximity");
    std::fs::copy(try_run::binary(stand.place), &program)?;
    std::fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    std::fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    let state = folder.join("try");
    std::fs::create_dir(&state)?;
    std::os::unix::fs::chown(&state, Some(NOBODY), Some(NOBODY))?;
    let id = NOBODY.to_string();
    Invocation::new("setpriv")
        .args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"])
        .arg(program)
        .arg("try")
        .args(args)
        .arg("--dir")
        .arg(state)
        .until(stand.deadline)
        .tee(folder)
}

fn outcome(run: &Captured, guests: &str) -> Result<Outcome> {
    if !run.ended.is_success() {
        return Ok(Outcome::failed(format!(
            "`proximity try --guests {guests} --once` {}",
            run.ended.describe()
        )));
    }
    let complaints = judge(run.stdout.lines().last().unwrap_or_default(), guests)?;
    Ok(if complaints.is_empty() {
        Outcome::passed(format!(
            "{guests}: deployed, served, stopped, started and removed; nothing left behind"
        ))
    } else {
        Outcome::failed(format!("{guests}: {}", complaints.join("; ")))
    })
}

/// What is wrong with a report; nothing if all is as promised.
fn judge(line: &str, guests: &str) -> Result<Vec<String>> {
    let report: Report = serde_json::from_str(line)
        .with_context(|| format!("the last line of `try --once` is no report: {line:?}"))?;
    let promises = [
        (
            report.guests == guests,
            format!("guests are {:?}, not {guests}", report.guests),
        ),
        (
            report.http_status == 200,
            format!("the page answered {}", report.http_status),
        ),
        (
            report.body_marker,
            "the page is not the app's own".to_owned(),
        ),
        (
            report.seconds_to_200 <= LIMIT_TO_200_S,
            format!(
                "{:.1} s to the first page, {LIMIT_TO_200_S} allowed",
                report.seconds_to_200
            ),
        ),
        (
            report.stop_refuses,
            "a stopped app still answers".to_owned(),
        ),
        (
            report.start_again_200,
            "it does not answer after being started again".to_owned(),
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
    Ok(promises
        .into_iter()
        .filter(|(kept, _)| !kept)
        .map(|(_, complaint)| complaint)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"guests":"lxc","app":"nginx","url":"http://127.0.0.1:8100/","http_status":200,
        "body_marker":true,"seconds_template":41.2,"seconds_to_200":7.5,"stop_refuses":true,
        "start_again_200":true,"removed":true,"leftovers":[]}"#;

    #[test]
    fn a_good_report_has_no_complaint() {
        assert_eq!(judge(GOOD, "lxc").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn each_broken_promise_is_named() {
        for (good, bad) in [
            (r#""guests":"lxc""#, r#""guests":"simulated""#),
            (r#""http_status":200"#, r#""http_status":502"#),
            (r#""body_marker":true"#, r#""body_marker":false"#),
            (r#""seconds_to_200":7.5"#, r#""seconds_to_200":20.1"#),
            (r#""stop_refuses":true"#, r#""stop_refuses":false"#),
            (r#""start_again_200":true"#, r#""start_again_200":false"#),
            (r#""removed":true"#, r#""removed":false"#),
            (r#""leftovers":[]"#, r#""leftovers":["bridge proxbr0"]"#),
        ] {
            assert_eq!(
                judge(&GOOD.replace(good, bad), "lxc").unwrap().len(),
                1,
                "{bad}"
            );
        }
    }

    #[test]
    fn something_else_on_the_last_line_is_an_error() {
        assert!(judge("done", "lxc").is_err());
        assert!(judge("{}", "lxc").is_err());
    }
}
