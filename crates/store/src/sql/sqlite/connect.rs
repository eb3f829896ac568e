//! Connections as they have to be set.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::sql::DatabaseError;

/// How long a process waits for another one's write.
pub(crate) const BUSY: Duration = Duration::from_secs(10);
/// More than the store has different statements, so that each is prepared once per connection.
const STATEMENTS: usize = 256;
/// Pages in the log after which a commit also carries them over to the file: seldom enough that not one commit in a
/// hundred takes so long (a page has 4 KiB, a commit some ten of them).
const CHECKPOINT_PAGES: i64 = 4_000;
/// Pages that the writer keeps, 2 MiB at most: what commits touch again and again, which are the new ends of the journals and of
/// their indexes and what is above the rows of apps. What is not there is in the system's memory, where a read costs less
/// than a hundredth of the flush that each commit waits for.
const WRITER_CACHE_PAGES: i64 = 512;
/// Pages that each connection that reads keeps, 512 KiB at most: as much as the writer has is what all of them have together. It is
/// what is above the rows; the rows themselves a pass reads once.
const READER_CACHE_PAGES: i64 = 128;

/// A connection that writes. Waits for other processes, so it belongs on a thread that may block.
pub(crate) fn connect_writer(path: &Path) -> Result<Connection, DatabaseError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE_PAGES)?;
    Ok(connection)
}

/// A connection that cannot write.
pub(crate) fn connect_reader(path: &Path) -> Result<Connection, DatabaseError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.pragma_update(None, "cache_size", READER_CACHE_PAGES)?;
    Ok(connection)
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection, DatabaseError> {
    // Each connection is used by one thread at a time, which the compiler sees to.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A plan may not depend on what is bound: SQLite would make it anew for other values.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    /// A value that is compared with what an index is limited to would otherwise be part of the plan.
    #[test]
    fn a_statement_is_prepared_once_whatever_is_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        drop(Connection::open(&path).unwrap());
        let connection = connect_writer(&path).unwrap();
        connection
            .execute_batch("CREATE TABLE a (b, c); CREATE INDEX d ON a (b) WHERE c = 'x'")
            .unwrap();
        let mut statement = connection
            .prepare("SELECT b FROM a WHERE b = ?1 AND c = ?2")
            .unwrap();
        for c in ["x", "y", "x", "z"] {
            assert!(!statement.exists((1, c)).unwrap());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
