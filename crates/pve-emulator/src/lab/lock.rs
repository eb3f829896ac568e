//! Advisory file locks: the kernel drops them when their holder dies, so none can be stale.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::LabError;
use super::template::blocking;

/// Takes the lock if it is free; `None` means that somebody else holds it.
///
/// # Errors
/// The lock file cannot be opened.
pub(crate) fn try_lock_exclusive(path: &Path) -> Result<Option<File>, LabError> {
    let what = || format!("lock {}", path.display());
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(LabError::io(what()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(LabError::io(what())(errno.into())),
    }
}

/// Waits for the lock, saying `why` once if it is taken.
///
/// # Errors
/// The lock file cannot be opened.
pub(crate) async fn lock_exclusive(path: &Path, why: &'static str) -> Result<File, LabError> {
    if let Some(file) = try_lock_exclusive(path)? {
        return Ok(file);
    }
    tracing::info!(lock = %path.display(), "{why}");
    let path = path.to_owned();
    blocking(move || {
        let what = format!("lock {}", path.display());
        let file = File::open(&path).map_err(LabError::io(what.clone()))?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|errno| LabError::io(what)(errno.into()))?;
        Ok(file)
    })
    .await
}
