//! Identifiers. Ours are UUIDv7 (sortable by time); PVE's own number of a guest is [`Vmid`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(s).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

uuid_id!(
    /// One installation of Proximity: made with the database, part of every mark.
    InstallationId
);
uuid_id!(
    /// A managed app, for its whole life.
    AppId
);
uuid_id!(
    /// One durable unit of work.
    OperationId
);
uuid_id!(
    /// A host entry: one PVE cluster (a standalone node is a cluster of one).
    HostId
);
uuid_id!(
    /// One guest of ours: a row of identity, native or ephemeral.
    GuestId
);
uuid_id!(
    /// One API token.
    TokenId
);
uuid_id!(
    /// One plan: what would have to be done so that all is as documents want it.
    PlanId
);
uuid_id!(
    /// One apply: the carrying out of one plan.
    ApplyId
);
uuid_id!(
    /// One source of documents: a branch of a repository, and what is done with what it says.
    SourceId
);
uuid_id!(
    /// One prepared template.
    PreparedId
);
uuid_id!(
    /// One session: what somebody began by signing in.
    SessionId
);
uuid_id!(
    /// One running process that works on operations; new at every start.
    HolderId
);

/// PVE's number of a guest: 100 to 999,999,999, unique in a cluster over VMs and containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Vmid(u32);

impl Vmid {
    /// The lowest id PVE accepts.
    pub const MIN: u32 = 100;
    /// The highest id PVE accepts.
    pub const MAX: u32 = 999_999_999;

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

/// The number is outside of what PVE accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a VMID: PVE takes {min} to {max}", min = Vmid::MIN, max = Vmid::MAX)]
pub struct NotAVmid(pub String);

impl TryFrom<u32> for Vmid {
    type Error = NotAVmid;
    fn try_from(n: u32) -> Result<Self, NotAVmid> {
        if (Self::MIN..=Self::MAX).contains(&n) {
            Ok(Self(n))
        } else {
            Err(NotAVmid(n.to_string()))
        }
    }
}

impl From<Vmid> for u32 {
    fn from(v: Vmid) -> u32 {
        v.0
    }
}

impl FromStr for Vmid {
    type Err = NotAVmid;
    fn from_str(s: &str) -> Result<Self, NotAVmid> {
        s.parse::<u32>()
            .map_err(|_| NotAVmid(s.to_owned()))
            .and_then(Self::try_from)
    }
}

impl fmt::Display for Vmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Fencing number of a lease: grows by one with every claim, never falls.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Epoch(pub i64);
