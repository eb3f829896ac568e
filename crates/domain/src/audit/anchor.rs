//! A head that was written down elsewhere, as one line of text.

use std::fmt;

use serde_json::Value;

use super::Link;
use crate::ids::InstallationId;

/// How far a chain goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of the newest entry; 0 when there is none.
    pub seq: i64,
    /// Its link.
    pub link: Link,
}

impl Head {
    /// Of a chain without entries.
    pub const NONE: Self = Self {
        seq: 0,
        link: Link::GENESIS,
    };
}

/// Which chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// The audit.
    Audit,
    /// The log of events.
    Events,
}

impl Chain {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Audit, Self::Events];

    /// What its anchors begin with. The number is that of the form.
    fn mark(self) -> &'static str {
        match self {
            Self::Audit => "proximity-audit-anchor 1 ",
            Self::Events => "proximity-event-anchor 1 ",
        }
    }
}

/// The head of an installation's chain at some moment. What it says stays true for ever: the entry with that number has that
/// link, and so all before it are what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Which of them.
    pub chain: Chain,
    /// Whose chain.
    pub installation: InstallationId,
    /// Its head.
    pub head: Head,
}

/// A line that should hold an anchor, and does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line begins like an anchor of the audit and does not go on like one")]
pub struct BadAnchor;

/// What anchors are logged under: it stands before them in text, and as `target` in JSON.
pub const LOG_TARGET: &str = "proximity_audit";
/// What stands between the time and the target of each line of our log.
const LEVELS: [&str; 5] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];
/// Digits of a link.
const LINK_DIGITS: usize = 64;

/// `proximity-audit-anchor 1 installation=ID seq=NUMBER link=DIGITS`, or `proximity-event-anchor`; nothing in it needs an escape in JSON.
impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (installation, Head { seq, link }) = (self.installation, self.head);
        let mark = self.chain.mark();
        write!(f, "{mark}installation={installation} seq={seq} link={link}")
    }
}

impl Anchor {
    /// The anchor in a line of a log; none if it holds none. An anchor stands at the beginning, or is what the server logged
    /// under [`LOG_TARGET`], as text or as JSON, and a journal may have put something before it. What any other line says or
    /// quotes is none: it may be the words of a stranger.
    ///
    /// # Errors
    /// [`BadAnchor`] if one begins and cannot be read: it was cut off, or changed.
    pub fn find(line: &str) -> Result<Option<Self>, BadAnchor> {
        for chain in Chain::ALL {
            if let Some(found) = Self::find_of(chain, line)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn find_of(chain: Chain, line: &str) -> Result<Option<Self>, BadAnchor> {
        let Some((before, rest)) = line.split_once(chain.mark()) else {
            return Ok(None);
        };
        if leads_to_one(before) {
            return Self::read(chain, rest).map(Some).ok_or(BadAnchor);
        }
        match before.find('{').map(|brace| line.split_at(brace)) {
            Some((outer, object)) if is_of_a_journal(&words(outer)) => Self::in_json(chain, object),
            Some(_) | None => Ok(None),
        }
    }

    /// The anchor that is the message of a line of JSON.
    fn in_json(chain: Chain, object: &str) -> Result<Option<Self>, BadAnchor> {
        let logged: Value = serde_json::from_str(object).map_err(|_| BadAnchor)?;
        let field = |name: &str| logged.get(name).and_then(Value::as_str);
        if field("target") != Some(LOG_TARGET) {
            return Ok(None);
        }
        match field("message").and_then(|said| said.strip_prefix(chain.mark())) {
            Some(rest) => Self::read(chain, rest).map(Some).ok_or(BadAnchor),
            None => Ok(None),
        }
    }

    fn read(chain: Chain, rest: &str) -> Option<Self> {
        let (installation, rest) = rest.strip_prefix("installation=")?.split_once(' ')?;
        let (seq, rest) = rest.strip_prefix("seq=")?.split_once(' ')?;
        let (link, after) = rest.strip_prefix("link=")?.split_at_checked(LINK_DIGITS)?;
        let goes_on = after.starts_with(|next: char| next.is_ascii_alphanumeric());
        let head = Head {
            seq: seq.parse().ok().filter(|seq| *seq > 0)?,
            link: Link::parse(link).filter(|_| !goes_on)?,
        };
        let installation = installation.parse().ok()?;
        Some(Self {
            chain,
            installation,
            head,
        })
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Whether an anchor may follow: nothing stands before it, or the head of its own line of the log, or a journal's words alone.
fn leads_to_one(before: &str) -> bool {
    match words(before).as_slice() {
        [] => true,
        [outer @ .., time, "INFO", target]
            if is_time(time) && target.strip_suffix(':') == Some(LOG_TARGET) =>
        {
            is_of_a_journal(outer)
        }
        outer => outer.last().is_some_and(|last| last.ends_with("]:")) && is_of_a_journal(outer),
    }
}

/// Whether a journal may have put these before a line: its time, its machine, its program, which ends with a colon. Behind a colon
/// somebody speaks already, and so does a line of our log behind its level, or one of JSON behind its brace.
fn is_of_a_journal(outer: &[&str]) -> bool {
    let Some((last, before)) = outer.split_last() else {
        return true;
    };
    let says = |word: &&str| LEVELS.contains(word) || word.contains(['{', '"']);
    !says(last) && !before.iter().any(|word| says(word) || word.ends_with(':'))
}

/// Whether it looks like the time of a line of our log, as in `2026-11-28T10:00:00.000000Z`.
fn is_time(word: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'T' | b':' | b'.');
    let Some(time) = word.strip_suffix('Z') else {
        return false;
    };
    time.contains('T') && time.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::entry::tests::entry;
    use super::*;

    const MARK: &str = "proximity-audit-anchor 1 ";

    fn anchor() -> Anchor {
        let link = entry(17).link(Link::GENESIS);
        Anchor {
            chain: Chain::Audit,
            installation: InstallationId(Uuid::from_u128(5)),
            head: Head { seq: 17, link },
        }
    }

    /// Lines of years ago have to be read: how one looks is a promise.
    #[test]
    fn an_anchor_is_one_line_that_stays_as_it_is() {
        let text = anchor().to_string();
        let link = anchor().head.link;
        assert_eq!(
            text,
            format!(
                "proximity-audit-anchor 1 installation=00000000-0000-0000-0000-000000000005 seq=17 link={link}"
            )
        );
    }

    /// The two chains have numbers of their own: what is of one is never held against the other.
    #[test]
    fn each_chain_has_anchors_of_its_own() {
        let of_events = Anchor {
            chain: Chain::Events,
            ..anchor()
        };
        let text = of_events.to_string();
        assert_eq!(text, anchor().to_string().replace("-audit-", "-event-"));
        let said = format!("2026-11-28T10:00:00.000000Z  INFO proximity_audit: {text}");
        for line in [&text, &said, &json(LOG_TARGET, &text)] {
            assert_eq!(Anchor::find(line), Ok(Some(of_events)), "{line}");
        }
        let cut = &text[..text.len() - 1];
        assert_eq!(Anchor::find(cut), Err(BadAnchor));
    }

    /// A line of our log as JSON that says `message` under `target`.
    fn json(target: &str, message: &str) -> String {
        let at = "2026-11-28T10:00:00Z";
        serde_json::json!({ "at": at, "level": "info", "message": message, "target": target })
            .to_string()
    }

    #[test]
    fn an_anchor_is_found_in_lines_of_any_log() {
        let text = anchor().to_string();
        let said = format!("2026-11-28T10:00:00.000000Z  INFO proximity_audit: {text}");
        let object = json(LOG_TARGET, &text);
        let journal = "Nov 28 10:00:00 pve1 proximity[812]: ";
        for line in [
            text.clone(),
            said.clone(),
            format!("{journal}{said}\r"),
            format!("2026-11-28T10:00:00.1Z stderr F {said}"),
            object.clone(),
            format!("{journal}{object}\r"),
            format!("{journal}{text}"),
        ] {
            assert_eq!(Anchor::find(&line), Ok(Some(anchor())), "{line}");
        }
        for line in ["", "INFO serving", "the proximity-audit-anchor of before"] {
            assert_eq!(Anchor::find(line), Ok(None), "{line}");
        }
    }

    /// What a webhook answered is logged, and so is much else of strangers: whoever writes an anchor there has written none.
    #[test]
    fn what_a_line_quotes_is_no_anchor() {
        let text = anchor().to_string();
        let own = "2026-11-28T10:00:00Z  INFO proximity_audit: ";
        let told = "2026-11-28T10:00:00Z  INFO proximity_engine::notify::runner: told answer=200";
        for quoted in [
            text.clone(),
            format!("{own}{text}"),
            format!("x[1]: {text}"),
            format!("x[1]: {own}{text}"),
            json(LOG_TARGET, &text),
            format!("x[1]: {}", json(LOG_TARGET, &text)),
            MARK.to_owned(),
        ] {
            for line in [
                format!("{told} {quoted}"),
                format!("Nov 28 10:00:00 pve1 proximity[812]: {told} {quoted}"),
                format!("2026-11-28T10:00:00Z  WARN proximity_engine: {quoted}"),
                format!("Nov 28 10:00:00 pve1 sshd[7]: invalid user {quoted}"),
                json("proximity_engine", &quoted),
                json(LOG_TARGET, &format!("it said {quoted}")),
                format!("pve1 proximity[812]: {}", json("x", &quoted)),
            ] {
                assert_eq!(Anchor::find(&line), Ok(None), "{line}");
            }
        }
    }

    /// One that was changed so that it cannot be read is not taken for none.
    #[test]
    fn a_damaged_anchor_is_told_from_none() {
        let text = anchor().to_string();
        for line in [
            text[..text.len() - 1].to_owned(),
            format!("{text}0"),
            text.replace("seq=17", "seq=x"),
            text.replace("seq=17", "seq=0"),
            text.replace("link=", "link=x"),
            text.replace("installation=0", "installation=x"),
            text.replace(" seq=17", ""),
            MARK.to_owned(),
            format!("pve1 proximity[8]: 2026-11-28T10:00:00Z  INFO proximity_audit: {MARK}"),
            json(LOG_TARGET, MARK),
            format!("{{\"level\":\"info\",\"message\":\"{text}\",\"tar"),
        ] {
            assert_eq!(Anchor::find(&line), Err(BadAnchor), "{line}");
        }
    }
}
