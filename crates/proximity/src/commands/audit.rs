//! `proximity audit verify`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use proximity_api::audit::{AuditReport, MOST_ANCHORS, VerifyAudit};
use proximity_domain::audit::Anchor;

use crate::cli::AuditVerify;
use crate::context::Context;
use crate::failed::Failed;

pub(crate) async fn verify(context: &Context, args: AuditVerify) -> Result<(), Failed> {
    let mut anchors = Vec::new();
    for file in &args.anchors {
        read(file, &mut anchors)?;
    }
    let client = context.client()?;
    let mut report = client.verify_audit(&VerifyAudit::default()).await?;
    // Each part is held against the whole audit.
    for part in anchors.chunks(MOST_ANCHORS) {
        let anchors = part.iter().map(Anchor::to_string).collect();
        let held = client.verify_audit(&VerifyAudit { anchors }).await?;
        report = AuditReport {
            anchors: report.anchors.saturating_add(held.anchors),
            of_others: report.of_others.saturating_add(held.of_others),
            ..held
        };
    }
    if report.anchors == 0 && !args.anchors.is_empty() {
        return Err(none_of_ours(report.of_others));
    }
    context.output.result(&report, human)
}

/// Whoever names a log wants to know whether the end is there: that nothing was held against it is no success.
fn none_of_ours(of_others: u64) -> Failed {
    Failed::config(
        "no_anchor",
        format!(
            "no anchor of this installation is there to hold the audit against, {of_others} of others are"
        ),
        "the server logs one at its start and each minute in which something happens; look in the log of its whole life, e.g. \
         with: journalctl -u proximity -o cat | proximity audit verify --anchor -",
    )
}

fn read(file: &Path, anchors: &mut Vec<Anchor>) -> Result<(), Failed> {
    let from = file.display().to_string();
    if file == Path::new("-") {
        return collect(std::io::stdin().lock(), "stdin", anchors);
    }
    let opened = File::open(file).map_err(|e| unreadable(&from, &e))?;
    collect(BufReader::new(opened), &from, anchors)
}

/// The anchors of a log, line by line: nothing else of it is kept. It need not be text all the way.
fn collect(log: impl BufRead, from: &str, anchors: &mut Vec<Anchor>) -> Result<(), Failed> {
    for (line, n) in log.split(b'\n').zip(1_u64..) {
        let line = line.map_err(|e| unreadable(from, &e))?;
        match Anchor::find(&String::from_utf8_lossy(&line)) {
            // A server that starts anew says it again.
            Ok(Some(anchor)) if anchors.last() != Some(&anchor) => anchors.push(anchor),
            Ok(Some(_) | None) => {}
            Err(bad) => {
                let message = format!("line {n} of {from}: {bad}");
                let hint =
                    "give the log as it was written; a line that was changed is a sign of its own";
                return Err(Failed::config("bad_anchor", message, hint));
            }
        }
    }
    Ok(())
}

fn unreadable(from: &str, error: &std::io::Error) -> Failed {
    Failed::config(
        "anchor_unreadable",
        format!("cannot read anchors from {from}: {error}"),
        "check the path and its permissions",
    )
}

fn human(report: &AuditReport) -> String {
    let entries = match report.entries {
        1 => "1 entry".to_owned(),
        entries => format!("{entries} entries"),
    };
    let mut text = match report.anchors {
        0 => format!(
            "the audit is whole as far as it goes: {entries}\n\
             whether its end was cut off, or all of it made anew, shows against the server's log alone: --anchor FILE"
        ),
        1 => format!("the audit is whole: {entries}, held against 1 anchor"),
        anchors => format!("the audit is whole: {entries}, held against {anchors} anchors"),
    };
    if report.of_others > 0 {
        let others = report.of_others;
        text.push_str(&format!(
            "\nanchors of other installations, left out: {others}"
        ));
    }
    if let Some(anchor) = &report.anchor {
        text.push_str(&format!("\n{anchor}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use proximity_domain::audit::{Head, Link};
    use proximity_domain::ids::InstallationId;

    use super::*;

    fn anchor(seq: i64) -> Anchor {
        let link = Link::GENESIS;
        Anchor {
            installation: InstallationId(uuid::Uuid::from_u128(4)),
            head: Head { seq, link },
        }
    }

    fn collected(log: &[u8]) -> Result<Vec<Anchor>, Failed> {
        let mut anchors = Vec::new();
        collect(log, "x.log", &mut anchors)?;
        Ok(anchors)
    }

    #[test]
    fn anchors_are_read_out_of_whatever_a_log_holds() {
        let (one, two) = (anchor(1), anchor(2));
        let mut log = format!("-- Boot 7 --\npve1 proximity[7]: INFO {one}\n\n").into_bytes();
        log.extend_from_slice(b"\xff\xfe not text\n");
        log.extend_from_slice(format!("{{\"message\":\"{two}\"}}\r\n{two}\n{one}").as_bytes());
        assert_eq!(collected(&log).unwrap(), [one, two, one]);
        assert!(collected(b"").unwrap().is_empty());
    }

    #[test]
    fn a_line_that_was_cut_is_told_with_its_number() {
        let whole = anchor(1).to_string();
        let log = format!("a\n{whole}\n{}\n", &whole[..whole.len() - 4]);
        let failed = collected(log.as_bytes()).unwrap_err();
        assert_eq!(failed.body.code, "bad_anchor");
        assert!(failed.body.message.starts_with("line 3 of x.log"));
    }

    #[test]
    fn it_is_said_what_was_not_seen() {
        let report = |anchors| AuditReport {
            entries: 7,
            anchor: Some("proximity-audit-anchor".to_owned()),
            anchors,
            of_others: 0,
        };
        assert!(human(&report(0)).contains("--anchor FILE"));
        assert_eq!(
            human(&report(2)),
            "the audit is whole: 7 entries, held against 2 anchors\nproximity-audit-anchor"
        );
    }
}
