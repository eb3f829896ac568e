//! The store: one writer, many readers.

use std::ops::{AsyncFnOnce, Deref};
use std::sync::Arc;

use proximity_domain::ids::InstallationId;
use proximity_domain::ports::PortRange;
use sqlx::{SqliteConnection, SqlitePool};

use crate::error::StoreError;
use crate::seal::Sealer;

/// Reads what is committed. Cheap to clone; cannot write: its connections are opened read-only.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
}

/// What readers and the writer have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) readers: SqlitePool,
    pub(crate) sealer: Sealer,
    pub(crate) installation: InstallationId,
    pub(crate) public: PortRange,
    pub(crate) internal: PortRange,
    pub(crate) rest_ms: i64,
}

/// Durable state. Cheap to clone; offers everything that [`Reader`] does.
///
/// Every method is one transaction: when it returns without an error, what it says is on disk and survives kill -9
/// and power loss; when it returns an error, nothing was written. Writes wait for each other: up to 30 s for their
/// turn in this process, up to 10 s for another process. A call that is dropped commits whole or not at all.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) reader: Reader,
    pub(crate) writer: SqlitePool,
}

impl Deref for Store {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl Reader {
    /// The installation this database belongs to; part of every mark.
    #[must_use]
    pub fn installation(&self) -> InstallationId {
        self.shared.installation
    }

    /// Runs `work` on one snapshot of the database.
    pub(crate) async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut tx = self.shared.readers.begin().await?;
        let result = work(&mut tx).await;
        tx.rollback().await?;
        result
    }
}

impl Store {
    /// A view that cannot write.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// The one way to write: `work` runs alone among all writers and is committed whole or not at all.
    ///
    /// Nothing but the database is awaited inside. If the future is dropped, the transaction is rolled back.
    pub(crate) async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // IMMEDIATE takes the write lock at once: a transaction that begins as a reader cannot wait for it later.
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        match work(&mut tx).await {
            Ok(value) => {
                tx.commit().await?;
                Ok(value)
            }
            Err(error) => {
                tx.rollback().await?;
                Err(error)
            }
        }
    }

    /// How the writer is set: `journal_mode`, `synchronous` and `foreign_keys` as SQLite reports them. For diagnosis.
    ///
    /// # Errors
    /// The database's.
    pub async fn settings(&self) -> Result<(String, i64, i64), StoreError> {
        self.write(async |tx| {
            let journal = sqlx::query_scalar("PRAGMA journal_mode")
                .fetch_one(&mut *tx)
                .await?;
            let synchronous = sqlx::query_scalar("PRAGMA synchronous")
                .fetch_one(&mut *tx)
                .await?;
            let keys = sqlx::query_scalar("PRAGMA foreign_keys")
                .fetch_one(&mut *tx)
                .await?;
            Ok((journal, synchronous, keys))
        })
        .await
    }

    /// Closes all connections; waits for those at work.
    pub async fn close(&self) {
        self.reader.shared.readers.close().await;
        self.writer.close().await;
    }
}
