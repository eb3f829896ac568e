//! What the other nodes of a cluster say of it, beside the look at hand.

use crate::names::NodeName;

use super::complete::CompleteInventory;

/// The looks of a cluster's other nodes, as far as they were to be had. A node that is off, has no quorum or is another cluster's by
/// now is in neither list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// Those that were read whole.
    pub looks: Vec<CompleteInventory>,
    /// Those that were not, of nodes that do answer, or are online and slow.
    pub unread: Vec<Unread>,
}

/// A node that answers as a member with quorum, or is online and says nothing in time, and whose list was not read whole: what it
/// has beside the others is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The node, as it calls itself, or as the record calls it where it said nothing.
    pub node: NodeName,
    /// Why its list was not read, for people.
    pub why: String,
}
