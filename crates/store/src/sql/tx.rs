//! Transactions and where they come from, whichever database it is.

use std::ops::AsyncFnOnce;

use proximity_domain::audit::{Chain, Head};

use crate::error::StoreError;
use crate::sql::query::{Answer, On};
use crate::sql::{Sql, Value, postgres, sqlite};
use crate::usage::StoreUsage;

/// An open transaction: what statements run on.
#[derive(Debug)]
pub(crate) enum Tx {
    Sqlite(sqlite::Tx),
    Postgres(postgres::Tx),
}

impl Tx {
    /// Journals are numbered as they are written. Elsewhere a sequencer does it afterwards.
    pub(crate) fn numbers_at_once(&self) -> bool {
        match self {
            Self::Sqlite(_) => true,
            Self::Postgres(_) => false,
        }
    }

    /// Where a chain ends, if a writer of the open transaction has noted it.
    pub(crate) fn head(&self, chain: Chain) -> Option<Head> {
        match self {
            Self::Sqlite(tx) => tx.head(chain),
            // The sequencer adds to it, in a transaction of its own.
            Self::Postgres(_) => None,
        }
    }

    /// Notes where a chain ends now. It is forgotten with the transaction, or with the part of it that is taken back.
    pub(crate) fn note_head(&mut self, chain: Chain, head: Head) {
        match self {
            Self::Sqlite(tx) => tx.note_head(chain, head),
            Self::Postgres(_) => {}
        }
    }
}

impl On for &mut Tx {
    async fn run(self, sql: Sql, values: &[Value<'_>]) -> Result<Answer, StoreError> {
        match self {
            Tx::Sqlite(tx) => Ok(tx.run(sql.sqlite, values)?),
            Tx::Postgres(tx) => Ok(tx.run(sql.postgres, values).await?),
        }
    }
}

/// Connections that only read.
#[derive(Debug, Clone)]
pub(crate) enum Readers {
    Sqlite(sqlite::Readers),
    Postgres(postgres::Readers),
}

impl Readers {
    /// Runs `work` on one snapshot.
    pub(crate) async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut tx = match self {
            Self::Sqlite(readers) => Tx::Sqlite(readers.begin().await?),
            Self::Postgres(readers) => Tx::Postgres(readers.begin().await?),
        };
        work(&mut tx).await
    }

    /// Connections, and bytes where they are those of a file.
    pub(crate) fn usage(&self) -> StoreUsage {
        match self {
            Self::Sqlite(readers) => readers.usage(),
            Self::Postgres(readers) => readers.usage(),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(readers) => readers.close().await,
            Self::Postgres(readers) => readers.close().await,
        }
    }
}

impl On for &Readers {
    async fn run(self, sql: Sql, values: &[Value<'_>]) -> Result<Answer, StoreError> {
        match self {
            Readers::Sqlite(readers) => Ok(readers.begin().await?.run(sql.sqlite, values)?),
            Readers::Postgres(readers) => Ok(readers.run(sql.postgres, values).await?),
        }
    }
}

/// The way to write.
#[derive(Debug, Clone)]
pub(crate) enum Writer {
    Sqlite(sqlite::Writer),
    Postgres(postgres::Writer),
}

impl Writer {
    /// Runs `work` as if alone among all writers; gives its result when it is committed. On PostgreSQL it may run
    /// several times: only the last one counts.
    pub(crate) async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError> + Clone,
    ) -> Result<T, StoreError> {
        match self {
            Self::Sqlite(writer) => writer.write(work).await,
            Self::Postgres(writer) => writer.write(work).await,
        }
    }

    /// Waits until everything that is committed has its number and can be read.
    pub(crate) async fn number(&self) -> Result<(), StoreError> {
        match self {
            // Numbered as it is written.
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(writer) => Ok(writer.number().await?),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(writer) => writer.close().await,
            Self::Postgres(writer) => writer.close().await,
        }
    }
}
