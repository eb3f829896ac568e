//! The key file: 32 random bytes as hexadecimal text, outside of the database, for its owner's eyes only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::StoreError;

/// More than a key file ever holds.
const MAX_FILE_BYTES: u64 = 4096;
const LOCK_POLL_MS: u64 = 25;
/// Long enough for another process to copy and migrate a large database.
const LOCK_WAIT_MS: u64 = 120_000;

/// A key and its open file.
pub(crate) struct KeyFile {
    path: PathBuf,
    file: File,
    /// The key.
    pub(crate) key: Zeroizing<[u8; 32]>,
}

/// Random bytes from the operating system: the one place where the store draws any.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|why| StoreError::Key {
        path: "the system's random numbers".to_owned(),
        why: why.to_string(),
    })?;
    Ok(bytes)
}

impl KeyFile {
    /// Reads the key file; makes it when it is missing and `may_make`.
    ///
    /// Two processes that make it at once end up with the same key: the file appears whole or not at all.
    pub(crate) fn load(path: &Path, may_make: bool) -> Result<Self, StoreError> {
        match File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(e) if e.kind() == ErrorKind::NotFound && may_make => {
                make(path)?;
                Self::read(path, File::open(path).map_err(at(path))?)
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Err(refused(
                path,
                "it is missing, but the database is there; put it back from a backup",
            )),
            Err(e) => Err(at(path)(e)),
        }
    }

    fn read(path: &Path, file: File) -> Result<Self, StoreError> {
        let found = file.metadata().map_err(at(path))?;
        if !found.is_file() {
            return Err(refused(path, "it is not a regular file"));
        }
        if found.mode() & 0o077 != 0 {
            let mode = found.mode() & 0o777;
            let why = format!("others may read it (mode {mode:03o}); set it to 600");
            return Err(refused(path, &why));
        }
        let mut text = Zeroizing::new(String::new());
        let bytes = (&file).take(MAX_FILE_BYTES).read_to_string(&mut text);
        bytes.map_err(at(path))?;
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), key.as_mut_slice())
            .map_err(|_| refused(path, "it does not hold a key of 64 hexadecimal digits"))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            key,
        })
    }

    /// Waits until no other process is opening the store; the lock goes when this is dropped.
    pub(crate) async fn lock(&self) -> Result<(), StoreError> {
        for _ in 0..LOCK_WAIT_MS / LOCK_POLL_MS {
            match self.file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => {
                    tokio::time::sleep(Duration::from_millis(LOCK_POLL_MS)).await;
                }
                Err(TryLockError::Error(e)) => return Err(at(&self.path)(e)),
            }
        }
        Err(refused(
            &self.path,
            "another process has been opening the store for too long",
        ))
    }
}

/// Writes a new key beside `path`, then links it there: a half-written key is never seen under its name.
fn make(path: &Path) -> Result<(), StoreError> {
    let key = Zeroizing::new(random::<32>()?);
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".new-{}", hex::encode(random::<8>()?)));
    let beside = PathBuf::from(beside);
    let written = write_new(&beside, hex::encode(key.as_slice()) + "\n");
    let linked = written.and_then(|()| match std::fs::hard_link(&beside, path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let removed = std::fs::remove_file(&beside);
    linked.map_err(at(path))?;
    removed.map_err(at(&beside))?;
    keep_entry(path)
}

fn write_new(path: &Path, text: String) -> std::io::Result<()> {
    let text = Zeroizing::new(text);
    let mut file = private().create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Opens for writing; what is created is for its owner only.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Makes the directory entry of `path` survive a power loss.
pub(crate) fn keep_entry(path: &Path) -> Result<(), StoreError> {
    let parent = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        Some(_) | None => Path::new("."),
    };
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(at(parent))
}

pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError + '_ {
    move |source| StoreError::File {
        path: path.display().to_string(),
        source,
    }
}

pub(crate) fn refused(path: &Path, why: &str) -> StoreError {
    StoreError::Key {
        path: path.display().to_string(),
        why: why.to_owned(),
    }
}
