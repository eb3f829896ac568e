//! What the other nodes of a cluster say of it, beside the look at hand.

use crate::names::NodeName;

use super::complete::CompleteInventory;

/// The looks of a cluster's other nodes, as far as they were to be had. A node that does not answer, has no quorum or is another
/// cluster's by now is in neither list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// Those that were read whole.
    pub looks: Vec<CompleteInventory>,
    /// Those that were not, of nodes that do answer.
    pub unread: Vec<Unread>,
}

/// A node that answers as a member with quorum, and whose list was not read whole all the same: what it has beside the others
/// is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The node, as it calls itself.
    pub node: NodeName,
    /// Why its list was not read, for people.
    pub why: String,
}
