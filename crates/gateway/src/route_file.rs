//! The routes on disk: one JSON file, replaced whole, and the lock that gives it one owner.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::GatewayError;
use crate::route::Route;
use crate::table::{Removed, RouteTable};

/// The format this version writes, and the newest it reads. In format 1 routes have no owner.
const FORMAT: u64 = 2;
const OLDEST_FORMAT: u64 = 1;
/// A file beyond this size is not ours.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// How many damaged files are named in reports.
const MAX_DAMAGED_LISTED: usize = 16;

#[derive(Deserialize)]
struct FormatOnly {
    format: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: u64,
    routes: Vec<Route>,
    #[serde(default)]
    removed: Vec<Removed>,
}

/// The route file, owned by this process for as long as the value lives.
#[derive(Debug)]
pub(crate) struct RouteFile {
    path: PathBuf,
    /// Holds the lock; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl RouteFile {
    /// Takes the file's lock.
    pub(crate) fn claim(path: &Path) -> Result<Self, GatewayError> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(GatewayError::file("create", folder))?;
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock(path)?,
        })
    }

    /// Replaces the file's content. When this returns, the new content is on disk; when it fails,
    /// the file has the old or the new content, never a mixture.
    pub(crate) fn save(&self, table: &RouteTable) -> io::Result<()> {
        let content = Content {
            format: FORMAT,
            routes: table.routes().cloned().collect(),
            removed: table.removed().to_vec(),
        };
        let mut bytes = serde_json::to_vec_pretty(&content)?;
        bytes.push(b'\n');
        let draft = with_suffix(&self.path, ".tmp");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&draft)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, &self.path)?;
        flush_folder(&self.path)
    }

    /// Files that were moved aside and still lie there, newest first, a few at most.
    pub(crate) fn damaged(&self) -> Vec<PathBuf> {
        let prefix = with_suffix(&self.path, ".damaged-");
        let Ok(entries) = std::fs::read_dir(folder_of(&self.path)) else {
            return Vec::new();
        };
        let is_damaged = |path: &PathBuf| {
            let (name, prefix) = (path.file_name(), prefix.file_name());
            name.zip(prefix).is_some_and(|(name, prefix)| {
                name.as_encoded_bytes()
                    .starts_with(prefix.as_encoded_bytes())
            })
        };
        let mut found: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(is_damaged)
            .collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        found.truncate(MAX_DAMAGED_LISTED);
        found
    }

    /// Reads the routes; no file means no routes.
    ///
    /// A file that cannot be understood is moved aside to `<name>.damaged-<milliseconds>` and
    /// reported, and the table starts empty; a file of a newer format is an error.
    pub(crate) fn load(&self) -> Result<RouteTable, GatewayError> {
        let bytes = match read_bounded(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(RouteTable::default());
            }
            Err(error) => return Err(GatewayError::file("read", &self.path)(error)),
        };
        match parse(&bytes) {
            Ok(table) => Ok(table),
            Err(Unreadable::Newer(found)) => Err(GatewayError::NewerRouteFile {
                path: self.path.clone(),
                found,
                supported: FORMAT,
            }),
            Err(Unreadable::Damaged(reason)) => {
                self.move_aside(&reason)?;
                Ok(RouteTable::default())
            }
        }
    }

    fn move_aside(&self, reason: &str) -> Result<(), GatewayError> {
        let stamp = clock::unix_ms();
        let free = (0..1000_u32)
            .map(|n| with_suffix(&self.path, &format!(".damaged-{stamp}-{n:03}")))
            .find(|path| !path.exists());
        let aside = free.unwrap_or_else(|| with_suffix(&self.path, ".damaged-"));
        std::fs::rename(&self.path, &aside)
            .and_then(|()| flush_folder(&self.path))
            .map_err(GatewayError::file("move aside the damaged", &self.path))?;
        tracing::error!(
            file = %self.path.display(),
            kept_as = %aside.display(),
            reason,
            "the route file is damaged; it was moved aside and the gateway starts without routes"
        );
        Ok(())
    }
}

enum Unreadable {
    Newer(u64),
    Damaged(String),
}

fn parse(bytes: &[u8]) -> Result<RouteTable, Unreadable> {
    let damaged = |error: serde_json::Error| Unreadable::Damaged(error.to_string());
    let FormatOnly { format } = serde_json::from_slice(bytes).map_err(damaged)?;
    if format > FORMAT {
        return Err(Unreadable::Newer(format));
    }
    if format < OLDEST_FORMAT {
        return Err(Unreadable::Damaged(format!(
            "there never was a format {format}"
        )));
    }
    let content: Content = serde_json::from_slice(bytes).map_err(damaged)?;
    RouteTable::from_parts(content.routes, content.removed).map_err(Unreadable::Damaged)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("larger than {MAX_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

fn lock(route_file: &Path) -> Result<File, GatewayError> {
    let path = with_suffix(route_file, ".lock");
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let mut file = options
        .open(&path)
        .map_err(GatewayError::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(GatewayError::AlreadyRunning {
                route_file: route_file.to_owned(),
                pid: holder(&mut file),
            });
        }
        Err(TryLockError::Error(error)) => return Err(GatewayError::file("lock", &path)(error)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(GatewayError::file("write", &path))?;
    Ok(file)
}

/// The process number in a lock file that somebody else holds.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(32).read_to_string(&mut text);
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => pid.to_string(),
        (Ok(_) | Err(_), _) => "unknown".to_owned(),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// A rename is only durable once its folder is.
fn flush_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

#[cfg(test)]
#[path = "route_file_tests.rs"]
mod tests;
