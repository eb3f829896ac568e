//! Kernel settings many guests need: raised while any lab runs, put back by the last one to leave.
//!
//! The old values are on disk before the first change. Who holds them is a set of locked files, so a lab that was
//! killed holds nothing, and the next lab (or `clean`) puts the values back.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

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

/// Where the settings are and where it is noted who holds them.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    registry: PathBuf,
    settings: PathBuf,
}

/// A lab's hold on the settings.
#[derive(Debug)]
pub(crate) struct KernelHold {
    kernel: Kernel,
    holder: PathBuf,
    _lock: File,
}

impl Kernel {
    /// This machine's.
    pub(crate) fn of_machine() -> Self {
        Self {
            registry: REGISTRY.into(),
            settings: "/proc/sys".into(),
        }
    }

    /// Raises the settings and holds them under `id`.
    ///
    /// # Errors
    /// The record or a setting cannot be written.
    pub(crate) async fn hold(&self, id: &str) -> Result<KernelHold, LabError> {
        let holders = self.registry.join("holders");
        std::fs::create_dir_all(&holders)
            .map_err(LabError::io(format!("create {}", holders.display())))?;
        let _turn = self.turn().await?;
        if !self.is_held()? {
            self.restore()?;
        }
        let holder = holders.join(id);
        let lock = try_lock_exclusive(&holder)?.ok_or_else(|| LabError::Busy(holder.clone()))?;
        self.raise()?;
        Ok(KernelHold {
            kernel: self.clone(),
            holder,
            _lock: lock,
        })
    }

    /// Puts old values back if nobody holds them: for a lab that was killed.
    ///
    /// # Errors
    /// A setting cannot be written.
    pub(crate) async fn restore_if_unheld(&self) -> Result<(), LabError> {
        if !self.registry.exists() {
            return Ok(());
        }
        let _turn = self.turn().await?;
        self.restore_unheld()
    }

    /// Sets what a network namespace has of its own; nothing to put back, it ends with the namespace.
    ///
    /// # Errors
    /// The setting cannot be written.
    pub(crate) fn set_namespaced(&self) -> Result<(), LabError> {
        self.write("net/ipv4/ip_forward", 1)
    }

    async fn turn(&self) -> Result<File, LabError> {
        lock_exclusive(
            &self.registry.join("lock"),
            "another lab starts or ends; waiting",
        )
        .await
    }

    fn restore_unheld(&self) -> Result<(), LabError> {
        if self.is_held()? {
            return Ok(());
        }
        self.restore()?;
        // Who waits for this very file finds it gone and locks nothing of importance: the settings are right.
        let _ = std::fs::remove_file(self.registry.join("lock"));
        let _ = std::fs::remove_dir(self.registry.join("holders"));
        remove_if_empty();
        Ok(())
    }

    /// Whether a living process holds the settings; files of dead ones are removed.
    fn is_held(&self) -> Result<bool, LabError> {
        let holders = self.registry.join("holders");
        let Ok(entries) = std::fs::read_dir(&holders) else {
            return Ok(false);
        };
        let mut held = false;
        for entry in entries {
            let path = entry
                .map_err(LabError::io(holders.display().to_string()))?
                .path();
            match try_lock_exclusive(&path)? {
                None => held = true,
                Some(_dead) => {
                    std::fs::remove_file(&path)
                        .map_err(LabError::io(format!("remove {}", path.display())))?;
                }
            }
        }
        Ok(held)
    }

    fn raise(&self) -> Result<(), LabError> {
        let mut record = self.record()?;
        for (name, wanted) in WANTED {
            let Some(old) = self.read(name) else { continue };
            if old < *wanted && !record.contains_key(*name) {
                record.insert((*name).to_owned(), Changed { old, new: *wanted });
            }
        }
        let bytes = serde_json::to_vec_pretty(&record).map_err(|e| self.bad(e.to_string()))?;
        write_atomically(&self.record_path(), &bytes, 0o600)
            .map_err(LabError::io("write the record of kernel settings"))?;
        record
            .iter()
            .try_for_each(|(name, changed)| self.write(name, changed.new))
    }

    /// Puts back each setting that still is what a lab made it; one changed by somebody else since stays.
    fn restore(&self) -> Result<(), LabError> {
        for (name, changed) in self.record()? {
            if self.read(&name) == Some(changed.new) {
                self.write(&name, changed.old)?;
            }
        }
        super::ground::remove_file(&self.record_path())
    }

    fn record_path(&self) -> PathBuf {
        self.registry.join("kernel.json")
    }

    fn record(&self) -> Result<Record, LabError> {
        match std::fs::read(self.record_path()) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| self.bad(e.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Record::new()),
            Err(error) => Err(LabError::io("read the record of kernel settings")(error)),
        }
    }

    fn bad(&self, reason: String) -> LabError {
        LabError::BadState {
            path: self.record_path(),
            reason,
        }
    }

    fn read(&self, name: &str) -> Option<u64> {
        let text = std::fs::read_to_string(self.settings.join(name)).ok()?;
        text.trim().parse().ok()
    }

    fn write(&self, name: &str, value: u64) -> Result<(), LabError> {
        let path = self.settings.join(name);
        std::fs::write(&path, value.to_string())
            .map_err(LabError::io(format!("set {}", path.display())))
    }
}

impl KernelHold {
    /// Gives the hold up; the last one puts the old values back.
    ///
    /// # Errors
    /// A setting cannot be written.
    pub(crate) async fn release(self) -> Result<(), LabError> {
        let Self {
            kernel,
            holder,
            _lock: lock,
        } = self;
        let _turn = kernel.turn().await?;
        std::fs::remove_file(&holder)
            .map_err(LabError::io(format!("remove {}", holder.display())))?;
        drop(lock);
        kernel.restore_unheld()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> (tempfile::TempDir, Kernel) {
        let dir = tempfile::tempdir().unwrap();
        let settings = dir.path().join("sys");
        for (name, value) in [("kernel/keys/maxkeys", 200), ("net/ipv4/ip_forward", 0)] {
            let path = settings.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{value}\n")).unwrap();
        }
        let kernel = Kernel {
            registry: dir.path().join("run"),
            settings,
        };
        (dir, kernel)
    }

    fn values(kernel: &Kernel) -> (u64, u64) {
        let read = |name| kernel.read(name).unwrap();
        (read("kernel/keys/maxkeys"), read("net/ipv4/ip_forward"))
    }

    #[tokio::test]
    async fn the_last_to_leave_puts_the_old_values_back() {
        let (_dir, kernel) = machine();
        let first = kernel.hold("a").await.unwrap();
        assert_eq!(values(&kernel), (20_000, 1));
        let second = kernel.hold("b").await.unwrap();
        first.release().await.unwrap();
        assert_eq!(values(&kernel), (20_000, 1));
        second.release().await.unwrap();
        assert_eq!(values(&kernel), (200, 0));
        assert!(!kernel.record_path().exists());
    }

    #[tokio::test]
    async fn a_killed_labs_changes_are_undone_by_the_next() {
        let (_dir, kernel) = machine();
        // A kill drops the lock without a release.
        drop(kernel.hold("a").await.unwrap());
        assert_eq!(values(&kernel), (20_000, 1));
        kernel.restore_if_unheld().await.unwrap();
        assert_eq!(values(&kernel), (200, 0));
        drop(kernel.hold("a").await.unwrap());
        let next = kernel.hold("b").await.unwrap();
        next.release().await.unwrap();
        assert_eq!(values(&kernel), (200, 0));
    }

    #[tokio::test]
    async fn a_holder_keeps_the_values_from_being_put_back() {
        let (_dir, kernel) = machine();
        let hold = kernel.hold("a").await.unwrap();
        kernel.restore_if_unheld().await.unwrap();
        assert_eq!(values(&kernel), (20_000, 1));
        hold.release().await.unwrap();
    }

    #[tokio::test]
    async fn what_somebody_else_changed_since_stays() {
        let (_dir, kernel) = machine();
        let hold = kernel.hold("a").await.unwrap();
        kernel.write("kernel/keys/maxkeys", 777).unwrap();
        hold.release().await.unwrap();
        assert_eq!(values(&kernel), (777, 0));
    }
}
