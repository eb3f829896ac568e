//! What the other nodes of a cluster say of it, beside the look at hand.

use std::fmt;

use crate::names::NodeName;

use super::complete::CompleteInventory;

/// The looks of a cluster's other nodes, as far as they were to be had. A node that is off, has no quorum or is another cluster's by
/// now is in neither list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// Those that were read whole.
    pub looks: Vec<CompleteInventory>,
    /// Those that were not, of nodes that do answer, or are online and slow, or of whom nobody knows which nodes they are.
    pub unread: Vec<Unread>,
}

/// Somebody who answers as a member with quorum, or is online and says nothing in time, or is reached and silent without its being
/// known which node that is, or is reached and answers with an error or a refusal, and whose list was not read whole: what it has beside
/// the others is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Who that is.
    pub whose: Whose,
    /// Why the list was not read, for people.
    pub why: String,
}

/// Who was to give a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// This node, as it calls itself, or as the record calls it where it said nothing.
    Node(NodeName),
    /// Whoever is behind this address: it said nothing, and which node it is nobody can tell.
    Address(String),
}

impl Whose {
    /// The name alone, for a list of them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Node(node) => node.as_str(),
            Self::Address(address) => address,
        }
    }

    /// The node, where that is known.
    #[must_use]
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Node(node) => Some(node),
            Self::Address(_) => None,
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "the node {node}"),
            Self::Address(address) => write!(f, "whichever node is at {address}"),
        }
    }
}
