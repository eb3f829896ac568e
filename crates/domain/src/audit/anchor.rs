//! A head that was written down elsewhere, as one line of text.

use std::fmt;

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

/// The head of an installation's chain at some moment. What it says stays true for ever: the entry with that number has that
/// link, and so all before it are what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Whose chain.
    pub installation: InstallationId,
    /// Its head.
    pub head: Head,
}

/// A line that should hold an anchor, and does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line begins like an anchor of the audit and does not go on like one")]
pub struct BadAnchor;

/// What an anchor begins with. The number is that of the form.
const MARK: &str = "proximity-audit-anchor 1 ";
/// Digits of a link.
const LINK_DIGITS: usize = 64;

/// `proximity-audit-anchor 1 installation=ID seq=NUMBER link=DIGITS`; nothing in it needs an escape in JSON.
impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (installation, Head { seq, link }) = (self.installation, self.head);
        write!(f, "{MARK}installation={installation} seq={seq} link={link}")
    }
}

impl Anchor {
    /// The anchor in a line of a log, whatever stands around it; none if it holds none.
    ///
    /// # Errors
    /// [`BadAnchor`] if one begins and cannot be read: it was cut off, or changed.
    pub fn find(line: &str) -> Result<Option<Self>, BadAnchor> {
        match line.split_once(MARK) {
            Some((_, rest)) => Self::read(rest).map(Some).ok_or(BadAnchor),
            None => Ok(None),
        }
    }

    fn read(rest: &str) -> Option<Self> {
        let (installation, rest) = rest.strip_prefix("installation=")?.split_once(' ')?;
        let (seq, rest) = rest.strip_prefix("seq=")?.split_once(' ')?;
        let (link, after) = rest.strip_prefix("link=")?.split_at_checked(LINK_DIGITS)?;
        let goes_on = after.starts_with(|next: char| next.is_ascii_alphanumeric());
        let head = Head {
            seq: seq.parse().ok().filter(|seq| *seq > 0)?,
            link: Link::parse(link).filter(|_| !goes_on)?,
        };
        let installation = installation.parse().ok()?;
        Some(Self { installation, head })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::entry::tests::entry;
    use super::*;

    fn anchor() -> Anchor {
        let link = entry(17).link(Link::GENESIS);
        Anchor {
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

    #[test]
    fn an_anchor_is_found_in_lines_of_any_log() {
        let text = anchor().to_string();
        for line in [
            text.clone(),
            format!("2026-11-28T10:00:00.000000Z  INFO proximity_audit: {text}"),
            format!(
                "Nov 28 10:00:00 pve1 proximity[812]: 2026-11-28T10:00:00Z  INFO proximity_audit: {text}\r"
            ),
            format!(
                "{{\"at\":\"2026-11-28T10:00:00Z\",\"level\":\"info\",\"message\":\"{text}\",\"target\":\"proximity_audit\"}}"
            ),
        ] {
            assert_eq!(Anchor::find(&line), Ok(Some(anchor())), "{line}");
        }
        for line in ["", "INFO serving", "the proximity-audit-anchor of before"] {
            assert_eq!(Anchor::find(line), Ok(None), "{line}");
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
        ] {
            assert_eq!(Anchor::find(&line), Err(BadAnchor), "{line}");
        }
    }
}
