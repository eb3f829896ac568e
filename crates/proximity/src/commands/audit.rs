//! `proximity audit verify`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use proximity_api::audit::{AuditReport, MOST_ANCHORS, VerifyAudit};
use proximity_domain::audit::Anchor;
use serde::Serialize;

use crate::cli::AuditVerify;
use crate::context::Context;
use crate::failed::Failed;

/// Bytes of a line that are looked at; one with an anchor has a few hundred, and a longer one is passed over.
const LONGEST_LINE: u64 = 16 << 10;
/// Bad lines that are named; the others are counted.
const BAD_NAMED: usize = 10;

/// What is told: the server's answer, and what stood in the logs and could not be held against the audit.
#[derive(Debug, Serialize)]
struct Verified {
    #[serde(flatten)]
    report: AuditReport,
    #[serde(flatten)]
    bad: BadLines,
}

/// Lines that begin like an anchor and do not go on like one.
#[derive(Debug, Default, Serialize)]
struct BadLines {
    /// How many there are.
    bad_lines: u64,
    /// Where the first of them stand.
    bad_named: Vec<String>,
}

/// What was found in logs.
#[derive(Debug, Default)]
struct Found {
    anchors: Vec<Anchor>,
    bad: BadLines,
}

pub(crate) async fn verify(context: &Context, args: AuditVerify) -> Result<(), Failed> {
    let mut found = Found::default();
    for file in &args.anchors {
        read(file, &mut found)?;
    }
    let client = context.client()?;
    let mut report = client.verify_audit(&VerifyAudit::default()).await?;
    // Each part is held against the whole audit.
    for part in found.anchors.chunks(MOST_ANCHORS) {
        let anchors = part.iter().map(Anchor::to_string).collect();
        let held = client.verify_audit(&VerifyAudit { anchors }).await?;
        report = AuditReport {
            anchors: report.anchors.saturating_add(held.anchors),
            of_others: report.of_others.saturating_add(held.of_others),
            ..held
        };
    }
    if report.anchors == 0 && !args.anchors.is_empty() {
        return Err(none_of_ours(report.of_others, &found.bad));
    }
    let bad = found.bad;
    context.output.result(&Verified { report, bad }, human)
}

/// Whoever names a log wants to know whether the end is there: that nothing was held against it is no success.
fn none_of_ours(of_others: u64, bad: &BadLines) -> Failed {
    if let Some(first) = bad.bad_named.first() {
        return Failed::config(
            "bad_anchor",
            format!("no anchor that can be read is there to hold the audit against; {first}"),
            "give the log as it was written; a line that was changed is a sign of its own",
        );
    }
    Failed::config(
        "no_anchor",
        format!(
            "no anchor of this installation is there to hold the audit against, {of_others} of others are"
        ),
        "the server logs one at its start and each minute in which something happens; look in the log of its whole life, e.g. \
         with: journalctl -u proximity -o cat | proximity audit verify --anchor -",
    )
}

fn read(file: &Path, found: &mut Found) -> Result<(), Failed> {
    let from = file.display().to_string();
    if file == Path::new("-") {
        return collect(std::io::stdin().lock(), "stdin", found);
    }
    let opened = File::open(file).map_err(|e| unreadable(&from, &e))?;
    collect(BufReader::new(opened), &from, found)
}

/// The anchors of a log, line by line: nothing else of it is kept. It need not be text all the way. A line that was cut off, as
/// by a loss of power, or changed, keeps none of the others from being held.
fn collect(mut log: impl BufRead, from: &str, found: &mut Found) -> Result<(), Failed> {
    let Found { anchors, bad } = found;
    let (mut line, mut n) = (Vec::new(), 0_u64);
    while next_line(&mut log, &mut line).map_err(|e| unreadable(from, &e))? {
        n = n.saturating_add(1);
        match Anchor::find(&String::from_utf8_lossy(&line)) {
            // A server that starts anew says it again.
            Ok(Some(anchor)) if anchors.last() != Some(&anchor) => anchors.push(anchor),
            Ok(Some(_) | None) => {}
            Err(why) => bad.add(|| format!("line {n} of {from}: {why}")),
        }
    }
    Ok(())
}

/// Reads the next line into `line`, without its end; nothing of one that is too long. Says whether there was one.
fn next_line(log: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    let mut begin = log.by_ref().take(LONGEST_LINE);
    if begin.read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    let is_whole = begin.limit() > 0;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if !is_whole {
        line.clear();
        log.skip_until(b'\n')?;
    }
    Ok(true)
}

impl BadLines {
    fn add(&mut self, named: impl FnOnce() -> String) {
        self.bad_lines = self.bad_lines.saturating_add(1);
        if self.bad_named.len() < BAD_NAMED {
            self.bad_named.push(named());
        }
    }
}

fn unreadable(from: &str, error: &std::io::Error) -> Failed {
    Failed::config(
        "anchor_unreadable",
        format!("cannot read anchors from {from}: {error}"),
        "check the path and its permissions",
    )
}

fn human(Verified { report, bad }: &Verified) -> String {
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
    let newest = report.events;
    if newest > 0 {
        text.push_str(&format!(
            "\nso are the events that are kept, up to number {newest}"
        ));
    }
    if report.of_others > 0 {
        let others = report.of_others;
        text.push_str(&format!(
            "\nanchors of other installations, left out: {others}"
        ));
    }
    if bad.bad_lines > 0 {
        let (count, named) = (bad.bad_lines, bad.bad_named.join("\n  "));
        text.push_str(&format!(
            "\nlines that should hold an anchor and do not, left out: {count}\n  {named}"
        ));
    }
    for anchor in [&report.anchor, &report.event_anchor].into_iter().flatten() {
        text.push_str(&format!("\n{anchor}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use proximity_domain::audit::{Chain, Head, Link};
    use proximity_domain::ids::InstallationId;

    use super::*;

    fn anchor(seq: i64) -> Anchor {
        let link = Link::GENESIS;
        Anchor {
            chain: Chain::Audit,
            installation: InstallationId(uuid::Uuid::from_u128(4)),
            head: Head { seq, link },
        }
    }

    fn collected(log: &[u8]) -> Found {
        let mut found = Found::default();
        collect(log, "x.log", &mut found).unwrap();
        found
    }

    #[test]
    fn anchors_are_read_out_of_whatever_a_log_holds() {
        let (one, two) = (anchor(1), anchor(2));
        let head = "pve1 proximity[7]: 2026-11-28T10:00:00Z  INFO proximity_audit: ";
        let mut log = format!("-- Boot 7 --\n{head}{one}\n\n").into_bytes();
        log.extend_from_slice(b"\xff\xfe not text\n");
        let json = format!("{{\"message\":\"{two}\",\"target\":\"proximity_audit\"}}");
        log.extend_from_slice(format!("{json}\r\n{two}\n{one}").as_bytes());
        assert_eq!(collected(&log).anchors, [one, two, one]);
        assert!(collected(b"").anchors.is_empty());
    }

    /// Those before and behind it are held, and it is told beside.
    #[test]
    fn a_line_that_was_cut_is_told_with_its_number() {
        let (one, two) = (anchor(1).to_string(), anchor(2));
        let cut = &one[..one.len() - 4];
        let found = collected(format!("a\n{one}\n{cut}\n{two}\n{cut}\n").as_bytes());
        assert_eq!(found.anchors, [anchor(1), two]);
        assert_eq!(found.bad.bad_lines, 2);
        let named = &found.bad.bad_named;
        assert!(named[0].starts_with("line 3 of x.log"), "{named:?}");
        assert!(named[1].starts_with("line 5 of x.log"), "{named:?}");
        let failed = none_of_ours(0, &found.bad);
        assert_eq!(failed.body.code, "bad_anchor");
        assert!(failed.body.message.contains("line 3 of x.log"));
        let none = none_of_ours(1, &BadLines::default());
        assert_eq!(none.body.code, "no_anchor");
        let many = collected(format!("{cut}\n").repeat(30).as_bytes()).bad;
        assert_eq!((many.bad_lines, many.bad_named.len()), (30, BAD_NAMED));
    }

    /// Bytes without an end, which nobody has to keep.
    struct Endless(u64);

    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let left = usize::try_from(self.0).unwrap_or(usize::MAX);
            let given = left.min(into.len());
            into[..given].fill(b'x');
            self.0 -= given as u64;
            Ok(given)
        }
    }

    /// No more of a line is in memory than a line with an anchor can have; what comes behind it is read.
    #[test]
    fn a_line_without_an_end_is_passed_over() {
        let (one, two) = (anchor(1), anchor(2));
        let begin = format!("{one}\n{two} ");
        let end = format!("\n{two}\n{two}");
        let log = begin.as_bytes().chain(Endless(64 << 20));
        let mut log = BufReader::new(log.chain(end.as_bytes()));
        let (mut line, mut kept) = (Vec::new(), Vec::new());
        while next_line(&mut log, &mut line).unwrap() {
            kept.push(line.len());
        }
        let (first, last) = (one.to_string().len(), two.to_string().len());
        assert_eq!(kept, [first, 0, last, last]);
        assert!(line.capacity() < 1 << 20, "{}", line.capacity());
    }

    #[test]
    fn a_line_of_just_the_length_is_read_with_the_next() {
        let longest = usize::try_from(LONGEST_LINE).unwrap();
        for length in longest - 2..=longest + 1 {
            let text = format!("{}\nb", "a".repeat(length));
            let (mut log, mut line) = (text.as_bytes(), Vec::new());
            assert!(next_line(&mut log, &mut line).unwrap());
            assert!(line.is_empty() || line.len() == length, "{length}");
            assert_eq!(line.is_empty(), length >= longest, "{length}");
            assert!(next_line(&mut log, &mut line).unwrap());
            assert_eq!(line, b"b", "{length}");
            assert!(!next_line(&mut log, &mut line).unwrap());
        }
    }

    #[test]
    fn it_is_said_what_was_not_seen() {
        let told = |anchors, bad| {
            human(&Verified {
                report: AuditReport {
                    entries: 7,
                    anchor: Some("proximity-audit-anchor".to_owned()),
                    events: 9,
                    event_anchor: Some("proximity-event-anchor".to_owned()),
                    anchors,
                    of_others: 0,
                },
                bad,
            })
        };
        assert!(told(0, BadLines::default()).contains("--anchor FILE"));
        assert_eq!(
            told(2, BadLines::default()),
            "the audit is whole: 7 entries, held against 2 anchors\n\
             so are the events that are kept, up to number 9\n\
             proximity-audit-anchor\nproximity-event-anchor"
        );
        let mut bad = BadLines::default();
        bad.add(|| "line 3 of x.log: bad".to_owned());
        assert_eq!(
            told(2, bad),
            "the audit is whole: 7 entries, held against 2 anchors\n\
             so are the events that are kept, up to number 9\n\
             lines that should hold an anchor and do not, left out: 1\n  line 3 of x.log: bad\n\
             proximity-audit-anchor\nproximity-event-anchor"
        );
    }
}
