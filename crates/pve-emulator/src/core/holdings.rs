//! What lies in storages: templates and images, volumes, backups.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::guest_config::GuestConfig;

/// A configured storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// e.g. `local`.
    pub id: String,
    /// `dir`, `btrfs` …
    pub kind: String,
    /// e.g. `rootdir`, `vztmpl`.
    pub content: Vec<String>,
    /// One store seen by all nodes.
    pub shared: bool,
    /// Nodes that have it; absent means all.
    pub nodes: Option<Vec<String>>,
    /// Where it is mounted.
    pub path: String,
    /// Further keys as `/storage` shows them.
    pub options: BTreeMap<String, String>,
    /// Size, bytes.
    pub total_bytes: u64,
    /// In use without guests, bytes.
    pub used_bytes: u64,
}

/// A container template in a storage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Template {
    /// Storage id.
    pub storage: String,
    /// Node that has it; absent means each.
    pub node: Option<String>,
    /// File name.
    pub file: String,
    /// Bytes.
    pub size_bytes: u64,
    /// Unix seconds.
    pub ctime_s: u64,
    /// e.g. `debian`.
    pub ostype: String,
}

/// What an OCI image says about the container it wants to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OciImage {
    /// Command line: the image's entrypoint and arguments.
    pub entrypoint: Option<String>,
    /// `NAME=VALUE`.
    pub env: Vec<String>,
    /// Folder the command is started in.
    pub folder: Option<String>,
}

/// A disk image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub(crate) storage: String,
    /// Node whose disk holds it; absent on shared storage.
    pub(crate) node: Option<String>,
    pub(crate) vmid: u32,
    /// e.g. `100/vm-100-disk-0.raw`, or `subvol-100-disk-0` in a pool of ZFS.
    pub(crate) name: String,
    pub(crate) size_bytes: u64,
    pub(crate) ctime_s: u64,
    /// No file system was made on it.
    #[serde(default)]
    pub(crate) blank: bool,
}

/// A backup of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Backup {
    pub(crate) storage: String,
    /// Node whose disk holds it; absent on shared storage.
    pub(crate) node: Option<String>,
    /// File name, e.g. `vzdump-lxc-100-2026_11_20-10_20_15.tar.zst`.
    pub(crate) file: String,
    pub(crate) vmid: u32,
    pub(crate) ctime_s: u64,
    pub(crate) size_bytes: u64,
    pub(crate) notes: Option<String>,
    pub(crate) protected: bool,
    /// The configuration that is in it.
    pub(crate) config: GuestConfig,
    /// Template the container was made from.
    pub(crate) template: String,
    /// What its firewall is configured with, if it is.
    #[serde(default)]
    pub(crate) firewall: Option<String>,
}

impl Backup {
    pub(crate) fn volid(&self) -> String {
        format!("{}:backup/{}", self.storage, self.file)
    }
}

impl Storage {
    pub(crate) fn holds(&self, content: &str) -> bool {
        self.content.iter().any(|known| known == content)
    }

    pub(crate) fn on(&self, node: &str) -> bool {
        self.nodes
            .as_ref()
            .is_none_or(|nodes| nodes.iter().any(|name| name == node))
    }

    /// Switched off.
    pub(crate) fn is_disabled(&self) -> bool {
        self.options.get("disable").is_some_and(|text| text == "1")
    }

    /// Can be used from a node.
    pub(crate) fn usable(&self, node: &str) -> bool {
        self.on(node) && !self.is_disabled()
    }
}

impl Template {
    pub(crate) fn volid(&self) -> String {
        format!("{}:vztmpl/{}", self.storage, self.file)
    }

    pub(crate) fn on(&self, node: &str) -> bool {
        self.node.as_ref().is_none_or(|name| name == node)
    }
}

impl Volume {
    pub(crate) fn volid(&self) -> String {
        format!("{}:{}", self.storage, self.name)
    }
}
