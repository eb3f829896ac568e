//! Which channels are told what.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::Severity;

/// Longest name of a channel, characters.
const LONGEST_NAME: usize = 40;

/// Name of a channel, as the configuration gives it: 1 to 40 lower-case letters, digits and dashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(String);

/// The text is no name of a channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name of a channel is 1 to 40 lower-case letters, digits and dashes")]
pub struct BadChannelName;

impl ChannelName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ChannelName {
    type Err = BadChannelName;

    fn from_str(text: &str) -> Result<Self, BadChannelName> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fine = (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(allowed);
        fine.then(|| Self(text.to_owned())).ok_or(BadChannelName)
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// For each severity the channels that are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(pub BTreeMap<Severity, BTreeSet<ChannelName>>);

impl Routes {
    /// Whether this channel is told of what is so grave.
    #[must_use]
    pub fn lead_to(&self, channel: &ChannelName, severity: Severity) -> bool {
        let told = self.0.get(&severity);
        told.is_some_and(|channels| channels.contains(channel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ChannelName {
        text.parse().unwrap()
    }

    #[test]
    fn each_severity_has_its_channels() {
        let routes = Routes(BTreeMap::from([
            (Severity::Warning, BTreeSet::from([name("mail")])),
            (
                Severity::Critical,
                BTreeSet::from([name("mail"), name("phone")]),
            ),
        ]));
        let told = |channel: &str| Severity::ALL.map(|s| routes.lead_to(&name(channel), s));
        assert_eq!(told("mail"), [false, true, true]);
        assert_eq!(told("phone"), [false, false, true]);
        assert_eq!(told("other"), [false; 3]);
    }

    #[test]
    fn names_are_plain() {
        for bad in ["", "Mail", "a b", "a\nb", "ä", &"a".repeat(41)] {
            assert!(bad.parse::<ChannelName>().is_err(), "{bad:?}");
        }
        assert_eq!(name("ops-mail-2").to_string(), "ops-mail-2");
    }
}
