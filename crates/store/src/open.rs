//! Opening: key file, database file, migrations, installation.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proximity_domain::ids::InstallationId;
use proximity_domain::time::Timestamp;
use secrecy::ExposeSecret;
use sqlx::SqlitePool;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::error::StoreError;
use crate::key::{KeyFile, at, keep_entry, private, random, refused};
use crate::migrate::{MIGRATOR, bring_up};
use crate::options::StoreOptions;
use crate::row::Columns;
use crate::seal::{Place, Sealer};
use crate::store::{Reader, Shared, Store};

/// How long a writer waits for another process's write.
const BUSY: Duration = Duration::from_secs(10);
/// How long a caller waits for its turn in this process.
const TURN: Duration = Duration::from_secs(30);
const READERS: u32 = 4;
/// Sealed at birth; opens only with the right key.
const KEY_CHECK: &str = "this key belongs to this database";

impl Store {
    /// Opens the database, made new with its key when both are absent.
    ///
    /// **Guarantees.** Safe when several processes open at once. A database with content is copied to
    /// `<path>.before-<version>` before it is migrated. Files that are made are readable by their owner only.
    ///
    /// **Assumptions.** The directories exist; the file system honours fsync and locks.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] if a newer program wrote it; [`StoreError::Key`] if the key file is missing beside an
    /// existing database, belongs to another one, or is readable by group or others.
    pub async fn open(options: StoreOptions, now: Timestamp) -> Result<Self, StoreError> {
        open_with(options, now, &MIGRATOR).await
    }
}

pub(crate) async fn open_with(
    options: StoreOptions,
    now: Timestamp,
    migrator: &Migrator,
) -> Result<Store, StoreError> {
    let key = prepare(options.path.clone(), options.key_file.clone()).await?;
    key.lock().await?;
    let writer = connect_writer(&options.path).await?;
    let sealer = Sealer::new(&key.key);
    let installation = match settle(&writer, &options, migrator, &sealer, now).await {
        Ok(installation) => installation,
        Err(error) => {
            writer.close().await;
            return Err(error);
        }
    };
    let readers = connect_readers(&options.path).await?;
    let shared = Shared {
        readers,
        sealer,
        installation,
        public: options.public,
        internal: options.internal,
        rest_ms: options.rest_ms,
    };
    let reader = Reader {
        shared: Arc::new(shared),
    };
    Ok(Store { reader, writer })
}

/// Key file and database file, made where both are absent.
async fn prepare(path: PathBuf, key_file: PathBuf) -> Result<KeyFile, StoreError> {
    let work = move || {
        // The database is looked at first: a process that is making both makes the key first.
        let has_content = match std::fs::metadata(&path) {
            Ok(found) => found.len() > 0,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => false,
            Err(e) => return Err(at(&path)(e)),
        };
        let key = KeyFile::load(&key_file, !has_content)?;
        match private().create_new(true).open(&path) {
            Ok(_) => keep_entry(&path)?,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(at(&path)(e)),
        }
        Ok(key)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(StoreError::Database(sqlx::Error::Io(
            std::io::Error::other(e),
        ))),
    }
}

async fn connect_writer(path: &Path) -> Result<SqlitePool, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(TURN)
        .idle_timeout(None)
        .max_lifetime(None);
    Ok(pool.connect_with(options).await?)
}

async fn connect_readers(path: &Path) -> Result<SqlitePool, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY);
    let pool = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(TURN);
    Ok(pool.connect_with(options).await?)
}

async fn settle(
    writer: &SqlitePool,
    options: &StoreOptions,
    migrator: &Migrator,
    sealer: &Sealer,
    now: Timestamp,
) -> Result<InstallationId, StoreError> {
    bring_up(writer, &options.path, migrator).await?;
    let row = sqlx::query("SELECT id, key_check FROM installation");
    let Some(row) = row.fetch_optional(writer).await? else {
        return found(writer, sealer, now).await;
    };
    let id: InstallationId = row.parsed("id")?;
    let opened = sealer.unseal(check_place(&id.to_string()), &row.text("key_check")?);
    match opened {
        Ok(text) if text.expose_secret() == KEY_CHECK => Ok(id),
        Ok(_) | Err(_) => Err(refused(
            &options.key_file,
            "it belongs to another database; put the right one back from a backup",
        )),
    }
}

/// A new installation: its id and the proof of its key, in one commit.
async fn found(
    writer: &SqlitePool,
    sealer: &Sealer,
    now: Timestamp,
) -> Result<InstallationId, StoreError> {
    let millis = u64::try_from(now.0).unwrap_or(0);
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &random::<10>()?).into_uuid();
    let id = InstallationId(id);
    let check = sealer.seal(check_place(&id.to_string()), KEY_CHECK)?;
    sqlx::query(
        "INSERT INTO installation (only_row, id, key_check, created_at) VALUES (1, $1, $2, $3)",
    )
    .bind(id.to_string())
    .bind(check)
    .bind(now.0)
    .execute(writer)
    .await?;
    Ok(id)
}

fn check_place(id: &str) -> Place<'_> {
    Place {
        table: "installation",
        id,
        column: "key_check",
    }
}
