//! Resources of clusters, as they were observed: nodes, storages, virtual machines, containers and Proxmox VE's tasks.
//!
//! They are recorded, and nothing leads from here to a change of one. A [`Snapshot`] is the whole state at a moment; what changes
//! all the time (use of processor, memory and disk, uptime, locks) is no part of a state. That a resource is gone only a
//! [`Census`] says, which needs a complete look.

mod census;
mod findings;
mod state;
mod told;

use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::{HostId, Vmid};
use crate::names::NodeName;
use crate::time::Timestamp;

pub use census::{Census, Follows, Found, KeptResource, Listed, MustBeSeen, Now, Shows};
pub use findings::Findings;
pub use state::{FieldChange, ListedDigest, ResourceState, differences};
pub use told::OfCluster;

/// What a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// A container, ours or anybody's.
    Container,
    /// A node of the cluster.
    Node,
    /// A storage as one node sees it.
    Storage,
    /// A task of Proxmox VE.
    Task,
    /// A virtual machine.
    Machine,
}

impl ResourceKind {
    /// All kinds, in the order of their labels.
    pub const ALL: [Self; 5] = [
        Self::Container,
        Self::Node,
        Self::Storage,
        Self::Task,
        Self::Machine,
    ];

    /// Stable label, as stored.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Node => "node",
            Self::Storage => "storage",
            Self::Task => "task",
            Self::Machine => "vm",
        }
    }

    /// The kind with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }
}

/// What tells the resources of one cluster apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    /// What it is.
    pub kind: ResourceKind,
    /// What the cluster calls it: a node's name, `NODE/STORAGE`, a VMID, a UPID.
    pub name: String,
}

impl ResourceKey {
    /// Of a node.
    #[must_use]
    pub fn node(node: &NodeName) -> Self {
        Self {
            kind: ResourceKind::Node,
            name: node.to_string(),
        }
    }

    /// Of a storage as this node sees it.
    #[must_use]
    pub fn storage(node: &NodeName, storage: &str) -> Self {
        Self {
            kind: ResourceKind::Storage,
            name: format!("{node}/{storage}"),
        }
    }

    /// Of a container.
    #[must_use]
    pub fn container(vmid: Vmid) -> Self {
        Self {
            kind: ResourceKind::Container,
            name: vmid.to_string(),
        }
    }

    /// Of a virtual machine.
    #[must_use]
    pub fn machine(vmid: Vmid) -> Self {
        Self {
            kind: ResourceKind::Machine,
            name: vmid.to_string(),
        }
    }

    /// Of a task, by its UPID.
    #[must_use]
    pub fn task(upid: &str) -> Self {
        Self {
            kind: ResourceKind::Task,
            name: upid.to_owned(),
        }
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.label(), self.name)
    }
}

/// A resource of a host entry. It follows from entry, kind and name alone, so that it is the same in every database; what comes under
/// a number again has the history of what had it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(pub Uuid);

impl ResourceId {
    /// The id of what a host entry calls so.
    #[must_use]
    pub fn of(host: HostId, key: &ResourceKey) -> Self {
        let mut digest = Sha256::new();
        for part in [
            "proximity resource",
            &host.to_string(),
            key.kind.label(),
            &key.name,
        ] {
            digest.update(part.as_bytes());
            digest.update([0]);
        }
        let digest = digest.finalize();
        let mut bytes = [0; 16];
        for (byte, of) in bytes.iter_mut().zip(digest.iter()) {
            *byte = *of;
        }
        // A UUID made of a digest of one's own is of version 8 (RFC 9562, 5.8).
        bytes[6] = (bytes[6] & 0x0f) | 0x80;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for ResourceId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

/// What a snapshot tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SnapshotChange {
    /// It was not there in the looks before.
    Created,
    /// A whole look lacks it; the state is the last one that was seen.
    Deleted,
    /// It was there before anybody looked, or may have been.
    Discovered,
    /// It is otherwise than it was.
    Updated,
}

impl SnapshotChange {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Created,
        Self::Deleted,
        Self::Discovered,
        Self::Updated,
    ];

    /// Stable label, as stored.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Deleted => "deleted",
            Self::Discovered => "discovered",
            Self::Updated => "updated",
        }
    }

    /// The change with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.label() == label)
    }
}

/// The whole state of a resource from one moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Its number among those of the resource, from 1, without a gap.
    pub seq: i64,
    /// When it was seen to be so.
    pub at: Timestamp,
    /// What had happened.
    pub change: SnapshotChange,
    /// The state; of what is gone as it was seen last.
    pub state: ResourceState,
}

impl Snapshot {
    /// The state as people are told it: the status of what is gone is `gone`.
    #[must_use]
    pub fn told(&self) -> ResourceState {
        match self.change {
            SnapshotChange::Deleted => self.state.of_gone(),
            SnapshotChange::Created | SnapshotChange::Discovered | SnapshotChange::Updated => {
                self.state.clone()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn that_something_is_gone_is_a_difference() {
        let snapshot = |seq, change| Snapshot {
            seq,
            at: Timestamp(seq),
            change,
            state: ResourceState::of([("status", json!("running")), ("name", json!("web"))]),
        };
        let there = snapshot(1, SnapshotChange::Discovered);
        let gone = snapshot(2, SnapshotChange::Deleted);
        let again = snapshot(3, SnapshotChange::Created);
        let status = |from: &str, to: &str| {
            vec![FieldChange {
                field: "status".to_owned(),
                from: Some(json!(from)),
                to: Some(json!(to)),
            }]
        };
        let went = differences(&there.told(), &gone.told());
        assert_eq!(went, status("running", "gone"));
        let came = differences(&gone.told(), &again.told());
        assert_eq!(came, status("gone", "running"));
        assert_eq!(differences(&there.told(), &again.told()), []);
        assert_eq!(gone.told().name(), Some("web"));
    }

    #[test]
    fn an_id_follows_from_what_it_is_of() {
        let host = |n| HostId(Uuid::from_u128(n));
        let number = |n: u32| Vmid::try_from(n).unwrap();
        let of = |n, key: ResourceKey| ResourceId::of(host(n), &key);
        let one = of(1, ResourceKey::container(number(101)));
        assert_eq!(one, of(1, ResourceKey::container(number(101))));
        for other in [
            of(2, ResourceKey::container(number(101))),
            of(1, ResourceKey::container(number(102))),
            of(1, ResourceKey::machine(number(101))),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(one.0.get_version_num(), 8);
        assert_eq!(one.to_string().parse(), Ok(one));
    }

    #[test]
    fn labels_are_read_back_and_kinds_are_in_their_order() {
        for kind in ResourceKind::ALL {
            assert_eq!(ResourceKind::parse(kind.label()), Some(kind));
        }
        for change in SnapshotChange::ALL {
            assert_eq!(SnapshotChange::parse(change.label()), Some(change));
        }
        let labels = ResourceKind::ALL.map(ResourceKind::label);
        assert!(labels.is_sorted(), "{labels:?}");
        assert!(ResourceKind::ALL.is_sorted());
        assert_eq!(ResourceKind::parse("lxc"), None);
        assert_eq!(SnapshotChange::parse(""), None);
    }
}
