//! The world on disk: one file with all of it, and a log of what changed since.
//!
//! A commit appends one line to the log and syncs it. When the log has grown, the world is written down whole: into a
//! temporary file, which is synced and renamed over the old one, so that the file holds either the state before or the
//! state after; a log of its own begins with it. Whatever moment the process or the machine dies at, what was acknowledged is
//! in the file or in a whole line of its log. A line that a crash cut off was never acknowledged.

mod line;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::World;
use crate::core::tracked::{TrackedList, TrackedMap};
use crate::core::{Guest, LastView, Task, Volume};

/// Written into the file; another number is refused.
const FORMAT: u32 = 3;
const FILE: &str = "world.json";
/// A log shorter than this is not worth writing the world down whole.
const SHORTEST_FULL_LOG_BYTES: u64 = 1 << 20;

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
    /// A line of the log that is not its last one is not what was written.
    #[error("line {line} of {path} is damaged; remove the state directory to start anew")]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
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
    generation: u64,
    world: &'a World,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Deserialize)]
struct Read {
    generation: u64,
    world: World,
}

/// What a world may have very many of, and what is therefore written down by entries.
#[derive(Default)]
struct Many {
    guests: TrackedMap<u32, Guest>,
    volumes: TrackedList<Volume>,
    tasks: TrackedList<Task>,
    last_views: TrackedMap<String, LastView>,
}

impl Many {
    /// Exchanges it for that of a world.
    fn swap(&mut self, world: &mut World) {
        std::mem::swap(&mut self.guests, &mut world.guests);
        std::mem::swap(&mut self.volumes, &mut world.volumes);
        std::mem::swap(&mut self.tasks, &mut world.tasks);
        std::mem::swap(&mut self.last_views, &mut world.last_views);
    }
}

/// Writes a world down, in a directory of its own.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    /// Of the file that is on disk.
    generation: u64,
    /// How large that file is; none before this process wrote one.
    whole_bytes: Option<u64>,
    log_bytes: u64,
    /// All but the [`Many`], as it was last written.
    rest: Vec<u8>,
}

/// Something to be written, apart from the world.
#[derive(Debug)]
#[must_use]
pub struct Write {
    directory: PathBuf,
    generation: u64,
    bytes: Vec<u8>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Whole,
    Line {
        /// The log has to be made.
        first: bool,
    },
}

/// The last committed world of a directory, which must exist (none before the first commit), and what writes there from now
/// on.
///
/// # Errors
/// When there is a state that cannot be read.
pub fn open(directory: &Path) -> Result<(Option<World>, Writer), PersistError> {
    let path = directory.join(FILE);
    let mut writer = Writer {
        directory: directory.to_owned(),
        generation: 0,
        whole_bytes: None,
        log_bytes: 0,
        rest: Vec::new(),
    };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, writer)),
        Err(source) => return Err(failed("read", path, source)),
    };
    let unreadable = |source| PersistError::Unreadable {
        path: path.clone(),
        source,
    };
    let Format { format } = serde_json::from_slice(&bytes).map_err(unreadable)?;
    if format != FORMAT {
        return Err(PersistError::OtherFormat {
            path,
            found: format,
        });
    }
    let read: Read = serde_json::from_slice(&bytes).map_err(unreadable)?;
    writer.generation = read.generation;
    let mut world = read.world;
    line::redo(&mut world, &log(directory, read.generation))?;
    Ok((Some(world), writer))
}

impl Writer {
    /// What has to be written so that the world is on disk; nothing if it is. The world counts as written from then on: if
    /// writing fails, it cannot be gone on with.
    ///
    /// # Errors
    /// When the world cannot be serialised.
    pub fn prepare(&mut self, world: &mut World) -> Result<Option<Write>, PersistError> {
        let path = self.directory.join(FILE);
        let unreadable = |source| PersistError::Unreadable { path, source };
        let mut many = Many::default();
        many.swap(world);
        let rest = serde_json::to_vec(world);
        many.swap(world);
        let rest = rest.map_err(unreadable.clone())?;
        let write = match self.whole_bytes {
            Some(whole) if self.log_bytes <= SHORTEST_FULL_LOG_BYTES.max(2 * whole) => {
                let new = (rest != self.rest).then_some(rest.as_slice());
                let line = line::of(world, new).map_err(unreadable)?;
                line.map(|bytes| self.line(bytes))
            }
            Some(_) | None => Some(self.whole(world).map_err(unreadable)?),
        };
        self.rest = rest;
        world.guests.forget_changes();
        world.volumes.forget_changes();
        world.tasks.forget_changes();
        world.last_views.forget_changes();
        Ok(write)
    }

    fn line(&mut self, bytes: Vec<u8>) -> Write {
        let first = self.log_bytes == 0;
        self.log_bytes += bytes.len() as u64;
        self.write(bytes, Kind::Line { first })
    }

    fn whole(&mut self, world: &World) -> Result<Write, serde_json::Error> {
        self.generation += 1;
        let bytes = serde_json::to_vec(&Written {
            format: FORMAT,
            generation: self.generation,
            world,
        })?;
        self.whole_bytes = Some(bytes.len() as u64);
        self.log_bytes = 0;
        Ok(self.write(bytes, Kind::Whole))
    }

    fn write(&self, bytes: Vec<u8>, kind: Kind) -> Write {
        Write {
            directory: self.directory.clone(),
            generation: self.generation,
            bytes,
            kind,
        }
    }
}

impl Write {
    /// Writes; it is on disk when this returns. Writes are to be carried out in the order they were prepared in.
    ///
    /// # Errors
    /// When the file system refuses; what was committed before is still there then.
    pub fn carry_out(self) -> Result<(), PersistError> {
        match self.kind {
            Kind::Whole => self.replace(),
            Kind::Line { first } => self.append(first),
        }
    }

    fn replace(&self) -> Result<(), PersistError> {
        let path = self.directory.join(FILE);
        // One of this name is of a process that died before its file was in place: nothing in it was acknowledged.
        remove(log(&self.directory, self.generation))?;
        write_atomically(&path, &self.bytes).map_err(|source| failed("write", path, source))?;
        remove(log(&self.directory, self.generation.saturating_sub(1)))
    }

    fn append(&self, first: bool) -> Result<(), PersistError> {
        let path = log(&self.directory, self.generation);
        let written = || {
            let mut file = OpenOptions::new()
                .append(true)
                .create(first)
                .mode(0o600)
                .open(&path)?;
            file.write_all(&self.bytes)?;
            file.sync_data()?;
            if first {
                File::open(&self.directory)?.sync_all()?;
            }
            Ok(())
        };
        written().map_err(|source| failed("write", path.clone(), source))
    }
}

/// The log that belongs to a file.
fn log(directory: &Path, generation: u64) -> PathBuf {
    directory.join(format!("world.{generation}.log"))
}

/// Removes all logs of a directory.
///
/// # Errors
/// When the file system refuses.
pub fn remove_logs(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix("world.")?.strip_suffix(".log"));
        if number.is_some_and(|number| number.parse::<u64>().is_ok()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn remove(path: PathBuf) -> Result<(), PersistError> {
    match fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(failed("remove", path, source)),
    }
}

fn failed(action: &'static str, path: PathBuf, source: io::Error) -> PersistError {
    PersistError::Io {
        action,
        path,
        source,
    }
}

/// Replaces a file (mode 0600) so that it is never half written, and syncs it with its directory.
///
/// # Errors
/// When the file system refuses.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    replace(path, bytes, File::sync_all)?;
    File::open(directory)?.sync_all()
}

/// As [`write_atomically`], for what is written anew after a crash of the machine: nothing is synced.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn write_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, |_| Ok(()))
}

fn replace(path: &Path, bytes: &[u8], sync: fn(&File) -> io::Result<()>) -> io::Result<()> {
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
    sync(&file)?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests;
