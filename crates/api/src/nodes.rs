//! `/api/proxmox/nodes`: the nodes of all clusters as they are now.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /api/proxmox/nodes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NodeQuery {
    /// Only of this host entry (label or id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// Answer of `GET /api/proxmox/nodes`. Every figure was read for this answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeList {
    /// By host label, then name.
    pub nodes: Vec<Node>,
    /// Host entries whose cluster did not answer.
    pub unreachable: Vec<UnreachableHost>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Label of its host entry.
    pub host: String,
    /// Its name.
    pub name: String,
    /// Proxmox VE says that it is up.
    pub online: bool,
    /// e.g. `9.2.11`; `null` if it did not answer.
    pub pve_version: Option<String>,
    /// Memory built in.
    pub memory_bytes: Option<u64>,
    /// Memory in use.
    pub memory_used_bytes: Option<u64>,
    /// Memory promised to deploys under way, which Proxmox VE does not show yet.
    pub memory_promised_bytes: u64,
    /// CPU threads.
    pub cpus: Option<u32>,
    /// Fraction of them in use; up to 10 s old.
    pub cpu: Option<f64>,
    /// The storage new containers go on; `null` if the node does not have it.
    pub storage: Option<NodeStorage>,
    /// Excluded from new apps (`excluded_nodes` of its host entry).
    pub excluded: bool,
    /// It can take at least a small app.
    pub placeable: bool,
    /// Why it cannot.
    pub why_not: Option<String>,
}

/// The storage for new containers on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeStorage {
    /// Its name.
    pub name: String,
    /// It can be used now.
    pub active: bool,
    /// Size.
    pub total_bytes: Option<u64>,
    /// Free.
    pub available_bytes: Option<u64>,
}

/// A host entry that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnreachableHost {
    /// Its label.
    pub host: String,
    /// Why.
    pub why: String,
}
