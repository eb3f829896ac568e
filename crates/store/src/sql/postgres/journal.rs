//! Numbers for log lines, events and audit entries.
//!
//! They are committed without one, so that no transaction waits for another at a counter. One sequencer at a time (whoever
//! holds the lock) numbers what is committed, without gaps; readers see what has a number.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgPool;
use tokio::sync::{Mutex, Notify, watch};

use crate::sql::DatabaseError;
use crate::sql::postgres::pool::begin;
use crate::sql::postgres::statement::run;

/// Also without having heard of a commit: another process may have written and died.
const EVERY: Duration = Duration::from_millis(500);
const LOCK: &str = "SELECT pg_advisory_xact_lock(7640, 1)::text";

macro_rules! at_once {
    () => {
        10_000
    };
}

/// How many rows one statement numbers.
const AT_ONCE: u64 = at_once!();

macro_rules! number {
    ($table:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " AS t SET seq = n.seq FROM (SELECT id, (SELECT COALESCE(MAX(seq), 0) FROM ",
            $table,
            ") + ROW_NUMBER() OVER (ORDER BY id) AS seq FROM ",
            $table,
            " WHERE seq IS NULL ORDER BY id LIMIT ",
            at_once!(),
            ") AS n WHERE t.id = n.id"
        )
    };
}

const NUMBER: [&str; 3] = [number!("log_lines"), number!("events"), number!("audit")];

/// Numbers in the background until dropped.
#[derive(Debug, Clone)]
pub(crate) struct Sequencer {
    numberer: Arc<Numberer>,
    _task: Arc<Ending>,
}

#[derive(Debug)]
struct Numberer {
    pool: PgPool,
    numbered: watch::Sender<u64>,
    /// Numbers and bell are one: who waited for the numbers has heard the bell.
    turn: Mutex<()>,
}

#[derive(Debug)]
struct Ending(tokio::task::JoinHandle<()>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Sequencer {
    /// `numbered` is moved on when rows got their numbers: whoever waits for commits reads what is numbered.
    pub(crate) fn start(
        pool: PgPool,
        committed: Arc<Notify>,
        numbered: watch::Sender<u64>,
    ) -> Self {
        let turn = Mutex::default();
        let numberer = Arc::new(Numberer {
            pool,
            numbered,
            turn,
        });
        let task = tokio::spawn(keep_on(Arc::clone(&numberer), committed));
        Self {
            numberer,
            _task: Arc::new(Ending(task)),
        }
    }

    /// Numbers everything that is committed now.
    pub(crate) async fn number(&self) -> Result<(), DatabaseError> {
        self.numberer.number().await
    }
}

impl Numberer {
    async fn number(&self) -> Result<(), DatabaseError> {
        let _turn = self.turn.lock().await;
        if number(&self.pool).await? > 0 {
            self.numbered.send_modify(|n| *n = n.wrapping_add(1));
        }
        Ok(())
    }
}

async fn keep_on(numberer: Arc<Numberer>, committed: Arc<Notify>) {
    loop {
        // Either way there may be something; a missed ring costs half a second.
        let _ = tokio::time::timeout(EVERY, committed.notified()).await;
        if numberer.pool.is_closed() {
            return;
        }
        if let Err(error) = numberer.number().await {
            tracing::warn!(%error, "could not number events; trying again");
        }
    }
}

/// Gives how many rows got their number.
async fn number(pool: &PgPool) -> Result<u64, DatabaseError> {
    // Each statement sees what was committed when it began: the lock comes first. That is so at this level alone, and the
    // database's own default may be another one.
    let mut tx = begin(pool, "BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    run(&mut tx, LOCK, &[]).await?;
    let mut rows = 0;
    for sql in NUMBER {
        loop {
            let numbered = run(&mut tx, sql, &[]).await?.changed;
            rows += numbered;
            if numbered < AT_ONCE {
                break;
            }
        }
    }
    tx.commit().await?;
    Ok(rows)
}
