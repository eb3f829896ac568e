//! Guests on disk: `STATE/guests/NODE/VMID.json`, replaced as a whole; beside it `VMID.snapshots/NAME.json`, and
//! backups in `STATE/backups/STORAGE+FILE.json`: their names are of one container and one second, so no two nodes have
//! the same.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::guest::Guest;
use crate::core::guest::{GuestKey, Kept, archive_name};
use crate::lab::write_atomically;

const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    guest: &'a Guest,
}

#[derive(Deserialize)]
struct Read {
    format: u32,
    guest: Guest,
}

/// The directories of all guests and of all backups.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    pub(super) guests: PathBuf,
    pub(super) backups: PathBuf,
}

impl Disk {
    fn path(&self, guest: &GuestKey) -> PathBuf {
        self.guests
            .join(&guest.node)
            .join(format!("{}.json", guest.vmid))
    }

    fn snapshots(&self, guest: &GuestKey) -> PathBuf {
        self.guests
            .join(&guest.node)
            .join(format!("{}.snapshots", guest.vmid))
    }

    fn kept(&self, guest: &GuestKey, kept: &Kept) -> PathBuf {
        match kept {
            Kept::Snapshot(name) => self.snapshots(guest).join(format!("{name}.json")),
            Kept::Backup(volid) => self.backups.join(format!("{}.json", archive_name(volid))),
        }
    }

    /// All guests there are.
    ///
    /// # Errors
    /// A file cannot be read or understood.
    pub(super) fn load(&self) -> Result<Vec<(GuestKey, Guest)>, String> {
        let mut found = Vec::new();
        for node in entries(&self.guests)? {
            let name = name_of(&node);
            for file in entries(&node)? {
                // What was not yet renamed when the lab was killed was never acknowledged.
                let Some(vmid) = name_of(&file)
                    .strip_suffix(".json")
                    .and_then(|v| v.parse().ok())
                else {
                    continue;
                };
                let key = GuestKey {
                    node: name.clone(),
                    vmid,
                };
                found.push((key, read(&file)?));
            }
        }
        Ok(found)
    }

    /// Writes a guest; it is on disk when this returns.
    ///
    /// # Errors
    /// The file system refuses; what was there before still is.
    pub(super) fn write(&self, key: &GuestKey, guest: &Guest) -> Result<(), String> {
        write(&self.path(key), guest)
    }

    /// Removes a guest with its snapshots; one that is not there is fine.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn remove(&self, key: &GuestKey) -> Result<(), String> {
        self.drop_snapshots(key)?;
        remove(&self.path(key))
    }

    /// Keeps a copy, in place of one that is kept under the same name.
    ///
    /// # Errors
    /// The file system refuses; what was there before still is.
    pub(super) fn keep(&self, key: &GuestKey, kept: &Kept, guest: &Guest) -> Result<(), String> {
        write(&self.kept(key, kept), guest)
    }

    /// What was kept of this guest; none when there is no such thing.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub(super) fn read_kept(&self, key: &GuestKey, kept: &Kept) -> Result<Option<Guest>, String> {
        let path = self.kept(key, kept);
        path.exists().then(|| read(&path)).transpose()
    }

    /// Removes what was kept; nothing there is fine.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn drop_kept(&self, key: &GuestKey, kept: &Kept) -> Result<(), String> {
        remove(&self.kept(key, kept))
    }

    /// Removes all snapshots of a guest.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn drop_snapshots(&self, key: &GuestKey) -> Result<(), String> {
        let folder = self.snapshots(key);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(format!("remove {}: {error}", folder.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Brings a guest's snapshots to where it goes; done already is fine.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn move_snapshots(&self, from: &GuestKey, to: &GuestKey) -> Result<(), String> {
        let (old, new) = (self.snapshots(from), self.snapshots(to));
        if !old.exists() {
            return Ok(());
        }
        self.drop_snapshots(to)?;
        let failed = |error: std::io::Error| format!("move {}: {error}", old.display());
        if let Some(folder) = new.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::rename(&old, &new).map_err(failed)
    }
}

fn read(file: &Path) -> Result<Guest, String> {
    let failed = |why: String| format!("{}: {why}", file.display());
    let bytes = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    let read: Read = serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
    match read.format {
        FORMAT => Ok(read.guest),
        other => Err(failed(format!("format {other} is unknown"))),
    }
}

fn write(path: &Path, guest: &Guest) -> Result<(), String> {
    let mut kept = guest.clone();
    kept.processes.retain(|_, process| !process.passing);
    let failed = |error: std::io::Error| format!("write {}: {error}", path.display());
    let written = Written {
        format: FORMAT,
        guest: &kept,
    };
    let bytes = serde_json::to_vec(&written).map_err(|error| failed(error.into()))?;
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    write_atomically(path, &bytes, 0o600).map_err(failed)
}

fn remove(path: &Path) -> Result<(), String> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("remove {}: {error}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed));
    paths.collect()
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
