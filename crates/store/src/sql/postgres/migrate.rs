//! Migrations on PostgreSQL. No copy is made: backups are the server's business.

use proximity_domain::time::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};

use crate::error::StoreError;
use crate::migrate::{Migration, RECORD, Then, changed};
use crate::row::{Columns, each};
use crate::sql::postgres::journal::{AUDIT, EVENTS, link_numbered};
use crate::sql::postgres::statement::run;
use crate::sql::{DatabaseError, Value};

/// What is missing of `migrations`; nothing is changed.
///
/// # Errors
/// As for a file: too new, or another text.
pub(crate) async fn pending(
    connection: &mut PgConnection,
    migrations: &'static [Migration],
) -> Result<Vec<&'static Migration>, StoreError> {
    let known = migrations.last().map_or(0, |m| m.version);
    let applied = applied(connection).await?;
    let found = applied.last().map_or(0, |(version, _)| *version);
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (version, checksum) in &applied {
        let same =
            |m: &Migration| m.version == *version && Migration::checksum(m.postgres) == *checksum;
        if !migrations.iter().any(same) {
            return Err(changed(*version));
        }
    }
    Ok(migrations.iter().filter(|m| m.version > found).collect())
}

/// Versions and checksums, in order; none for an empty database.
async fn applied(connection: &mut PgConnection) -> Result<Vec<(i64, String)>, StoreError> {
    if !has_table(connection, "migrations").await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, checksum FROM migrations ORDER BY version";
    let applied = run(connection, sql, &[]).await?;
    each(&applied.rows, |row| {
        Ok((row.int("version")?, row.text("checksum")?))
    })
}

pub(crate) async fn has_table(
    connection: &mut PgConnection,
    name: &'static str,
) -> Result<bool, StoreError> {
    let sql = "SELECT to_regclass($1)::text AS name";
    let found = run(connection, sql, &[Value::from(name)]).await?;
    let row = found.rows.first().ok_or(DatabaseError::NoRow)?;
    Ok(row.text_opt("name")?.is_some())
}

/// Applies them; the caller is alone. Each migration is one transaction with its record.
///
/// # Errors
/// The database's.
pub(crate) async fn bring_up(
    connection: &mut PgConnection,
    pending: Vec<&Migration>,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    connection.execute(RECORD).await?;
    for migration in pending {
        apply(connection, migration, now).await?;
        tracing::info!(version = migration.version, "migrated the database");
    }
    Ok(())
}

async fn apply(
    connection: &mut PgConnection,
    migration: &Migration,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let mut tx = connection.begin().await?;
    // No table is altered while something waits for the end of the transaction that changed it.
    tx.execute("SET CONSTRAINTS ALL IMMEDIATE").await?;
    tx.execute(migration.postgres).await?;
    match migration.then {
        Then::Nothing => {}
        Then::LinkAudit => link_numbered(&mut tx, &AUDIT).await?,
        Then::LinkEvents => link_numbered(&mut tx, &EVENTS).await?,
    }
    let insert =
        "INSERT INTO migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)";
    let values = [
        Value::from(migration.version),
        Value::from(migration.name),
        Value::from(Migration::checksum(migration.postgres)),
        Value::from(now.0),
    ];
    run(&mut tx, insert, &values).await?;
    Ok(tx.commit().await?)
}
