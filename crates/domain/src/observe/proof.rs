//! The proof that a container does not exist.

use crate::guest::ContainerRef;
use crate::ids::{AppId, GuestId};
use crate::names::NodeName;

use super::complete::{CompleteInventory, Sight};
use super::sighting::Sighting;
use super::suspicion::Suspicion;

/// What the reconciler watches of one recorded guest, native or adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Row.
    pub guest: GuestId,
    /// Its app.
    pub app: AppId,
    /// Where it was last seen.
    pub place: ContainerRef,
    /// Its identity is confirmed: its volume is known. One that may never have come to be is no orphan.
    pub confirmed: bool,
}

/// What came of asking one node for the guest's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectRead {
    /// This node said that there is none.
    DoesNotExist(NodeName),
    /// There is one.
    Exists,
    /// It could not be told.
    Unknown,
}

/// Why an absence is not proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotProven {
    /// Its volume was never read, so it may never have come to be.
    #[error("its identity was never confirmed")]
    Unconfirmed,
    /// Fewer than three complete looks were without it.
    #[error("too few complete looks were without it")]
    TooFewLooks,
    /// The newest look does not say that it is missing.
    #[error("the newest look does not say that it is missing")]
    NotMissing,
    /// The token may not see this very guest.
    #[error("the token that looks may not see it")]
    MayNotSee,
    /// A direct read found it.
    #[error("its configuration is there, on a node whose word the list lacks")]
    Exists,
    /// No node is online that could be asked.
    #[error("no node is online that could be asked for it")]
    NobodyToAsk,
    /// A node that is online did not say that it has none.
    #[error("the node {0} is online and did not say that it does not have it")]
    NotSaid(NodeName),
}

/// A recorded guest whose container is proven absent (doctrine section 2). Made by [`ProvenAbsent::prove`] and by nothing
/// else.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct ProvenAbsent {
    guest: GuestId,
    app: AppId,
    since: crate::time::Timestamp,
}

impl ProvenAbsent {
    /// Three complete looks in a row without the guest, the newest of them at hand; the right to see it; and the word of every
    /// node that is online that it does not have it. A list is the word of one node, whose copy of the cluster's files may have
    /// stood still while it still counts as a member with quorum (ADR 0015): then the container may have gone to any other.
    ///
    /// # Errors
    /// [`NotProven`]: what is missing from the proof.
    pub fn prove(
        watched: &Watched,
        suspicion: &Suspicion,
        newest: &CompleteInventory,
        sight_of_it: Sight,
        reads: &[DirectRead],
    ) -> Result<Self, NotProven> {
        if !watched.confirmed {
            return Err(NotProven::Unconfirmed);
        }
        if !suspicion.is_ripe() {
            return Err(NotProven::TooFewLooks);
        }
        if newest.sight(&watched.place) != Sighting::Missing {
            return Err(NotProven::NotMissing);
        }
        if sight_of_it == Sight::NotAll {
            return Err(NotProven::MayNotSee);
        }
        if reads.contains(&DirectRead::Exists) {
            return Err(NotProven::Exists);
        }
        let online = || newest.nodes().iter().filter(|node| node.online);
        if online().next().is_none() {
            return Err(NotProven::NobodyToAsk);
        }
        let has_none = |node: &NodeName| {
            let said =
                |read: &DirectRead| matches!(read, DirectRead::DoesNotExist(by) if by == node);
            reads.iter().any(said)
        };
        if let Some(silent) = online().find(|node| !has_none(&node.name)) {
            return Err(NotProven::NotSaid(silent.name.clone()));
        }
        Ok(Self {
            guest: watched.guest,
            app: watched.app,
            since: suspicion.since,
        })
    }

    /// The guest's row.
    #[must_use]
    pub fn guest(&self) -> GuestId {
        self.guest
    }

    /// The app it belongs to.
    #[must_use]
    pub fn app(&self) -> AppId {
        self.app
    }

    /// Since when it was missing.
    #[must_use]
    pub fn since(&self) -> crate::time::Timestamp {
        self.since
    }
}
