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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
    /// The direct read found it.
    #[error("its configuration is there")]
    Exists,
    /// The direct read was not answered by a node that is online.
    #[error("no node that is online said that it does not exist")]
    NotAsked,
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
    /// Three complete looks in a row without the guest, the newest of them at hand; the right to see it; and a direct read
    /// that a node answered which is online.
    ///
    /// # Errors
    /// [`NotProven`]: what is missing from the proof.
    pub fn prove(
        watched: &Watched,
        suspicion: &Suspicion,
        newest: &CompleteInventory,
        sight_of_it: Sight,
        read: &DirectRead,
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
        match read {
            DirectRead::Exists => Err(NotProven::Exists),
            DirectRead::DoesNotExist(node) if newest.is_online(node) == Some(true) => Ok(Self {
                guest: watched.guest,
                app: watched.app,
                since: suspicion.since,
            }),
            DirectRead::DoesNotExist(_) | DirectRead::Unknown => Err(NotProven::NotAsked),
        }
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
