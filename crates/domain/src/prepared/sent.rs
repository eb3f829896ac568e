//! Calls for a template that may be under way.

use crate::time::Timestamp;

/// What changes a template at Proxmox VE, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// The create call.
    Create,
    /// A start.
    Start,
    /// A shutdown or a forced stop.
    Stop,
    /// The call that makes it a template.
    Convert,
    /// The destroy, which had a permit.
    Destroy,
}

impl Call {
    /// All.
    pub const ALL: [Self; 5] = [
        Self::Create,
        Self::Start,
        Self::Stop,
        Self::Convert,
        Self::Destroy,
    ];

    /// Stable label, as stored.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Convert => "convert",
            Self::Destroy => "destroy",
        }
    }

    /// The call with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|call| call.label() == label)
    }
}

/// A call that was put on record before it was sent, and whose end is not on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Which.
    pub call: Call,
    /// When it was put on record.
    pub at: Timestamp,
}

impl Sent {
    /// For how long it may still arrive, ms, where a call can be under way for `late_ms`. A clock that was set back makes it no
    /// longer than that.
    #[must_use]
    pub fn late_for_ms(&self, now: Timestamp, late_ms: u64) -> u64 {
        let passed = u64::try_from(now.0.saturating_sub(self.at.0)).unwrap_or(0);
        late_ms.saturating_sub(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_may_arrive_for_so_long_and_no_clock_makes_it_longer() {
        let sent = Sent {
            call: Call::Destroy,
            at: Timestamp(5_000),
        };
        assert_eq!(sent.late_for_ms(Timestamp(5_400), 1_000), 600);
        assert_eq!(sent.late_for_ms(Timestamp(6_000), 1_000), 0);
        assert_eq!(sent.late_for_ms(Timestamp(-9_000), 1_000), 1_000);
    }

    #[test]
    fn each_call_is_known_by_its_label() {
        for call in Call::ALL {
            assert_eq!(Call::parse(call.label()), Some(call));
        }
        assert_eq!(Call::parse("clone"), None);
    }
}
