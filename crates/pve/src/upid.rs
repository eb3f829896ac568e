//! UPIDs: PVE's names of its asynchronous tasks.

use std::fmt;
use std::str::FromStr;

use proximity_domain::names::NodeName;
use serde::{Deserialize, Serialize};

/// Name of one PVE task, e.g. `UPID:pve1:000002F5:0006BA26:6B001DCD:vzstart:140:root@pam!gold:`.
///
/// Keeps the text as PVE wrote it and the parts of it that matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Upid {
    text: String,
    node: NodeName,
    start_s: u64,
    kind: String,
    id: String,
    user: String,
}

/// The text is no UPID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a PVE task (UPID)")]
pub struct NotAUpid(pub String);

impl Upid {
    /// Whether a text is one; nothing of it is kept.
    pub(crate) fn is_one(text: &str) -> bool {
        parts(text).is_some()
    }

    /// The text, as PVE wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The node the task runs on; its state is asked there.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// Start of the task, seconds since 1970 by the node's clock.
    #[must_use]
    pub fn start_s(&self) -> u64 {
        self.start_s
    }

    /// What it does, e.g. `vzcreate`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What it does it to: the VMID for guests (of a clone: the source's), may be empty.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// User or token that started it, e.g. `root@pam!proximity`.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }
}

/// The longest UPID taken; PVE's own are about 80 characters.
const LONGEST: usize = 512;

fn hex(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Option<u64> {
    if !lengths.contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(text, 16).ok()
}

fn word(text: &str, may_be_empty: bool) -> Option<&str> {
    let plain = text
        .chars()
        .all(|c| !c.is_whitespace() && c != '/' && !c.is_control());
    (plain && (may_be_empty || !text.is_empty())).then_some(text)
}

/// The parts of a text that is one.
pub(crate) struct Parts<'a> {
    pub(crate) node: NodeName,
    pub(crate) start_s: u64,
    pub(crate) kind: &'a str,
    pub(crate) id: &'a str,
    pub(crate) user: &'a str,
}

pub(crate) fn parts(text: &str) -> Option<Parts<'_>> {
    if text.len() > LONGEST {
        return None;
    }
    let mut parts = text.strip_prefix("UPID:")?.split(':');
    let node = parts.next()?.parse().ok()?;
    hex(parts.next()?, 8..=8)?;
    hex(parts.next()?, 8..=9)?;
    let start_s = hex(parts.next()?, 8..=8)?;
    let kind = word(parts.next()?, false)?;
    let id = word(parts.next()?, true)?;
    let user = word(parts.next()?, false)?;
    if parts.next() != Some("") || parts.next().is_some() {
        return None;
    }
    Some(Parts {
        node,
        start_s,
        kind,
        id,
        user,
    })
}

fn parse(text: &str) -> Option<Upid> {
    let Parts {
        node,
        start_s,
        kind,
        id,
        user,
    } = parts(text)?;
    Some(Upid {
        text: text.to_owned(),
        node,
        start_s,
        kind: kind.to_owned(),
        id: id.to_owned(),
        user: user.to_owned(),
    })
}

impl FromStr for Upid {
    type Err = NotAUpid;
    fn from_str(text: &str) -> Result<Self, NotAUpid> {
        parse(text).ok_or_else(|| NotAUpid(text.chars().take(LONGEST).collect()))
    }
}

impl TryFrom<String> for Upid {
    type Error = NotAUpid;
    fn try_from(text: String) -> Result<Self, NotAUpid> {
        text.parse()
    }
}

impl From<Upid> for String {
    fn from(upid: Upid) -> Self {
        upid.text
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: &str = "UPID:pve1:000002F5:0006BA26:6B001DCD:vzstart:140:root@pam!gold:";

    #[test]
    fn the_parts_are_read() {
        let upid: Upid = START.parse().unwrap();
        assert_eq!(upid.node().as_str(), "pve1");
        assert_eq!(
            (upid.kind(), upid.id(), upid.user()),
            ("vzstart", "140", "root@pam!gold")
        );
        assert_eq!(upid.start_s(), 0x6B00_1DCD);
        assert_eq!(upid.to_string(), START);
    }

    #[test]
    fn what_is_no_upid_is_refused() {
        for bad in [
            "",
            "OK",
            "UPID:pve1:000002F5:0006BA26:6B001DCD:vzstart:140:root@pam!gold",
            "UPID:pve1:000002F5:0006BA26:6B001DCD:vzstart:140:root@pam!gold::",
            "UPID:pve1:000002F5:0006BA26:6B001DCD::140:root@pam!gold:",
            "UPID:pve1:2F5:0006BA26:6B001DCD:vzstart:140:root@pam:",
            "UPID:pve1:+00002F5:0006BA26:6B001DCD:vzstart:140:root@pam:",
            "UPID:-pve1:000002F5:0006BA26:6B001DCD:vzstart:140:root@pam:",
            "UPID:pve1:000002F5:0006BA26:6B001DCD:vz/start:140:root@pam:",
            "UPID:pve1:000002F5:0006BA26:6B001DCD:vzstart:140:root @pam:",
        ] {
            assert!(bad.parse::<Upid>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn tasks_without_an_object_and_long_boot_times_are_read() {
        for good in [
            "UPID:pve1:000002F5:0006BA26:6B001DCD:vncshell::root@pam:",
            "UPID:pve1:000002F5:10006BA26:6B001DCD:aptupdate::root@pam:",
        ] {
            assert_eq!(good.parse::<Upid>().unwrap().as_str(), good);
        }
    }

    proptest! {
        #[test]
        fn what_parses_is_printed_back(text in "UPID:[a-z0-9-]{1,5}:[0-9A-F]{7,9}:[0-9A-F]{8,9}:[0-9A-F]{8}:[a-z/ ]{0,6}:[0-9a-z]{0,4}:[a-z@!]{0,8}:?") {
            if let Ok(upid) = text.parse::<Upid>() {
                prop_assert_eq!(upid.to_string(), text);
            }
        }
    }
}
