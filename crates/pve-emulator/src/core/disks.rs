//! Volumes: their names, where they are, what their storage can do.

use super::guest::GuestKey;
use super::guest_config::{GuestConfig, volume_of};
use super::world::{Storage, Volume, World};
use crate::schema::format_size;

impl Storage {
    /// Keeps earlier states of its volumes.
    pub(crate) fn has_snapshots(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "btrfs" | "zfspool" | "lvmthin" | "rbd" | "cephfs"
        )
    }

    /// Makes copies that share what they have in common with a template.
    pub(crate) fn has_linked_clones(&self) -> bool {
        self.has_snapshots()
    }

    /// Where a volume's file lies.
    pub(crate) fn volume_path(&self, name: &str) -> String {
        let (kind, file) = name.split_once('/').unwrap_or(("", name));
        match kind {
            "backup" => format!("{}/dump/{file}", self.path),
            "vztmpl" => format!("{}/template/cache/{file}", self.path),
            "iso" => format!("{}/template/iso/{file}", self.path),
            "import" => format!("{}/import/{file}", self.path),
            "snippets" => format!("{}/snippets/{file}", self.path),
            _ => format!("{}/images/{name}", self.path),
        }
    }
}

impl World {
    /// A volume as seen from a node.
    pub(crate) fn volume(&self, volid: &str, node: &str) -> Option<&Volume> {
        let here = |volume: &&Volume| volume.node.as_deref().is_none_or(|name| name == node);
        self.volumes
            .iter()
            .filter(here)
            .find(|volume| volume.volid() == volid)
    }

    /// Whether something there is of this name: an image, a template or a backup.
    pub(crate) fn volume_exists(&self, volid: &str, node: &str) -> bool {
        self.volume(volid, node).is_some()
            || self
                .templates
                .iter()
                .any(|t| t.volid() == volid && t.on(node))
            || self
                .stored_files
                .iter()
                .any(|file| file.volid() == volid && file.on(node))
            || self.backups.iter().any(|backup| {
                backup.volid() == volid && backup.node.as_deref().is_none_or(|name| name == node)
            })
    }

    /// Makes an image for a guest under the first free name; its volume id.
    pub(crate) fn make_volume(
        &mut self,
        storage: &str,
        guest: &GuestKey,
        size_bytes: u64,
        now_ms: u64,
    ) -> String {
        let name = self.free_name(storage, guest);
        let shared = self.storage(storage).is_some_and(|found| found.shared);
        let volume = Volume {
            storage: storage.to_owned(),
            node: (!shared).then(|| guest.node.clone()),
            vmid: guest.vmid,
            name,
            size_bytes,
            ctime_s: now_ms / 1000,
            blank: false,
        };
        let volid = volume.volid();
        self.volumes.push(volume);
        volid
    }

    fn free_name(&self, storage: &str, guest: &GuestKey) -> String {
        let vmid = guest.vmid;
        let taken = |number: &u32| {
            ["vm", "base"].iter().any(|kind| {
                let name = format!("{storage}:{vmid}/{kind}-{vmid}-disk-{number}.raw");
                self.volume(&name, &guest.node).is_some()
            })
        };
        let number = (0..).find(|number| !taken(number)).unwrap_or_default();
        format!("{vmid}/vm-{vmid}-disk-{number}.raw")
    }

    /// Gives an image another owner on the same node, and its name with it; its new volume id.
    pub(crate) fn hand_over_volume(&mut self, volid: &str, to: &GuestKey) -> String {
        let storage = volid.split(':').next().unwrap_or_default();
        let name = self.free_name(storage, to);
        let new = format!("{storage}:{name}");
        let meant = |volume: &Volume| {
            let here = volume.node.as_deref().is_none_or(|found| found == to.node);
            volume.volid() == volid && here
        };
        self.volumes.change_where(meant, |volume| {
            volume.name.clone_from(&name);
            volume.vmid = to.vmid;
        });
        new
    }

    /// Removes an image; one that is not there is fine.
    pub(crate) fn free_volume(&mut self, volid: &str, node: &str) {
        self.volumes.retain(|volume| {
            volume.volid() != volid || volume.node.as_deref().is_some_and(|name| name != node)
        });
    }

    /// Gives an image another name, as converting to a template does.
    pub(crate) fn make_base(&mut self, volid: &str, node: &str) -> String {
        let base = volid.replacen("/vm-", "/base-", 1);
        let name = base
            .split_once(':')
            .map_or(base.clone(), |(_, name)| name.to_owned());
        let meant = |volume: &Volume| {
            volume.volid() == volid && volume.node.as_deref().is_none_or(|found| found == node)
        };
        self.volumes
            .change_where(meant, |volume| volume.name.clone_from(&name));
        base
    }

    /// The first volume of a configuration that is not there.
    pub(crate) fn missing_volume(&self, config: &GuestConfig, node: &str) -> Option<String> {
        let volumes = config.volumes();
        let mut named = volumes.iter().map(|(_, value)| volume_of(value).to_owned());
        named.find(|volid| self.volume(volid, node).is_none())
    }

    /// Whether all of a configuration's volumes can keep earlier states.
    pub(crate) fn can_snapshot(&self, config: &GuestConfig) -> bool {
        config.volumes().iter().all(|(_, value)| {
            let id = volume_of(value).split(':').next().unwrap_or_default();
            self.storage(id).is_some_and(Storage::has_snapshots)
        })
    }
}

/// A configuration value with another volume and size; options stay.
pub(crate) fn with_volume(value: &str, volid: &str, size_bytes: u64) -> String {
    let old = volume_of(value).to_owned();
    let mut parts: Vec<String> = vec![volid.to_owned()];
    let kept = value.split(',').filter(|part| {
        let volume = *part == old || part.strip_prefix("volume=") == Some(&old);
        !volume && !part.starts_with("size=")
    });
    parts.extend(kept.map(str::to_owned));
    parts.push(format!("size={}", format_size(size_bytes)));
    parts.join(",")
}
