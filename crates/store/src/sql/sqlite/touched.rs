//! Which rows were written lately, so that who keeps a copy of what they say reads those alone anew.
//!
//! SQLite itself tells of each row that the writer's connection adds, changes or removes, whichever statement or trigger does it
//! (its update hook), so that no method can forget one. Rows are announced before their commit begins and settled when it has
//! ended, whatever came of it. Of every commit that a snapshot shows the rows had been announced before, so that asking for them
//! from inside of a snapshot misses none; and what was settled before a snapshot shows in it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::Action;

use crate::sql::DatabaseError;

/// So many rows are remembered at most: who kept a copy and comes later reads everything anew.
const REMEMBERED: usize = 4_096;

/// A row that the record of a guest depends on, by the number that SQLite gives it in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TouchedRow {
    App(i64),
    Guest(i64),
    Operation(i64),
}

/// How many rows had been told of at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position(u64);

/// What was written lately. Cheap to clone; one writer, any number of readers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    /// Of the open transaction. What is taken back of it stays here: read anew it says what it said.
    open: Vec<TouchedRow>,
    /// More was written in it than is told row by row.
    is_unknown: bool,
    /// Announced, oldest first.
    announced: VecDeque<TouchedRow>,
    /// How many are remembered no more: those before the first of `announced`.
    forgotten: u64,
    /// How many of all are settled.
    settled: u64,
}

impl Touched {
    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this connection, which writes, tells of its rows.
    pub(crate) fn follow(&self, connection: &mut Connection) -> Result<(), DatabaseError> {
        let touched = self.clone();
        connection.update_hook(Some(
            move |action: Action, _: &str, table: &str, row: i64| {
                touched.note(action, table, row);
            },
        ))?;
        Ok(())
    }

    fn note(&self, action: Action, table: &str, row: i64) {
        let row = match table {
            "apps" => TouchedRow::App(row),
            "guests" => TouchedRow::Guest(row),
            "operations" => TouchedRow::Operation(row),
            _ => return,
        };
        let mut rows = self.lock();
        match action {
            Action::SQLITE_INSERT | Action::SQLITE_UPDATE => rows.note(row),
            // What is gone cannot be asked what it belonged to.
            _ => rows.is_unknown = true,
        }
    }

    /// In the open transaction, or since the last one, more may have been written than is told row by row.
    pub(crate) fn note_unknown(&self) {
        self.lock().is_unknown = true;
    }

    /// The open transaction is about to be committed: from now on somebody may see it.
    pub(crate) fn announce(&self) {
        self.lock().announce();
    }

    /// What was announced is committed, or will never be.
    pub(crate) fn settle(&self) {
        let mut rows = self.lock();
        rows.settled = rows.end();
    }

    /// Up to here everything shows in a snapshot that is taken from now on.
    pub(crate) fn settled(&self) -> Position {
        Position(self.lock().settled)
    }

    /// Whether nothing was announced since.
    pub(crate) fn is_current(&self, position: Position) -> bool {
        self.lock().end() == position.0
    }

    /// The rows announced since, each once; `None` if not all of them are known.
    pub(crate) fn since(&self, position: Position) -> Option<Vec<TouchedRow>> {
        self.lock().since(position)
    }
}

impl Rows {
    fn note(&mut self, row: TouchedRow) {
        if self.open.last() == Some(&row) {
            return;
        }
        if self.open.len() >= REMEMBERED {
            self.is_unknown = true;
            self.open.clear();
        }
        self.open.push(row);
    }

    /// How many there were in all.
    fn end(&self) -> u64 {
        self.forgotten + count(self.announced.len())
    }

    fn announce(&mut self) {
        if std::mem::take(&mut self.is_unknown) {
            // One more than there were, so that nobody has come as far yet.
            self.forgotten = self.end() + 1;
            self.announced.clear();
            self.open.clear();
            return;
        }
        self.announced.extend(self.open.drain(..));
        let beyond = self.announced.len().saturating_sub(REMEMBERED);
        self.announced.drain(..beyond);
        self.forgotten += count(beyond);
    }

    fn since(&self, position: Position) -> Option<Vec<TouchedRow>> {
        let known = usize::try_from(position.0.checked_sub(self.forgotten)?).ok()?;
        let mut rows: Vec<TouchedRow> = self.announced.iter().skip(known).copied().collect();
        rows.sort_unstable();
        rows.dedup();
        Some(rows)
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::TouchedRow::{App, Guest, Operation};
    use super::*;

    /// The tables by their names, and one that writes by a trigger.
    const SCHEMA: &str = "CREATE TABLE apps (id TEXT NOT NULL PRIMARY KEY, n BIGINT NOT NULL);
         CREATE TABLE guests (id TEXT NOT NULL PRIMARY KEY, n BIGINT NOT NULL);
         CREATE TABLE operations (id TEXT NOT NULL PRIMARY KEY, n BIGINT NOT NULL);
         CREATE TABLE events (id TEXT NOT NULL PRIMARY KEY);
         CREATE TRIGGER by_trigger AFTER INSERT ON events BEGIN UPDATE guests SET n = n + 1; END;";

    #[test]
    fn sqlite_tells_of_every_row_by_whatever_it_was_written() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        let touched = Touched::default();
        touched.follow(&mut connection).unwrap();
        let told = |sql: &str| {
            let before = touched.settled();
            connection.execute_batch(sql).unwrap();
            touched.announce();
            touched.settle();
            touched.since(before)
        };
        for (sql, rows) in [
            (
                "INSERT INTO apps VALUES ('a', 1), ('b', 1)",
                vec![App(1), App(2)],
            ),
            ("UPDATE apps SET n = 2 WHERE id = 'b'", vec![App(2)]),
            (
                "INSERT INTO apps VALUES ('a', 3) ON CONFLICT (id) DO UPDATE SET n = excluded.n",
                vec![App(1)],
            ),
            ("UPDATE apps SET n = 4 WHERE id = 'c'", vec![]),
            ("INSERT INTO guests VALUES ('g', 1)", vec![Guest(1)]),
            ("INSERT INTO events VALUES ('x')", vec![Guest(1)]),
            (
                "BEGIN; INSERT INTO operations VALUES ('o', 1); UPDATE apps SET n = 5 WHERE id = 'a'; COMMIT",
                vec![App(1), Operation(1)],
            ),
        ] {
            assert_eq!(told(sql), Some(rows), "{sql}");
        }
        assert_eq!(told("DELETE FROM operations WHERE id = 'o'"), None);
        assert_eq!(
            told("UPDATE apps SET n = 6 WHERE id = 'a'"),
            Some(vec![App(1)])
        );
    }

    #[test]
    fn what_is_announced_is_told_until_it_was_settled_before() {
        let touched = Touched::default();
        let before = touched.settled();
        assert!(touched.is_current(before));
        touched.note(Action::SQLITE_INSERT, "apps", 7);
        assert!(touched.is_current(before), "nobody can see it yet");
        touched.announce();
        let during = touched.settled();
        assert_eq!(during, before, "a snapshot may be without it");
        assert!(!touched.is_current(during));
        assert_eq!(touched.since(during), Some(vec![App(7)]));
        touched.settle();
        assert_eq!(touched.since(during), Some(vec![App(7)]));
        let after = touched.settled();
        assert!(touched.is_current(after));
        assert_eq!(touched.since(after), Some(vec![]));
    }

    #[test]
    fn who_cannot_be_told_of_all_is_told_so() {
        let touched = Touched::default();
        let commit = |rows: usize| {
            for row in 0..rows {
                touched.note(Action::SQLITE_UPDATE, "guests", i64::try_from(row).unwrap());
            }
            touched.announce();
            touched.settle();
        };
        let first = touched.settled();
        commit(REMEMBERED);
        assert_eq!(
            touched.since(first).map(|rows| rows.len()),
            Some(REMEMBERED)
        );
        let second = touched.settled();
        commit(1);
        assert_eq!(touched.since(first), None, "one of them is forgotten");
        assert_eq!(touched.since(second), Some(vec![Guest(0)]));
        commit(REMEMBERED + 1);
        assert_eq!(touched.since(second), None, "too many in one commit");
        let third = touched.settled();
        assert!(touched.is_current(third));
        touched.note_unknown();
        assert_eq!(touched.since(third), Some(vec![]), "nobody can see it yet");
        touched.announce();
        assert_eq!(touched.since(third), None);
        assert_eq!(touched.since(touched.settled()), None, "not settled yet");
        touched.settle();
        assert_eq!(touched.since(touched.settled()), Some(vec![]));
    }
}
