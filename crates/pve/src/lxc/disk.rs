//! Volumes of a container: growing and moving them. Both only while the configuration is the one that was read.

use std::fmt;

use proximity_domain::ids::Vmid;
use proximity_domain::names::{NodeName, StorageName};

use super::{ConfigDigest, segment};
use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::upid::Upid;

/// A volume by its key in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VolumeKey {
    /// The root file system.
    Rootfs,
    /// A mount point, 0 to 255.
    MountPoint(u8),
}

impl fmt::Display for VolumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rootfs => f.write_str("rootfs"),
            Self::MountPoint(n) => write!(f, "mp{n}"),
        }
    }
}

/// How large a volume becomes. PVE cannot make it smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// By this much more. Sent twice it grows twice.
    ByGib(u32),
    /// To this size; refused if it is not larger than now.
    ToGib(u32),
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByGib(gib) => write!(f, "+{gib}G"),
            Self::ToGib(gib) => write!(f, "{gib}G"),
        }
    }
}

impl Client {
    /// Grows a volume, of a running container too. There is no way back.
    ///
    /// # Errors
    /// [`crate::Error::is_digest_mismatch`] if the configuration changed since it was read.
    pub async fn grow_volume(
        &self,
        node: &NodeName,
        vmid: Vmid,
        volume: VolumeKey,
        growth: Growth,
        digest: &ConfigDigest,
    ) -> Result<Upid> {
        let call = Call::put(&["nodes", node.as_str(), "lxc", &segment(vmid), "resize"])
            .with("disk", volume)
            .with("size", growth)
            .with("digest", digest);
        self.change(call).await
    }

    /// Moves a volume of a stopped container to another storage. The old one stays, as `unusedN` of the configuration: to
    /// delete it would be to destroy it.
    ///
    /// # Errors
    /// [`crate::Error::is_digest_mismatch`] if the configuration changed since it was read.
    pub async fn move_volume(
        &self,
        node: &NodeName,
        vmid: Vmid,
        volume: VolumeKey,
        to: &StorageName,
        digest: &ConfigDigest,
    ) -> Result<Upid> {
        let call = Call::post(&["nodes", node.as_str(), "lxc", &segment(vmid), "move_volume"])
            .with("volume", volume)
            .with("storage", to)
            .with_flag("delete", false)
            .with("digest", digest);
        self.change(call).await
    }
}
