//! Storages of a node and what is on them.

use proximity_domain::ids::Vmid;
use proximity_domain::names::{NodeName, StorageName, Volid};
use serde::Deserialize;

use crate::call::Call;
use crate::error::Result;
use crate::lenient;
use crate::read::ReadClient;

/// A kind of content of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// Root file systems and mount points of containers.
    RootDir,
    /// Templates of containers.
    Template,
    /// Backups.
    Backup,
    /// Disks of virtual machines.
    Images,
}

impl Content {
    /// As PVE writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RootDir => "rootdir",
            Self::Template => "vztmpl",
            Self::Backup => "backup",
            Self::Images => "images",
        }
    }
}

impl std::fmt::Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One storage as a node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Storage {
    /// Its id.
    #[serde(rename = "storage")]
    pub name: StorageName,
    /// Its plugin, e.g. `dir` or `zfspool`.
    #[serde(rename = "type")]
    pub plugin: String,
    /// What it may hold, as PVE lists it, e.g. `rootdir,images`.
    #[serde(default)]
    pub content: String,
    /// Whether the node can use it now.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub active: bool,
    /// Whether it is switched on in the configuration.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub enabled: bool,
    /// Whether all nodes see the same content.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub shared: bool,
    /// Free for us.
    #[serde(default, rename = "avail", deserialize_with = "lenient::opt_u64")]
    pub available_bytes: Option<u64>,
    /// Size.
    #[serde(default, rename = "total", deserialize_with = "lenient::opt_u64")]
    pub total_bytes: Option<u64>,
}

impl Storage {
    /// Whether it may hold this kind.
    #[must_use]
    pub fn holds(&self, content: Content) -> bool {
        self.content
            .split(',')
            .any(|c| c.trim() == content.as_str())
    }
}

/// One volume on a storage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Volume {
    /// Its id.
    pub volid: Volid,
    /// Its kind as PVE writes it, e.g. `vztmpl`.
    #[serde(default)]
    pub content: Option<String>,
    /// Its format, e.g. `tzst`.
    #[serde(default)]
    pub format: Option<String>,
    /// Its size.
    #[serde(default, rename = "size", deserialize_with = "lenient::opt_u64")]
    pub size_bytes: Option<u64>,
    /// The guest it belongs to.
    #[serde(default, deserialize_with = "owner")]
    pub vmid: Option<Vmid>,
    /// When it was made, seconds since 1970 by the node's clock.
    #[serde(default, rename = "ctime", deserialize_with = "lenient::opt_u64")]
    pub made_s: Option<u64>,
    /// The first line of what somebody wrote about it; [`ReadClient::volume`] has all lines.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub notes: Option<String>,
    /// Whether PVE keeps it from being removed. Backups only.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub protected: bool,
}

/// One volume, asked for by itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VolumeDetail {
    /// Where it is on the node.
    #[serde(deserialize_with = "lenient::text")]
    pub path: String,
    /// Its format. Of a file that is no image PVE says `raw`.
    #[serde(deserialize_with = "lenient::text")]
    pub format: String,
    /// Its size; PVE rounds that of a file up to whole sectors.
    #[serde(rename = "size", deserialize_with = "lenient::u64")]
    pub size_bytes: u64,
    /// What it takes on the storage.
    #[serde(default, rename = "used", deserialize_with = "lenient::opt_u64")]
    pub used_bytes: Option<u64>,
    /// What somebody wrote about it, all lines.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub notes: Option<String>,
    /// Whether PVE keeps it from being removed. Backups only.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub protected: bool,
}

/// `/nodes/NODE/storage/STORAGE/content/VOLUME`: the volume names its storage itself.
pub(crate) fn volume_path<'a>(node: &'a NodeName, volid: &'a Volid) -> [&'a str; 6] {
    let storage = volid.as_str().split(':').next().unwrap_or_default();
    [
        "nodes",
        node.as_str(),
        "storage",
        storage,
        "content",
        volid.as_str(),
    ]
}

/// A volume may carry a number that is no VMID (a foreign file name); then it belongs to nobody.
fn owner<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Vmid>, D::Error> {
    Ok(lenient::opt_text(d)?.and_then(|text| text.parse().ok()))
}

impl ReadClient {
    /// The storages of a node that the token may see.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn storages(&self, node: &NodeName) -> Result<Vec<Storage>> {
        let mut storages: Vec<Storage> = self
            .get(Call::get(&["nodes", node.as_str(), "storage"]))
            .await?;
        storages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(storages)
    }

    /// What is on a storage, of one kind.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn storage_content(
        &self,
        node: &NodeName,
        storage: &StorageName,
        content: Content,
    ) -> Result<Vec<Volume>> {
        let call = Call::get(&[
            "nodes",
            node.as_str(),
            "storage",
            storage.as_str(),
            "content",
        ])
        .with("content", content);
        let mut volumes: Vec<Volume> = self.get(call).await?;
        volumes.sort_by(|a, b| a.volid.cmp(&b.volid));
        Ok(volumes)
    }

    /// One volume. Not every kind can be asked for: of a missing file PVE says that it has no format.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn volume(&self, node: &NodeName, volid: &Volid) -> Result<VolumeDetail> {
        self.get(Call::get(&volume_path(node, volid))).await
    }
}
