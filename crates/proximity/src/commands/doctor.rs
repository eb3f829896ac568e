//! `proximity doctor`.

use std::fmt::Write as _;

use proximity_api::doctor::{DoctorQuery, DoctorReport, Finding, FindingCounts};
use proximity_api::error::ExitCode;

use crate::cli::DoctorArgs;
use crate::context::Context;
use crate::failed::Failed;

pub(crate) async fn run(context: &Context, args: DoctorArgs) -> Result<(), Failed> {
    let query = DoctorQuery { host: args.host };
    let report = context.client()?.doctor(&query).await?;
    context
        .output
        .result(&report, |report| human(report, args.all))?;
    match exit(&report) {
        ExitCode::Ok => Ok(()),
        code => Err(Failed::said(code)),
    }
}

/// Where commands of Proxmox VE are typed.
const ON_A_NODE: &str =
    "Commands that begin with pve are typed on a node of that host, as root, in this order.\n\n";

/// The worst level there is; one that came later is none to pass over.
fn exit(report: &DoctorReport) -> ExitCode {
    match report.level.as_str() {
        "ok" | "note" => ExitCode::Ok,
        "warning" => ExitCode::Warnings,
        _ => ExitCode::Faults,
    }
}

/// By host, the worst first; what is well only if it is wanted.
fn human(report: &DoctorReport, all: bool) -> String {
    let mut text = String::new();
    let mut of: Option<&Option<String>> = None;
    for finding in &report.findings {
        if finding.level == "ok" && !all {
            continue;
        }
        if of != Some(&finding.host) {
            let title = finding.host.as_deref().map(|label| format!("host {label}"));
            let title = title.unwrap_or_else(|| "this installation".to_owned());
            let before = if of.is_some() { "\n" } else { "" };
            // Writing to a String cannot fail; the error is dropped on purpose.
            let _ = writeln!(text, "{before}{title}");
            of = Some(&finding.host);
        }
        text.push_str(&lines(finding));
    }
    if of.is_some() {
        text.push('\n');
    }
    if text.contains("-> pve") {
        text.push_str(ON_A_NODE);
    }
    text.push_str(&closing(report.counts));
    text
}

fn lines(finding: &Finding) -> String {
    let (level, subject, what) = (
        plain(&finding.level),
        plain(&finding.subject),
        plain(&finding.what),
    );
    let mut text = format!("  {level:<8} {subject}: {what}\n");
    for step in &finding.next {
        let _ = writeln!(text, "             -> {}", plain(step));
    }
    text
}

/// On one line: a text that quotes a node adds no lines, and moves no cursor.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(shown).collect()
}

fn closing(counts: FindingCounts) -> String {
    let some = |count: u64, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let parts = [
        some(counts.fault, "fault", "faults"),
        some(counts.unknown, "thing unknown", "things unknown"),
        some(counts.warning, "warning", "warnings"),
        some(counts.note, "note", "notes"),
        some(counts.ok, "check passed", "checks passed"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return "nothing was looked at".to_owned();
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(
        host: Option<&str>,
        level: &str,
        subject: &str,
        what: &str,
        next: &[&str],
    ) -> Finding {
        Finding {
            code: "a_code".to_owned(),
            level: level.to_owned(),
            host: host.map(str::to_owned),
            subject: subject.to_owned(),
            what: what.to_owned(),
            next: next.iter().map(|step| (*step).to_owned()).collect(),
        }
    }

    fn report(level: &str) -> DoctorReport {
        DoctorReport {
            level: level.to_owned(),
            counts: FindingCounts {
                fault: 1,
                unknown: 0,
                warning: 2,
                note: 1,
                ok: 14,
            },
            findings: vec![
                finding(None, "ok", "gateway", "it answers, with 2 routes", &[]),
                finding(
                    Some("home"),
                    "fault",
                    "storage local for containers",
                    "on pve1 it does not take rootdir, but vztmpl",
                    &["pvesm set local --content vztmpl,rootdir"],
                ),
                finding(
                    Some("home"),
                    "warning",
                    "token proximity-operate-1a2b3c4d@pve!proximity",
                    "it may do more than it needs: VM.Console on /",
                    &[
                        "pveum acl delete / --roles PVEVMUser --tokens 'proximity-operate-1a2b3c4d@pve!proximity'",
                    ],
                ),
                finding(Some("home"), "ok", "cluster", "cluster lab has quorum", &[]),
                finding(
                    Some("work"),
                    "note",
                    "pool",
                    "none is recorded",
                    &["set the host up with a pool"],
                ),
            ],
        }
    }

    #[test]
    fn findings_are_told_by_host_with_what_to_do() {
        insta::assert_snapshot!(human(&report("fault"), false));
    }

    #[test]
    fn what_is_well_is_told_when_it_is_wanted() {
        let text = human(&report("fault"), true);
        assert!(
            text.starts_with("this installation\n  ok       gateway: it answers"),
            "{text}"
        );
    }

    #[test]
    fn a_text_adds_no_lines_and_moves_no_cursor() {
        let bad = "x\n             -> pveum user delete root@pam\u{1b}[2J\u{9b}1A";
        let text = lines(&finding(None, "fault", bad, bad, &[bad]));
        assert_eq!(text.lines().count(), 2, "{text:?}");
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        );
    }

    #[test]
    fn as_json_it_is_what_the_api_answers() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&report("fault")).unwrap());
    }

    #[test]
    fn the_worst_finding_gives_the_exit_code() {
        for (level, code) in [
            ("ok", 0),
            ("note", 0),
            ("warning", 13),
            ("unknown", 14),
            ("fault", 14),
            ("what comes later", 14),
        ] {
            assert_eq!(exit(&report(level)).number(), code, "{level}");
        }
    }

    #[test]
    fn a_sound_installation_is_one_line() {
        let well = DoctorReport {
            level: "ok".to_owned(),
            counts: FindingCounts {
                ok: 1,
                ..FindingCounts::default()
            },
            findings: vec![finding(None, "ok", "gateway", "it answers", &[])],
        };
        assert_eq!(human(&well, false), "1 check passed");
    }
}
