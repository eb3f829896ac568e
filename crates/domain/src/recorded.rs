//! Guests on record, of whichever class: what may be done with both is asked of [`RecordedGuest`].

use serde::{Deserialize, Serialize};

use crate::adopted::AdoptedGuest;
use crate::guest::{ContainerRef, NativeGuest, ObservedContainer, Ownership};
use crate::identity::{Judgement, Learned, Shown};
use crate::ids::{AppId, GuestId, OperationId};
use crate::names::{Mac, Volid};

/// A guest with an identity row. A destroy takes a [`NativeGuest`]: this enum gives one out only where it is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "snake_case")]
pub enum RecordedGuest {
    /// Made by us.
    Native(NativeGuest),
    /// Found by us.
    Adopted(AdoptedGuest),
}

impl RecordedGuest {
    /// Row id.
    #[must_use]
    pub fn id(&self) -> GuestId {
        match self {
            Self::Native(g) => g.id,
            Self::Adopted(g) => g.id,
        }
    }

    /// The app it belongs to.
    #[must_use]
    pub fn app(&self) -> AppId {
        match self {
            Self::Native(g) => g.app,
            Self::Adopted(g) => g.app,
        }
    }

    /// The operation that created or adopted it.
    #[must_use]
    pub fn created_by(&self) -> OperationId {
        match self {
            Self::Native(g) => g.created_by,
            Self::Adopted(g) => g.created_by,
        }
    }

    /// Cluster, node and number.
    #[must_use]
    pub fn place(&self) -> &ContainerRef {
        match self {
            Self::Native(g) => &g.place,
            Self::Adopted(g) => &g.place,
        }
    }

    /// The same, to change.
    pub fn place_mut(&mut self) -> &mut ContainerRef {
        match self {
            Self::Native(g) => &mut g.place,
            Self::Adopted(g) => &mut g.place,
        }
    }

    /// MAC of `net0` as recorded.
    #[must_use]
    pub fn net0_mac(&self) -> Mac {
        match self {
            Self::Native(g) => g.identity.net0_mac,
            Self::Adopted(g) => g.identity.net0_mac,
        }
    }

    /// Volume of its root file system; `None` = not confirmed yet.
    #[must_use]
    pub fn rootfs_volid(&self) -> Option<&Volid> {
        match self {
            Self::Native(g) => g.identity.rootfs_volid.as_ref(),
            Self::Adopted(g) => Some(&g.identity.rootfs_volid),
        }
    }

    /// It was seen with its whole identity at least once.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.rootfs_volid().is_some()
    }

    /// As a guest made by us, if it is one.
    #[must_use]
    pub fn native(&self) -> Option<&NativeGuest> {
        match self {
            Self::Native(g) => Some(g),
            Self::Adopted(_) => None,
        }
    }

    /// As a guest found by us, if it is one.
    #[must_use]
    pub fn adopted(&self) -> Option<&AdoptedGuest> {
        match self {
            Self::Native(_) => None,
            Self::Adopted(g) => Some(g),
        }
    }

    /// What was learned of its identity, if it is not as recorded.
    #[must_use]
    pub fn learned(&self) -> Option<&Learned> {
        match self {
            Self::Native(g) => g.learned.as_ref(),
            Self::Adopted(g) => g.learned.as_ref(),
        }
    }

    /// The same, to set.
    pub fn set_learned(&mut self, learned: Option<Learned>) {
        match self {
            Self::Native(g) => g.learned = learned,
            Self::Adopted(g) => g.learned = learned,
        }
    }

    /// A person accepted what it shows: it is known by that.
    pub fn accept(&mut self, shown: &Shown) {
        match self {
            Self::Native(g) => {
                g.identity.net0_mac = shown.net0_mac;
                g.identity.rootfs_volid = Some(shown.rootfs_volid.clone());
            }
            Self::Adopted(g) => {
                g.identity.net0_mac = shown.net0_mac;
                g.identity.rootfs_volid = shown.rootfs_volid.clone();
            }
        }
    }

    /// Whether what is seen is this guest, for all but what destroys: as recorded, or as learned. Here
    /// [`Ownership::Owned`] says no more than that it is the recorded one.
    #[must_use]
    pub fn compare(&self, seen: &ObservedContainer) -> Ownership {
        match self.judge(seen) {
            Judgement::Owned | Judgement::Learned(_) => Ownership::Owned,
            Judgement::Unfinished(unfinished) => unfinished,
            Judgement::Drifted(drifted) => Ownership::Conflict(drifted.conflict),
            Judgement::Conflict(conflict) => Ownership::Conflict(conflict),
        }
    }

    /// By the recorded factors alone, as its class demands: `owns()` for native, `recognises()` for adopted.
    #[must_use]
    pub fn compare_strictly(&self, seen: &ObservedContainer) -> Ownership {
        match self {
            Self::Native(g) => g.owns(seen),
            Self::Adopted(g) => match g.recognises(seen) {
                Ok(()) => Ownership::Owned,
                Err(conflict) => Ownership::Conflict(conflict),
            },
        }
    }

    /// Nothing that is drawn at random for one guest is on `seen`, and something of another one is.
    #[must_use]
    pub fn shares_nothing_with(&self, seen: &ObservedContainer) -> bool {
        match self {
            Self::Native(g) => g.shares_nothing_with(seen),
            Self::Adopted(g) => g.shares_nothing_with(seen),
        }
    }
}

impl From<&NativeGuest> for RecordedGuest {
    fn from(guest: &NativeGuest) -> Self {
        Self::Native(guest.clone())
    }
}

impl From<&Self> for RecordedGuest {
    fn from(guest: &Self) -> Self {
        guest.clone()
    }
}

impl From<NativeGuest> for RecordedGuest {
    fn from(guest: NativeGuest) -> Self {
        Self::Native(guest)
    }
}

impl From<AdoptedGuest> for RecordedGuest {
    fn from(guest: AdoptedGuest) -> Self {
        Self::Adopted(guest)
    }
}
