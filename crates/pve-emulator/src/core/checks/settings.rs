//! What is looked for, and what was found.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::core::World;

/// Violations that are kept; more are only counted.
const KEPT: usize = 1_000;

/// What may be set about the checks; the others always look.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckSettings {
    /// Guests that nothing may happen to.
    pub immortal: BTreeSet<u32>,
    /// Most calls in flight at a node; absent: any number.
    pub calls_per_node: Option<u32>,
}

/// What was violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Something happened to an immortal guest.
    Immortal,
    /// A number has two holders.
    OneHolder,
    /// Something took effect without quorum.
    Quorum,
    /// Too many calls at a node.
    CallsInFlight,
}

/// Something that must not happen, and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// What was violated.
    pub check: Check,
    /// When, Unix ms.
    pub at_ms: u64,
    /// Verb and path of the call it came of, or the task if no call began that.
    pub call: Option<String>,
    /// The guest it is about.
    pub vmid: Option<u32>,
    /// The node it happened on.
    pub node: Option<String>,
    /// What happened, in words.
    pub what: String,
}

/// The checks' own memory.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Checks {
    pub(super) settings: CheckSettings,
    pub(super) found: Vec<Violation>,
    /// All that were found, also those not kept.
    pub(super) total: u64,
    /// Where guests run, as far as the driver was told.
    pub(super) runs: BTreeMap<u32, BTreeSet<String>>,
}

impl Checks {
    pub(super) fn note(&mut self, violation: Violation) {
        tracing::warn!(?violation, "a check of the emulated world found something");
        self.total += 1;
        if self.found.len() < KEPT {
            self.found.push(violation);
        }
    }

    /// Calls have to be told about as they arrive.
    pub(crate) fn watches_calls(&self) -> bool {
        self.settings.calls_per_node.is_some()
    }

    /// A guest does not run anywhere any more.
    pub(crate) fn stopped(&mut self, vmid: u32) {
        self.runs.remove(&vmid);
    }

    /// Nothing runs on a node any more.
    pub(crate) fn dropped(&mut self, node: &str) {
        for nodes in self.runs.values_mut() {
            nodes.remove(node);
        }
        self.runs.retain(|_, nodes| !nodes.is_empty());
    }

    /// What ran on any node runs on this one now.
    pub(crate) fn moved(&mut self, vmid: u32, node: &str) {
        if let Some(nodes) = self.runs.get_mut(&vmid) {
            *nodes = BTreeSet::from([node.to_owned()]);
        }
    }
}

impl World {
    /// Changes what the checks look for.
    pub fn set_checks(&mut self, settings: CheckSettings) {
        self.checks.settings = settings;
    }

    /// What the checks look for.
    #[must_use]
    pub fn checks(&self) -> &CheckSettings {
        &self.checks.settings
    }

    /// What they found, oldest first; at most 1000 are kept.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.checks.found
    }

    /// How many they found.
    #[must_use]
    pub fn violations_total(&self) -> u64 {
        self.checks.total
    }

    /// Forgets what they found.
    pub fn forget_violations(&mut self) {
        self.checks.found.clear();
        self.checks.total = 0;
    }
}
