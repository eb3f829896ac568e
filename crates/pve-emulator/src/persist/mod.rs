//! The world on disk: one file, replaced atomically.
//!
//! A commit writes a temporary file, syncs it, renames it over the old one and syncs the directory.
//! Whatever moment the process or the machine dies at, the file holds either the state before or
//! the state after; what was acknowledged is after.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::World;

/// Written into the file; another number is refused.
const FORMAT: u32 = 2;
const FILE: &str = "world.json";

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PersistError {
    /// The file system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not a state of this emulator.
    #[error("{path} is not a readable state: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// The file was written by another version.
    #[error(
        "{path} has state format {found}, this emulator reads {FORMAT}; remove the state directory to start anew"
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    world: &'a World,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Deserialize)]
struct Read {
    world: World,
}

/// A state directory.
#[derive(Debug, Clone)]
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// The state of a directory, which must exist.
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            path: directory.join(FILE),
        }
    }

    /// The last committed world; `None` before the first commit.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub fn load(&self) -> Result<Option<World>, PersistError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io("read", source)),
        };
        let unreadable = |source| PersistError::Unreadable {
            path: self.path.clone(),
            source,
        };
        let Format { format } = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if format != FORMAT {
            return Err(PersistError::OtherFormat {
                path: self.path.clone(),
                found: format,
            });
        }
        let read: Read = serde_json::from_slice(&bytes).map_err(unreadable)?;
        Ok(Some(read.world))
    }

    /// The bytes a commit of this world would write.
    ///
    /// # Errors
    /// When the world cannot be serialised.
    pub fn encode(&self, world: &World) -> Result<Vec<u8>, PersistError> {
        let written = Written {
            format: FORMAT,
            world,
        };
        serde_json::to_vec(&written).map_err(|source| PersistError::Unreadable {
            path: self.path.clone(),
            source,
        })
    }

    /// Puts bytes from [`encode`](Self::encode) in place of the last commit; they are on disk when
    /// this returns.
    ///
    /// # Errors
    /// When the file system refuses; the last commit is still there then.
    pub fn commit(&self, bytes: &[u8]) -> Result<(), PersistError> {
        write_atomically(&self.path, bytes).map_err(|source| self.io("write", source))
    }

    fn io(&self, action: &'static str, source: io::Error) -> PersistError {
        PersistError::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

/// Replaces a file (mode 0600) so that it is never half written, and syncs it with its directory.
///
/// # Errors
/// When the file system refuses.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = directory.join(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}
