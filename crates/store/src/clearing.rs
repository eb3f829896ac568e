//! Clearing the journals away: the oldest events, and the steps and lines of operations that have ended.
//!
//! What may go is decided elsewhere (`proximity_domain::retention`); what must never go is refused here, whoever decides. How
//! much went is counted in the commit that takes it, so that the invariants can still tell a loss.

use proximity_domain::ids::OperationId;
use proximity_domain::retention::{EndedOperation, OldEvents};
use proximity_domain::time::Timestamp;
use uuid::Uuid;

use crate::error::StoreError;
use crate::journal::MAX_ROWS;
use crate::row::{Columns, each};
use crate::sql::{Row, Tx, query, query_scalar};
use crate::store::{Reader, Store};

/// Rows that one commit takes, about: others wait for it. An operation is never cleared by half, whatever it has.
pub(crate) const ROWS_PER_COMMIT: u64 = 500;

/// What is cleared away in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Journal {
    /// The log of events.
    Events,
    /// The lines of the apps' logs.
    LogLines,
    /// Operations that have ended and have their steps and lines.
    Operations,
}

/// How much of a journal there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalCount {
    /// Which.
    pub journal: Journal,
    /// Rows that are there and can be read.
    pub kept: u64,
    /// Rows that were cleared away.
    pub cleared: u64,
}

/// What one commit took of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OperationsCleared {
    /// How many of those that were named are dealt with, from the first on; at least one.
    pub dealt_with: usize,
    /// Operations that have no steps and lines any more.
    pub operations: u64,
    /// Their steps.
    pub steps: u64,
    /// Lines of their apps' logs.
    pub log_lines: u64,
}

impl Journal {
    /// All journals.
    pub const ALL: [Self; 3] = [Self::Events, Self::LogLines, Self::Operations];

    /// Stable text, as stored.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::LogLines => "log_lines",
            Self::Operations => "operations",
        }
    }

    /// The journal with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|j| j.label() == label)
    }
}

const CLEARED_EVENTS: &str = "SELECT cleared FROM clearings WHERE journal = 'events'";

const COUNTS: &str = "SELECT c.journal, c.cleared, CASE c.journal \
     WHEN 'events' THEN (SELECT COALESCE(MAX(e.seq), 0) FROM events e) - c.cleared \
     WHEN 'log_lines' THEN (SELECT COALESCE(MAX(l.seq), 0) FROM log_lines l) - c.cleared \
     ELSE (SELECT COUNT(*) FROM operations WHERE finished_at IS NOT NULL AND cleared_at IS NULL) \
     END AS kept FROM clearings c ORDER BY c.journal";

/// What a channel has yet to look at, and what it was to be told of and was not.
const NEEDED: &str = "SELECT (SELECT MIN(seq) + 1 FROM notice_channels) AS unseen, \
     (SELECT MIN(seq) FROM notices) AS untold";

pub(crate) const ENDED: &str = "SELECT o.id, o.finished_at, a.archived_at, \
     (SELECT n.id FROM operations n WHERE n.app_id = o.app_id \
     ORDER BY n.created_at DESC, n.id DESC LIMIT 1) AS newest \
     FROM operations o JOIN apps a ON a.id = o.app_id \
     WHERE o.finished_at IS NOT NULL AND o.cleared_at IS NULL \
     AND o.finished_at >= $1 AND (o.finished_at > $1 OR o.id > $2) \
     ORDER BY o.finished_at, o.id LIMIT $3";

/// Not one that is under way or stuck, nor the newest of a live app.
const MARK: &str = "UPDATE operations SET cleared_at = $2 \
     WHERE id = $1 AND finished_at IS NOT NULL AND cleared_at IS NULL AND (\
     EXISTS (SELECT 1 FROM apps a WHERE a.id = operations.app_id AND a.archived_at IS NOT NULL) OR \
     EXISTS (SELECT 1 FROM operations n WHERE n.app_id = operations.app_id AND \
     (n.created_at > operations.created_at OR \
     (n.created_at = operations.created_at AND n.id > operations.id)))) RETURNING app_id";

pub(crate) const FIRST_KEPT_LINE: &str = "SELECT l.seq FROM log_lines l \
     JOIN operations o ON o.id = l.operation_id \
     WHERE l.app_id = $1 AND l.seq > 0 AND o.cleared_at IS NULL ORDER BY l.seq LIMIT 1";

impl Reader {
    /// How much there is of each journal, and how much was cleared away.
    ///
    /// # Errors
    /// The database's.
    pub async fn journal_counts(&self) -> Result<Vec<JournalCount>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.journal_counts()));
        }
        let counts = query(COUNTS).fetch_all(self.named("journal_counts"));
        each(&counts.await?, journal_count)
    }

    /// All events up to this number are gone; 0 = none is.
    ///
    /// # Errors
    /// The database's.
    pub async fn cleared_events(&self) -> Result<i64, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.cleared_events()));
        }
        query_scalar(CLEARED_EVENTS)
            .fetch_one(self.named("cleared_events"))
            .await
    }

    /// The oldest events that are there, at most `limit` and at most 1,000, and who needs what of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn old_events(&self, limit: u32) -> Result<OldEvents, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.old_events(limit)));
        }
        self.read(async |tx| old_events(tx, limit).await).await
    }

    /// Operations that have ended and have their steps and lines, first ended first, after the one that ended then; at most
    /// `limit` and at most 1,000.
    ///
    /// # Errors
    /// The database's.
    pub async fn ended_operations(
        &self,
        after: Option<(Timestamp, OperationId)>,
        limit: u32,
    ) -> Result<Vec<EndedOperation>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.ended_operations(after, limit)));
        }
        let first = (Timestamp(i64::MIN), OperationId(Uuid::nil()));
        let (at, id) = after.unwrap_or(first);
        let rows = query(ENDED)
            .bind(at.0)
            .bind(id.to_string())
            .bind(i64::from(limit.min(MAX_ROWS)))
            .fetch_all(self.named("ended_operations"))
            .await?;
        each(&rows, ended)
    }
}

impl Store {
    /// Clears the events up to number `to` away, the oldest first and at most 1,000; gives how many went. The newest stays, and
    /// so does what a channel has not been told of, with all that came after it. The link of the last one that goes is kept: what is
    /// left begins behind it.
    ///
    /// # Errors
    /// The database's.
    pub async fn clear_events(&self, to: i64) -> Result<u64, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.clear_events(to)));
        }
        self.write(async |tx| {
            let to = to.min(clearable(
                &old_events(tx, 0).await?,
                cleared_events(tx).await?,
            ));
            let cut = query(
                "UPDATE clearings SET link = (SELECT e.link FROM events e WHERE e.seq = $1) \
                 WHERE journal = 'events' AND cleared < $1",
            );
            cut.bind(to).execute(&mut *tx).await?;
            let gone = query("DELETE FROM events WHERE seq > 0 AND seq <= $1")
                .bind(to)
                .execute(&mut *tx)
                .await?;
            let gone = gone.rows_affected();
            count(tx, Journal::Events, gone).await?;
            Ok(gone)
        })
        .await
    }

    /// Clears steps and lines of these operations away, one after the other, until it is enough for one commit; the answer says
    /// how far that was. The operations themselves stay, with what was asked for and what came of it, and so does the
    /// newest line of each app. One that has not ended, or is the newest of a live app, is left as it is.
    ///
    /// On PostgreSQL lines that have no number yet stay: [`Store::journal_numbered`] comes first.
    ///
    /// # Errors
    /// The database's.
    pub async fn clear_operations(
        &self,
        operations: &[OperationId],
        now: Timestamp,
    ) -> Result<OperationsCleared, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.clear_operations(operations, now)));
        }
        self.write(async |tx| clear_operations(tx, operations, now).await)
            .await
    }
}

/// How far the log may be cleared by one commit, whoever asks.
pub(crate) fn clearable(old: &OldEvents, cleared: i64) -> i64 {
    let needed = old.unseen.into_iter().chain(old.untold).min();
    let before = needed.unwrap_or(old.newest).min(old.newest) - 1;
    before.min(cleared.saturating_add(i64::from(MAX_ROWS)))
}

async fn cleared_events(tx: &mut Tx) -> Result<i64, StoreError> {
    query_scalar(CLEARED_EVENTS).fetch_one(tx).await
}

async fn old_events(tx: &mut Tx, limit: u32) -> Result<OldEvents, StoreError> {
    let cleared = cleared_events(tx).await?;
    let rows = query("SELECT seq, at FROM events WHERE seq > $1 ORDER BY seq LIMIT $2")
        .bind(cleared)
        .bind(i64::from(limit.min(MAX_ROWS)))
        .fetch_all(&mut *tx)
        .await?;
    let newest = query_scalar("SELECT COALESCE(MAX(seq), 0) FROM events");
    let newest = newest.fetch_one(&mut *tx).await?;
    let needed = query(NEEDED).fetch_one(tx).await?;
    Ok(OldEvents {
        oldest: each(&rows, |row| Ok((row.int("seq")?, row.moment("at")?)))?,
        newest,
        unseen: needed.int_opt("unseen")?,
        untold: needed.int_opt("untold")?,
    })
}

async fn clear_operations(
    tx: &mut Tx,
    operations: &[OperationId],
    now: Timestamp,
) -> Result<OperationsCleared, StoreError> {
    let mut done = OperationsCleared::default();
    for operation in operations {
        if done.is_enough() {
            break;
        }
        done.dealt_with += 1;
        let Some(app) = mark(tx, *operation, now).await? else {
            continue;
        };
        done.operations += 1;
        let steps = query("DELETE FROM steps WHERE operation_id = $1").bind(operation.to_string());
        done.steps += steps.execute(&mut *tx).await?.rows_affected();
        done.log_lines += clear_lines(tx, &app).await?;
    }
    count(tx, Journal::LogLines, done.log_lines).await?;
    count(tx, Journal::Operations, done.operations).await?;
    Ok(done)
}

impl OperationsCleared {
    /// Others have waited long enough.
    pub(crate) fn is_enough(&self) -> bool {
        self.steps + self.log_lines >= ROWS_PER_COMMIT
    }
}

/// The operation is cleared from now on; gives its app. `None`: it may not be, or is already.
async fn mark(
    tx: &mut Tx,
    operation: OperationId,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let row = query(MARK)
        .bind(operation.to_string())
        .bind(now.0)
        .fetch_optional(tx)
        .await?;
    row.map(|row| row.text("app_id")).transpose()
}

/// An app's operations follow each other, and so do their lines: those before the first one of an operation that has its own go,
/// with what was said between them. The newest line of the app stays.
async fn clear_lines(tx: &mut Tx, app: &str) -> Result<u64, StoreError> {
    let kept = query_scalar(FIRST_KEPT_LINE).bind(app);
    let before: i64 = match kept.fetch_optional(&mut *tx).await? {
        Some(seq) => seq,
        None => {
            let newest =
                query_scalar("SELECT COALESCE(MAX(seq), 0) FROM log_lines WHERE app_id = $1");
            newest.bind(app).fetch_one(&mut *tx).await?
        }
    };
    let gone = query("DELETE FROM log_lines WHERE app_id = $1 AND seq < $2")
        .bind(app)
        .bind(before)
        .execute(tx)
        .await?;
    Ok(gone.rows_affected())
}

/// What went is written down beside it.
async fn count(tx: &mut Tx, journal: Journal, rows: u64) -> Result<(), StoreError> {
    if rows == 0 {
        return Ok(());
    }
    query("UPDATE clearings SET cleared = cleared + $1 WHERE journal = $2")
        .bind(i64::try_from(rows).unwrap_or(i64::MAX))
        .bind(journal.label())
        .execute(tx)
        .await?;
    Ok(())
}

fn journal_count(row: &Row) -> Result<JournalCount, StoreError> {
    Ok(JournalCount {
        journal: row.label("journal", Journal::parse)?,
        kept: row.number("kept")?,
        cleared: row.number("cleared")?,
    })
}

fn ended(row: &Row) -> Result<EndedOperation, StoreError> {
    let (id, newest): (OperationId, OperationId) = (row.parsed("id")?, row.parsed("newest")?);
    let is_live = row.moment_opt("archived_at")?.is_none();
    Ok(EndedOperation {
        id,
        finished_at: row.moment("finished_at")?,
        is_newest_of_live_app: is_live && newest == id,
    })
}
