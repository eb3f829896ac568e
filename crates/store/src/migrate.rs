//! Bringing a database to the schema of this program: forwards only, after a copy.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, SqlitePool};

use crate::error::StoreError;
use crate::key::{at, keep_entry, private};

/// The migrations, embedded.
pub(crate) static MIGRATOR: Migrator = sqlx::migrate!();

/// Applies what is missing. The caller holds the opening lock.
///
/// A database with content is copied first, to `<path>.before-<version>`, where the version is the first one that
/// was missing.
///
/// # Errors
/// [`StoreError::TooNew`] if the database knows a later migration than this program.
pub(crate) async fn bring_up(
    writer: &SqlitePool,
    path: &Path,
    migrator: &Migrator,
) -> Result<(), StoreError> {
    let known = migrator.iter().map(|m| m.version).max().unwrap_or(0);
    let found = schema_version(writer).await?;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    let pending = migrator.iter().map(|m| m.version).find(|v| *v > found);
    if let (Some(pending), true) = (pending, found > 0) {
        copy(writer, path, pending).await?;
    }
    migrator.run(writer).await.map_err(sqlx::Error::from)?;
    Ok(())
}

/// Version of the last migration in the file, 0 for an empty one.
async fn schema_version(writer: &SqlitePool) -> Result<i64, StoreError> {
    let tables = "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";
    let tables: i64 = sqlx::query_scalar(tables).fetch_one(writer).await?;
    if tables == 0 {
        return Ok(0);
    }
    let last = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations";
    Ok(sqlx::query_scalar(last).fetch_one(writer).await?)
}

/// Writes a whole copy under its name, or none: a copy cut off by a crash keeps its other name and is overwritten.
async fn copy(writer: &SqlitePool, path: &Path, pending: i64) -> Result<(), StoreError> {
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
    // VACUUM takes no bound parameter in every version; the quotes are doubled as SQL demands.
    let vacuum = format!("VACUUM INTO '{}'", target.replace('\'', "''"));
    sqlx::query(AssertSqlSafe(vacuum)).execute(writer).await?;
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
