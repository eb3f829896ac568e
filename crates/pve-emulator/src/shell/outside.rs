//! What of the world those must know that do not own it: kept up to date by the keeper after each commit.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::{FaultId, Front, Upid, World};

/// A short picture of the world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outside {
    /// What clients find at the nodes' addresses.
    pub(super) fronts: BTreeMap<String, Front>,
    /// How many calls each fault is for, and how many of them it has hit.
    pub(super) counts: BTreeMap<FaultId, (u64, u64)>,
    /// How far the world's clock is ahead of the machine's, milliseconds.
    pub(super) ahead_ms: u64,
    /// What the checks found.
    pub(super) violations: u64,
    /// Tasks of consoles that have a client.
    pub(super) consoles: BTreeSet<Upid>,
}

impl Outside {
    pub(super) fn of(world: &World) -> Self {
        let fronts = world.fronts();
        let counts = world
            .faults()
            .map(|fault| (fault.rule.id, (fault.rule.seen, fault.rule.hits)));
        Self {
            fronts: fronts
                .map(|(name, front)| (name.to_owned(), front))
                .collect(),
            counts: counts.collect(),
            ahead_ms: world.clock_ahead_ms(),
            violations: world.violations_total(),
            consoles: world.consoles(),
        }
    }

    /// How many calls a fault has hit, if there is one.
    pub(super) fn hits(&self, fault: FaultId) -> Option<u64> {
        self.counts.get(&fault).map(|(_, hits)| *hits)
    }

    /// What clients find at a node's address.
    pub(super) fn front(&self, node: &str) -> Front {
        self.fronts.get(node).copied().unwrap_or(Front::Answers)
    }
}
