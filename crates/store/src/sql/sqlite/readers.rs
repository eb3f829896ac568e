//! A few connections that read, each with a snapshot of its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sql::DatabaseError;
use crate::sql::sqlite::Tx;
use crate::sql::sqlite::connect::connect_reader;
use crate::sql::sqlite::statement::Session;
use crate::usage::StoreUsage;

/// Connections at most.
const READERS: u32 = 4;
/// How long a caller waits for a connection.
const TURN: Duration = Duration::from_secs(30);

/// The pool. Connections are opened when they are needed and kept.
#[derive(Debug, Clone)]
pub(crate) struct Readers {
    path: Arc<PathBuf>,
    free: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Session>>>,
}

/// A connection with a snapshot; ends the one and gives back the other when dropped.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Always there until the drop.
    connection: Option<Session>,
    idle: Arc<Mutex<Vec<Session>>>,
    _permit: OwnedSemaphorePermit,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        let free = usize::try_from(READERS).unwrap_or(1);
        Self {
            path: Arc::new(path),
            free: Arc::new(Semaphore::new(free)),
            idle: Arc::default(),
        }
    }

    pub(crate) async fn begin(&self) -> Result<Tx, DatabaseError> {
        let permit = tokio::time::timeout(TURN, Arc::clone(&self.free).acquire_owned());
        let permit = match permit.await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(DatabaseError::Closed),
            Err(_) => {
                let waited_s = TURN.as_secs();
                return Err(DatabaseError::NoTurn { waited_s });
            }
        };
        let idle = lock(&self.idle).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => Session::new(connect_reader(&self.path)?),
        };
        connection.run("BEGIN", &[])?;
        Ok(Tx::reading(Snapshot {
            connection: Some(connection),
            idle: Arc::clone(&self.idle),
            _permit: permit,
        }))
    }

    pub(crate) fn usage(&self) -> StoreUsage {
        let busy = usize::try_from(READERS)
            .unwrap_or_default()
            .saturating_sub(self.free.available_permits());
        StoreUsage {
            bytes: bytes_of(&self.path),
            busy: count(busy),
            idle: count(lock(&self.idle).len()),
            ..StoreUsage::default()
        }
    }

    /// Waits for those at work, then closes all.
    pub(crate) async fn close(&self) {
        let all = self.free.acquire_many(READERS).await;
        self.free.close();
        drop(all);
        lock(&self.idle).clear();
    }
}

impl Snapshot {
    pub(crate) fn connection(&self) -> Result<&Session, DatabaseError> {
        self.connection.as_ref().ok_or(DatabaseError::Closed)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        // One that cannot end its snapshot is closed instead, which ends it, too.
        if connection.run("ROLLBACK", &[]).is_ok() {
            lock(&self.idle).push(connection);
        }
    }
}

/// The file and the log beside it, as far as they are there.
fn bytes_of(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    size(path).saturating_add(size(Path::new(&log)))
}

fn count(connections: usize) -> u64 {
    u64::try_from(connections).unwrap_or(u64::MAX)
}

/// The list is whole whatever happened while it was locked.
fn lock(idle: &Mutex<Vec<Session>>) -> std::sync::MutexGuard<'_, Vec<Session>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
