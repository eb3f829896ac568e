//! What a store is opened with.

use std::path::PathBuf;

use proximity_domain::ports::PortRange;
use secrecy::SecretString;

/// Where the database is and what it may give out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// The database file; `-wal` and `-shm` stand beside it.
    pub path: PathBuf,
    /// The file with the key that seals secrets; not readable by group or others.
    pub key_file: PathBuf,
    /// Where public ports come from.
    pub public: PortRange,
    /// Where internal ports come from.
    pub internal: PortRange,
    /// How long the ports of an orphan rest before they are given out again, milliseconds.
    pub rest_ms: i64,
}

/// A database on PostgreSQL, and what the store may give out.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://USER@HOST:PORT/NAME`; its `sslmode` and `sslrootcert` say how TLS is done.
    pub url: SecretString,
    /// The user's password, if one is needed and the URL has none.
    pub password: Option<SecretString>,
    /// The file with the key that seals secrets; not readable by group or others.
    pub key_file: PathBuf,
    /// Where public ports come from.
    pub public: PortRange,
    /// Where internal ports come from.
    pub internal: PortRange,
    /// How long the ports of an orphan rest before they are given out again, milliseconds.
    pub rest_ms: i64,
}
