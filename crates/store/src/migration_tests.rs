//! Opening databases of other versions. In the crate, because only here migrations can be left out.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Row, SqlitePool};

use crate::error::StoreError;
use crate::migrate::MIGRATOR;
use crate::open::open_with;
use crate::options::StoreOptions;
use crate::store::Store;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        path: dir.join("proximity.db"),
        key_file: dir.join("key"),
        public: PortRange::PUBLIC,
        internal: PortRange::INTERNAL,
        rest_ms: 0,
    }
}

/// The first `count` migrations.
fn older(count: usize) -> Migrator {
    Migrator::with_migrations(MIGRATOR.iter().take(count).cloned().collect())
}

async fn raw(path: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(1);
    pool.connect_with(options).await.unwrap()
}

/// Name and text of everything in a schema, without comments and white space.
async fn schema(pool: &SqlitePool) -> Vec<(String, String)> {
    let rows = sqlx::query(
        "SELECT type || ' ' || name AS name, sql FROM sqlite_master \
         WHERE sql IS NOT NULL AND name NOT LIKE '\\_sqlx%' ESCAPE '\\' ORDER BY 1",
    );
    let rows = rows.fetch_all(pool).await.unwrap();
    let text = |sql: String| {
        let lines = sql.lines().map(|l| l.split("--").next().unwrap_or(""));
        let joined = lines.collect::<Vec<_>>().join(" ");
        joined.split_whitespace().collect::<String>()
    };
    rows.iter()
        .map(|r| (r.get("name"), text(r.get("sql"))))
        .collect()
}

#[tokio::test]
async fn all_migrations_make_the_fresh_schema() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = raw(&dir.path().join("fresh.db")).await;
    sqlx::raw_sql(include_str!("../schema.sql"))
        .execute(&fresh)
        .await
        .unwrap();
    let fresh = schema(&fresh).await;
    assert!(fresh.len() > 30, "{fresh:?}");
    for count in 0..=MIGRATOR.iter().count() {
        let grown = raw(&dir.path().join(format!("grown-{count}.db"))).await;
        older(count).run(&grown).await.unwrap();
        MIGRATOR.run(&grown).await.unwrap();
        assert_eq!(
            schema(&grown).await,
            fresh,
            "migrated after version {count}"
        );
    }
}

#[tokio::test]
async fn a_copy_is_made_before_migrating() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(options(dir.path()), NOW, &older(1))
        .await
        .unwrap();
    let installation = store.installation();
    store.close().await;
    let copy = dir.path().join("proximity.db.before-2");
    let partial = dir.path().join("proximity.db.before-2.partial");
    assert!(!copy.exists(), "an empty database is not copied");
    std::fs::write(&partial, "left by a crash").unwrap();

    let store = Store::open(options(dir.path()), NOW).await.unwrap();
    assert_eq!(store.installation(), installation);
    assert!(copy.exists() && !partial.exists());
    let mode = std::fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let old = raw(&copy).await;
    let version = sqlx::query_scalar::<_, i64>("SELECT MAX(version) FROM _sqlx_migrations");
    assert_eq!(version.fetch_one(&old).await.unwrap(), 1);
    let id = sqlx::query_scalar::<_, String>("SELECT id FROM installation");
    assert_eq!(id.fetch_one(&old).await.unwrap(), installation.to_string());
    let sound = sqlx::query_scalar::<_, String>("PRAGMA integrity_check");
    assert_eq!(sound.fetch_one(&old).await.unwrap(), "ok");
    store.close().await;
    std::fs::remove_file(&copy).unwrap();

    Store::open(options(dir.path()), NOW)
        .await
        .unwrap()
        .close()
        .await;
    assert!(!copy.exists(), "nothing to migrate, nothing to copy");
}

#[tokio::test]
async fn a_copy_that_cannot_be_made_stops_the_migration() {
    let dir = tempfile::tempdir().unwrap();
    open_with(options(dir.path()), NOW, &older(1))
        .await
        .unwrap()
        .close()
        .await;
    std::fs::create_dir(dir.path().join("proximity.db.before-2.partial")).unwrap();
    let refused = Store::open(options(dir.path()), NOW).await;
    assert!(
        matches!(refused, Err(StoreError::File { .. })),
        "{refused:?}"
    );
    let still = raw(&dir.path().join("proximity.db")).await;
    let version = sqlx::query_scalar::<_, i64>("SELECT MAX(version) FROM _sqlx_migrations");
    assert_eq!(version.fetch_one(&still).await.unwrap(), 1);
}

#[tokio::test]
async fn a_newer_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    Store::open(options(dir.path()), NOW)
        .await
        .unwrap()
        .close()
        .await;
    let known = MIGRATOR.iter().map(|m| m.version).max().unwrap();
    let refused = open_with(options(dir.path()), NOW, &older(1)).await;
    assert!(
        matches!(refused, Err(StoreError::TooNew { found, known: 1 }) if found == known),
        "{refused:?}"
    );
    let names = std::fs::read_dir(dir.path()).unwrap();
    let names: Vec<_> = names.map(|e| e.unwrap().file_name()).collect();
    assert!(
        names
            .iter()
            .all(|n| !n.to_string_lossy().contains("before")),
        "{names:?}"
    );
    Store::open(options(dir.path()), NOW).await.unwrap();
}
