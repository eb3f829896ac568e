//! The chain of the audit where it is kept: linking what is written, reading the head, verifying.
//!
//! An entry is linked where it gets its number, by whoever gives numbers: on SQLite by the write that adds it, for one writes at a
//! time; on PostgreSQL by the sequencer, so that no two writes wait for each other at the head.

use proximity_domain::audit::{Break, Chain, Entry, Head, Link, Walk};
use rusqlite::{Connection, params};

use crate::error::StoreError;
use crate::row::{Columns, damaged};
use crate::sql::{DatabaseError, Query, Row, Sql, Tx, Value, query};
use crate::store::Reader;

/// Entries that are read at once. No more than so many are in memory.
const PAGE: i64 = 1_000;

macro_rules! columns {
    () => {
        "at, account, token_id, kind, action, target, details, operation_id, step_index, epoch"
    };
}

// Its number and its link come with it.
const ADD: &str = concat!(
    "INSERT INTO audit (",
    columns!(),
    ", seq, link) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
);
// The sequencer gives it both.
const ADD_UNNUMBERED: &str = concat!(
    "INSERT INTO audit (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
);
/// What has no number yet is not looked at.
pub(crate) const NEWEST: &str =
    "SELECT seq, link FROM audit WHERE seq > 0 ORDER BY seq DESC LIMIT 1";
const AFTER: &str = concat!(
    "SELECT seq, ",
    columns!(),
    ", link FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2"
);
/// What the sequencer has to number and to link, in the order it does it.
pub(crate) const UNNUMBERED: &str = concat!(
    "SELECT id, seq, ",
    columns!(),
    " FROM audit WHERE seq IS NULL ORDER BY id LIMIT 1000"
);
/// What was numbered before there was a chain, behind the entry that was linked last: what is linked is not passed again.
pub(crate) const UNLINKED: &str = concat!(
    "SELECT id, seq, ",
    columns!(),
    " FROM audit WHERE seq > $1 AND link IS NULL ORDER BY seq LIMIT 1000"
);
const OLD: &str = concat!(
    "SELECT ",
    columns!(),
    ", seq FROM audit WHERE seq > ?1 ORDER BY seq LIMIT 1000"
);

/// Adds an entry. Its number is the next one: what `entry` has in its place does not count.
pub(crate) async fn add(tx: &mut Tx, entry: Entry<'_>) -> Result<(), StoreError> {
    if !tx.numbers_at_once() {
        bound(ADD_UNNUMBERED, &entry).execute(tx).await?;
        return Ok(());
    }
    let head = head(tx, Chain::Audit, NEWEST).await?;
    let seq = head.seq.saturating_add(1);
    let entry = Entry { seq, ..entry };
    let link = entry.link(head.link);
    let add = bound(ADD, &entry).bind(seq).bind(link.to_string());
    add.execute(&mut *tx).await?;
    tx.note_head(Chain::Audit, Head { seq, link });
    Ok(())
}

/// Where a chain ends. It is read once in a transaction, by the first who adds to it.
pub(crate) async fn head(
    tx: &mut Tx,
    chain: Chain,
    newest: &'static str,
) -> Result<Head, StoreError> {
    if let Some(head) = tx.head(chain) {
        return Ok(head);
    }
    let newest = query(newest).fetch_optional(tx).await?;
    newest.as_ref().map_or(Ok(Head::NONE), head_of)
}

fn bound<'q>(sql: impl Into<Sql>, entry: &Entry<'q>) -> Query<'q> {
    query(sql)
        .bind(entry.at)
        .bind(entry.account)
        .bind(entry.token)
        .bind(entry.kind)
        .bind(entry.action)
        .bind(entry.target)
        .bind(entry.details)
        .bind(entry.operation)
        .bind(entry.step)
        .bind(entry.epoch)
}

/// The head that a row of [`NEWEST`] says. Where no link stands, the chain begins anew: what is to be written is written, and
/// whoever verifies is told of the entry that has none.
pub(crate) fn head_of(newest: &Row) -> Result<Head, StoreError> {
    let link = newest.text_opt("link")?;
    let link = link.as_deref().and_then(Link::parse);
    Ok(Head {
        seq: newest.int("seq")?,
        link: link.unwrap_or(Link::GENESIS),
    })
}

/// The values of an entry as they stand in its row; only the number is said.
pub(crate) fn entry_of(row: &Row, seq: i64) -> Result<Entry<'_>, StoreError> {
    Ok(Entry {
        seq,
        at: row.int("at")?,
        account: text(row, "account")?,
        token: text_opt(row, "token_id")?,
        kind: text(row, "kind")?,
        action: text(row, "action")?,
        target: text(row, "target")?,
        details: text(row, "details")?,
        operation: text_opt(row, "operation_id")?,
        step: row.int_opt("step_index")?,
        epoch: row.int_opt("epoch")?,
    })
}

pub(crate) fn text<'r>(row: &'r Row, column: &'static str) -> Result<&'r str, StoreError> {
    let text = text_opt(row, column)?;
    text.ok_or_else(|| damaged(column, "it is NULL"))
}

/// Not copied: a verification reads many.
pub(crate) fn text_opt<'r>(
    row: &'r Row,
    column: &'static str,
) -> Result<Option<&'r str>, StoreError> {
    match row.value(column)? {
        Value::Null(_) => Ok(None),
        Value::Text(text) => Ok(Some(text.as_ref())),
        Value::Int(n) => Err(damaged(column, format!("{n} is no text"))),
    }
}

/// Passes the entry of a row of [`AFTER`].
fn pass(walk: &mut Walk, row: &Row) -> Result<(), Break> {
    let seq = walk.next_seq();
    let unreadable = |_: StoreError| Break::Unreadable { seq };
    let number = row.int("seq").map_err(unreadable)?;
    let entry = entry_of(row, number).map_err(unreadable)?;
    let link = text_opt(row, "link").map_err(unreadable)?;
    walk.pass(&entry, link)
}

/// A value was of no type that is ever written.
pub(crate) fn is_damage(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Damaged { .. } | StoreError::Database(DatabaseError::Misfit(_))
    )
}

impl Reader {
    /// How far the chain of the audit goes.
    ///
    /// # Errors
    /// The database's; [`StoreError::Damaged`] if the newest entry has no link.
    pub async fn audit_head(&self) -> Result<Head, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.audit_head()));
        }
        let newest = query(NEWEST)
            .fetch_optional(self.named("audit_head"))
            .await?;
        let Some(row) = newest else {
            return Ok(Head::NONE);
        };
        let link = text_opt(&row, "link")?.and_then(Link::parse);
        Ok(Head {
            seq: row.int("seq")?,
            link: link.ok_or_else(|| damaged("link", "it is none"))?,
        })
    }

    /// Reads the audit behind `from`, which is [`Head::NONE`] for all of it, and holds it against its links and against the
    /// anchors, whatever their order: its head, or the first break.
    ///
    /// **Guarantees.** No more than a page of it is in memory. What is written meanwhile is verified too, as far as it is there
    /// when it is reached. Without an anchor it is not seen that the end was cut off, or that all links were made anew.
    ///
    /// # Errors
    /// The database's.
    pub async fn verify_audit(
        &self,
        from: Head,
        anchors: Vec<Head>,
    ) -> Result<Result<Head, Break>, StoreError> {
        let walk = Walk::behind(from, anchors);
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.walk_audit(walk)));
        }
        self.walk_on(walk, AFTER, pass).await
    }

    /// Walks on to the end of a chain: `after` reads so many rows behind a number, and `pass` passes one of them.
    pub(crate) async fn walk_on(
        &self,
        mut walk: Walk,
        after: &'static str,
        pass: fn(&mut Walk, &Row) -> Result<(), Break>,
    ) -> Result<Result<Head, Break>, StoreError> {
        let mut limit = PAGE;
        loop {
            let from = walk.head().seq;
            let page = query(after)
                .bind(from)
                .bind(limit)
                .fetch_all(self.named("walk_on"))
                .await;
            let page = match page {
                // Which of them it is, reading them one by one tells.
                Err(error) if is_damage(&error) && limit > 1 => {
                    limit = 1;
                    continue;
                }
                Err(error) if is_damage(&error) => {
                    let seq = walk.next_seq();
                    return Ok(Err(Break::Unreadable { seq }));
                }
                page => page?,
            };
            if page.is_empty() {
                return Ok(walk.end());
            }
            for row in &page {
                if let Err(broken) = pass(&mut walk, row) {
                    return Ok(Err(broken));
                }
            }
            // A long chain holds nobody up.
            tokio::task::yield_now().await;
        }
    }
}

/// Links the entries of a file that was written before there was a chain, in the order of their numbers.
pub(crate) fn link_audit(connection: &Connection) -> rusqlite::Result<()> {
    let mut old = connection.prepare(OLD)?;
    let mut write = connection.prepare("UPDATE audit SET link = ?1 WHERE seq = ?2")?;
    let mut head = Head::NONE;
    loop {
        let page = old.query_map([head.seq], OldEntry::read)?;
        let page = page.collect::<rusqlite::Result<Vec<_>>>()?;
        if page.is_empty() {
            return Ok(());
        }
        for unlinked in &page {
            let (seq, link) = (unlinked.seq, unlinked.entry().link(head.link));
            head = Head { seq, link };
            write.execute(params![link.to_string(), seq])?;
        }
    }
}

/// An entry as it is read while there is no store yet.
struct OldEntry {
    at: i64,
    account: String,
    token: Option<String>,
    kind: String,
    action: String,
    target: String,
    details: String,
    operation: Option<String>,
    step: Option<i64>,
    epoch: Option<i64>,
    seq: i64,
}

impl OldEntry {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            at: row.get(0)?,
            account: row.get(1)?,
            token: row.get(2)?,
            kind: row.get(3)?,
            action: row.get(4)?,
            target: row.get(5)?,
            details: row.get(6)?,
            operation: row.get(7)?,
            step: row.get(8)?,
            epoch: row.get(9)?,
            seq: row.get(10)?,
        })
    }

    fn entry(&self) -> Entry<'_> {
        Entry {
            seq: self.seq,
            at: self.at,
            account: &self.account,
            token: self.token.as_deref(),
            kind: &self.kind,
            action: &self.action,
            target: &self.target,
            details: &self.details,
            operation: self.operation.as_deref(),
            step: self.step,
            epoch: self.epoch,
        }
    }
}
