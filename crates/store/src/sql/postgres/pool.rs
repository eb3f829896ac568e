//! Reading and writing beside each other.
//!
//! Writers run serializable, so each may think that it is alone; one that could not have been gets an error of
//! PostgreSQL and is run again from its beginning, and then shuts the others out, so it always gets through.

use std::ops::AsyncFnOnce;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Transaction;
use sqlx::postgres::{PgDatabaseError, PgPool, PgSeverity, Postgres};
use tokio::sync::{Mutex, Notify, watch};

use crate::error::StoreError;
use crate::opening;
use crate::sql::postgres::{Alone, Sequencer, Target, statement};
use crate::sql::query::Answer;
use crate::sql::{self, DatabaseError, Value};
use crate::usage::StoreUsage;

/// Tries before the others are shut out.
const BESIDE: u32 = 1;
/// Tries in all.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(5);
/// For how long a commit is looked up whose answer was lost.
const LOOK: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

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

/// Begins a transaction. A caller that goes away meanwhile has it ended after it has begun: the driver forgets one that is
/// given up halfway, and what comes next on that connection would be inside of it.
pub(crate) async fn begin(
    pool: &PgPool,
    how: &'static str,
) -> Result<Transaction<'static, Postgres>, DatabaseError> {
    let pool = pool.clone();
    let beginning = tokio::spawn(async move { pool.begin_with(how).await });
    Ok(beginning.await.map_err(|_| DatabaseError::Closed)??)
}

/// Reads snapshots.
#[derive(Debug, Clone)]
pub(crate) struct Readers(PgPool);

impl Readers {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self(pool)
    }

    pub(crate) async fn begin(&self) -> Result<Tx, DatabaseError> {
        let how = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(Tx(begin(&self.0, how).await?))
    }

    /// One statement, which is a snapshot of its own.
    pub(crate) async fn run(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Answer, DatabaseError> {
        statement::run(&mut *self.0.acquire().await?, sql, values).await
    }

    pub(crate) fn usage(&self) -> StoreUsage {
        let idle = u64::try_from(self.0.num_idle()).unwrap_or(u64::MAX);
        StoreUsage {
            busy: u64::from(self.0.size()).saturating_sub(idle),
            idle,
            ..StoreUsage::default()
        }
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
    /// Moved on by each commit, and by numbers that were given.
    commits: watch::Sender<u64>,
    sequencer: Sequencer,
}

impl Writer {
    pub(crate) fn new(
        pool: PgPool,
        target: Target,
        alone: Alone,
        commits: watch::Sender<u64>,
    ) -> Self {
        let committed = Arc::new(Notify::new());
        let sequencer = Sequencer::start(pool.clone(), Arc::clone(&committed), commits.clone());
        Self {
            pool,
            target: Arc::new(target),
            alone: Arc::new(Mutex::new(Some(alone))),
            committed,
            commits,
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
        opening::begins();
        let mut tx = Tx(begin(&self.pool, "BEGIN ISOLATION LEVEL SERIALIZABLE").await?);
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
                self.commit_aside(tx, named).await?;
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

    /// Commits and tells of it, also to nobody: a caller that is dropped takes back neither. What may be committed is told of as
    /// what is: nobody else would, and who keeps a copy would never read it.
    async fn commit_aside(&self, tx: Tx, named: Answer) -> Result<(), DatabaseError> {
        let writer = self.clone();
        let committing = tokio::spawn(async move {
            let ended = writer.commit(tx, &named).await;
            if may_be_there(&ended) {
                writer
                    .commits
                    .send_modify(|commits| *commits = commits.wrapping_add(1));
                writer.committed.notify_one();
            }
            ended
        });
        committing.await.unwrap_or(Err(DatabaseError::Unknown))
    }

    /// A commit whose answer was lost is looked up by its number, never sent again.
    async fn commit(&self, tx: Tx, named: &Answer) -> Result<(), DatabaseError> {
        let Err(error) = tx.0.commit().await else {
            return Ok(());
        };
        if is_refusal(&error) {
            return Err(error.into());
        }
        tracing::warn!(%error, "the answer to a commit was lost; looking it up");
        let id = named.rows.first().and_then(|row| row.first().ok());
        let Some(Value::Text(id)) = id else {
            return Err(DatabaseError::Unknown);
        };
        match tokio::time::timeout(LOOK, self.became_of(id)).await {
            Ok(Became::Committed) => Ok(()),
            Ok(Became::Aborted) => Err(error.into()),
            Ok(Became::Forgotten) | Err(_) => Err(DatabaseError::Unknown),
        }
    }

    /// What became of a transaction, asked until it has ended and the server says so.
    async fn became_of(&self, id: &str) -> Became {
        let sql = "SELECT pg_xact_status($1::text::xid8) AS status";
        let readers = Readers(self.pool.clone());
        loop {
            match readers.run(sql, &[Value::from(id)]).await {
                Ok(answer) => match answer.rows.first().and_then(|row| row.first().ok()) {
                    Some(Value::Text(status)) if status == "committed" => return Became::Committed,
                    Some(Value::Text(status)) if status == "aborted" => return Became::Aborted,
                    // The server has not yet seen that nobody waits for its answer any more.
                    Some(Value::Text(_)) => {}
                    Some(_) | None => return Became::Forgotten,
                },
                Err(error) => tracing::warn!(%error, "could not look a commit up; trying again"),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
        if let Some(alone) = self.alone.lock().await.take() {
            alone.close().await;
        }
    }
}

/// Whether a commit that ended so may have been done.
fn may_be_there(ended: &Result<(), DatabaseError>) -> bool {
    matches!(ended, Ok(()) | Err(DatabaseError::Unknown))
}

/// What became of a transaction.
enum Became {
    Committed,
    Aborted,
    /// It is too old to be known.
    Forgotten,
}

/// The server's no, after which the session goes on. What ends the session may have come after the commit was done.
fn is_refusal(error: &sqlx::Error) -> bool {
    let said = error.as_database_error();
    let said = said.and_then(|e| e.try_downcast_ref::<PgDatabaseError>());
    said.is_some_and(|e| !matches!(e.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_of_which_nothing_is_known_is_told_of_and_a_refused_one_is_not() {
        assert!(may_be_there(&Ok(())));
        assert!(may_be_there(&Err(DatabaseError::Unknown)));
        assert!(!may_be_there(&Err(DatabaseError::Closed)));
    }
}
