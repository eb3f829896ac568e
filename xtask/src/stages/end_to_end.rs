//! `proximity try --once` as a stage: its report is read and judged field by field.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Stand;
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

/// Runs it as root; without root it is skipped, because the guests are real containers.
pub(super) fn run(stand: &Stand<'_>) -> Result<Outcome> {
    if !stand.place.is_root {
        return Ok(Outcome::skipped(
            "`try` starts real containers and needs root",
        ));
    }
    let run = try_run::invocation(stand.place, &["--once".to_owned()])
        .until(stand.deadline)
        .tee(stand.place.root())?;
    if !run.ended.is_success() {
        return Ok(Outcome::failed(format!(
            "`proximity try --once` {}",
            run.ended.describe()
        )));
    }
    let complaints = judge(run.stdout.lines().last().unwrap_or_default())?;
    Ok(if complaints.is_empty() {
        Outcome::passed("deployed, served, stopped, started and removed; nothing left behind")
    } else {
        Outcome::failed(complaints.join("; "))
    })
}

/// What is wrong with a report; nothing if all is as promised.
fn judge(line: &str) -> Result<Vec<String>> {
    let report: Report = serde_json::from_str(line)
        .with_context(|| format!("the last line of `try --once` is no report: {line:?}"))?;
    let promises = [
        (
            report.guests == "lxc",
            format!("guests are {:?}, not real containers", report.guests),
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
        assert_eq!(judge(GOOD).unwrap(), Vec::<String>::new());
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
            assert_eq!(judge(&GOOD.replace(good, bad)).unwrap().len(), 1, "{bad}");
        }
    }

    #[test]
    fn something_else_on_the_last_line_is_an_error() {
        assert!(judge("done").is_err());
        assert!(judge("{}").is_err());
    }
}
