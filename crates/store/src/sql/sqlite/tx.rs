//! A transaction on SQLite: a reader's snapshot, or a writer's part of the open batch.

use proximity_domain::audit::{Chain, Head};

use crate::sql::query::Answer;
use crate::sql::sqlite::desk::Turn;
use crate::sql::sqlite::readers::Snapshot;
use crate::sql::{DatabaseError, Value};

/// What statements run on.
#[derive(Debug)]
pub(crate) struct Tx(Kind);

#[derive(Debug)]
enum Kind {
    Reading(Snapshot),
    Writing(Turn),
}

impl Tx {
    pub(crate) fn reading(snapshot: Snapshot) -> Self {
        Self(Kind::Reading(snapshot))
    }

    pub(crate) fn writing(turn: Turn) -> Self {
        Self(Kind::Writing(turn))
    }

    /// The writer's turn back.
    pub(crate) fn into_turn(self) -> Option<Turn> {
        match self.0 {
            Kind::Writing(turn) => Some(turn),
            Kind::Reading(_) => None,
        }
    }

    /// Where a chain ends, if a writer of the open batch has noted it.
    pub(crate) fn head(&self, chain: Chain) -> Option<Head> {
        match &self.0 {
            Kind::Writing(turn) => turn.desk.batch.as_ref()?.heads.of(chain),
            Kind::Reading(_) => None,
        }
    }

    pub(crate) fn note_head(&mut self, chain: Chain, head: Head) {
        if let Kind::Writing(turn) = &mut self.0
            && let Some(batch) = &mut turn.desk.batch
        {
            batch.heads.note(chain, head);
        }
    }

    pub(crate) fn run(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Answer, DatabaseError> {
        let connection = match &self.0 {
            Kind::Reading(snapshot) => snapshot.connection()?,
            Kind::Writing(turn) => turn.connection()?,
        };
        // A full disk ends the transaction, not only the statement; what came after would commit one by one.
        if connection.is_autocommit() {
            let message = "the transaction was ended by an earlier error".to_owned();
            return Err(DatabaseError::Sqlite {
                code: rusqlite::ffi::SQLITE_ABORT,
                message,
            });
        }
        connection.run(sql, values)
    }
}
