//! Kernel settings many guests need: raised while any lab runs, put back by the last one to leave.
//!
//! The old values are on disk before the first change. Who holds them is a set of locked files, so a lab that was
//! killed holds nothing, and the next lab (or `clean`) puts the values back.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::file::write_atomically;
use super::lock::{lock_exclusive, try_lock_exclusive};
use super::registry::{REGISTRY, remove_if_empty};

/// All guests share one host user id, so its quotas must be larger than for one machine.
const WANTED: &[(&str, u64)] = &[
    ("kernel/keys/maxkeys", 20_000),
    ("kernel/keys/maxbytes", 2_000_000),
    ("fs/inotify/max_user_instances", 8192),
    ("net/ipv4/ip_forward", 1),
];

/// A setting as it was found and as it was set.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Changed {
    old: u64,
    new: u64,
}

type Record = BTreeMap<String, Changed>;

/// A lab's hold on the settings.
#[derive(Debug)]
pub(crate) struct KernelHold {
    holder: PathBuf,
    _lock: File,
}

/// Raises the settings and holds them under `id`.
///
/// # Errors
/// The record or a setting cannot be written.
pub(crate) async fn hold(id: &str) -> Result<KernelHold, LabError> {
    let holders = Path::new(REGISTRY).join("holders");
    std::fs::create_dir_all(&holders)
        .map_err(LabError::io(format!("create {}", holders.display())))?;
    let _turn = registry_lock().await?;
    if !others_alive(None)? {
        restore()?;
    }
    let holder = holders.join(id);
    let lock = try_lock_exclusive(&holder)?.ok_or_else(|| LabError::Busy(holder.clone()))?;
    raise()?;
    Ok(KernelHold {
        holder,
        _lock: lock,
    })
}

impl KernelHold {
    /// Gives the hold up; the last one puts the old values back.
    ///
    /// # Errors
    /// A setting cannot be written.
    pub(crate) async fn release(self) -> Result<(), LabError> {
        let _turn = registry_lock().await?;
        let holder = self.holder.clone();
        std::fs::remove_file(&holder)
            .map_err(LabError::io(format!("remove {}", holder.display())))?;
        if !others_alive(Some(&holder))? {
            restore()?;
            remove_registry();
        }
        Ok(())
    }
}

/// Puts old values back if nobody holds them: for a lab that was killed.
///
/// # Errors
/// A setting cannot be written.
pub(crate) async fn restore_if_unheld() -> Result<(), LabError> {
    if !Path::new(REGISTRY).exists() {
        return Ok(());
    }
    let _turn = registry_lock().await?;
    if !others_alive(None)? {
        restore()?;
        remove_registry();
    }
    Ok(())
}

/// Sets what a network namespace has of its own; nothing to put back, it ends with the namespace.
pub(crate) fn set_namespaced() -> Result<(), LabError> {
    write_setting("net/ipv4/ip_forward", 1)
}

async fn registry_lock() -> Result<File, LabError> {
    lock_exclusive(
        &Path::new(REGISTRY).join("lock"),
        "another lab starts or ends; waiting",
    )
    .await
}

fn remove_registry() {
    // Somebody who waits for this very file finds it gone and locks nothing of importance: settings are right.
    drop(std::fs::remove_file(Path::new(REGISTRY).join("lock")));
    remove_if_empty();
}

fn record_path() -> PathBuf {
    Path::new(REGISTRY).join("kernel.json")
}

/// Whether a living process holds the settings; files of dead ones are removed.
fn others_alive(but: Option<&Path>) -> Result<bool, LabError> {
    let holders = Path::new(REGISTRY).join("holders");
    let Ok(entries) = std::fs::read_dir(&holders) else {
        return Ok(false);
    };
    let mut alive = false;
    for entry in entries {
        let path = entry
            .map_err(LabError::io(holders.display().to_string()))?
            .path();
        if Some(path.as_path()) == but {
            continue;
        }
        match try_lock_exclusive(&path)? {
            None => alive = true,
            Some(_dead) => drop(std::fs::remove_file(&path)),
        }
    }
    Ok(alive)
}

fn raise() -> Result<(), LabError> {
    let mut record = read_record()?;
    for (name, wanted) in WANTED {
        let Some(old) = read_setting(name) else {
            continue;
        };
        if old < *wanted && !record.contains_key(*name) {
            record.insert((*name).to_owned(), Changed { old, new: *wanted });
        }
    }
    let bytes = serde_json::to_vec_pretty(&record).map_err(|error| bad(error.to_string()))?;
    write_atomically(&record_path(), &bytes, 0o600)
        .map_err(LabError::io("write the record of kernel settings"))?;
    record
        .iter()
        .try_for_each(|(name, changed)| write_setting(name, changed.new))
}

/// Puts back each setting that still is what a lab made it; one changed by somebody else since stays.
fn restore() -> Result<(), LabError> {
    for (name, changed) in read_record()? {
        if read_setting(&name) == Some(changed.new) {
            write_setting(&name, changed.old)?;
        }
    }
    match std::fs::remove_file(record_path()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(LabError::Io {
            what: "remove the record of settings".to_owned(),
            source,
        }),
    }
}

fn read_record() -> Result<Record, LabError> {
    match std::fs::read(record_path()) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Record::new()),
        Err(source) => Err(LabError::Io {
            what: "read the record of settings".to_owned(),
            source,
        }),
    }
}

fn bad(reason: String) -> LabError {
    LabError::BadState {
        path: record_path(),
        reason,
    }
}

fn read_setting(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    text.trim().parse().ok()
}

fn write_setting(name: &str, value: u64) -> Result<(), LabError> {
    let path = Path::new("/proc/sys").join(name);
    std::fs::write(&path, value.to_string())
        .map_err(LabError::io(format!("set {}", path.display())))
}
