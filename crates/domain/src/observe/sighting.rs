//! Where one record of ours is, by one complete look.

use crate::guest::ContainerRef;
use crate::names::NodeName;

use super::complete::CompleteInventory;
use super::inventory::{Kind, ListedPower};

/// What one complete look says of one recorded guest. Whose the container under its number is, no list tells: that takes a
/// read of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting<'i> {
    /// A container with its number is on its node.
    Here(ListedPower),
    /// A container with its number is on another node.
    Elsewhere(&'i NodeName, ListedPower),
    /// A virtual machine has its number: a conflict, never an orphan.
    Machine(&'i NodeName),
    /// Its node is not reached or is no member, or the look is not of its cluster: nothing is said of it.
    Unknown,
    /// Nowhere, and its node is a member that is reached.
    Missing,
}

impl CompleteInventory {
    /// What this look says of a guest recorded at `place`.
    #[must_use]
    pub fn sight(&self, place: &ContainerRef) -> Sighting<'_> {
        if place.host != self.host() {
            return Sighting::Unknown;
        }
        match self.find(place.vmid) {
            // Of a node that is off the list may be as old as its last word.
            Some((_, node)) if self.is_online(node) != Some(true) => Sighting::Unknown,
            Some((guest, node)) if guest.kind == Kind::Machine => Sighting::Machine(node),
            Some((guest, node)) if *node == place.node => Sighting::Here(guest.power),
            Some((guest, node)) => Sighting::Elsewhere(node, guest.power),
            // Nor is anything said of what is recorded on a node that is no member: that it is lost with it a person says, and then
            // the record ends with the node's.
            None if self.is_online(&place.node) != Some(true) => Sighting::Unknown,
            None => Sighting::Missing,
        }
    }
}
