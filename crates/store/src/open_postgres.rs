//! Opening a database on PostgreSQL: migrations, key file, installation.

use std::path::Path;

use proximity_domain::ids::InstallationId;
use proximity_domain::time::Timestamp;
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Connection};
use tokio::sync::watch;

use crate::calls::Listeners;
use crate::error::StoreError;
use crate::key::{KeyFile, random, refused};
use crate::migrate::MIGRATIONS;
use crate::open::{KEY_CHECK, blocking, check_place};
use crate::options::PostgresOptions;
use crate::ports::prepare as prepare_ports;
use crate::row::Columns;
use crate::seal::Sealer;
use crate::sql::{Answer, DatabaseError, Readers, Row, Value, Writer, postgres};
use crate::store::{Shared, Store};
use crate::usage::UnderWay;

/// A database that was restored on another server has numbers of transactions that this one has not given yet.
const FROM_ELSEWHERE: &str =
    "DELETE FROM touched_apps WHERE written_by >= pg_snapshot_xmax(pg_current_snapshot())";

impl Store {
    /// Opens a database on PostgreSQL 15 or later; an empty one is set up, and its key made when it is absent.
    ///
    /// **Guarantees.** The store has the right to be the only one ([`Store::serve_alone`] gives it out) from before its
    /// first write on: who is refused has changed nothing. Migrations are one transaction each.
    ///
    /// **Assumptions.** The database is for Proximity alone; its user may create tables, functions and triggers. Backups
    /// are the server's: no copy is made before migrating.
    ///
    /// # Errors
    /// [`DatabaseError::InUse`] while another server works on it; else as [`Store::open`], and the connection's.
    pub async fn open_postgres(
        options: PostgresOptions,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let target = postgres::Target::new(&options.url, options.password.as_ref())?;
        let connecting = target.options.connect().await;
        let mut connection = connecting.map_err(DatabaseError::from)?;
        let alone = postgres::Alone::take(&target).await?;
        let alone = alone.ok_or(DatabaseError::InUse)?;
        // Programs of earlier versions hold this one while they open; it lives as long as this session.
        let lock = "SELECT pg_advisory_lock(7640, 0)::text";
        postgres::run(&mut connection, lock, &[]).await?;
        let pending = postgres::pending(&mut connection, MIGRATIONS).await?;
        let known = known(&mut connection, &options.key_file).await?;
        postgres::bring_up(&mut connection, pending, now).await?;
        postgres::run(&mut connection, FROM_ELSEWHERE, &[]).await?;
        let (sealer, installation) = match known {
            (sealer, Some(installation)) => (sealer, installation),
            (sealer, None) => {
                let installation = found(&mut connection, &sealer, now).await?;
                (sealer, installation)
            }
        };
        let pool = postgres::connect(&target).await?;
        let commits = watch::Sender::new(0);
        let writer = postgres::Writer::new(pool.clone(), target, alone, commits.clone());
        let shared = Shared {
            sealer,
            installation,
            public: options.public,
            internal: options.internal,
            rest_ms: options.rest_ms,
            commits,
            touched: None,
            listeners: Listeners::default(),
            writes: UnderWay::default(),
        };
        let readers = Readers::Postgres(postgres::Readers::new(pool));
        let store = Self::on_sql(shared, readers, Writer::Postgres(writer));
        let ready = store.write(async |tx| prepare_ports(tx, &store.shared).await);
        ready.await?;
        connection.close().await.map_err(DatabaseError::from)?;
        Ok(store)
    }
}

/// The key, and the installation it belongs to unless the database is new. Only then is a key made.
async fn known(
    connection: &mut PgConnection,
    key_file: &Path,
) -> Result<(Sealer, Option<InstallationId>), StoreError> {
    let known = if postgres::has_table(connection, "installation").await? {
        let sql = "SELECT id, key_check FROM installation";
        first(postgres::run(connection, sql, &[]).await?)
    } else {
        None
    };
    let (path, may_make) = (key_file.to_owned(), known.is_none());
    let key = blocking(move || KeyFile::load(&path, may_make)).await?;
    let sealer = Sealer::new(&key.key);
    let Some(known) = known else {
        return Ok((sealer, None));
    };
    let id: InstallationId = known.parsed("id")?;
    let check = known.text("key_check")?;
    match sealer.unseal(check_place(&id.to_string()), &check) {
        Ok(text) if text.expose_secret() == KEY_CHECK => Ok((sealer, Some(id))),
        Ok(_) | Err(_) => Err(refused(
            key_file,
            "it belongs to another database; put the right one back from a backup",
        )),
    }
}

fn first(answer: Answer) -> Option<Row> {
    answer.rows.into_iter().next()
}

/// A new installation: its id and the proof of its key, in one commit.
async fn found(
    connection: &mut PgConnection,
    sealer: &Sealer,
    now: Timestamp,
) -> Result<InstallationId, StoreError> {
    let millis = u64::try_from(now.0).unwrap_or(0);
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &random::<10>()?).into_uuid();
    let id = InstallationId(id);
    let check = sealer.seal(check_place(&id.to_string()), KEY_CHECK)?;
    let insert =
        "INSERT INTO installation (only_row, id, key_check, created_at) VALUES (1, $1, $2, $3)";
    let values = [
        Value::from(id.to_string()),
        Value::from(check),
        Value::from(now.0),
    ];
    postgres::run(connection, insert, &values).await?;
    Ok(id)
}
