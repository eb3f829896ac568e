//! What a database says when it fails.

/// Why the database did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// SQLite failed or refused; nothing of the transaction is there.
    #[error("{message} (SQLite code {code})")]
    Sqlite {
        /// Its extended result code.
        code: i32,
        /// What it says.
        message: String,
    },
    /// PostgreSQL failed or refused; nothing of the transaction is there.
    #[error("{message} (PostgreSQL code {code})")]
    Postgres {
        /// Its SQLSTATE.
        code: String,
        /// What it says.
        message: String,
    },
    /// Others wrote the same at the same time, again and again; nothing of the transaction is there.
    #[error("writers beside each other: {message} (PostgreSQL code {code})")]
    Conflict {
        /// Its SQLSTATE.
        code: String,
        /// What it says.
        message: String,
    },
    /// The connection failed; nothing of the transaction is there.
    #[error("connection to the database: {message}")]
    Connection {
        /// What is known.
        message: String,
    },
    /// The turn to write or a connection to read did not come in time; nothing was done.
    #[error("no turn within {waited_s} s")]
    NoTurn {
        /// How long was waited, seconds.
        waited_s: u64,
    },
    /// Another server works on this database; nothing was done.
    #[error("another server works on this database")]
    InUse,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A statement that gives a row in any case gave none.
    #[error("a row was expected and there is none")]
    NoRow,
    /// A statement of ours does not fit its arguments or its columns: a fault of this program.
    #[error("statement and values do not fit: {0}")]
    Misfit(String),
    /// Nobody could say whether the commit took place: look before doing it again.
    #[error("the outcome of a commit is unknown")]
    Unknown,
}

impl DatabaseError {
    /// A word for what kind of error it is, of a closed list.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres { .. } => "postgres",
            Self::Conflict { .. } => "conflict",
            Self::Connection { .. } => "connection",
            Self::NoTurn { .. } => "no_turn",
            Self::InUse => "in_use",
            Self::Closed => "closed",
            Self::NoRow => "no_row",
            Self::Misfit(_) => "misfit",
            Self::Unknown => "outcome_unknown",
        }
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error().map(|e| e.extended_code);
        match (code, error) {
            (Some(code), rusqlite::Error::SqliteFailure(_, Some(message))) => {
                Self::Sqlite { code, message }
            }
            (Some(code), other) => Self::Sqlite {
                code,
                message: other.to_string(),
            },
            (None, other) => Self::Misfit(other.to_string()),
        }
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        let Some(said) = error.as_database_error() else {
            return match error {
                sqlx::Error::PoolClosed => Self::Closed,
                other => Self::Connection {
                    message: other.to_string(),
                },
            };
        };
        let code = said.code().unwrap_or_default().into_owned();
        let message = said.message().to_owned();
        match code.as_str() {
            // Serialization failure, deadlock, and a key that another transaction wrote since this one looked.
            "40001" | "40P01" | "23505" => Self::Conflict { code, message },
            _ => Self::Postgres { code, message },
        }
    }
}
