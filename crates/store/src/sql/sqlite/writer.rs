//! Writing with group commit.
//!
//! Writers take turns at one connection, first come, first served. Each does its part of the open transaction, all but
//! the first inside a savepoint, and then waits; whoever finds nobody behind commits for all. While a commit is on its
//! way to the disk the next writers gather. A lone writer commits at once. Nobody hears of success before the commit is
//! there.

use std::ops::AsyncFnOnce;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::StoreError;
use crate::sql::sqlite::connect::BUSY;
use crate::sql::sqlite::desk::{Desk, Turn};
use crate::sql::{DatabaseError, Tx, sqlite};

/// How long a caller waits for its turn in this process.
const TURN: Duration = Duration::from_secs(30);
/// How often to look whether another process has finished its write.
const BUSY_POLL: Duration = Duration::from_millis(2);

/// The one that writes. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    desk: Arc<Mutex<Desk>>,
    queue: Arc<Queue>,
}

/// How many wait for a turn.
#[derive(Debug, Default)]
struct Queue(AtomicUsize);

/// Somebody in the queue, until dropped.
struct Place<'q>(&'q Queue);

impl Queue {
    fn enter(&self) -> Place<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Place(self)
    }

    fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Writer {
    pub(crate) fn new(desk: Desk) -> Self {
        Self {
            desk: Arc::new(Mutex::new(desk)),
            queue: Arc::default(),
        }
    }

    /// Runs `work` and gives its result once it is committed. Nothing but the database is awaited inside, so on
    /// SQLite it runs to its end at once.
    ///
    /// A refusal is also told only after the commit: it may rest on what others in the batch have written.
    pub(crate) async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut turn = self.turn().await?;
        begin(&mut turn).await?;
        let outcome = turn.begin_part()?;
        let mut tx = Tx::Sqlite(sqlite::Tx::writing(turn));
        let result = work(&mut tx).await;
        self.hand_on(tx, &result)?;
        outcome.wait().await?;
        result
    }

    /// Waits until it is the caller's turn; first come, first served.
    pub(crate) async fn turn(&self) -> Result<Turn, DatabaseError> {
        let place = self.queue.enter();
        let desk = tokio::time::timeout(TURN, Arc::clone(&self.desk).lock_owned()).await;
        drop(place);
        let waited_s = TURN.as_secs();
        let desk = desk.map_err(|_| DatabaseError::NoTurn { waited_s })?;
        Ok(Turn::new(desk))
    }

    /// Ends the part; commits, or leaves that to a committer behind those who wait already.
    fn hand_on<T>(&self, tx: Tx, result: &Result<T, StoreError>) -> Result<(), DatabaseError> {
        let turn = match tx {
            Tx::Sqlite(tx) => tx.into_turn(),
            Tx::Postgres(_) => None,
        };
        let mut turn = turn.ok_or(DatabaseError::Unknown)?;
        let cause = match result {
            Err(StoreError::Database(cause)) => Some(cause),
            Ok(_) | Err(_) => None,
        };
        turn.end_part(result.is_ok(), cause);
        let last = turn.desk.last;
        let Some(batch) = &mut turn.desk.batch else {
            return Ok(());
        };
        // After a commit for several they come back one after the other: the first one should not go alone.
        if batch.is_full() || (self.queue.is_empty() && last <= 1) {
            let turn = turn.committing();
            tokio::task::spawn_blocking(move || turn.commit());
        } else if !batch.has_committer() {
            let committer = tokio::spawn(commit_later(Arc::clone(&self.desk)));
            batch.committer = Some(committer.abort_handle());
        }
        Ok(())
    }

    /// Commits what is open and closes the connection. Later calls are refused.
    pub(crate) async fn close(&self) {
        let mut desk = Arc::clone(&self.desk).lock_owned().await;
        let closed = tokio::task::spawn_blocking(move || desk.close());
        if let Err(error) = closed.await {
            tracing::warn!(%error, "the database was not closed in order");
        }
    }
}

/// Opens a transaction unless one is open; waits while another process writes.
async fn begin(turn: &mut Turn) -> Result<(), DatabaseError> {
    let since = Instant::now();
    while !turn.begin()? {
        if since.elapsed() >= BUSY {
            return Err(DatabaseError::Sqlite {
                code: rusqlite::ffi::SQLITE_BUSY,
                message: "another process is writing".to_owned(),
            });
        }
        tokio::time::sleep(BUSY_POLL).await;
    }
    Ok(())
}

/// Commits for everybody who has come until then.
async fn commit_later(desk: Arc<Mutex<Desk>>) {
    // Those who were woken just now first get to their place in the queue.
    tokio::task::yield_now().await;
    let turn = Turn::new(desk.lock_owned().await).committing();
    tokio::task::spawn_blocking(move || turn.commit());
}
