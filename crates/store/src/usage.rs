//! What the store takes of the machine, and how busy it is.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::StoreError;
use crate::sql::query_scalar;
use crate::store::Reader;

const SIZE: &str = "SELECT pg_database_size(current_database())";

/// What a store takes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreUsage {
    /// Bytes of the database, with what is on its way into its main file; 0 in memory.
    pub bytes: u64,
    /// Connections somebody works on: those for reading on SQLite, which has one more that writes; all of them on PostgreSQL.
    pub busy: u64,
    /// Connections of the same that are open and free.
    pub idle: u64,
    /// Writes that wait for their turn, or are at work.
    pub writes: u64,
}

/// How many writes are under way.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(AtomicU64);

/// One of them, until dropped.
pub(crate) struct Entered<'u>(&'u UnderWay);

impl UnderWay {
    pub(crate) fn enter(&self) -> Entered<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(self)
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reader {
    /// What the store takes now. Cheap: no row is read.
    ///
    /// # Errors
    /// The database's; PostgreSQL tells its size by a statement.
    pub async fn usage(&self) -> Result<StoreUsage, StoreError> {
        let usage = StoreUsage {
            writes: self.shared.writes.count(),
            ..self.connections()
        };
        if !self.is_on_a_server() {
            return Ok(usage);
        }
        let size: i64 = query_scalar(SIZE).fetch_one(self.named("usage")).await?;
        Ok(StoreUsage {
            bytes: u64::try_from(size).unwrap_or_default(),
            ..usage
        })
    }
}
