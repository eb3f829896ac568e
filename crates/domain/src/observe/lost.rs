//! Containers that a person gives up together with their node. Nobody can read what was on a node that is gone: its loss is a
//! person's word, and that word covers what only that node could have. Whatever another node lists or may have is not lost.

use crate::guest::ContainerRef;
use crate::names::NodeName;

use super::proof::DirectRead;

/// What is known of a container that is recorded on a node which is not reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// No list that was read has it on another node, and every node that is online says for itself that it does not have it: if
    /// its node is lost, so is it.
    WithNode {
        /// One of the lists still has it there: its configuration is among the cluster's files, and comes back with the node, or
        /// when a person moves it to another one.
        listed: bool,
    },
    /// Another node has its number: it was moved there, or something else is there. Not lost.
    Elsewhere(NodeName),
    /// High availability manages it, and may start it on another node.
    Managed,
    /// This node is online and did not say that it does not have it.
    Untold(NodeName),
}

impl Fate {
    /// By the nodes on which any of the cluster's lists has its number, by whether one has it as managed by high availability, and
    /// by what each node that is online said of it when it was asked itself. A list is the word of one node, whose copy of the
    /// cluster's files may have stood still (ADR 0015): so it takes the lists of all nodes that give one.
    #[must_use]
    pub fn of(
        place: &ContainerRef,
        listed_on: &[NodeName],
        ha_managed: bool,
        said: &[(NodeName, DirectRead)],
    ) -> Self {
        let other = listed_on.iter().find(|node| **node != place.node);
        let has_it = |(_, read): &&(NodeName, DirectRead)| *read == DirectRead::Exists;
        let found = said.iter().find(has_it).map(|(node, _)| node);
        if let Some(node) = other.or(found) {
            return Self::Elsewhere(node.clone());
        }
        if ha_managed {
            return Self::Managed;
        }
        match said.iter().find(|said| !denies(said)) {
            Some((node, _)) => Self::Untold(node.clone()),
            None => Self::WithNode {
                listed: listed_on.contains(&place.node),
            },
        }
    }
}

/// Whether a node said of itself that it does not have it.
fn denies((node, read): &(NodeName, DirectRead)) -> bool {
    read.is_denied_by(node)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::{HostId, Vmid};

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn none(name: &str) -> (NodeName, DirectRead) {
        (node(name), DirectRead::DoesNotExist(node(name)))
    }

    #[test]
    fn only_what_no_other_node_may_have_goes_with_its_node() {
        let place = ContainerRef {
            host: HostId(Uuid::from_u128(1)),
            node: node("pve3"),
            vmid: Vmid::try_from(101).unwrap(),
        };
        let of = |listed_on: &[&str], said: &[(NodeName, DirectRead)]| {
            let listed_on: Vec<NodeName> = listed_on.iter().map(|name| node(name)).collect();
            Fate::of(&place, &listed_on, false, said)
        };
        let both = [none("pve1"), none("pve2")];
        assert_eq!(of(&[], &both), Fate::WithNode { listed: false });
        assert_eq!(of(&["pve3"], &both), Fate::WithNode { listed: true });
        assert_eq!(of(&["pve2"], &both), Fate::Elsewhere(node("pve2")));
        // Also on one that is off, which nobody can ask.
        assert_eq!(of(&["pve3", "pve4"], &both), Fate::Elsewhere(node("pve4")));
        let moved = [none("pve1"), (node("pve2"), DirectRead::Exists)];
        assert_eq!(
            of(&["pve3"], &moved),
            Fate::Elsewhere(node("pve2")),
            "the list has stood still"
        );
        let hangs = [(node("pve1"), DirectRead::Unknown), none("pve2")];
        assert_eq!(of(&["pve3"], &hangs), Fate::Untold(node("pve1")));
        let of_another = [(node("pve1"), DirectRead::DoesNotExist(node("pve2")))];
        assert_eq!(of(&[], &of_another), Fate::Untold(node("pve1")));
        let managed = |on: &str| Fate::of(&place, &[node(on)], true, &both);
        assert_eq!(managed("pve3"), Fate::Managed);
        assert_eq!(managed("pve2"), Fate::Elsewhere(node("pve2")));
    }
}
