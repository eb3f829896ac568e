//! Transactions and where they come from, whichever database it is.

use std::ops::AsyncFnOnce;

use crate::error::StoreError;
use crate::sql::query::{Answer, On};
use crate::sql::{Value, sqlite};

/// An open transaction: what statements run on.
#[derive(Debug)]
pub(crate) enum Tx {
    Sqlite(sqlite::Tx),
}

impl On for &mut Tx {
    async fn run(self, sql: &'static str, values: &[Value<'_>]) -> Result<Answer, StoreError> {
        match self {
            Tx::Sqlite(tx) => Ok(tx.run(sql, values)?),
        }
    }
}

/// Connections that only read.
#[derive(Debug, Clone)]
pub(crate) enum Readers {
    Sqlite(sqlite::Readers),
}

impl Readers {
    /// Runs `work` on one snapshot.
    pub(crate) async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self {
            Self::Sqlite(readers) => {
                let mut tx = Tx::Sqlite(readers.begin().await?);
                work(&mut tx).await
            }
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(readers) => readers.close().await,
        }
    }
}

impl On for &Readers {
    async fn run(self, sql: &'static str, values: &[Value<'_>]) -> Result<Answer, StoreError> {
        match self {
            Readers::Sqlite(readers) => Ok(readers.begin().await?.run(sql, values)?),
        }
    }
}

/// The way to write.
#[derive(Debug, Clone)]
pub(crate) enum Writer {
    Sqlite(sqlite::Writer),
}

impl Writer {
    /// Runs `work` alone among all writers; gives its result when it is committed.
    pub(crate) async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self {
            Self::Sqlite(writer) => writer.write(work).await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(writer) => writer.close().await,
        }
    }
}
