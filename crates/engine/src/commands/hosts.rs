//! Hosts: probing, adding, removing.

use std::collections::BTreeMap;

use proximity_store::records::{Actor, HostRecord};
use secrecy::SecretString;

use crate::engine::Engine;
use crate::error::EngineError;

/// A request to add a host (or to look at what adding it would store).
#[derive(Debug, Clone)]
pub struct AddHost {
    /// Name people use.
    pub label: String,
    /// e.g. `https://192.0.2.10:8006`.
    pub url: String,
    /// Pinned SHA-256 of the certificate, as PVE prints it.
    pub fingerprint: Option<String>,
    /// Or an authority, PEM. With neither, the system's authorities are asked.
    pub ca_pem: Option<String>,
    /// `user@realm!name`.
    pub token_id: String,
    /// Its secret.
    pub token_secret: SecretString,
    /// Pool new guests go into.
    pub pool: Option<String>,
    /// Storage of root file systems; probed when absent.
    pub storage: Option<String>,
    /// Storage of templates; probed when absent.
    pub template_storage: Option<String>,
    /// Bridge; probed when absent.
    pub bridge: Option<String>,
    /// Plain guest access, if wanted.
    pub ssh: Option<AddSsh>,
}

/// Plain guest access over SSH: root on the nodes.
#[derive(Debug, Clone)]
pub struct AddSsh {
    /// Account on the nodes, `root`.
    pub user: String,
    /// OpenSSH PEM; `None` = a key is made and its public part reported.
    pub private_key: Option<SecretString>,
    /// Node → `address:port`; nodes that are missing are reached at their cluster address, port 22.
    pub addresses: BTreeMap<String, String>,
    /// Node → host key; nodes that are missing are scanned and pinned.
    pub host_keys: BTreeMap<String, String>,
}

/// What was found at a host, and what would be stored.
#[derive(Debug, Clone)]
pub struct HostProbe {
    /// PVE's version.
    pub pve_version: String,
    /// Cluster name; `None` for a standalone node.
    pub cluster: Option<String>,
    /// Certificate's SHA-256 at the given URL.
    pub fingerprint: String,
    /// Whether it was judged by a pin, an authority, or only seen now.
    pub fingerprint_trusted: bool,
    /// Nodes.
    pub nodes: Vec<NodeProbe>,
    /// Storages for root file systems.
    pub storages: Vec<String>,
    /// Storages for templates.
    pub template_storages: Vec<String>,
    /// Templates found.
    pub templates: Vec<String>,
    /// Bridges.
    pub bridges: Vec<String>,
    /// What would be stored: storage.
    pub storage: Option<String>,
    /// What would be stored: template storage.
    pub template_storage: Option<String>,
    /// What would be stored: bridge.
    pub bridge: Option<String>,
    /// What would be stored: pool.
    pub pool: Option<String>,
    /// SSH per node.
    pub ssh: Vec<SshProbe>,
    /// Things worth knowing before saying yes.
    pub warnings: Vec<String>,
}

/// One node as found.
#[derive(Debug, Clone)]
pub struct NodeProbe {
    /// Name.
    pub node: String,
    /// Online.
    pub online: bool,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// CPU threads.
    pub cpus: u32,
}

/// One node's SSH as found.
#[derive(Debug, Clone)]
pub struct SshProbe {
    /// Node.
    pub node: String,
    /// Where.
    pub address: String,
    /// Its host key.
    pub host_key: String,
    /// SHA-256 of the host key, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
}

impl Engine {
    /// Looks at a host; stores nothing.
    ///
    /// # Errors
    /// [`EngineError`] naming what is wrong: fingerprint, token, reachability, version, names.
    pub async fn probe_host(&self, _request: &AddHost) -> Result<HostProbe, EngineError> {
        Err(EngineError::NoHost)
    }

    /// Probes, then stores the host. The second value is the public SSH key if one was made.
    ///
    /// # Errors
    /// As [`Engine::probe_host`], and when label or cluster is known already.
    pub async fn add_host(
        &self,
        _actor: &Actor,
        _request: AddHost,
    ) -> Result<HostRecord, EngineError> {
        Err(EngineError::NoHost)
    }

    /// Removes a host that has no apps.
    ///
    /// # Errors
    /// Unknown, or still in use.
    pub async fn remove_host(&self, _actor: &Actor, _host: &str) -> Result<(), EngineError> {
        Err(EngineError::NoHost)
    }
}
