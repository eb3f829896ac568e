//! Where xtask runs: the checkout, the build folder, and what this machine allows.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::metadata::Metadata;

/// The checkout and the machine.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The workspace as cargo sees it.
    pub(crate) metadata: Metadata,
    /// May install packages, make namespaces and run containers.
    pub(crate) is_root: bool,
    /// Has apt-get and dpkg.
    pub(crate) is_debian: bool,
    /// The user's home folder, if there is one.
    pub(crate) home: Option<PathBuf>,
    /// Cargo's own folder, where it keeps what it downloaded.
    pub(crate) cargo_home: Option<PathBuf>,
    path: Vec<PathBuf>,
}

impl Place {
    /// Looks once; nothing else in xtask reads the environment.
    #[allow(clippy::disallowed_methods)] // this is the one place
    pub(crate) fn discover() -> Result<Self> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let cargo_home = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| home.as_ref().map(|home| home.join(".cargo")));
        let path = std::env::var_os("PATH")
            .map(|path| std::env::split_paths(&path).collect())
            .unwrap_or_default();
        Ok(Self {
            metadata: Metadata::read()?,
            is_root: std::fs::metadata("/proc/self")?.uid() == 0,
            is_debian: Path::new("/etc/debian_version").exists(),
            home,
            cargo_home,
            path,
        })
    }

    /// The top of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.metadata.workspace_root
    }

    /// The build folder; everything xtask makes lies below it.
    pub(crate) fn target(&self) -> &Path {
        &self.metadata.target_directory
    }

    /// The first file of this name on the search path.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        self.path
            .iter()
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    }
}
