//! One look at a cluster, as it came.

use crate::ids::{HostId, Vmid};
use crate::names::{NodeName, PoolName};

use super::face::Face;

/// A node as the cluster's membership tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSeen {
    /// Its name.
    pub name: NodeName,
    /// Whether the node that answered reaches it.
    pub online: bool,
}

/// Container or virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A container.
    Container,
    /// A virtual machine.
    Machine,
}

/// Power as the list tells it: up to 10 s old, so a hint and not a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedPower {
    /// Running.
    Running,
    /// Stopped.
    Stopped,
    /// PVE does not say.
    Unknown,
}

/// One guest in the cluster's list. Small, for there are thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenGuest {
    /// Its number.
    pub vmid: Vmid,
    /// Its node: an index into [`Inventory::list_nodes`].
    pub node: u32,
    /// What it is.
    pub kind: Kind,
    /// Its power, with the list's lag.
    pub power: ListedPower,
    /// The pool its number is in, which does not lag: an index into [`Inventory::list_pools`].
    pub pool: Option<u32>,
    /// What else is shown of it; `None` while its node tells nothing.
    pub face: Option<Face>,
}

/// One look at a cluster: membership and list, both read whole. Says what is there; what is *not* there only a
/// [`super::CompleteInventory`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// The host entry.
    pub host: HostId,
    /// The node that answered, if it says which one it is.
    pub by: Option<NodeName>,
    /// The node whose address was asked, if that is on record and leads to no other. A name may lead to several nodes, and then what
    /// was asked one after the other may be the word of several.
    pub at: Option<NodeName>,
    /// Name of the cluster that answered; `None` for a standalone node.
    pub cluster: Option<String>,
    /// Whether the node that answered has quorum; a standalone one always has.
    pub quorate: bool,
    /// Membership.
    pub nodes: Vec<NodeSeen>,
    /// The names of the nodes that the list mentions.
    pub list_nodes: Vec<NodeName>,
    /// The names of the pools that the list mentions.
    pub list_pools: Vec<PoolName>,
    /// The list.
    pub guests: Vec<SeenGuest>,
}
