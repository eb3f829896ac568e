//! What was set on a node itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Settings of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeSettings {
    /// `/etc/pve/nodes/NODE/config`, as it was given.
    pub(crate) config: BTreeMap<String, String>,
    /// `/etc/hosts`, when it was changed.
    pub(crate) hosts: Option<String>,
    /// Where names are looked up, when it was changed.
    #[serde(default)]
    pub(crate) dns: Option<BTreeMap<String, String>>,
    /// Services without a part in the emulation that were stopped.
    #[serde(default)]
    pub(crate) stopped: BTreeSet<String>,
}
