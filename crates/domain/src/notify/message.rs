//! The words of a message, the same for every channel. What a channel needs beside (escaping, markup) is its own.

use super::Severity;
use crate::event::EventKind;
use crate::ids::{AppId, OperationId};
use crate::time::Timestamp;

/// Longest value in a text, characters.
const LONGEST_VALUE: usize = 300;
/// Longest title, characters.
const LONGEST_TITLE: usize = 160;
/// Lines of a digest that are told one by one; the rest is counted.
const LINES: usize = 40;

/// One event, as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Number of the event.
    pub seq: i64,
    /// When it happened.
    pub at: Timestamp,
    /// The same for people, e.g. `2026-11-28 01:20:00Z`.
    pub moment: String,
    /// What happened.
    pub kind: EventKind,
    /// How grave.
    pub severity: Severity,
    /// The app it happened to.
    pub app: Option<AppId>,
    /// Its host name, or the label of a host.
    pub subject: Option<String>,
    /// The operation it belongs to.
    pub operation: Option<OperationId>,
    /// Why, and what to do.
    pub reason: Option<String>,
    /// More of the event, name and value.
    pub facts: Vec<(String, String)>,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The gravest of what it tells.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// Lines, each without control characters.
    pub lines: Vec<String>,
    /// What it tells of, oldest first; none in a test.
    pub notices: Vec<Notice>,
}

/// One line out of any text: without control characters, without what turns the direction of writing, cut at
/// `longest` characters.
#[must_use]
pub fn one_line(text: &str, longest: usize) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let clean: String = text
        .chars()
        .map(|c| if odd(c) { ' ' } else { c })
        .take(longest + 1)
        .collect();
    if clean.chars().count() <= longest {
        return clean.trim().to_owned();
    }
    let cut: String = clean.chars().take(longest.saturating_sub(1)).collect();
    format!("{}…", cut.trim())
}

impl Notice {
    /// What happened to whom, one line.
    #[must_use]
    pub fn title(&self) -> String {
        let headline = self.kind.notice().map_or(self.kind.label(), |n| n.headline);
        match &self.subject {
            Some(subject) => one_line(&format!("{subject}: {headline}"), LONGEST_TITLE),
            None => one_line(headline, LONGEST_TITLE),
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.kind.spec().when.to_owned()];
        if let Some(reason) = &self.reason {
            lines.push(format!("Reason: {}", one_line(reason, 2 * LONGEST_VALUE)));
        }
        for (name, value) in &self.facts {
            let (name, value) = (one_line(name, 40), one_line(value, LONGEST_VALUE));
            lines.push(format!("{name}: {value}"));
        }
        if let Some(app) = self.app {
            lines.push(format!("app: {app}"));
        }
        if let Some(operation) = self.operation {
            lines.push(format!("operation: {operation}"));
        }
        let (moment, seq, kind) = (&self.moment, self.seq, self.kind.label());
        lines.push(format!("{moment}, event {seq}, {kind}"));
        lines
    }
}

impl Message {
    /// The message of one notice; `dropped` earlier ones were given up.
    #[must_use]
    pub fn one(notice: Notice, dropped: u64) -> Self {
        let mut lines = notice.lines();
        lines.extend(told_of_dropped(dropped));
        Self {
            severity: notice.severity,
            title: notice.title(),
            lines,
            notices: vec![notice],
        }
    }

    /// One message of several notices, oldest first.
    #[must_use]
    pub fn digest(notices: Vec<Notice>, dropped: u64) -> Self {
        let severity = notices.iter().map(|n| n.severity).max();
        let line = |n: &Notice| format!("{} {}: {}", n.moment, n.severity.label(), n.title());
        let mut lines: Vec<String> = notices.iter().take(LINES).map(line).collect();
        let more = notices.len().saturating_sub(LINES);
        if more > 0 {
            lines.push(format!("and {more} more: see the events"));
        }
        lines.extend(told_of_dropped(dropped));
        Self {
            severity: severity.unwrap_or(Severity::Info),
            title: format!("{} notices", notices.len()),
            lines,
            notices,
        }
    }

    /// The message of a test.
    #[must_use]
    pub fn test(channel: &str, moment: &str) -> Self {
        Self {
            severity: Severity::Info,
            title: "test".to_owned(),
            lines: vec![
                format!("Somebody asked for a test of the channel {channel}."),
                format!("Nothing has happened. {moment}"),
            ],
            notices: Vec::new(),
        }
    }

    /// Title with what it comes from and how grave it is, one line.
    #[must_use]
    pub fn subject(&self) -> String {
        let (severity, title) = (self.severity.label(), &self.title);
        format!("[Proximity] {severity}: {title}")
    }

    /// All lines.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

fn told_of_dropped(dropped: u64) -> Option<String> {
    let text = match dropped {
        0 => return None,
        1 => "1 earlier notice could not be sent and was given up".to_owned(),
        n => format!("{n} earlier notices could not be sent and were given up"),
    };
    Some(format!("{text}: see the events"))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn notice(seq: i64, kind: EventKind, severity: Severity) -> Notice {
        Notice {
            seq,
            at: Timestamp(0),
            moment: "2026-11-28 01:20:00Z".to_owned(),
            kind,
            severity,
            app: Some(AppId(Uuid::from_u128(7))),
            subject: Some("web".to_owned()),
            operation: Some(OperationId(Uuid::from_u128(9))),
            reason: Some("the template is missing; upload it, then retry".to_owned()),
            facts: vec![("state".to_owned(), "stuck".to_owned())],
        }
    }

    fn told(message: &Message) -> String {
        format!("{}\n{}\n", message.subject(), message.text())
    }

    #[test]
    fn one_notice_says_what_why_and_where_to_look() {
        let stuck = notice(12, EventKind::OperationGotStuck, Severity::Critical);
        insta::assert_snapshot!(told(&Message::one(stuck, 0)));
    }

    #[test]
    fn a_digest_counts_what_is_too_long_and_says_what_was_dropped() {
        let mut many: Vec<Notice> = (1..=43)
            .map(|n| notice(n, EventKind::AppStarted, Severity::Info))
            .collect();
        many[1].severity = Severity::Warning;
        let digest = Message::digest(many, 3);
        assert_eq!(digest.severity, Severity::Warning);
        assert_eq!(digest.lines.len(), 42);
        let mut short = digest.clone();
        short.lines.drain(1..39);
        insta::assert_snapshot!(told(&short));
    }

    #[test]
    fn no_text_breaks_its_line() {
        let mut evil = notice(1, EventKind::AppDeployFailed, Severity::Warning);
        evil.subject = Some("a\r\nBcc: x@y\u{202e}z".to_owned());
        evil.reason = Some(format!("x\n\u{1b}[2J{}", "y".repeat(5000)));
        let message = Message::one(evil, 0);
        assert_eq!(message.subject().lines().count(), 1);
        for line in &message.lines {
            assert!(!line.contains(char::is_control), "{line:?}");
            assert!(line.chars().count() < 700);
        }
        assert!(!message.title.contains('\u{202e}'));
    }

    #[test]
    fn one_line_is_cut_at_characters() {
        assert_eq!(one_line("äöü", 3), "äöü");
        assert_eq!(one_line("äöüß", 3), "äö…");
        assert_eq!(one_line("  a\tb ", 9), "a b");
    }
}
