//! Reading and writing beside each other.
//!
//! Writers run serializable, so each may think that it is alone; one that could not have been gets an error of
//! PostgreSQL and is run again from its beginning, and then shuts the others out, so it always gets through.

use std::ops::AsyncFnOnce;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Transaction;
use sqlx::postgres::{PgPool, Postgres};
use tokio::sync::{Mutex, Notify, watch};

use crate::error::StoreError;
use crate::sql::postgres::{Alone, Sequencer, Target, statement};
use crate::sql::query::Answer;
use crate::sql::{self, DatabaseError, Value};

/// Tries before the others are shut out.
const BESIDE: u32 = 1;
/// Tries in all.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(5);

/// An open transaction.
#[derive(Debug)]
pub(crate) struct Tx(Transaction<'static, Postgres>);

impl Tx {
    pub(crate) async fn run(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Answer, DatabaseError> {
        statement::run(&mut self.0, sql, values).await
    }
}

/// Reads snapshots.
#[derive(Debug, Clone)]
pub(crate) struct Readers(PgPool);

impl Readers {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self(pool)
    }

    pub(crate) async fn begin(&self) -> Result<Tx, DatabaseError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(Tx(self.0.begin_with(begin).await?))
    }

    /// One statement, which is a snapshot of its own.
    pub(crate) async fn run(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Answer, DatabaseError> {
        statement::run(&mut *self.0.acquire().await?, sql, values).await
    }

    pub(crate) async fn close(&self) {
        self.0.close().await;
    }
}

/// Writes.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pool: PgPool,
    target: Arc<Target>,
    /// The right to be the only server, until it is given out.
    alone: Arc<Mutex<Option<Alone>>>,
    /// Rung after each commit: there may be something to number.
    committed: Arc<Notify>,
    sequencer: Sequencer,
}

impl Writer {
    pub(crate) fn new(
        pool: PgPool,
        target: Target,
        alone: Alone,
        numbered: watch::Sender<u64>,
    ) -> Self {
        let committed = Arc::new(Notify::new());
        let sequencer = Sequencer::start(pool.clone(), Arc::clone(&committed), numbered);
        Self {
            pool,
            target: Arc::new(target),
            alone: Arc::new(Mutex::new(Some(alone))),
            committed,
            sequencer,
        }
    }

    /// The right taken when the database was opened; when that was given out, another one, if there is one.
    pub(crate) async fn alone(&self) -> Result<Option<Alone>, DatabaseError> {
        match self.alone.lock().await.take() {
            Some(taken) => Ok(Some(taken)),
            None => Alone::take(&self.target).await,
        }
    }

    pub(crate) async fn number(&self) -> Result<(), DatabaseError> {
        self.sequencer.number().await
    }

    pub(crate) async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut sql::Tx) -> Result<T, StoreError> + Clone,
    ) -> Result<T, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.attempt(work.clone(), tries > BESIDE).await {
                Err(StoreError::Database(DatabaseError::Conflict { .. })) if tries < TRIES => {
                    tokio::time::sleep(PAUSE * tries).await;
                }
                other => return other,
            }
        }
    }

    async fn attempt<T>(
        &self,
        work: impl AsyncFnOnce(&mut sql::Tx) -> Result<T, StoreError>,
        alone: bool,
    ) -> Result<T, StoreError> {
        let begin = "BEGIN ISOLATION LEVEL SERIALIZABLE";
        let tx = self.pool.begin_with(begin).await;
        let mut tx = Tx(tx.map_err(DatabaseError::from)?);
        // LOCK takes no snapshot: who waits here sees afterwards what the others have done.
        let gate = if alone {
            "LOCK TABLE write_gate IN EXCLUSIVE MODE"
        } else {
            "LOCK TABLE write_gate IN ROW SHARE MODE"
        };
        tx.run(gate, &[]).await?;
        let mut tx = sql::Tx::Postgres(tx);
        let result = work(&mut tx).await;
        let sql::Tx::Postgres(mut tx) = tx else {
            return Err(DatabaseError::Unknown.into());
        };
        match result {
            Ok(value) => {
                let named = tx
                    .run("SELECT pg_current_xact_id()::text AS id", &[])
                    .await?;
                self.commit(tx, &named).await?;
                self.committed.notify_one();
                Ok(value)
            }
            Err(error) => {
                // A connection that cannot roll back is given up, which ends the transaction as well.
                if let Err(why) = tx.0.rollback().await {
                    tracing::debug!(%why, "rolled back by closing");
                }
                Err(error)
            }
        }
    }

    /// A commit whose answer was lost is looked up by its number, never sent again.
    async fn commit(&self, tx: Tx, named: &Answer) -> Result<(), DatabaseError> {
        let Err(error) = tx.0.commit().await else {
            return Ok(());
        };
        if let sqlx::Error::Database(_) = &error
            && !is_end_of_session(&error)
        {
            return Err(error.into());
        }
        tracing::warn!(%error, "the answer to a commit was lost; looking it up");
        let id = named.rows.first().and_then(|row| row.first().ok());
        let Some(Value::Text(id)) = id else {
            return Err(DatabaseError::Unknown);
        };
        let sql = "SELECT pg_xact_status($1::text::xid8) AS status";
        let looked = Readers(self.pool.clone())
            .run(sql, &[Value::from(id.as_ref())])
            .await;
        let status = looked.map_err(|_| DatabaseError::Unknown)?;
        match status.rows.first().and_then(|row| row.first().ok()) {
            Some(Value::Text(status)) if status == "committed" => Ok(()),
            Some(Value::Text(status)) if status == "aborted" => Err(error.into()),
            // Still under way, or too old to be known.
            Some(_) | None => Err(DatabaseError::Unknown),
        }
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
        if let Some(alone) = self.alone.lock().await.take() {
            alone.close().await;
        }
    }
}

/// Class 57: the server ends the session, and says so in place of an answer.
fn is_end_of_session(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| code.starts_with("57"))
}
