//! Where the chains end, as the writers of one transaction know it.

use proximity_domain::audit::{Chain, Head};

/// The newest entries that somebody in the open transaction has read or written: whoever adds the next one need not read them again.
/// Nobody else adds any as long as it is open.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heads {
    audit: Option<Head>,
    events: Option<Head>,
}

impl Heads {
    /// `None` where nobody has looked yet.
    pub(crate) fn of(&self, chain: Chain) -> Option<Head> {
        match chain {
            Chain::Audit => self.audit,
            Chain::Events => self.events,
        }
    }

    pub(crate) fn note(&mut self, chain: Chain, head: Head) {
        match chain {
            Chain::Audit => self.audit = Some(head),
            Chain::Events => self.events = Some(head),
        }
    }
}
