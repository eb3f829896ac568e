//! Numbers for log lines, events and audit entries, and the links of the latter two.
//!
//! They are committed without one, so that no transaction waits for another at a counter. One sequencer at a time (whoever
//! holds the lock) numbers what is committed, without gaps; readers see what has a number. An event and an audit entry are linked in the
//! statement that numbers them: there is no moment at which one is read that is not in its chain.

use std::sync::Arc;
use std::time::Duration;

use proximity_domain::audit::{Chained as _, Head, Link};
use serde::Serialize;
use sqlx::postgres::{PgConnection, PgPool};
use tokio::sync::{Mutex, Notify, watch};

use crate::audit_chain::{self, head_of};
use crate::error::StoreError;
use crate::events_chain;
use crate::row::{Columns, to_json};
use crate::sql::postgres::pool::begin;
use crate::sql::postgres::statement::run;
use crate::sql::{DatabaseError, Row, Value};

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

const NUMBER: &str = number!("log_lines");

macro_rules! link {
    ($table:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " AS t SET seq = n.seq, link = n.link \
             FROM json_to_recordset($1::text::json) AS n (id BIGINT, seq BIGINT, link TEXT) WHERE t.id = n.id"
        )
    };
}

/// A journal that is a chain: its rows get their links with their numbers.
pub(super) struct Linking {
    newest: &'static str,
    unnumbered: &'static str,
    unlinked: &'static str,
    /// A page of rows gets its numbers and links.
    link: &'static str,
    /// The link of a row that has this number, behind another one.
    link_of: fn(&Row, i64, Link) -> Result<Link, StoreError>,
}

pub(super) const AUDIT: Linking = Linking {
    newest: audit_chain::NEWEST,
    unnumbered: audit_chain::UNNUMBERED,
    unlinked: audit_chain::UNLINKED,
    link: link!("audit"),
    link_of: |row, seq, previous| Ok(audit_chain::entry_of(row, seq)?.link(previous)),
};

pub(super) const EVENTS: Linking = Linking {
    newest: events_chain::NEWEST,
    unnumbered: events_chain::UNNUMBERED,
    unlinked: events_chain::UNLINKED,
    link: link!("events"),
    link_of: |row, seq, previous| Ok(events_chain::entry_of(row, seq)?.link_behind(previous)),
};

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
    loop {
        let numbered = run(&mut tx, NUMBER, &[]).await?.changed;
        rows += numbered;
        if numbered < AT_ONCE {
            break;
        }
    }
    for linking in [&EVENTS, &AUDIT] {
        rows += number_linked(&mut tx, linking).await?;
    }
    tx.commit().await?;
    Ok(rows)
}

/// Numbers and links the rows that have no number, page by page behind the newest one; gives how many there were. The caller
/// holds the lock.
async fn number_linked(
    connection: &mut PgConnection,
    linking: &Linking,
) -> Result<u64, DatabaseError> {
    let (mut rows, mut head) = (0, None);
    loop {
        let page = run(connection, linking.unnumbered, &[]).await?.rows;
        if page.is_empty() {
            return Ok(rows);
        }
        let behind = match head {
            Some(head) => head,
            None => newest(connection, linking).await?,
        };
        let (changed, last) = link(connection, linking, &page, behind).await?;
        rows += changed;
        head = Some(last);
    }
}

/// Links the rows that were numbered before there was a chain, page by page in the order of their numbers. The caller is alone.
pub(super) async fn link_numbered(
    connection: &mut PgConnection,
    linking: &Linking,
) -> Result<(), DatabaseError> {
    let mut head = Head::NONE;
    loop {
        let after = [Value::from(head.seq)];
        let page = run(connection, linking.unlinked, &after).await?.rows;
        if page.is_empty() {
            return Ok(());
        }
        (_, head) = link(connection, linking, &page, head).await?;
    }
}

/// Links a page behind `head`; gives how many rows were written, and the last of them.
async fn link(
    connection: &mut PgConnection,
    linking: &Linking,
    page: &[Row],
    head: Head,
) -> Result<(u64, Head), DatabaseError> {
    let (links, last) = links(linking, page, head).map_err(misfit)?;
    let written = run(connection, linking.link, &[Value::from(links)]).await?;
    Ok((written.changed, last))
}

async fn newest(connection: &mut PgConnection, linking: &Linking) -> Result<Head, DatabaseError> {
    let newest = run(connection, linking.newest, &[]).await?.rows;
    let head = newest.first().map_or(Ok(Head::NONE), head_of);
    head.map_err(misfit)
}

/// What becomes of one row.
#[derive(Serialize)]
struct Linked {
    id: i64,
    seq: i64,
    link: String,
}

/// The rows of a page with their numbers and links, as JSON, and the last of them.
fn links(linking: &Linking, page: &[Row], mut head: Head) -> Result<(String, Head), StoreError> {
    let mut linked = Vec::with_capacity(page.len());
    for row in page {
        let next = head.seq.saturating_add(1);
        let seq = row.int_opt("seq")?.unwrap_or(next);
        let link = (linking.link_of)(row, seq, head.link)?;
        head = Head { seq, link };
        linked.push(Linked {
            id: row.int("id")?,
            seq,
            link: link.to_string(),
        });
    }
    Ok((to_json("links", &linked)?, head))
}

/// A row that is not as it was written: nothing can be numbered behind it.
fn misfit(error: StoreError) -> DatabaseError {
    match error {
        StoreError::Database(error) => error,
        other => DatabaseError::Misfit(other.to_string()),
    }
}
