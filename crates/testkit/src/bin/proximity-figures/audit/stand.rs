//! The audit in its file: changed behind the back of the store, verified by the store, and put right again.

use std::path::Path;

use anyhow::{Context, Result};
use proximity_domain::audit::{Break, Head, Link};
use proximity_store::Store;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params_from_iter};

/// Takes off what keeps programs of ours away, and keeps a copy. What is measured is not durability.
const PREPARE: &str = "PRAGMA synchronous = OFF; PRAGMA ignore_check_constraints = ON; \
     DROP TRIGGER audit_is_not_altered; DROP TRIGGER audit_is_not_removed; \
     CREATE TABLE kept AS SELECT * FROM audit; CREATE UNIQUE INDEX kept_by_seq ON kept (seq)";

pub(super) struct Stand {
    pub(super) store: Store,
    pub(super) file: Connection,
    /// How many entries there are when all is right.
    pub(super) entries: i64,
    head: Head,
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

impl Stand {
    pub(super) fn new(store: Store, dir: &Path, anchors: Vec<Head>) -> Result<Self> {
        let file = Connection::open(dir.join("proximity.db"))?;
        file.execute_batch(PREPARE)?;
        let head = anchors.last().copied().context("no anchor")?;
        Ok(Self {
            store,
            file,
            entries: head.seq,
            head,
            anchors,
        })
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
        let tx = self.file.unchecked_transaction()?;
        tx.prepare_cached("DELETE FROM audit WHERE seq < 1")?
            .execute([])?;
        tx.prepare_cached("DELETE FROM audit WHERE seq > ?1")?
            .execute([self.entries])?;
        let mut restore =
            tx.prepare_cached("INSERT OR REPLACE INTO audit SELECT * FROM kept WHERE seq = ?1")?;
        for seq in touched {
            restore.execute([seq])?;
        }
        drop(restore);
        Ok(tx.commit()?)
    }

    /// What the product says of the audit behind this number, which was verified before and was not changed.
    pub(super) async fn verify_behind(
        &self,
        seq: i64,
        anchors: Vec<Head>,
    ) -> Result<Result<Head, Break>> {
        let sql = "SELECT link FROM kept WHERE seq = ?1";
        let mut link = self.file.prepare_cached(sql)?;
        let link = link.query_row([seq], |row| row.get::<_, String>(0));
        let before = match link.optional()? {
            Some(link) => Head {
                seq,
                link: Link::parse(&link).context("a link of the copy")?,
            },
            None => Head::NONE,
        };
        Ok(self.store.verify_audit(before, anchors).await?)
    }

    /// What the product says of all of it.
    pub(super) async fn verify_all(&self) -> Result<Result<Head, Break>> {
        let anchors = self.anchors.clone();
        Ok(self.store.verify_audit(Head::NONE, anchors).await?)
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

    pub(super) async fn close(self) {
        self.store.close().await;
    }
}

/// A column of a row set to something else. Bytes become text of these very bytes.
pub(super) fn set(column: &str, seq: i64, value: Value) -> Change {
    let sql = match value {
        Value::Blob(_) => format!("UPDATE audit SET {column} = CAST(?1 AS TEXT) WHERE seq = ?2"),
        Value::Null | Value::Integer(_) | Value::Real(_) | Value::Text(_) => {
            format!("UPDATE audit SET {column} = ?1 WHERE seq = ?2")
        }
    };
    Change {
        what: format!("{column} of {seq}"),
        first: seq,
        touched: vec![seq],
        steps: vec![(sql, vec![value, Value::Integer(seq)])],
    }
}
