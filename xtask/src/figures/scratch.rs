//! A directory for the length of a measurement, in memory where there is some.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::place::Place;

/// Where memory can be used as a directory.
const MEMORY: &str = "/dev/shm";

/// Removed with all it holds when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// An empty directory for the figure `id`.
    pub(crate) fn new(place: &Place, id: &str) -> Result<Self> {
        let name = format!("proximity-{id}-{}", std::process::id());
        let memory = Path::new(MEMORY).join(&name);
        if std::fs::create_dir(&memory).is_ok() {
            return Ok(Self(memory));
        }
        let folder = place.target().join("figures").join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// An empty directory inside.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.0.join(name);
        std::fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in a place that is known, and small; the figure itself is not in doubt.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
