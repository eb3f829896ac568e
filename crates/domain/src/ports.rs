//! Port pairs: one public and one internal port per app, from two ranges.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// An inclusive range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// First.
    pub first: u16,
    /// Last.
    pub last: u16,
}

impl PortRange {
    /// Where public ports come from unless configured.
    pub const PUBLIC: Self = Self {
        first: 8100,
        last: 8999,
    };
    /// Where internal ports come from unless configured.
    pub const INTERNAL: Self = Self {
        first: 9100,
        last: 9999,
    };

    /// Whether `port` lies in it.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// How many ports it holds.
    #[must_use]
    pub fn len(self) -> usize {
        usize::from(self.last.saturating_sub(self.first)) + usize::from(self.last >= self.first)
    }

    /// No port at all.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.last < self.first
    }
}

/// The pair of one app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortPair {
    /// Leads to the app's main port, for everybody.
    pub public: u16,
    /// The same app on the management side.
    pub internal: u16,
}

/// When a port was given back; absent means never used.
pub type FreedAt = BTreeMap<u16, Timestamp>;

/// The free port to take: one never used (lowest first), else the one that has been free the longest.
#[must_use]
pub fn choose(range: PortRange, held: &[u16], freed: &FreedAt) -> Option<u16> {
    let held: std::collections::HashSet<u16> = held.iter().copied().collect();
    (range.first..=range.last)
        .filter(|p| !held.contains(p))
        .min_by_key(|p| (freed.get(p).copied().unwrap_or(Timestamp(i64::MIN)), *p))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_fresh_port_first_then_the_longest_free() {
        let range = PortRange {
            first: 10,
            last: 12,
        };
        let freed = FreedAt::from([(10, Timestamp(5)), (11, Timestamp(3))]);
        assert_eq!(choose(range, &[], &freed), Some(12));
        assert_eq!(choose(range, &[12], &freed), Some(11));
        assert_eq!(choose(range, &[12, 11], &freed), Some(10));
        assert_eq!(choose(range, &[10, 11, 12], &freed), None);
    }

    #[test]
    fn an_empty_range_has_nothing_to_give() {
        let range = PortRange {
            first: 12,
            last: 10,
        };
        assert!(range.is_empty());
        assert_eq!(range.len(), 0);
        assert_eq!(choose(range, &[], &FreedAt::new()), None);
    }
}
