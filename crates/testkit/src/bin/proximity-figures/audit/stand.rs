//! A chain in its file: changed behind the back of the store, verified by the store, and put right again.

use std::path::Path;

use anyhow::{Context, Result};
use proximity_domain::audit::{Break, Chain, Head, Link};
use proximity_store::Store;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params, params_from_iter};

use super::journal::Journal;

/// What is kept of the last entry that was cleared away, as it was written.
pub(super) struct Cut {
    pub(super) seq: i64,
    pub(super) link: String,
}

pub(super) struct Stand {
    pub(super) journal: &'static Journal,
    pub(super) store: Store,
    pub(super) file: Connection,
    /// The number of the last entry when all is right.
    pub(super) entries: i64,
    /// Where it begins, if that is not with the first.
    pub(super) cut: Option<Cut>,
    pub(super) head: Head,
    /// Heads of before; the last is `head`.
    pub(super) anchors: Vec<Head>,
}

/// A change of some rows.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) what: String,
    /// The lowest number that is wrong afterwards.
    pub(super) first: i64,
    /// The rows that have to be put right again, beside those with a number that none had.
    pub(super) touched: Vec<i64>,
    /// Statements with what is bound.
    pub(super) steps: Vec<(String, Vec<Value>)>,
}

/// The database of a store in `dir`, behind its back.
pub(super) fn raw(dir: &Path) -> Result<Connection> {
    Ok(Connection::open(dir.join("proximity.db"))?)
}

impl Stand {
    /// Takes off what keeps programs of ours away, and keeps a copy. What is measured is not durability.
    pub(super) fn new(
        store: Store,
        dir: &Path,
        journal: &'static Journal,
        anchors: Vec<Head>,
    ) -> Result<Self> {
        let file = raw(dir)?;
        for trigger in journal.triggers {
            file.execute_batch(&format!("DROP TRIGGER {trigger}"))?;
        }
        file.execute_batch(&format!(
            "PRAGMA synchronous = OFF; PRAGMA ignore_check_constraints = ON; \
             CREATE TABLE kept AS SELECT * FROM {}; CREATE UNIQUE INDEX kept_by_seq ON kept (seq)",
            journal.table
        ))?;
        let cut = match journal.chain {
            Chain::Audit => None,
            Chain::Events => Some(cut_of(&file)?),
        };
        let head = anchors.last().copied().context("no anchor")?;
        Ok(Self {
            journal,
            store,
            file,
            entries: head.seq,
            cut,
            head,
            anchors,
        })
    }

    /// The number of the last entry that was cleared away; 0 if none was.
    pub(super) fn cleared(&self) -> i64 {
        self.cut.as_ref().map_or(0, |cut| cut.seq)
    }

    /// Makes the change and gives what a verification from the entry before it on says, with the last anchor in hand; then it is
    /// put right again. `None` if the database itself cannot hold it.
    pub(super) async fn attempt(&self, change: &Change) -> Result<Option<Result<Head, Break>>> {
        if !self.make(change)? {
            return Ok(None);
        }
        let said = self.verify_behind(change.first - 1, vec![self.head]).await;
        self.put_right(&change.touched)?;
        Ok(Some(said?))
    }

    /// Whether it could be made.
    pub(super) fn make(&self, change: &Change) -> Result<bool> {
        let tx = self.file.unchecked_transaction()?;
        for (sql, values) in &change.steps {
            match tx.prepare_cached(sql)?.execute(params_from_iter(values)) {
                Ok(_) => {}
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    return Ok(false);
                }
                Err(error) => return Err(error).context(change.what.clone()),
            }
        }
        tx.commit()?;
        Ok(true)
    }

    pub(super) fn put_right(&self, touched: &[i64]) -> Result<()> {
        let table = self.journal.table;
        let tx = self.file.unchecked_transaction()?;
        tx.prepare_cached(&format!("DELETE FROM {table} WHERE seq <= ?1"))?
            .execute([self.cleared()])?;
        tx.prepare_cached(&format!("DELETE FROM {table} WHERE seq > ?1"))?
            .execute([self.entries])?;
        let mut restore = tx.prepare_cached(&format!(
            "INSERT OR REPLACE INTO {table} SELECT * FROM kept WHERE seq = ?1"
        ))?;
        for seq in touched {
            restore.execute([seq])?;
        }
        drop(restore);
        if let Some(cut) = &self.cut {
            let sql = "UPDATE clearings SET cleared = ?1, link = ?2 WHERE journal = 'events'";
            tx.prepare_cached(sql)?
                .execute(params![cut.seq, cut.link])?;
        }
        Ok(tx.commit()?)
    }

    /// What the product says of the chain behind this number, which was verified before and was not changed; of one that it verifies
    /// whole alone, of all of it.
    pub(super) async fn verify_behind(
        &self,
        seq: i64,
        anchors: Vec<Head>,
    ) -> Result<Result<Head, Break>> {
        let before = self.written_up_to(seq)?;
        self.journal.verify(&self.store, before, anchors).await
    }

    /// What the product says of all of it.
    pub(super) async fn verify_all(&self) -> Result<Result<Head, Break>> {
        let anchors = self.anchors.clone();
        self.journal.verify(&self.store, Head::NONE, anchors).await
    }

    /// The entry of this number as a head, as it was written; none if there was none, or nothing is known of it.
    pub(super) fn written_up_to(&self, seq: i64) -> Result<Head> {
        let sql = "SELECT link FROM kept WHERE seq = ?1";
        let mut kept = self.file.prepare_cached(sql)?;
        let kept = kept.query_row([seq], |row| row.get::<_, String>(0));
        let cut = self.cut.as_ref().filter(|cut| cut.seq == seq);
        let link = kept.optional()?.or_else(|| cut.map(|cut| cut.link.clone()));
        Ok(match link {
            Some(link) => Head {
                seq,
                link: Link::parse(&link).context("a link of the copy")?,
            },
            None => Head::NONE,
        })
    }

    /// A value of a row as it was written: its bytes if it is text, a number, or nothing.
    pub(super) fn kept(&self, column: &str, seq: i64) -> Result<Value> {
        let sql = format!(
            "SELECT CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) ELSE {column} END \
             FROM kept WHERE seq = ?1"
        );
        let mut read = self.file.prepare_cached(&sql)?;
        Ok(read.query_row([seq], |row| row.get(0))?)
    }

    /// A column of a row set to something else. Bytes become text of these very bytes.
    pub(super) fn set(&self, column: &str, seq: i64, value: Value) -> Change {
        let bound = match value {
            Value::Blob(_) => "CAST(?1 AS TEXT)",
            Value::Null | Value::Integer(_) | Value::Real(_) | Value::Text(_) => "?1",
        };
        let first = match value {
            // Before it is none but what was cleared away: there it must not stand.
            Value::Integer(to) if column == "seq" && (1..seq).contains(&to) => to,
            _ => seq,
        };
        let table = self.journal.table;
        let sql = format!("UPDATE {table} SET {column} = {bound} WHERE seq = ?2");
        Change {
            what: format!("{column} of {seq}"),
            first,
            touched: vec![seq],
            steps: vec![(sql, vec![value, Value::Integer(seq)])],
        }
    }

    pub(super) async fn close(self) {
        self.store.close().await;
    }
}

fn cut_of(file: &Connection) -> Result<Cut> {
    let sql = "SELECT cleared, link FROM clearings WHERE journal = 'events'";
    Ok(file.query_row(sql, [], |row| {
        Ok(Cut {
            seq: row.get(0)?,
            link: row.get(1)?,
        })
    })?)
}
