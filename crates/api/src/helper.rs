//! `/api/proxmox/hosts/{host}/helper`: the helper on a host's nodes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::hosts::Host;
use crate::labels::HelperState;
use crate::secret::Secret;

/// Body of `PUT /api/proxmox/hosts/{host}/helper`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallHelper {
    /// The nodes; empty = all of the host entry. Nodes that are named are enough to go over to the helper, whatever becomes of
    /// the others.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// A private key that root on the nodes takes, OpenSSH PEM; used for this alone and kept nowhere. Left out, that of the host
    /// entry is used, if it leads to root's shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password, write_only)]
    pub private_key: Option<Secret>,
    /// For a host entry without SSH: node → `address:port`; nodes that are missing are reached at their cluster address, port 22.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<String, String>,
    /// For a host entry without SSH: node → host key in OpenSSH form; nodes that are missing are asked, and what they show is
    /// pinned.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_keys: BTreeMap<String, String>,
    /// Look only: the answer says what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// Body of `POST /api/proxmox/hosts/{host}/helper/removal`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveHelper {
    /// A private key that root on the nodes takes, OpenSSH PEM; used for this alone and kept nowhere.
    #[schema(value_type = String, format = Password, write_only)]
    pub private_key: Secret,
    /// Look only: the answer says what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was done on a host's nodes, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HelperReport {
    /// The host entry as it is then.
    pub host: Host,
    /// Whether the entry was changed: it is not after a look, and as long as a node is unfinished.
    pub recorded: bool,
    /// SHA-256 of the program that is shipped, hex; `null` at a removal.
    pub sha256: Option<String>,
    /// The nodes.
    pub nodes: Vec<HelperOnNode>,
    /// Apps of this host that nothing can be set up in after a removal.
    pub apps_without_access: u64,
    /// What is worth knowing, as sentences.
    pub notes: Vec<String>,
}

/// The helper on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HelperOnNode {
    /// The node.
    pub node: String,
    /// Where its SSH is, `address:port`.
    pub address: String,
    /// The host key it has to show, in OpenSSH form.
    pub host_key: String,
    /// How far it came.
    #[schema(value_type = HelperState)]
    pub state: String,
    /// The program's file; `null` if the node could not be looked at.
    pub program: Option<String>,
    /// SHA-256 of the program that was there, hex.
    pub sha256_before: Option<String>,
    /// The list of keys that is changed, links followed.
    pub keys_file: Option<String>,
    /// The line in it.
    pub line: Option<String>,
    /// The helper's own version, as it said it over its key.
    pub version: Option<String>,
    /// What was in the way.
    pub trouble: Option<String>,
}
