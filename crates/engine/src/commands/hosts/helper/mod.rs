//! The helper on a host's nodes: putting it there, and taking it away.

mod install;
mod key_list;
mod program;
mod removal;
mod site;
mod way;

use std::collections::BTreeMap;

use proximity_domain::names::NodeName;
use proximity_store::records::HostRecord;
use secrecy::SecretString;

pub use program::{HelperProgram, NoProgram};

/// A request to put the helper on nodes.
#[derive(Debug, Clone, Default)]
pub struct InstallHelper {
    /// The nodes; none = all of the host entry. Nodes that are named are enough to go over to the helper, whatever becomes of the
    /// others.
    pub nodes: Vec<String>,
    /// A key that root on the nodes takes; used for this alone and kept nowhere. Absent: that of the host entry, if it leads to
    /// root's shell.
    pub private_key: Option<SecretString>,
    /// For an entry without SSH: node → `address[:port]`; nodes that are missing are reached at their cluster address, port 22.
    pub addresses: BTreeMap<String, String>,
    /// For an entry without SSH: node → host key; nodes that are missing are scanned and pinned.
    pub host_keys: BTreeMap<String, String>,
    /// Look only.
    pub dry_run: bool,
}

/// A request to take the helper away from all nodes of a host entry.
#[derive(Debug, Clone)]
pub struct RemoveHelper {
    /// A key that root on the nodes takes; used for this alone and kept nowhere.
    pub private_key: SecretString,
    /// Look only.
    pub dry_run: bool,
}

/// What was done on a host's nodes, or would be.
#[derive(Debug, Clone)]
pub struct HelperReport {
    /// The host entry as it is then.
    pub host: HostRecord,
    /// The entry was changed: from now on containers are reached by the helper, or not at all after a removal.
    pub recorded: bool,
    /// SHA-256 of the program that is shipped, hex.
    pub sha256: Option<String>,
    /// The nodes.
    pub nodes: Vec<HelperOnNode>,
    /// Apps of this host that nothing can be set up in any more.
    pub apps_without_access: u64,
    /// What is worth knowing, as sentences.
    pub notes: Vec<String>,
}

/// The helper on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperOnNode {
    /// The node.
    pub node: NodeName,
    /// Where its SSH is.
    pub address: String,
    /// The host key it has to show.
    pub host_key: String,
    /// How far it came.
    pub state: HelperState,
    /// The program's file.
    pub program: Option<String>,
    /// SHA-256 of the program that was there, hex.
    pub sha256_before: Option<String>,
    /// The list of keys, links followed.
    pub keys_file: Option<String>,
    /// The line in it.
    pub line: Option<String>,
    /// The helper's own version, as it said it over the key.
    pub version: Option<String>,
    /// What was in the way.
    pub trouble: Option<String>,
}

/// How far it came on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelperState {
    /// It was looked at only.
    Seen,
    /// The helper answers over its key.
    Answers,
    /// The helper is gone, and so is its key.
    Gone,
    /// It was not finished; `trouble` says why.
    Unfinished,
}
