//! What tasks were told to do, beyond what a guest and a word say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::guest::{GuestKey, GuestLogin};
use super::guest_config::{GuestConfig, new_disk, volume_of};
use super::upid::Upid;

/// How a container goes to another node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Crossing {
    /// It is to go while it runs.
    pub(crate) online: bool,
    /// On which storage there the volumes of one here go on, by the one here.
    pub(crate) storages: BTreeMap<String, String>,
    /// The same for all others.
    pub(crate) default_storage: Option<String>,
}

impl Crossing {
    /// The storage there for volumes of one here.
    pub(crate) fn storage<'a>(&'a self, here: &'a str) -> &'a str {
        let mapped = self.storages.get(here).or(self.default_storage.as_ref());
        mapped.map_or(here, String::as_str)
    }
}

/// A container to be copied.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ClonePlan {
    pub(crate) new: GuestKey,
    /// Configuration of the copy, volumes still those of the source.
    pub(crate) config: GuestConfig,
    pub(crate) snapshot: Option<String>,
    pub(crate) storage: Option<String>,
    pub(crate) full: bool,
    pub(crate) pool: Option<String>,
    /// Node the copy ends up on.
    pub(crate) target: String,
}

/// A backup to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BackupPlan {
    pub(crate) vmids: Vec<u32>,
    /// As in the log's first line.
    pub(crate) command: String,
    pub(crate) storage: String,
    pub(crate) mode: String,
    /// Ending of the archive, e.g. `.zst`.
    pub(crate) extension: String,
    pub(crate) notes: Option<String>,
    pub(crate) protected: bool,
    /// Older ones go as `keep` says.
    #[serde(default)]
    pub(crate) remove: bool,
    /// Which ones stay, e.g. `keep-last=2`.
    #[serde(default)]
    pub(crate) keep: Option<String>,
    /// So many protected ones a guest may have; -1: any number.
    #[serde(default)]
    pub(crate) protected_limit: i64,
    /// Where in `vmids` it is.
    pub(crate) at: usize,
    /// Archive under way.
    pub(crate) volid: Option<String>,
    /// When the guest under way was begun with, Unix seconds: the moment in the archive's name.
    #[serde(default)]
    pub(crate) begun_s: u64,
    pub(crate) failed: bool,
    /// The guest has to be started again.
    pub(crate) restart: bool,
}

/// Several guests to be started, stopped or moved, one task each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BulkPlan {
    pub(crate) act: BulkAct,
    pub(crate) first_line: Option<String>,
    /// The node whose guests alone are meant; absent for the cluster's actions, which go through the API.
    pub(crate) node: Option<String>,
    /// The guests that were named.
    pub(crate) chosen: Option<Vec<u32>>,
    /// Only those that start with their node.
    pub(crate) onboot: bool,
    /// What is to be done was found out.
    pub(crate) listed: bool,
    /// There was nothing.
    pub(crate) idle: bool,
    /// It has waited for a backup already.
    pub(crate) waited: bool,
    /// Nothing goes on before, Unix ms.
    pub(crate) pause_until_ms: Option<u64>,
    /// Not begun yet.
    pub(crate) waiting: Vec<BulkItem>,
    pub(crate) workers: usize,
    pub(crate) running: Vec<(u32, Upid)>,
    /// The order of those that run.
    pub(crate) order: i64,
    /// How many tasks were begun.
    pub(crate) begun: usize,
    pub(crate) failed: Vec<u32>,
}

impl Default for BulkPlan {
    fn default() -> Self {
        Self::of(BulkAct::Start)
    }
}

impl BulkPlan {
    /// For all guests of the cluster, one after the other.
    pub(crate) fn of(act: BulkAct) -> Self {
        Self {
            act,
            first_line: None,
            node: None,
            chosen: None,
            onboot: false,
            listed: false,
            idle: false,
            waited: false,
            pause_until_ms: None,
            waiting: Vec::new(),
            workers: 1,
            running: Vec::new(),
            order: 0,
            begun: 0,
            failed: Vec::new(),
        }
    }
}

/// What is done with each guest of a bulk task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BulkAct {
    Start,
    Shutdown {
        timeout_s: Option<u64>,
        force: bool,
    },
    Suspend,
    Migrate {
        target: String,
        restart: Option<bool>,
    },
}

/// One guest's part of a bulk task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BulkItem {
    pub(crate) guest: GuestKey,
    /// Its place among the others.
    pub(crate) order: i64,
    /// How long its shutdown may take, if it says so, seconds.
    pub(crate) down_s: Option<u64>,
}

/// A container to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CreatePlan {
    /// Volume id of the template or backup.
    pub(crate) template_volid: String,
    /// Keys of the configuration, without volumes.
    pub(crate) keys: BTreeMap<String, String>,
    /// Volumes, the root file system first; a restore may take them from its backup.
    pub(crate) disks: Vec<NewDisk>,
    /// For volumes that do not say.
    pub(crate) storage: String,
    pub(crate) pool: Option<String>,
    pub(crate) start: bool,
    pub(crate) ha_managed: bool,
    pub(crate) restore: Option<Restore>,
    /// How root logs in.
    #[serde(default)]
    pub(crate) login: Option<Box<GuestLogin>>,
}

/// How a container is restored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Restore {
    /// New network addresses.
    pub(crate) unique: bool,
    /// A container is written over.
    pub(crate) over: bool,
    /// Whether it is unprivileged the backup says.
    pub(crate) keeps_privileges: bool,
    /// What was there before is not whole any more.
    #[serde(default)]
    pub(crate) touched: bool,
}

/// A volume to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NewDisk {
    /// `rootfs` or `mp0` ….
    pub(crate) key: String,
    /// As given or defaulted, e.g. `local:4`.
    pub(crate) value: String,
    pub(crate) storage: String,
    pub(crate) size_bytes: u64,
    /// Once it is there; given at first when it exists already.
    pub(crate) volid: Option<String>,
}

impl NewDisk {
    /// The volume that was made for it.
    pub(crate) fn made(&self) -> Option<&str> {
        new_disk(volume_of(&self.value)).and(self.volid.as_deref())
    }

    /// The volume it names, which has to be there.
    pub(crate) fn named(&self) -> Option<&str> {
        match new_disk(volume_of(&self.value)) {
            None => self.volid.as_deref(),
            Some(_) => None,
        }
    }
}
