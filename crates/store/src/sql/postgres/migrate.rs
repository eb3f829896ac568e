//! Migrations on PostgreSQL. No copy is made: backups are the server's business.

use proximity_domain::time::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};

use crate::error::StoreError;
use crate::migrate::{Migration, RECORD, changed};
use crate::row::{Columns, each};
use crate::sql::postgres::statement::run;
use crate::sql::{DatabaseError, Value};

/// Applies what is missing; the caller holds the opening lock. Each migration is one transaction with its record.
///
/// # Errors
/// As for a file: too new, or another text.
pub(crate) async fn bring_up(
    connection: &mut PgConnection,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<(), StoreError> {
    let known = migrations.last().map_or(0, |m| m.version);
    let created = connection.execute(RECORD).await;
    created.map_err(DatabaseError::from)?;
    let applied = run(
        connection,
        "SELECT version, checksum FROM migrations ORDER BY version",
        &[],
    );
    let applied = each(&applied.await?.rows, |row| {
        Ok((row.int("version")?, row.text("checksum")?))
    })?;
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
    for migration in migrations.iter().filter(|m| m.version > found) {
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
    tx.execute(migration.postgres).await?;
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
