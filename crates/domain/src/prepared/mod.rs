//! Prepared templates: stopped templates of Proxmox VE that we made, each with the packages of a recipe in its cache. A container
//! that is made from one is a clone; from the archive alone it is unpacked, and filled over the network.
//!
//! Pure. What a template is made of, and when two are the same ([`Base`]); which way a new container is made ([`way()`]); which
//! templates are worth making, and which have had their time ([`Policy`]); what comes next in the making of one ([`next`]); and when a
//! clone is ours ([`clone_standing`]). Why it is so is in docs/adr/0022.

mod base;
mod clone;
mod making;
mod sent;
mod upkeep;
mod way;

use serde::{Deserialize, Serialize};

use crate::guest::{ContainerIdentity, ContainerRef};
use crate::ids::{HostId, PreparedId};
use crate::names::{NodeName, StorageName};
use crate::time::Timestamp;

pub use base::{Base, BaseKey, FORMAT, NotABaseKey};
pub use clone::{CloneStanding, clone_standing};
pub use making::{Act, Seen, Sight, next};
pub use sent::{Call, Sent};
pub use upkeep::{Archive, Leaves, NotWorth, Policy, Wish, is_over, is_worth_making, leaving};
pub use way::{Ask, Guess, Way, WhyArchive, likely, way};

/// Where a prepared template is, and where alone clones of it are made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Spot {
    /// The cluster.
    pub host: HostId,
    /// The node that has it.
    pub node: NodeName,
    /// Storage of its root file system.
    pub storage: StorageName,
}

/// How far a prepared template is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Its number, mark and MAC are on record; its container is being created.
    Creating,
    /// It fetches packages.
    Filling,
    /// All is in it, and it was shut down; it is made a template.
    Converting,
    /// Clones can be made of it.
    Ready,
    /// Nothing is made of it any more. It is destroyed as soon as nothing hangs on it.
    Leaving,
}

impl Stage {
    /// All, in their order.
    pub const ALL: [Self; 5] = [
        Self::Creating,
        Self::Filling,
        Self::Converting,
        Self::Ready,
        Self::Leaving,
    ];

    /// Stable label, as stored.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Filling => "filling",
            Self::Converting => "converting",
            Self::Ready => "ready",
            Self::Leaving => "leaving",
        }
    }

    /// The stage with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.label() == label)
    }

    /// Whether this stage may come after the other one directly. Nothing leads back, and nothing away from the last.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Creating => matches!(next, Self::Filling | Self::Leaving),
            Self::Filling => matches!(next, Self::Converting | Self::Leaving),
            Self::Converting => matches!(next, Self::Ready | Self::Leaving),
            Self::Ready => next == Self::Leaving,
            Self::Leaving => false,
        }
    }
}

/// A prepared template, as it is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Row id.
    pub id: PreparedId,
    /// Where it is.
    pub spot: Spot,
    /// What it is made of.
    pub base: Base,
    /// Size of its root file system, GiB. A clone has one of the same size.
    pub disk_gib: u32,
    /// What proves that it is ours. The mark's app is the template's own id, so that it is no app's.
    pub identity: ContainerIdentity,
    /// How far it is.
    pub stage: Stage,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Since when it is in its stage.
    pub stage_at: Timestamp,
    /// When a container was made of it last.
    pub used_at: Option<Timestamp>,
}

impl Prepared {
    /// The container.
    #[must_use]
    pub fn place(&self) -> ContainerRef {
        ContainerRef {
            host: self.spot.host,
            node: self.spot.node.clone(),
            vmid: self.identity.vmid,
        }
    }

    /// When it was of use last: made, or cloned.
    fn last_of_use(&self) -> Timestamp {
        self.used_at
            .map_or(self.stage_at, |used| used.max(self.stage_at))
    }
}

/// What hangs on a prepared template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clones {
    /// Containers that share its root file system. As long as there is one Proxmox VE does not remove the template.
    pub linked: u32,
    /// Clones that were begun and of which nothing was seen yet: whole ones too.
    pub unconfirmed: u32,
}

/// A prepared template and what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The template.
    pub prepared: Prepared,
    /// What hangs on it.
    pub clones: Clones,
    /// The last call for it of which it is not on record that it came to its end.
    pub sent: Option<Sent>,
}

/// Milliseconds that have passed since a moment; none where the clock was set back behind it.
fn age_ms(since: Timestamp, now: Timestamp) -> i64 {
    now.0.saturating_sub(since.0).max(0)
}

#[cfg(test)]
mod tests;
