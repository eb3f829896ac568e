//! The condition under which what is not listed is not there.

use crate::ids::{HostId, Vmid};
use crate::names::{NodeName, PoolName};

use super::face::Face;
use super::inventory::{Inventory, Kind, NodeSeen, SeenGuest};

/// What the permission probe said: whether the token that looks may see every guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// `VM.Audit` on `/`, propagating.
    All,
    /// Less: what is not listed may be hidden.
    NotAll,
}

/// What is on record of the cluster that is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Its name; `None` for an entry of a standalone node.
    pub cluster: Option<&'a str>,
    /// Its nodes. That one has left a person says (`hosts forget-node`).
    pub known_nodes: &'a [NodeName],
}

/// Why what is missing from a look proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    /// The node that answered has no quorum.
    #[error("the node that answered has no quorum")]
    NoQuorum,
    /// It is in another cluster by now.
    #[error("the node that answered is not in the cluster {expected}")]
    OtherCluster {
        /// The entry's.
        expected: String,
    },
    /// Nodes on record are not among the members.
    #[error("the cluster does not list the node {0}, which it had before")]
    Unlisted(NodeName),
    /// The token may not see every guest.
    #[error("the token that looks lacks VM.Audit on /")]
    MayNotSeeAll,
    /// The list mentions a node that is no member: list and membership are not of the same cluster or time.
    #[error("the list mentions the node {0}, which is no member")]
    Stray(NodeName),
    /// A number is listed twice: a list that contradicts itself.
    #[error("VMID {0} is listed twice")]
    Twice(Vmid),
}

/// A look at a cluster that also says what is *not* there (doctrine: complete observation). Made by
/// [`Inventory::complete`] and by nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteInventory {
    seen: Inventory,
}

impl Inventory {
    /// Checks that the look is complete: quorate or standalone, of the cluster on record, no fewer nodes than known, a token
    /// that sees every guest, a list that is free of contradictions. Nodes may be offline.
    ///
    /// # Errors
    /// The first thing that is amiss.
    pub fn complete(
        mut self,
        expected: &Expected<'_>,
        sight: Sight,
    ) -> Result<CompleteInventory, Incomplete> {
        if !self.quorate {
            return Err(Incomplete::NoQuorum);
        }
        if let Some(name) = expected.cluster
            && self.cluster.as_deref() != Some(name)
        {
            let expected = name.to_owned();
            return Err(Incomplete::OtherCluster { expected });
        }
        let member = |node: &NodeName| self.nodes.iter().any(|n| n.name == *node);
        if let Some(gone) = expected.known_nodes.iter().find(|known| !member(known)) {
            return Err(Incomplete::Unlisted(gone.clone()));
        }
        if sight == Sight::NotAll {
            return Err(Incomplete::MayNotSeeAll);
        }
        if let Some(stray) = self.list_nodes.iter().find(|node| !member(node)) {
            return Err(Incomplete::Stray(stray.clone()));
        }
        self.guests.sort_unstable_by_key(|guest| guest.vmid);
        let twice = |pair: &&[SeenGuest]| pair[0].vmid == pair[1].vmid;
        if let Some(pair) = self.guests.windows(2).find(twice) {
            return Err(Incomplete::Twice(pair[0].vmid));
        }
        Ok(CompleteInventory { seen: self })
    }
}

impl CompleteInventory {
    /// The host entry it is of.
    #[must_use]
    pub fn host(&self) -> HostId {
        self.seen.host
    }

    /// The node whose word it is, if that is known.
    #[must_use]
    pub fn by(&self) -> Option<&NodeName> {
        self.seen.by.as_ref()
    }

    /// The node whose word it is for certain: the one that says so, asked at an address that is on record as its own and
    /// leads to no other.
    #[must_use]
    pub fn own_word(&self) -> Option<&NodeName> {
        let at = self.seen.at.as_ref();
        self.by().filter(|by| Some(*by) == at)
    }

    /// How many guests are listed, virtual machines included.
    #[must_use]
    pub fn guests(&self) -> usize {
        self.seen.guests.len()
    }

    /// All containers with their nodes, by number.
    pub fn containers(&self) -> impl Iterator<Item = (Vmid, &NodeName)> {
        let containers = self.seen.guests.iter();
        let containers = containers.filter(|guest| guest.kind == Kind::Container);
        containers.filter_map(|guest| {
            let node = usize::try_from(guest.node).ok()?;
            Some((guest.vmid, self.seen.list_nodes.get(node)?))
        })
    }

    /// The members.
    #[must_use]
    pub fn nodes(&self) -> &[NodeSeen] {
        &self.seen.nodes
    }

    /// Whether this node is a member that is reached; `None` if it is no member.
    #[must_use]
    pub fn is_online(&self, node: &NodeName) -> Option<bool> {
        let found = self.seen.nodes.iter().find(|n| n.name == *node);
        found.map(|n| n.online)
    }

    /// The guest with this number and its node, wherever it is.
    #[must_use]
    pub fn find(&self, vmid: Vmid) -> Option<(&SeenGuest, &NodeName)> {
        let guests = &self.seen.guests;
        let at = guests.binary_search_by_key(&vmid, |g| g.vmid).ok()?;
        let guest = guests.get(at)?;
        let node = self
            .seen
            .list_nodes
            .get(usize::try_from(guest.node).ok()?)?;
        Some((guest, node))
    }

    /// What the list shows of the guest with this number beside its place; `None` if its node tells nothing, or it is not listed.
    #[must_use]
    pub fn face(&self, vmid: Vmid) -> Option<Face> {
        self.find(vmid)?.0.face
    }

    /// The pool that the guest with this number is in; `None` if it is in none, or not listed.
    #[must_use]
    pub fn pool(&self, vmid: Vmid) -> Option<&PoolName> {
        let (guest, _) = self.find(vmid)?;
        let at = usize::try_from(guest.pool?).ok()?;
        self.seen.list_pools.get(at)
    }
}
