//! Bringing a database to the schema of this program: forwards only, after a copy.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use proximity_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use sha2::{Digest, Sha256, Sha384};

use crate::audit_chain::link_audit;
use crate::error::StoreError;
use crate::events_chain::link_events;
use crate::key::{at, keep_entry, private};
use crate::row::damaged;
use crate::sql::DatabaseError;

/// One step of the schema. What was published is never changed: its checksum is recorded where it was applied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
    pub(crate) then: Then,
}

/// What the program itself does after the text, in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    /// Links the audit entries that are there.
    LinkAudit,
    /// Links the events that are there.
    LinkEvents,
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        migration!($version, $name, "")
    };
    ($version:literal, $name:literal, $postgres:literal) => {
        migration!($version, $name, $postgres, Then::Nothing)
    };
    ($version:literal, $name:literal, $postgres:literal, $then:expr) => {
        Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../migrations/", $name, ".sql")),
            postgres: include_str!(concat!("../migrations/", $postgres, $name, ".sql")),
            then: $then,
        }
    };
}

/// All of them, in order.
pub(crate) const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_first"),
    migration!(2, "0002_guards", "postgres/"),
    migration!(3, "0003_ports"),
    migration!(4, "0004_request_keys"),
    migration!(5, "0005_waits"),
    migration!(6, "0006_placement"),
    migration!(7, "0007_audit_by_step"),
    migration!(8, "0008_request_ids"),
    migration!(9, "0009_queued"),
    migration!(10, "0010_one_tree", "postgres/"),
    migration!(11, "0011_purpose_tokens"),
    migration!(12, "0012_notices"),
    migration!(13, "0013_observation"),
    migration!(14, "0014_adoption", "postgres/"),
    migration!(15, "0015_identity_alarms"),
    migration!(16, "0016_identities"),
    migration!(17, "0017_restore_keys", "postgres/"),
    migration!(18, "0018_guards"),
    migration!(19, "0019_interfaces"),
    migration!(20, "0020_what_was_told", "postgres/"),
    migration!(21, "0021_clearing"),
    migration!(22, "0022_audit_chain", "postgres/", Then::LinkAudit),
    migration!(23, "0023_plans"),
    migration!(24, "0024_resources"),
    migration!(25, "0025_applies"),
    migration!(26, "0026_updates", "postgres/"),
    migration!(27, "0027_events_chain", "postgres/", Then::LinkEvents),
    migration!(28, "0028_touched_apps", "postgres/"),
    migration!(29, "0029_conflicts"),
    migration!(30, "0030_sources"),
    migration!(31, "0031_rejected_revisions"),
    migration!(32, "0032_sites"),
    migration!(33, "0033_entry_sources"),
    migration!(34, "0034_made_with"),
    migration!(35, "0035_prepared_templates"),
    migration!(36, "0036_accounts"),
];

pub(crate) const RECORD: &str = "CREATE TABLE IF NOT EXISTS migrations (version BIGINT NOT NULL PRIMARY KEY, \
     name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)";

impl Migration {
    /// What is recorded of a text.
    pub(crate) fn checksum(text: &str) -> String {
        hex::encode(Sha256::digest(text.as_bytes()))
    }
}

/// Applies what is missing. The caller holds the opening lock and is on a thread that may block.
///
/// A database with content is copied first, to `<path>.before-<version>`, where the version is the first one that
/// was missing; whatever is changed, be it only the records, is changed afterwards. Each migration is one transaction with its record, so a cut anywhere leaves it done or not begun.
///
/// # Errors
/// [`StoreError::TooNew`] if the database knows a later migration than this program; [`StoreError::Damaged`] if one
/// was applied with another text.
pub(crate) fn bring_up(
    connection: &mut Connection,
    path: &Path,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<(), StoreError> {
    let applied = applied(connection)?;
    let found = applied.records.last().map_or(0, |(version, _)| *version);
    applied.verify(migrations)?;
    let pending: Vec<_> = migrations.iter().filter(|m| m.version > found).collect();
    if let (Some(first), true) = (pending.first(), found > 0) {
        copy(connection, path, first.version)?;
    }
    if applied.by == By::Library {
        adopt(connection, &applied, migrations, now)?;
    }
    for migration in pending {
        apply(connection, migration, now)?;
    }
    Ok(())
}

pub(crate) fn changed(version: i64) -> StoreError {
    damaged(
        "schema",
        format!("migration {version} was applied with another text than this program has"),
    )
}

/// What was applied: versions and checksums, in order; none for an empty file.
struct Applied {
    records: Vec<(i64, Vec<u8>)>,
    by: By,
}

/// Who keeps the records.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// This program, in `migrations`: SHA-256 as text.
    Us,
    /// The library that migrated before, in `_sqlx_migrations`: SHA-384.
    Library,
}

impl By {
    fn checksum(self, text: &str) -> Vec<u8> {
        match self {
            Self::Us => Migration::checksum(text).into_bytes(),
            Self::Library => Sha384::digest(text.as_bytes()).to_vec(),
        }
    }
}

impl Applied {
    /// Nothing is there that this program does not know, or knows with another text.
    fn verify(&self, migrations: &[Migration]) -> Result<(), StoreError> {
        let known = migrations.last().map_or(0, |m| m.version);
        match self.records.last() {
            Some((found, _)) if *found > known => {
                let found = *found;
                return Err(StoreError::TooNew { found, known });
            }
            Some(_) | None => {}
        }
        for (version, checksum) in &self.records {
            let same =
                |m: &Migration| m.version == *version && self.by.checksum(m.sqlite) == *checksum;
            if !migrations.iter().any(same) {
                return Err(changed(*version));
            }
        }
        Ok(())
    }
}

fn applied(connection: &Connection) -> Result<Applied, DatabaseError> {
    // A program of before that was started on this file has left the library's table empty beside ours.
    let (by, sql) = if has_table(connection, "migrations")? {
        let sql = "SELECT version, CAST(checksum AS BLOB) FROM migrations ORDER BY version";
        (By::Us, sql)
    } else if has_table(connection, "_sqlx_migrations")? {
        let sql = "SELECT version, checksum FROM _sqlx_migrations ORDER BY version";
        (By::Library, sql)
    } else {
        let records = Vec::new();
        return Ok(Applied {
            records,
            by: By::Us,
        });
    };
    let mut rows = connection.prepare(sql)?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let records = rows.collect::<Result<_, _>>()?;
    Ok(Applied { records, by })
}

pub(crate) fn has_table(connection: &Connection, name: &str) -> Result<bool, DatabaseError> {
    let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
    let found = connection.query_row(sql, [name], |_| Ok(()));
    Ok(found.optional()?.is_some())
}

fn apply(
    connection: &mut Connection,
    migration: &Migration,
    now: Timestamp,
) -> Result<(), StoreError> {
    // A table that others refer to is rebuilt with the references switched off, and they are checked at the end:
    // https://www.sqlite.org/lang_altertable.html, section 7. Inside of a transaction the switch has no effect.
    let switch = |on| connection.pragma_update(None, "foreign_keys", on);
    switch(false).map_err(DatabaseError::from)?;
    let result = apply_whole(connection, migration, now);
    let back = connection.pragma_update(None, "foreign_keys", true);
    back.map_err(DatabaseError::from)?;
    result
}

fn apply_whole(
    connection: &mut Connection,
    migration: &Migration,
    now: Timestamp,
) -> Result<(), StoreError> {
    let whole = |connection: &mut Connection| -> rusqlite::Result<bool> {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(migration.sqlite)?;
        match migration.then {
            Then::Nothing => {}
            Then::LinkAudit => link_audit(&tx)?,
            Then::LinkEvents => link_events(&tx)?,
        }
        tx.execute_batch(RECORD)?;
        tx.execute_batch("DROP TABLE IF EXISTS _sqlx_migrations")?;
        record(&tx, migration, now)?;
        let broken = tx.prepare("PRAGMA foreign_key_check")?.exists([])?;
        if !broken {
            tx.commit()?;
        }
        Ok(broken)
    };
    if whole(connection).map_err(DatabaseError::from)? {
        let why = format!("migration {} leaves rows without owner", migration.version);
        return Err(damaged("schema", why));
    }
    tracing::info!(
        version = migration.version,
        name = migration.name,
        "migrated the database"
    );
    Ok(())
}

fn record(tx: &Connection, migration: &Migration, now: Timestamp) -> rusqlite::Result<()> {
    let insert =
        "INSERT INTO migrations (version, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)";
    let (name, checksum) = (migration.name, Migration::checksum(migration.sqlite));
    tx.execute(insert, params![migration.version, name, checksum, now.0])?;
    Ok(())
}

/// Takes over the records of the library that migrated before; they were verified.
fn adopt(
    connection: &mut Connection,
    applied: &Applied,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(RECORD)?;
    for (version, _) in &applied.records {
        for migration in migrations.iter().filter(|m| m.version == *version) {
            record(&tx, migration, now)?;
        }
    }
    tx.execute_batch("DROP TABLE _sqlx_migrations")?;
    Ok(tx.commit()?)
}

/// Writes a whole copy under its name, or none: a copy cut off by a crash keeps its other name and is overwritten.
fn copy(connection: &Connection, path: &Path, pending: i64) -> Result<(), StoreError> {
    let finished = beside(path, &format!(".before-{pending}"));
    let partial = beside(path, &format!(".before-{pending}.partial"));
    match std::fs::remove_file(&partial) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(at(&partial)(e)),
        Ok(()) | Err(_) => {}
    }
    // VACUUM fills an empty file, so the copy is for its owner only from the first byte.
    let file = private().create_new(true).open(&partial);
    drop(file.map_err(at(&partial))?);
    let target = partial.to_str().ok_or_else(|| StoreError::File {
        path: partial.display().to_string(),
        source: std::io::Error::other("the path is not UTF-8"),
    })?;
    let vacuumed = connection.execute("VACUUM INTO ?1", [target]);
    vacuumed.map_err(DatabaseError::from)?;
    let written = std::fs::File::open(&partial).and_then(|f| f.sync_all());
    written.map_err(at(&partial))?;
    std::fs::rename(&partial, &finished).map_err(at(&finished))?;
    keep_entry(&finished)?;
    tracing::info!(copy = %finished.display(), "copied the database before migrating it");
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
