//! Backups: making them, finding them, writing about them, and removing those that may go.

use proximity_domain::backup::{BackupPermit, Keep, PrunePermit, SeenBackup, UnprotectPermit};
use proximity_domain::ids::Vmid;
use proximity_domain::mark::Mark;
use proximity_domain::names::{NodeName, StorageName, Volid};
use serde::Deserialize;

use crate::call::Call;
use crate::client::Client;
use crate::cluster::GuestKind;
use crate::error::{Error, Result};
use crate::lenient;
use crate::property::PropertyString;
use crate::read::ReadClient;
use crate::storage::{Content, Volume, volume_path};
use crate::upid::Upid;

/// How a running guest is treated while it is backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackupMode {
    /// It goes on; where its storage has no snapshots PVE suspends it for a moment instead.
    Snapshot,
    /// It stands still for a moment.
    Suspend,
    /// It is shut down, and started again. Disruptive.
    Stop,
}

impl BackupMode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Suspend => "suspend",
            Self::Stop => "stop",
        }
    }
}

/// A backup to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBackup {
    /// The guest.
    pub vmid: Vmid,
    /// Where to.
    pub storage: StorageName,
    /// How.
    pub mode: BackupMode,
    /// Its notes, with the mark as the first line, for lists show no other. PVE replaces `{{guestname}}` and the like in them;
    /// at most 1024 bytes.
    pub notes: String,
    /// Whether PVE keeps it from being removed, from the first moment on.
    pub protected: bool,
}

impl NewBackup {
    fn call(&self, node: &NodeName) -> Call {
        Call::post(&["nodes", node.as_str(), "vzdump"])
            .with("vmid", self.vmid)
            .with("storage", &self.storage)
            .with("mode", self.mode.as_str())
            .with("compress", "zstd")
            .with("notes-template", template(&self.notes))
            .with_flag("protected", self.protected)
            // PVE's default is to remove older ones by the storage's own rule.
            .with_flag("remove", false)
    }
}

/// Text in the form of a template, which is one line.
fn template(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// A guest that no job backs up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NotBackedUp {
    /// The guest.
    #[serde(deserialize_with = "lenient::vmid")]
    pub vmid: Vmid,
    /// Container or virtual machine.
    #[serde(rename = "type")]
    pub kind: GuestKind,
    /// Its host name.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub name: Option<String>,
}

/// What pruning would do with a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It stays by the rule.
    Keep,
    /// It goes.
    Remove,
    /// It stays, for it is protected.
    Protected,
    /// It stays, for its name is not one that PVE gives.
    Renamed,
}

/// One backup, and what pruning would do with it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PruneRow {
    /// The backup.
    pub volid: Volid,
    /// What would become of it.
    #[serde(rename = "mark")]
    pub fate: Fate,
    /// When it was made, seconds since 1970 by the node's clock.
    #[serde(rename = "ctime", deserialize_with = "lenient::u64")]
    pub made_s: u64,
}

/// A rule in PVE's words; what keeps none is left out, for PVE knows no zero there but by that.
fn rule(keep: Keep) -> PropertyString {
    [
        ("keep-last", keep.last),
        ("keep-hourly", keep.hourly),
        ("keep-daily", keep.daily),
        ("keep-weekly", keep.weekly),
        ("keep-monthly", keep.monthly),
        ("keep-yearly", keep.yearly),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .fold(PropertyString::default(), |rule, (name, count)| {
        rule.with(name, count)
    })
}

fn prune_call(
    make: fn(&[&str]) -> Call,
    node: &NodeName,
    storage: &StorageName,
    vmid: Vmid,
    keep: Keep,
) -> Call {
    make(&[
        "nodes",
        node.as_str(),
        "storage",
        storage.as_str(),
        "prunebackups",
    ])
    .with("vmid", vmid)
    .with("type", "lxc")
    .with("prune-backups", rule(keep))
}

impl Volume {
    /// A backup in the words of the rules for removing one.
    #[must_use]
    pub fn as_backup(&self) -> SeenBackup {
        SeenBackup {
            volid: self.volid.clone(),
            vmid: self.vmid,
            mark: self.notes.as_deref().and_then(Mark::find),
            made_s: self.made_s,
            protected: self.protected,
        }
    }
}

impl ReadClient {
    /// The backups on a storage that the token may see, of one guest or of all.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn backups(
        &self,
        node: &NodeName,
        storage: &StorageName,
        vmid: Option<Vmid>,
    ) -> Result<Vec<Volume>> {
        let call = Call::get(&[
            "nodes",
            node.as_str(),
            "storage",
            storage.as_str(),
            "content",
        ])
        .with("content", Content::Backup)
        .with_some("vmid", vmid);
        let mut backups: Vec<Volume> = self.get(call).await?;
        backups.sort_by(|a, b| (a.made_s, &a.volid).cmp(&(b.made_s, &b.volid)));
        Ok(backups)
    }

    /// The guests that no job of the cluster backs up, as far as the token may see them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn not_backed_up(&self) -> Result<Vec<NotBackedUp>> {
        let call = Call::get(&["cluster", "backup-info", "not-backed-up"]);
        let mut guests: Vec<NotBackedUp> = self.get(call).await?;
        guests.sort_by_key(|guest| guest.vmid);
        Ok(guests)
    }

    /// What pruning a container's backups would do now. An empty rule is not asked about: nothing is kept by it, and nothing
    /// removed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn prune_preview(
        &self,
        node: &NodeName,
        storage: &StorageName,
        vmid: Vmid,
        keep: Keep,
    ) -> Result<Vec<PruneRow>> {
        if keep.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows: Vec<PruneRow> = self
            .get(prune_call(Call::get, node, storage, vmid, keep))
            .await?;
        rows.sort_by(|a, b| (a.made_s, &a.volid).cmp(&(b.made_s, &b.volid)));
        Ok(rows)
    }
}

impl Client {
    /// Backs a guest up; older backups stay. `None`: the guest is not on that node, and PVE did nothing and calls that a
    /// success. Whether there is such a guest or storage shows only in the task's exit status.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn back_up(&self, node: &NodeName, backup: NewBackup) -> Result<Option<Upid>> {
        let call = backup.call(node);
        let name = call.name();
        let said: String = self.change(call).await?;
        if said == "OK" {
            return Ok(None);
        }
        said.parse().map(Some).map_err(|e| Error::MaybeApplied {
            call: name,
            why: format!("{e}"),
        })
    }

    /// Replaces the notes of a backup.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn describe_backup(
        &self,
        node: &NodeName,
        backup: &Volid,
        notes: &str,
    ) -> Result<()> {
        let call = Call::put(&volume_path(node, backup)).with("notes", notes);
        self.change(call).await
    }

    /// Lets PVE keep a backup from being removed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn protect_backup(&self, node: &NodeName, backup: &Volid) -> Result<()> {
        let call = Call::put(&volume_path(node, backup)).with_flag("protected", true);
        self.change(call).await
    }

    /// Lets the backup the permit is for be removed again. Disruptive in the sense of the doctrine.
    ///
    /// Guarantees: as [`Client::destroy_lxc`].
    ///
    /// # Errors
    /// As [`Client::destroy_lxc`].
    pub async fn unprotect_backup(&self, permit: UnprotectPermit) -> Result<()> {
        let call = Call::put(&volume_path(permit.node(), permit.volid()));
        let call = call.with_flag("protected", false);
        self.permitted(call, permit.host(), permit.expires()).await
    }

    /// Deletes the backup the permit is for. That it is protected shows only in the task's exit status; that it is gone
    /// already does not show at all.
    ///
    /// Guarantees: as [`Client::destroy_lxc`]. No other volume can be deleted: PVE would also delete one that a guest uses.
    ///
    /// # Errors
    /// As [`Client::destroy_lxc`].
    pub async fn delete_backup(&self, permit: BackupPermit) -> Result<Upid> {
        let call = Call::delete(&volume_path(permit.node(), permit.volid()));
        self.permitted(call, permit.host(), permit.expires()).await
    }

    /// Lets PVE prune the backups the permit is for.
    ///
    /// Guarantees: as [`Client::destroy_lxc`].
    ///
    /// # Errors
    /// As [`Client::destroy_lxc`].
    pub async fn prune_backups(&self, permit: PrunePermit) -> Result<Upid> {
        let (node, storage) = (permit.node(), permit.storage());
        let call = prune_call(Call::delete, node, storage, permit.vmid(), permit.keep());
        self.permitted(call, permit.host(), permit.expires()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_become_one_line_that_pve_takes_back() {
        // What PVE makes of it (in its VZDump.pm): `\n` is a new line, `\\` a backslash.
        let taken_back = |line: &str| {
            let mut text = String::new();
            let mut letters = line.chars();
            while let Some(letter) = letters.next() {
                match letter {
                    '\\' => text.push(if letters.next() == Some('n') {
                        '\n'
                    } else {
                        '\\'
                    }),
                    other => text.push(other),
                }
            }
            text
        };
        for notes in ["mark", "mark\nmore", "a\\nb\\\n", ""] {
            let line = template(notes);
            assert!(!line.contains('\n'), "{line:?}");
            assert_eq!(taken_back(&line), notes);
        }
    }

    #[test]
    fn a_rule_says_only_what_it_keeps() {
        let keep = Keep {
            last: 3,
            weekly: 2,
            ..Keep::default()
        };
        assert_eq!(rule(keep).to_string(), "keep-last=3,keep-weekly=2");
    }
}
