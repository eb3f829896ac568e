//! Guests on disk: `STATE/guests/NODE/VMID.json`, replaced as a whole.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::guest::Guest;
use crate::core::guest::GuestKey;
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

/// The directory of all guests.
#[derive(Debug, Clone)]
pub(super) struct Disk(pub(super) PathBuf);

impl Disk {
    fn path(&self, guest: &GuestKey) -> PathBuf {
        self.0
            .join(&guest.node)
            .join(format!("{}.json", guest.vmid))
    }

    /// All guests there are.
    ///
    /// # Errors
    /// A file cannot be read or understood.
    pub(super) fn load(&self) -> Result<Vec<(GuestKey, Guest)>, String> {
        let mut found = Vec::new();
        for node in entries(&self.0)? {
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
                let failed = |why: String| format!("{}: {why}", file.display());
                let bytes = std::fs::read(&file).map_err(|error| failed(error.to_string()))?;
                let read: Read =
                    serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
                if read.format != FORMAT {
                    return Err(failed(format!("format {} is unknown", read.format)));
                }
                found.push((key, read.guest));
            }
        }
        Ok(found)
    }

    /// Writes a guest; it is on disk when this returns.
    ///
    /// # Errors
    /// The file system refuses; what was there before still is.
    pub(super) fn write(&self, key: &GuestKey, guest: &Guest) -> Result<(), String> {
        let mut kept = guest.clone();
        kept.processes.retain(|_, process| !process.passing);
        let path = self.path(key);
        let failed = |error: std::io::Error| format!("write {}: {error}", path.display());
        let written = Written {
            format: FORMAT,
            guest: &kept,
        };
        let bytes = serde_json::to_vec(&written).map_err(|error| failed(error.into()))?;
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        write_atomically(&path, &bytes, 0o600).map_err(failed)
    }

    /// Removes a guest; one that is not there is fine.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn remove(&self, key: &GuestKey) -> Result<(), String> {
        let path = self.path(key);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("remove {}: {error}", path.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
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
