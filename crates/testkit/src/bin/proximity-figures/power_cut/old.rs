//! A database as version 1 of the schema left it: made by the published text of that migration, with rows in it.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::acks::Ack;

const FIRST: &str = include_str!("../../../../../store/migrations/0001_first.sql");
const RECORD: &str = "CREATE TABLE migrations (version BIGINT NOT NULL PRIMARY KEY, \
     name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)";
const TOKENS: u32 = 200;

/// Makes it, whole and promised, and says so.
///
/// # Errors
/// What the system or SQLite said.
pub(crate) fn make(dir: &Path) -> Result<()> {
    let mut key = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(dir.join("key"))?;
    key.write_all("0123456789abcdef".repeat(4).as_bytes())?;
    key.sync_all()?;
    let mut database = Connection::open(dir.join("proximity.db"))?;
    database.pragma_update(None, "journal_mode", "wal")?;
    let tx = database.transaction()?;
    tx.execute_batch(FIRST)?;
    tx.execute_batch(RECORD)?;
    let checksum = hex::encode(Sha256::digest(FIRST));
    tx.execute(
        "INSERT INTO migrations VALUES (1, '0001_first', ?1, 0)",
        [checksum],
    )?;
    for n in 0..TOKENS {
        let (id, hash) = (
            uuid::Uuid::from_u128(n.into()),
            Sha256::digest(n.to_be_bytes()),
        );
        tx.execute(
            "INSERT INTO tokens VALUES (?1, 'admin', '[\"*\"]', ?2, ?3)",
            params![id.to_string(), hex::encode(hash), n],
        )?;
    }
    tx.commit()?;
    database.close().map_err(|(_, error)| error)?;
    File::open(dir.join("proximity.db"))?.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ack::Ready.print()
}
