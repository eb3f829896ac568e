//! Volumes: their names, where they are, what their storage can do.

use super::guest::GuestKey;
use super::guest_config::{GuestConfig, is_volume_key, mount_kind, volume_of};
use super::image_name::{self, Form};
use super::methods::volume_name;
use super::world::{Storage, Volume, World};
use crate::schema::format_size;
use std::collections::BTreeSet;

/// What can be done with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Keeping it as it is.
    Snapshot,
    /// A copy that shares what both have in common.
    Clone,
    /// A copy of its own.
    Copy,
    /// Becoming a template's.
    Template,
    /// Another name, of another guest.
    Rename,
}

/// What a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// As it is now.
    Current,
    /// A template's.
    Base,
    /// As a snapshot keeps it.
    Kept,
}

impl Storage {
    /// Whether it can do something with images of a form in a state (pve-storage, the plugins' `volume_has_feature`).
    pub(crate) fn can(&self, feature: Feature, form: Form, state: State) -> bool {
        use Feature::{Clone, Copy, Rename, Snapshot, Template};
        use State::{Base, Current, Kept};
        let folder = form == Form::Subvolume && self.kind != "zfspool";
        match (self.kind.as_str(), feature) {
            (_, Template) => state == Current,
            (_, Rename) => state == Current && !folder,
            ("btrfs", Clone) if folder => state == Base,
            ("dir", Copy) if folder => false,
            ("btrfs", Clone | Copy) => true,
            ("lvmthin" | "rbd", Clone) => matches!(state, Base | Kept),
            ("zfspool", Clone) => state == Base,
            ("lvmthin" | "rbd", Copy) => true,
            (_, Copy) => matches!(state, Base | Current),
            ("btrfs" | "zfspool" | "rbd", Snapshot) => matches!(state, Current | Kept),
            ("lvmthin", Snapshot) => state == Current,
            (_, Clone | Snapshot) => false,
        }
    }

    /// Where a volume's file lies.
    pub(crate) fn volume_path(&self, name: &str) -> String {
        if self.kind == "zfspool" {
            return self.dataset_path(name);
        }
        let (kind, file) = name.split_once('/').unwrap_or(("", name));
        match kind {
            "backup" => format!("{}/dump/{file}", self.path),
            "vztmpl" => format!("{}/template/cache/{file}", self.path),
            "iso" => format!("{}/template/iso/{file}", self.path),
            "import" => format!("{}/import/{file}", self.path),
            "snippets" => format!("{}/snippets/{file}", self.path),
            _ if self.kind == "btrfs" && name.ends_with(".raw") => {
                format!("{}/disk.raw", self.image_place(name))
            }
            _ => format!("{}/images/{name}", self.path),
        }
    }

    /// What is made for an image: a file, or the subvolume of btrfs around it.
    pub(crate) fn image_place(&self, name: &str) -> String {
        let own = match self.kind.as_str() {
            "btrfs" => name.strip_suffix(".raw").unwrap_or(name),
            _ => name,
        };
        format!("{}/images/{own}", self.path)
    }

    /// Where what is in a pool of ZFS is found: a subvolume is mounted, a disk is a device.
    fn dataset_path(&self, name: &str) -> String {
        let option = |key: &str| self.options.get(key);
        let pool = option("pool").unwrap_or(&self.id);
        let file = image_name::file_of(name);
        match (Form::of(&self.kind, name), option("mountpoint")) {
            (Form::Raw, _) => format!("/dev/zvol/{pool}/{file}"),
            (Form::Subvolume, Some(folder)) => format!("{folder}/{file}"),
            (Form::Subvolume, None) => format!("/{pool}/{file}"),
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
        let form = Form::for_container(self.kind_of(storage), size_bytes);
        let name = self.free_name(storage, guest, form);
        self.put_volume((storage, name), guest, size_bytes, now_ms)
    }

    /// Makes a copy for a guest that shares with an image on the same storage; its volume id.
    pub(crate) fn share_volume(&mut self, volid: &str, guest: &GuestKey, now_ms: u64) -> String {
        let (storage, old) = volid.split_once(':').unwrap_or_default();
        let kind = self.kind_of(storage);
        let pool = kind == "zfspool";
        let name = self.free_name(storage, guest, Form::of(kind, old));
        let name = match pool {
            true => format!("{}/{name}", image_name::file_of(old)),
            false => name,
        };
        let found = self.volume(volid, &guest.node);
        let size_bytes = found.map_or(0, |volume| volume.size_bytes);
        self.put_volume((storage, name), guest, size_bytes, now_ms)
    }

    fn put_volume(
        &mut self,
        (storage, name): (&str, String),
        guest: &GuestKey,
        size_bytes: u64,
        now_ms: u64,
    ) -> String {
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

    fn free_name(&self, storage: &str, guest: &GuestKey, form: Form) -> String {
        let vmid = guest.vmid;
        let here = |volume: &&Volume| {
            let seen = volume.node.as_ref().is_none_or(|node| *node == guest.node);
            volume.vmid == vmid && volume.storage == storage && seen
        };
        let own = self.volumes.iter().filter(here);
        let taken: BTreeSet<u32> = own
            .filter_map(|volume| image_name::number_of(&volume.name, vmid))
            .collect();
        let number = (0..).find(|number| !taken.contains(number));
        image_name::numbered(
            self.kind_of(storage),
            form,
            vmid,
            number.unwrap_or_default(),
        )
    }

    fn kind_of(&self, storage: &str) -> &str {
        self.storage(storage)
            .map_or("", |found| found.kind.as_str())
    }

    /// What form an image has.
    pub(crate) fn form_of(&self, volid: &str) -> Form {
        let (storage, name) = volid.split_once(':').unwrap_or_default();
        Form::of(self.kind_of(storage), name)
    }

    /// The template's image that an image shares with.
    pub(crate) fn shares_with<'a>(&self, volid: &'a str) -> Option<&'a str> {
        let (storage, name) = volid.split_once(':')?;
        image_name::shares_with(self.kind_of(storage), name)
    }

    /// Why an image cannot be removed: a template's that others share with.
    pub(crate) fn check_free(&self, volid: &str, node: &str) -> Result<(), String> {
        let (storage, name) = volid.split_once(':').unwrap_or_default();
        let base = image_name::file_of(name);
        let shares = |volume: &Volume| {
            let here = volume.node.as_deref().is_none_or(|found| found == node);
            let with = image_name::shares_with(self.kind_of(storage), &volume.name);
            here && volume.storage == storage && with == Some(base)
        };
        if image_name::is_base(name) && self.volumes.iter().any(shares) {
            return Err(format!(
                "base volume '{name}' is still in use by linked clones"
            ));
        }
        Ok(())
    }

    /// Whether all volumes that a configuration mounts have names that their storages know.
    pub(crate) fn check_names(&self, config: &GuestConfig) -> Result<(), String> {
        let mut mounts = config.volumes().into_iter();
        mounts.try_for_each(|(_, value)| self.check_name(volume_of(&value)))
    }

    fn check_name(&self, volid: &str) -> Result<(), String> {
        let parsed = volume_name::parse(self, volid);
        parsed.map(|_| ()).map_err(|error| error.text())
    }

    /// Why not all images that a configuration names and its guest owns can be removed.
    pub(crate) fn check_free_all(
        &self,
        config: &GuestConfig,
        guest: &GuestKey,
    ) -> Result<(), String> {
        self.check_names(config)?;
        let mut waiting = config
            .pending
            .iter()
            .filter(|(key, value)| is_volume_key(key) && mount_kind(volume_of(value)).is_none());
        waiting.try_for_each(|(_, value)| self.check_name(volume_of(value)))?;
        let named = config.all_volumes().into_iter();
        let mut own = named.filter(|volid| {
            let found = self.volume(volid, &guest.node);
            found.is_some_and(|volume| volume.vmid == guest.vmid)
        });
        own.try_for_each(|volid| self.check_free(&volid, &guest.node))
    }

    /// Gives an image another owner on the same node, and its name with it; its new volume id.
    pub(crate) fn hand_over_volume(&mut self, volid: &str, to: &GuestKey) -> String {
        let storage = volid.split(':').next().unwrap_or_default();
        let name = self.free_name(storage, to, self.form_of(volid));
        let name = match self.shares_with(volid) {
            Some(base) => format!("{base}/{name}"),
            None => name,
        };
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

    /// Takes an image of a node's own disk along to another node and the storage for it there; its volume id there, if it went.
    pub(crate) fn carry_volume(
        &mut self,
        volid: &str,
        node: &str,
        (storage, to): (&str, &GuestKey),
    ) -> Option<String> {
        self.volume(volid, node)?.node.as_ref()?;
        let (_, name) = volid.split_once(':')?;
        let mut name = name.to_owned();
        let kept = format!("{storage}:{name}");
        if kept != volid && self.volume(&kept, &to.node).is_some() {
            name = self.free_name(storage, to, self.form_of(volid));
        }
        let shared = self.storage(storage).is_some_and(|found| found.shared);
        let here =
            |volume: &Volume| volume.node.as_deref() == Some(node) && volume.volid() == volid;
        self.volumes.change_where(here, |volume| {
            storage.clone_into(&mut volume.storage);
            volume.name.clone_from(&name);
            volume.node = (!shared).then(|| to.node.clone());
        });
        Some(format!("{storage}:{name}"))
    }

    /// Removes an image; one that is not there is fine.
    pub(crate) fn free_volume(&mut self, volid: &str, node: &str) {
        self.volumes.retain(|volume| {
            volume.volid() != volid || volume.node.as_deref().is_some_and(|name| name != node)
        });
    }

    /// Removes all images that a configuration names and its guest owns.
    pub(crate) fn free_volumes(&mut self, config: &GuestConfig, guest: &GuestKey) {
        for volid in config.all_volumes() {
            let owner = self.volume(&volid, &guest.node).map(|volume| volume.vmid);
            if owner == Some(guest.vmid) {
                self.free_volume(&volid, &guest.node);
            }
        }
    }

    /// Removes all images of a guest that are seen from its node, on storages that take those of containers.
    pub(crate) fn free_volumes_of(&mut self, guest: &GuestKey) {
        let kept: Vec<String> = self
            .storages
            .iter()
            .filter(|storage| !storage.usable(&guest.node) || !storage.holds("rootdir"))
            .map(|storage| storage.id.clone())
            .collect();
        let own = self.volumes.iter().filter(|volume| {
            let here = volume.node.as_deref().is_none_or(|node| node == guest.node);
            volume.vmid == guest.vmid && here && !kept.contains(&volume.storage)
        });
        let own: Vec<String> = own.map(Volume::volid).collect();
        for volid in own {
            if self.check_free(&volid, &guest.node).is_ok() {
                self.free_volume(&volid, &guest.node);
            }
        }
    }

    /// Gives an image another name, as converting to a template does.
    pub(crate) fn make_base(&mut self, volid: &str, node: &str) -> String {
        let (storage, old) = volid.split_once(':').unwrap_or_default();
        let name = image_name::as_base(self.kind_of(storage), old);
        let meant = |volume: &Volume| {
            volume.volid() == volid && volume.node.as_deref().is_none_or(|found| found == node)
        };
        self.volumes
            .change_where(meant, |volume| volume.name.clone_from(&name));
        format!("{storage}:{name}")
    }

    /// Whether all volumes that a configuration mounts are there.
    pub(crate) fn check_there(&self, config: &GuestConfig, node: &str) -> Result<(), String> {
        let mut mounts = config.volumes().into_iter();
        mounts.try_for_each(|(_, value)| {
            let volid = volume_of(&value);
            self.check_name(volid)?;
            let found = self.volume(volid, node).map(|_| ());
            found.ok_or_else(|| format!("volume '{volid}' does not exist"))
        })
    }

    /// Whether something can be done with a volume, or with what a snapshot kept of it.
    pub(crate) fn volume_can(&self, feature: Feature, volid: &str, snapshot: bool) -> bool {
        let (id, name) = volid.split_once(':').unwrap_or_default();
        let state = match (snapshot, image_name::is_base(name)) {
            (true, _) => State::Kept,
            (false, true) => State::Base,
            (false, false) => State::Current,
        };
        self.storage(id)
            .is_some_and(|storage| storage.can(feature, Form::of(&storage.kind, name), state))
    }

    /// Whether something can be done with all that a configuration mounts; nothing can with folders and devices of the node.
    pub(crate) fn config_can(
        &self,
        feature: Feature,
        config: &GuestConfig,
        snapshot: bool,
    ) -> bool {
        let mut mounts = config.keys.iter().filter(|(key, _)| is_volume_key(key));
        mounts.all(|(_, value)| self.volume_can(feature, volume_of(value), snapshot))
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
