//! Opening: key file, database file, migrations, installation.

use std::path::Path;

use proximity_domain::ids::InstallationId;
use proximity_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use secrecy::ExposeSecret;

use tokio::sync::watch;

use crate::calls::Listeners;
use crate::error::StoreError;
use crate::key::{KeyFile, at, keep_entry, private, random, refused};
use crate::migrate::{MIGRATIONS, Migration, bring_up, has_table};
use crate::options::StoreOptions;
use crate::ports::prepare as prepare_ports;
use crate::row::damaged;
use crate::seal::{Place, Sealer};
use crate::sql::{DatabaseError, Readers, Writer, sqlite};
use crate::store::{Shared, Store};
use crate::usage::UnderWay;

/// Sealed at birth; opens only with the right key.
pub(crate) const KEY_CHECK: &str = "this key belongs to this database";

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
        let store = open_with(options, now, MIGRATIONS).await?;
        let ready = store.write(async |tx| prepare_ports(tx, &store.shared).await);
        ready.await?;
        Ok(store)
    }
}

pub(crate) async fn open_with(
    options: StoreOptions,
    now: Timestamp,
    migrations: &'static [Migration],
) -> Result<Store, StoreError> {
    let (path, key_file) = (options.path.clone(), options.key_file.clone());
    let key = blocking(move || prepare(&path, &key_file)).await?;
    key.lock().await?;
    let sealer = Sealer::new(&key.key);
    let (path, readers) = (options.path.clone(), options.path.clone());
    let (public, internal, rest_ms) = (options.public, options.internal, options.rest_ms);
    let commits = watch::Sender::new(0);
    let rung = commits.clone();
    let touched = sqlite::Touched::default();
    let told = touched.clone();
    let (desk, installation, sealer) = blocking(move || {
        let mut writer = sqlite::connect_writer(&path)?;
        // A program with the key of another database changes nothing.
        let known = known(&writer, &options.key_file, &sealer)?;
        bring_up(&mut writer, &path, migrations, now)?;
        let installation = match known {
            Some(installation) => installation,
            None => found(&writer, &sealer, now)?,
        };
        let desk = sqlite::Desk::new(path, writer, rung, told)?;
        Ok((desk, installation, sealer))
    })
    .await?;
    let shared = Shared {
        sealer,
        installation,
        public,
        internal,
        rest_ms,
        commits,
        touched: Some(touched),
        listeners: Listeners::default(),
        writes: UnderWay::default(),
    };
    let readers = Readers::Sqlite(sqlite::Readers::new(readers));
    let writer = Writer::Sqlite(sqlite::Writer::new(desk));
    // Until here other processes that open the same database waited.
    drop(key);
    Ok(Store::on_sql(shared, readers, writer))
}

/// Files and locks wait; this runs `work` where that holds nobody up.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(StoreError::File {
            path: "a thread for opening the store".to_owned(),
            source: std::io::Error::other(e),
        }),
    }
}

/// Key file and database file, made where both are absent.
fn prepare(path: &Path, key_file: &Path) -> Result<KeyFile, StoreError> {
    // The database is looked at first: a process that is making both makes the key first.
    let has_content = match std::fs::metadata(path) {
        Ok(found) => found.len() > 0,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => false,
        Err(e) => return Err(at(path)(e)),
    };
    let key = KeyFile::load(key_file, !has_content)?;
    match private().create_new(true).open(path) {
        Ok(_) => keep_entry(path)?,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(at(path)(e)),
    }
    Ok(key)
}

/// The installation the key belongs to; none in a new database.
fn known(
    writer: &Connection,
    key_file: &Path,
    sealer: &Sealer,
) -> Result<Option<InstallationId>, StoreError> {
    if !has_table(writer, "installation")? {
        return Ok(None);
    }
    let row = writer.query_row("SELECT id, key_check FROM installation", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    });
    let Some((id, check)) = row.optional().map_err(DatabaseError::from)? else {
        return Ok(None);
    };
    let id: InstallationId = id
        .parse()
        .map_err(|e: <InstallationId as std::str::FromStr>::Err| damaged("id", e.to_string()))?;
    match sealer.unseal(check_place(&id.to_string()), &check) {
        Ok(text) if text.expose_secret() == KEY_CHECK => Ok(Some(id)),
        Ok(_) | Err(_) => Err(refused(
            key_file,
            "it belongs to another database; put the right one back from a backup",
        )),
    }
}

/// A new installation: its id and the proof of its key, in one commit.
fn found(
    writer: &Connection,
    sealer: &Sealer,
    now: Timestamp,
) -> Result<InstallationId, StoreError> {
    let millis = u64::try_from(now.0).unwrap_or(0);
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &random::<10>()?).into_uuid();
    let id = InstallationId(id);
    let check = sealer.seal(check_place(&id.to_string()), KEY_CHECK)?;
    let insert =
        "INSERT INTO installation (only_row, id, key_check, created_at) VALUES (1, ?1, ?2, ?3)";
    let added = writer.execute(insert, params![id.to_string(), check, now.0]);
    added.map_err(DatabaseError::from)?;
    Ok(id)
}

pub(crate) fn check_place(id: &str) -> Place<'_> {
    Place {
        table: "installation",
        id,
        column: "key_check",
    }
}
