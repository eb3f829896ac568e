//! The one connection that writes, and the turns at it.

use std::path::PathBuf;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{OwnedMutexGuard, watch};

use crate::sql::sqlite::batch::{Batch, Outcome};
use crate::sql::sqlite::connect::connect_writer;
use crate::sql::sqlite::statement::Session;
use crate::sql::sqlite::touched::Touched;
use crate::sql::{DatabaseError, Heads, Row, Value};

/// Connection and open transaction.
#[derive(Debug)]
pub(crate) struct Desk {
    path: PathBuf,
    /// None when it was closed, or was lost and could not be opened again.
    connection: Option<Session>,
    pub(crate) batch: Option<Batch>,
    /// How many writers the last commit had: tells whether others are to be expected.
    pub(crate) last: u32,
    /// Moved on by each commit that keeps something, whether or not its writers still wait for it.
    commits: watch::Sender<u64>,
    /// Told of each row that is written.
    touched: Touched,
    /// What the connection said when it was asked last whether others had written.
    version: Option<i64>,
    closed: bool,
}

/// Somebody's time at the desk. Whatever happens to its owner, no half of a part stays in the transaction.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) desk: OwnedMutexGuard<Desk>,
    stage: Stage,
}

/// What a turn that ends unexpectedly has to take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    /// The first part of a transaction is open: the transaction is all there is of it.
    First,
    /// A later part is open, inside a savepoint.
    Part,
    /// The whole transaction is to be committed.
    Commit,
}

impl Desk {
    pub(crate) fn new(
        path: PathBuf,
        mut connection: Connection,
        commits: watch::Sender<u64>,
        touched: Touched,
    ) -> Result<Self, DatabaseError> {
        never_wait(&connection)?;
        touched.follow(&mut connection)?;
        Ok(Self {
            path,
            connection: Some(Session::new(connection)),
            batch: None,
            last: 1,
            commits,
            touched,
            version: None,
            closed: false,
        })
    }

    fn connection(&self) -> Result<&Session, DatabaseError> {
        self.connection.as_ref().ok_or(DatabaseError::Closed)
    }

    fn command(&self, sql: &'static str) -> Result<(), DatabaseError> {
        self.connection()?.run(sql, &[]).map(drop)
    }

    /// Opens a transaction unless one is open; `false` while another process writes.
    fn begin(&mut self) -> Result<bool, DatabaseError> {
        if self.batch.is_some() {
            return Ok(true);
        }
        if self.connection.is_none() && !self.closed {
            self.connect()?;
        }
        // IMMEDIATE takes the write lock at once: a transaction that begins as a reader cannot wait for it later.
        let begun = try_run(self.connection()?, "BEGIN IMMEDIATE")?;
        if begun {
            if let Err(error) = self.look_for_others() {
                self.clean();
                return Err(error);
            }
            self.batch = Some(Batch::new());
        }
        Ok(begun)
    }

    /// Of what another process wrote nobody here is told row by row. From now on until the commit none writes.
    fn look_for_others(&mut self) -> Result<(), DatabaseError> {
        let answer = self.connection()?.run("PRAGMA data_version", &[])?;
        let version = match answer.rows.first().map(Row::first) {
            Some(Ok(Value::Int(version))) => Some(*version),
            Some(_) | None => None,
        };
        if version.is_none() || version != self.version {
            self.touched.note_unknown();
        }
        self.version = version;
        Ok(())
    }

    fn connect(&mut self) -> Result<(), DatabaseError> {
        let mut connection = connect_writer(&self.path)?;
        never_wait(&connection)?;
        self.touched.follow(&mut connection)?;
        // Each connection counts for itself: what came of the one before is not known.
        self.version = None;
        self.connection = Some(Session::new(connection));
        Ok(())
    }

    /// Ends the transaction without a trace and tells everybody in it why.
    fn fail(&mut self, why: &DatabaseError) {
        self.clean();
        if let Some(batch) = self.batch.take() {
            batch.end(Err(why.clone()));
        }
    }

    /// Ends a transaction whose one writer was refused.
    fn forget(&mut self) {
        self.clean();
        if let Some(batch) = self.batch.take() {
            batch.end(Ok(()));
        }
    }

    /// No transaction afterwards. A connection that cannot be brought there is given up, which ends it as well.
    fn clean(&mut self) {
        let open = |c: &Session| !c.is_autocommit();
        if self.connection.as_ref().is_some_and(open) && self.command("ROLLBACK").is_err() {
            tracing::warn!("could not roll back; opening the database anew");
            self.connection = None;
        }
    }

    /// Commits the open transaction. Waits for the disk.
    fn commit(&mut self) {
        let Some(batch) = self.batch.take() else {
            return;
        };
        self.last = batch.writers;
        self.touched.announce();
        let verdict = self.command("COMMIT");
        self.clean();
        self.touched.settle();
        if verdict.is_ok() && batch.keeps {
            self.commits
                .send_modify(|commits| *commits = commits.wrapping_add(1));
        }
        batch.end(verdict);
    }

    /// Closes the connection for good.
    pub(crate) fn close(&mut self) {
        self.commit();
        self.connection = None;
        self.closed = true;
    }
}

impl Turn {
    pub(crate) fn new(desk: OwnedMutexGuard<Desk>) -> Self {
        let stage = Stage::Idle;
        Self { desk, stage }
    }

    pub(crate) fn connection(&self) -> Result<&Session, DatabaseError> {
        self.desk.connection()
    }

    /// Opens a transaction unless one is open; `false` while another process writes.
    pub(crate) fn begin(&mut self) -> Result<bool, DatabaseError> {
        self.desk.begin()
    }

    /// Begins a writer's part of the open transaction. The first one needs no savepoint, which keeps a copy of each page
    /// that is changed: what is taken back then is the transaction.
    pub(crate) fn begin_part(&mut self) -> Result<Outcome, DatabaseError> {
        let batch = self.desk.batch.as_ref().ok_or(DatabaseError::Closed)?;
        let outcome = batch.outcome();
        if batch.writers == 0 {
            self.stage = Stage::First;
        } else {
            self.desk.command("SAVEPOINT part")?;
            self.stage = Stage::Part;
        }
        Ok(outcome)
    }

    /// Keeps what the writer did, or takes it back and only that. `cause` is what the database said to it.
    pub(crate) fn end_part(&mut self, keep: bool, cause: Option<&DatabaseError>) {
        let first = std::mem::replace(&mut self.stage, Stage::Idle) == Stage::First;
        let lost = match self.connection() {
            Ok(connection) => connection.is_autocommit(),
            Err(_) => true,
        };
        let ended = if lost {
            Err(cause.cloned().unwrap_or_else(ended_early))
        } else if first {
            if !keep {
                return self.desk.forget();
            }
            Ok(())
        } else if keep {
            self.desk.command("RELEASE part")
        } else {
            let back = self.desk.command("ROLLBACK TO part");
            back.and_then(|()| self.desk.command("RELEASE part"))
        };
        match (ended, &mut self.desk.batch) {
            (Ok(()), Some(batch)) => {
                batch.writers += 1;
                batch.keeps |= keep;
                if !keep {
                    // What it has added went with it.
                    batch.heads = Heads::default();
                }
            }
            (Ok(()), None) => {}
            (Err(why), _) => self.desk.fail(&why),
        }
    }

    /// The turn of somebody who commits: unless [`Turn::commit`] follows, the transaction is rolled back.
    pub(crate) fn committing(mut self) -> Self {
        self.stage = Stage::Commit;
        self
    }

    /// Commits the open transaction and tells everybody in it. Waits for the disk: on a thread that may block.
    pub(crate) fn commit(mut self) {
        self.stage = Stage::Idle;
        self.desk.commit();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        match self.stage {
            Stage::Idle => {}
            Stage::First | Stage::Part => self.end_part(false, None),
            Stage::Commit => self.desk.fail(&DatabaseError::Closed),
        }
        // Nobody else is in it, so nobody is there to end it.
        let alone = |batch: &Batch| !batch.has_committer();
        if self.desk.batch.as_ref().is_some_and(alone) {
            self.desk.fail(&DatabaseError::Closed);
        }
    }
}

/// The desk is used on threads that must not wait; who waits does so outside.
fn never_wait(connection: &Connection) -> Result<(), DatabaseError> {
    Ok(connection.busy_timeout(std::time::Duration::ZERO)?)
}

fn ended_early() -> DatabaseError {
    DatabaseError::Sqlite {
        code: rusqlite::ffi::SQLITE_ABORT,
        message: "an error ended the transaction, and with it every write in it".to_owned(),
    }
}

/// Runs a statement; `false` if another process holds the lock it needs.
fn try_run(connection: &Connection, sql: &'static str) -> Result<bool, DatabaseError> {
    let begun = connection
        .prepare_cached(sql)
        .and_then(|mut s| s.raw_execute());
    match begun {
        Ok(_) => Ok(true),
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proximity_domain::audit::{Chain, Head, Link};
    use tempfile::TempDir;

    use super::*;
    use crate::sql::sqlite::Tx;
    use crate::sql::sqlite::touched::TouchedRow::App;

    /// A desk over one table that is told of, and one that lets a commit fail.
    struct Bench {
        desk: Desk,
        touched: Touched,
        dir: TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("desk.db");
            std::fs::File::create(&path).unwrap();
            let connection = connect_writer(&path).unwrap();
            connection
                .execute_batch(
                    "CREATE TABLE apps (n BIGINT NOT NULL);
                     CREATE TABLE parents (id BIGINT PRIMARY KEY);
                     CREATE TABLE children (parent BIGINT REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);",
                )
                .unwrap();
            let touched = Touched::default();
            let desk = Desk::new(path, connection, watch::Sender::new(0), touched.clone());
            let mut bench = Self {
                desk: desk.unwrap(),
                touched,
                dir,
            };
            // Before its first commit a connection knows nothing of others.
            bench.add_app();
            bench
        }

        fn open(&mut self) {
            assert!(self.desk.begin().unwrap(), "nobody else writes");
        }

        fn add_app(&mut self) {
            self.open();
            self.desk.command("INSERT INTO apps VALUES (1)").unwrap();
            self.desk.commit();
        }

        fn apps(&self) -> i64 {
            let other = Connection::open(self.dir.path().join("desk.db")).unwrap();
            let sql = "SELECT COUNT(*) FROM apps";
            other.query_row(sql, [], |row| row.get(0)).unwrap()
        }
    }

    #[test]
    fn a_new_connection_tells_of_its_rows_once_it_has_said_that_more_may_be_written() {
        let mut bench = Bench::new();
        let before = bench.touched.settled();
        bench.desk.connection = None;
        bench.add_app();
        assert_eq!(bench.touched.since(before), None, "others may have written");
        let after = bench.touched.settled();
        bench.add_app();
        assert_eq!(bench.touched.since(after), Some(vec![App(3)]));
    }

    /// It has seen that others had written, and had nothing to commit.
    #[test]
    fn what_others_wrote_is_told_of_by_the_next_commit_whoever_began_before() {
        let mut bench = Bench::new();
        let before = bench.touched.settled();
        let other = Connection::open(bench.dir.path().join("desk.db")).unwrap();
        other.execute_batch("INSERT INTO apps VALUES (2)").unwrap();
        bench.open();
        bench.desk.forget();
        assert!(bench.touched.is_current(before), "nothing was committed");
        bench.add_app();
        assert_eq!(bench.touched.since(before), None);
        let after = bench.touched.settled();
        bench.add_app();
        assert_eq!(bench.touched.since(after), Some(vec![App(4)]));
    }

    /// Read anew they say what they said.
    #[test]
    fn the_rows_of_a_commit_that_fails_are_told_and_settled() {
        let mut bench = Bench::new();
        let before = bench.touched.settled();
        bench.open();
        for sql in [
            "INSERT INTO apps VALUES (2)",
            "INSERT INTO children VALUES (1)",
        ] {
            bench.desk.command(sql).unwrap();
        }
        bench.desk.commit();
        assert_eq!(bench.apps(), 1, "it failed");
        assert_eq!(bench.touched.since(before), Some(vec![App(2)]));
        let after = bench.touched.settled();
        assert!(bench.touched.is_current(after));
        bench.add_app();
        assert_eq!(bench.touched.since(after), Some(vec![App(2)]), "no more");
    }

    /// A writer's part that notes where a chain ends; gives what was known of that before.
    fn part(mut turn: Turn, seq: i64, keep: bool) -> (Turn, Option<i64>) {
        assert!(turn.begin().unwrap(), "nobody else writes");
        let _outcome = turn.begin_part().unwrap();
        let mut tx = Tx::writing(turn);
        let known = tx.head(Chain::Events).map(|head| head.seq);
        let link = Link::GENESIS;
        tx.note_head(Chain::Events, Head { seq, link });
        assert_eq!(tx.head(Chain::Audit), None, "that is another chain");
        let mut turn = tx.into_turn().unwrap();
        turn.end_part(keep, None);
        (turn, known)
    }

    #[test]
    fn where_a_chain_ends_is_known_until_the_commit_and_never_from_what_was_taken_back() {
        let bench = Bench::new();
        let desk = Arc::new(tokio::sync::Mutex::new(bench.desk));
        let mut turn = Turn::new(desk.try_lock_owned().unwrap());
        for (seq, keep, expected) in [
            (1, true, None),
            (2, true, Some(1)),
            (3, false, Some(2)),
            (4, true, None),
        ] {
            let (next, known) = part(turn, seq, keep);
            assert_eq!(known, expected, "{seq}");
            turn = next;
        }
        turn.desk.commit();
        let (mut turn, known) = part(turn, 5, true);
        assert_eq!(known, None, "another process may have written since");
        turn.desk.commit();
    }
}
