//! `STATE/lab.json`: how to reach a lab that is ready. Its presence says that everything answers.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::file::write_atomically;
use super::options::Guests;

/// Name of the file in the state directory.
pub const LAB_FILE: &str = "lab.json";

/// Everything a client needs to know of a running lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabFile {
    /// What the guests are.
    #[serde(default)]
    pub guests: Guests,
    /// HTTPS of each node.
    pub api: Vec<NodeUrl>,
    /// SSH of each node.
    pub ssh: Vec<NodeAddress>,
    /// SHA-256 of the certificate all nodes show, `AA:BB:…`.
    pub fingerprint_sha256: String,
    /// The authority that signed it.
    pub ca_pem_path: PathBuf,
    /// API tokens.
    pub tokens: Tokens,
    /// The administrator's first password.
    pub root: Account,
    /// What configurations call the guests' bridge.
    pub bridge: String,
    /// The bridge's name on this machine; for simulated guests their block of loopback addresses.
    pub machine_bridge: String,
    /// Storage for guests' disks.
    pub storage: String,
    /// Storage of disks that can keep snapshots of them.
    pub snapshot_storage: String,
    /// Storage with the template.
    pub template_storage: String,
    /// Volume id of the template.
    pub template: String,
    /// The lab's process.
    pub pid: u32,
}

/// A node's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeUrl {
    /// Node name.
    pub node: String,
    /// e.g. `https://127.0.0.1:8006`.
    pub url: String,
}

/// A node's SSH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAddress {
    /// Node name.
    pub node: String,
    /// `ip:port`; the user is root.
    pub address: String,
    /// `ssh-ed25519 AAAA…`.
    pub host_key: String,
}

/// A user with a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// `user@realm`.
    pub user: String,
    /// Made at the lab's first start.
    pub password: String,
}

/// The lab's API tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// May do everything.
    pub full: Token,
    /// Has no right at all.
    pub empty: Token,
}

/// An API token with its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// `user@realm!name`.
    pub id: String,
    /// Secret part.
    pub secret: String,
}

impl LabFile {
    /// Reads the file of the lab at `state`; `None` while it is not ready.
    ///
    /// # Errors
    /// The file is there and cannot be understood.
    pub fn read(state: &Path) -> Result<Option<Self>, LabError> {
        let path = state.join(LAB_FILE);
        match std::fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes)
                    .map(Some)
                    .map_err(|error| LabError::BadState {
                        path,
                        reason: error.to_string(),
                    })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LabError::Io {
                what: format!("read {}", path.display()),
                source,
            }),
        }
    }

    pub(crate) fn write(&self, state: &Path) -> Result<(), LabError> {
        let path = state.join(LAB_FILE);
        let failed = || LabError::io(format!("write {}", path.display()));
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| failed()(error.into()))?;
        write_atomically(&path, &bytes, 0o600).map_err(failed())
    }

    pub(crate) fn remove(state: &Path) -> Result<(), LabError> {
        super::ground::remove_file(&state.join(LAB_FILE))
    }
}
