//! What sort of trouble an error of the database is: whether it passes, and what a person can do.

use std::io::ErrorKind;

use rusqlite::ffi;

use crate::error::StoreError;
use crate::sql::DatabaseError;

/// EIO, ENFILE, EMFILE: they pass.
const PASSING_ERRNOS: [i32; 3] = [5, 23, 24];

/// Trouble with the database or its disk, as against a refusal by rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There is no space left. Nothing is lost; work goes on when there is some.
    Full,
    /// It cannot be used right now: the disk, a lock, the system's limits. What became of the call is not known until
    /// it is read again.
    Passing,
    /// It does not pass by itself: damage, or a fault of this program.
    Lasting,
}

impl StoreError {
    /// The sort of trouble; `None` for a refusal by rule.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Database(error) => Some(database(error)),
            Self::File { source, .. } => Some(file(source)),
            Self::TooNew { .. } | Self::Key { .. } | Self::Damaged { .. } => Some(Trouble::Lasting),
            Self::LeaseLost { .. }
            | Self::ApplyLost { .. }
            | Self::PlanApplied { .. }
            | Self::ApplyOverlaps { .. }
            | Self::BrakeStops { .. }
            | Self::Rejected { .. }
            | Self::SecretInUse { .. }
            | Self::HostnameTaken { .. }
            | Self::PortsExhausted { .. }
            | Self::Busy { .. }
            | Self::QueueFull { .. }
            | Self::IllegalTransition { .. }
            | Self::NotFound { .. }
            | Self::Exists { .. }
            | Self::KeyReused { .. }
            | Self::HostInUse { .. } => None,
        }
    }

    /// Trouble that may be over at the next try.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self.trouble(), Some(Trouble::Full | Trouble::Passing))
    }
}

fn database(error: &DatabaseError) -> Trouble {
    match error {
        DatabaseError::Sqlite { code, .. } => sqlite(*code),
        DatabaseError::Postgres { code, .. } => postgres(code),
        DatabaseError::Conflict { .. }
        | DatabaseError::Connection { .. }
        | DatabaseError::NoTurn { .. }
        | DatabaseError::Closed
        | DatabaseError::Unknown => Trouble::Passing,
        DatabaseError::InUse | DatabaseError::NoRow | DatabaseError::Misfit(_) => Trouble::Lasting,
    }
}

/// By the primary part of SQLite's code: <https://www.sqlite.org/rescode.html>.
fn sqlite(code: i32) -> Trouble {
    match code & 0xff {
        ffi::SQLITE_FULL => Trouble::Full,
        ffi::SQLITE_IOERR
        | ffi::SQLITE_BUSY
        | ffi::SQLITE_LOCKED
        | ffi::SQLITE_NOMEM
        | ffi::SQLITE_CANTOPEN
        | ffi::SQLITE_PROTOCOL
        | ffi::SQLITE_ABORT
        | ffi::SQLITE_INTERRUPT => Trouble::Passing,
        _ => Trouble::Lasting,
    }
}

/// By SQLSTATE: <https://www.postgresql.org/docs/15/errcodes-appendix.html>. Classes 08 (connection), 53 (resources) and
/// 57 (an administrator's doing) pass, and so do a lock not had in time, an error of reading or writing, and a server
/// that takes no writes for now.
fn postgres(code: &str) -> Trouble {
    match code {
        "53100" => Trouble::Full,
        "25006" | "55P03" | "58030" => Trouble::Passing,
        _ if ["08", "53", "57"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            Trouble::Passing
        }
        _ => Trouble::Lasting,
    }
}

fn file(error: &std::io::Error) -> Trouble {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Trouble::Full,
        _ if error
            .raw_os_error()
            .is_some_and(|no| PASSING_ERRNOS.contains(&no)) =>
        {
            Trouble::Passing
        }
        _ => Trouble::Lasting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: i32) -> Option<Trouble> {
        let message = String::new();
        StoreError::Database(DatabaseError::Sqlite { code, message }).trouble()
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one_and_from_damage() {
        assert_eq!(of(ffi::SQLITE_FULL), Some(Trouble::Full));
        assert_eq!(of(ffi::SQLITE_IOERR_FSYNC), Some(Trouble::Passing));
        assert_eq!(of(ffi::SQLITE_CANTOPEN), Some(Trouble::Passing));
        assert_eq!(of(ffi::SQLITE_CORRUPT), Some(Trouble::Lasting));
        assert_eq!(of(ffi::SQLITE_CONSTRAINT_UNIQUE), Some(Trouble::Lasting));
        let full = StoreError::File {
            path: String::new(),
            source: std::io::Error::from_raw_os_error(28),
        };
        assert_eq!(full.trouble(), Some(Trouble::Full));
    }

    #[test]
    fn a_server_that_is_full_or_going_down_is_told_from_a_fault_of_ours() {
        assert_eq!(postgres("53100"), Trouble::Full);
        assert_eq!(postgres("53300"), Trouble::Passing);
        assert_eq!(postgres("57P01"), Trouble::Passing);
        assert_eq!(postgres("42601"), Trouble::Lasting);
        assert_eq!(postgres("23505"), Trouble::Lasting);
    }

    #[test]
    fn a_refusal_is_no_trouble() {
        let refusal = StoreError::HostnameTaken {
            hostname: String::new(),
        };
        assert_eq!((refusal.trouble(), refusal.may_pass()), (None, false));
    }
}
