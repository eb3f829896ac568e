//! Opening databases of other versions. In the crate, because only here migrations can be left out.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proximity_domain::audit::Head;
use proximity_domain::ids::AppId;
use proximity_domain::ports::{PortPair, PortRange};
use proximity_domain::time::Timestamp;
use rusqlite::Connection;
use sha2::{Digest, Sha384};

use crate::error::StoreError;
use crate::journal::MUTATIONS;
use crate::migrate::{MIGRATIONS, Migration, bring_up, has_table};
use crate::open::open_with;
use crate::options::StoreOptions;
use crate::ports::take;
use crate::records::Actor;
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
fn older(count: usize) -> &'static [Migration] {
    &MIGRATIONS[..count]
}

fn raw(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

/// The first column of the first row.
fn value<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> T {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn migrate(connection: &mut Connection, path: &Path, to: &[Migration]) {
    bring_up(connection, path, to, NOW).unwrap();
}

/// Name and text of everything in a schema, without comments and white space.
fn schema(connection: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT type || ' ' || name AS name, sql FROM sqlite_master \
         WHERE sql IS NOT NULL AND name <> 'migrations' ORDER BY 1";
    let text = |sql: String| {
        let lines = sql.lines().map(|l| l.split("--").next().unwrap_or(""));
        let joined = lines.collect::<Vec<_>>().join(" ");
        joined.split_whitespace().collect::<String>()
    };
    let mut rows = connection.prepare(sql).unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, text(row.get(1)?))));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_file_is_a_migration_and_they_are_in_order() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let files = std::fs::read_dir(dir).unwrap();
    let files = files.filter(|f| f.as_ref().unwrap().path().extension() == Some("sql".as_ref()));
    assert_eq!(files.count(), MIGRATIONS.len());
    let versions: Vec<i64> = MIGRATIONS.iter().map(|m| m.version).collect();
    let expected: Vec<i64> = (1..).take(MIGRATIONS.len()).collect();
    assert_eq!(versions, expected);
}

#[test]
fn all_migrations_make_the_fresh_schema() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = raw(&dir.path().join("fresh.db"));
    fresh.execute_batch(include_str!("../schema.sql")).unwrap();
    let fresh = schema(&fresh);
    assert!(fresh.len() > 30, "{fresh:?}");
    for count in 0..=MIGRATIONS.len() {
        let path = dir.path().join(format!("grown-{count}.db"));
        let mut grown = raw(&path);
        migrate(&mut grown, &path, older(count));
        migrate(&mut grown, &path, MIGRATIONS);
        assert_eq!(schema(&grown), fresh, "migrated after version {count}");
    }
}

/// Everything that is recorded as applied; nothing in an empty file.
fn records(connection: &Connection) -> Vec<(i64, String)> {
    if !has_table(connection, "migrations").unwrap() {
        return Vec::new();
    }
    let sql = "SELECT version, checksum FROM migrations ORDER BY version";
    let mut rows = connection.prepare(sql).unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// Whatever stops a migration at its end, all of it is as before, and the next one does it whole.
#[test]
fn a_migration_that_was_cut_off_is_done_whole_the_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = dir.path().join("fresh.db");
    let mut connection = raw(&fresh);
    migrate(&mut connection, &fresh, MIGRATIONS);
    let (whole, all) = (schema(&connection), records(&connection));
    for (done, migration) in MIGRATIONS.iter().enumerate() {
        let path = dir.path().join(format!("cut-{done}.db"));
        let mut connection = raw(&path);
        migrate(&mut connection, &path, older(done));
        let before = (schema(&connection), records(&connection));
        let text = format!("{}\nINSERT INTO nowhere VALUES (1);\n", migration.sqlite);
        let mut broken = older(done + 1).to_vec();
        broken[done].sqlite = text.leak();
        let refused = bring_up(&mut connection, &path, &broken, NOW);
        assert!(
            matches!(refused, Err(StoreError::Database(_))),
            "{refused:?}"
        );
        assert_eq!(
            (schema(&connection), records(&connection)),
            before,
            "{done}"
        );
        migrate(&mut connection, &path, MIGRATIONS);
        assert_eq!(
            (schema(&connection), records(&connection)),
            (whole.clone(), all.clone())
        );
    }
}

#[test]
fn records_of_the_library_before_are_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.db");
    let mut old = raw(&path);
    old.execute_batch(MIGRATIONS[0].sqlite).unwrap();
    old.execute_batch(
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
         installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
         checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
    )
    .unwrap();
    let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (1, 'first', TRUE, ?1, 0)";
    old.execute(insert, [vec![0_u8; 48]]).unwrap();
    let refused = bring_up(&mut old, &path, MIGRATIONS, NOW);
    assert!(
        matches!(refused, Err(StoreError::Damaged { what: "schema", .. })),
        "{refused:?}"
    );
    let text = Sha384::digest(MIGRATIONS[0].sqlite.as_bytes());
    old.execute(
        "UPDATE _sqlx_migrations SET checksum = ?1",
        [text.as_slice()],
    )
    .unwrap();
    migrate(&mut old, &path, MIGRATIONS);
    let count: i64 = value(&old, "SELECT COUNT(*) FROM migrations");
    assert_eq!(usize::try_from(count).unwrap(), MIGRATIONS.len());
    let gone: i64 = value(
        &old,
        "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
    );
    assert_eq!(gone, 0);
    let copy = raw(&dir.path().join("old.db.before-2"));
    let records = "SELECT group_concat(name) FROM sqlite_master WHERE name LIKE '%migrations'";
    assert_eq!(
        value::<String>(&copy, records),
        "_sqlx_migrations",
        "the copy is of what was there, for the program that was there"
    );
}

/// As a program of before leaves it that was started on a newer file: it makes its table, and goes no further.
#[test]
fn an_empty_table_of_the_library_before_hides_no_records() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proximity.db");
    let mut connection = raw(&path);
    let newest = MIGRATIONS.len();
    let left = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, checksum BLOB NOT NULL)";
    migrate(&mut connection, &path, older(newest - 1));
    for _ in 0..2 {
        connection.execute_batch(left).unwrap();
        migrate(&mut connection, &path, older(newest - 1));
    }
    migrate(&mut connection, &path, MIGRATIONS);
    let tables = "SELECT group_concat(name) FROM sqlite_master WHERE name LIKE '%migrations'";
    assert_eq!(value::<String>(&connection, tables), "migrations");
    let versions = "SELECT group_concat(version) FROM (SELECT version FROM migrations ORDER BY 1)";
    let all: Vec<String> = (1..=newest).map(|version| version.to_string()).collect();
    assert_eq!(value::<String>(&connection, versions), all.join(","));
}

#[test]
fn a_migration_with_another_text_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proximity.db");
    let mut connection = raw(&path);
    migrate(&mut connection, &path, MIGRATIONS);
    connection
        .execute(
            "UPDATE migrations SET checksum = 'other' WHERE version = 1",
            [],
        )
        .unwrap();
    let refused = bring_up(&mut connection, &path, MIGRATIONS, NOW);
    assert!(
        matches!(refused, Err(StoreError::Damaged { what: "schema", .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_copy_is_made_before_migrating() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(options(dir.path()), NOW, older(1)).await.unwrap();
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
    let old = raw(&copy);
    assert_eq!(value::<i64>(&old, "SELECT MAX(version) FROM migrations"), 1);
    let id: String = value(&old, "SELECT id FROM installation");
    assert_eq!(id, installation.to_string());
    let sound: String = value(&old, "PRAGMA integrity_check");
    assert_eq!(sound, "ok");
    store.close().await;
    std::fs::remove_file(&copy).unwrap();

    Store::open(options(dir.path()), NOW)
        .await
        .unwrap()
        .close()
        .await;
    assert!(!copy.exists(), "nothing to migrate, nothing to copy");
}

/// Version 10 makes tables anew: what was in them is in them afterwards, and is still referred to and guarded.
#[test]
fn rows_are_the_same_in_tables_that_were_made_anew() {
    const FILL: &str = r"
        INSERT INTO apps (id, class, owner, hostname, catalog_id, catalog_version, host_id, node, status, status_full,
            status_changed_at, resources, environment, environment_sealed, guest_port, created_at)
            VALUES ('a', 'native', 'admin', 'web', 'nginx', '1', 'h', 'pve1', 'running', '', 1, '', '', 'x', 80, 1);
        INSERT INTO operations (id, kind, app_id, state, state_full, input, requested_by, percent, cancel_requested,
            epoch, created_at, finished_at)
            VALUES ('o', 'deploy', 'a', 'succeeded', '', '', 'admin', 100, 0, 1, 1, 2);
        INSERT INTO ports VALUES (80, 'public', 'a', NULL, NULL), (30000, 'internal', 'a', NULL, NULL),
            (81, 'public', NULL, 5, 9);
        INSERT INTO unused_ports VALUES (82, 90), (30001, 30009);
        INSERT INTO steps VALUES ('o', 1, 'second', 'failed', 1, '{}', NULL, NULL, 'why', 3, 4),
            ('o', 0, 'first', 'succeeded', 1, '{}', 'UPID', 'done', NULL, 1, 2);
        INSERT INTO log_lines VALUES (2, 'a', NULL, 7, 'info', NULL, 'later', NULL), (1, 'a', 'o', 6, 'error', 'first', 'text', 50);
        INSERT INTO events VALUES (7, 8, 'app_created', '{}', 'a', 'o'), (9, 8, 'other', '{}', NULL, NULL);
        INSERT INTO audit VALUES (4, 1, 'admin', NULL, 'request', 'app.create', 'a', '{}', 'o', NULL, NULL),
            (5, 2, 'admin', 't', 'mutation', 'POST', 'x', '{}', 'o', 0, 1);";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.db");
    let mut connection = raw(&path);
    migrate(&mut connection, &path, older(9));
    connection.execute_batch(FILL).unwrap();
    let tables = [
        "ports",
        "unused_ports",
        "steps",
        "log_lines",
        "events",
        "audit",
    ];
    let tables = tables.map(|table| (table, columns(&connection, table)));
    let rows = |connection: &Connection| tables.clone().map(|table| all_rows(connection, &table));
    let before = rows(&connection);
    migrate(&mut connection, &path, MIGRATIONS);
    assert_eq!(rows(&connection), before);
    assert!(before.iter().all(|rows| rows.len() > 1), "{before:?}");
    let dangling: i64 = value(&connection, "SELECT COUNT(*) FROM pragma_foreign_key_check");
    assert_eq!(dangling, 0);
    for forbidden in [
        "DELETE FROM audit",
        "UPDATE audit SET at = 9",
        "UPDATE events SET at = 9",
    ] {
        connection.execute(forbidden, []).unwrap_err();
    }
}

/// Version 14 makes the operations anew: they are the same, and those that refer to them still do.
#[test]
fn operations_are_the_same_after_new_kinds_came() {
    const FILL: &str = r"
        INSERT INTO apps (id, class, owner, hostname, catalog_id, catalog_version, host_id, node, status, status_full,
            status_changed_at, resources, environment, environment_sealed, guest_port, created_at)
            VALUES ('a', 'native', 'admin', 'web', 'nginx', '1', 'h', 'pve1', 'running', '', 1, '', '', 'x', 80, 1);
        INSERT INTO operations (id, kind, app_id, state, state_full, input, requested_by, percent, cancel_requested,
            epoch, created_at, finished_at, retry_of)
            VALUES ('o', 'deploy', 'a', 'failed', '', '', 'admin', 100, 0, 1, 1, 2, NULL),
                ('p', 'deploy', 'a', 'succeeded', '', '', 'admin', 100, 0, 4, 3, 4, 'o');
        INSERT INTO steps VALUES ('o', 0, 'first', 'succeeded', 1, '{}', 'UPID', 'done', NULL, 1, 2);
        INSERT INTO guests (id, class, app_id, created_by, host_id, node, vmid, mark, net0_mac, recorded_at)
            VALUES ('g', 'native', 'a', 'o', 'h', 'pve1', 100, 'm', 'x', 1);";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.db");
    let mut connection = raw(&path);
    migrate(&mut connection, &path, older(13));
    connection.execute_batch(FILL).unwrap();
    let tables = ["operations", "steps", "guests"];
    let tables = tables.map(|table| (table, columns(&connection, table)));
    let rows = |connection: &Connection| tables.clone().map(|table| all_rows(connection, &table));
    let before = rows(&connection);
    migrate(&mut connection, &path, MIGRATIONS);
    assert_eq!(rows(&connection), before);
    let exposed: i64 = value(&connection, "SELECT exposed FROM apps");
    assert_eq!(exposed, 1, "what was deployed is led to");
    connection
        .pragma_update(None, "foreign_keys", true)
        .unwrap();
    for forbidden in [
        "DELETE FROM operations WHERE id = 'o'",
        "UPDATE operations SET epoch = 0 WHERE id = 'p'",
        "UPDATE operations SET kind = 'explode' WHERE id = 'p'",
        "UPDATE guests SET class = 'adopted'",
    ] {
        connection.execute(forbidden, []).unwrap_err();
    }
    let adopt = "UPDATE operations SET kind = 'adopt' WHERE id = 'p'";
    connection.execute(adopt, []).unwrap();
}

/// Version 20 makes the alarms anew: what was told is known, and what was suspected was told of by itself.
#[test]
fn alarms_and_suspicions_are_the_same_after_another_kind_came() {
    const FILL: &str = r"
        INSERT INTO apps (id, class, owner, hostname, catalog_id, catalog_version, host_id, node, status, status_full,
            status_changed_at, resources, environment, environment_sealed, guest_port, created_at)
            VALUES ('a', 'native', 'admin', 'web', 'nginx', '1', 'h', 'pve1', 'running', '', 1, '', '', 'x', 80, 1);
        INSERT INTO operations (id, kind, app_id, state, state_full, input, requested_by, percent, cancel_requested,
            epoch, created_at, finished_at)
            VALUES ('o', 'deploy', 'a', 'succeeded', '', '', 'admin', 100, 0, 1, 1, 2);
        INSERT INTO guests (id, class, app_id, created_by, host_id, node, vmid, mark, net0_mac, recorded_at)
            VALUES ('g', 'native', 'a', 'o', 'h', 'pve1', 100, 'm', 'x', 1);
        INSERT INTO identity_alarms VALUES ('g', 'conflict', 'h', 100, 'another mark', 5), ('g', 'twin', 'h', 300, 'its mark', 6);
        INSERT INTO suspicions VALUES ('g', 7, 2, 9);";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.db");
    let mut connection = raw(&path);
    migrate(&mut connection, &path, older(19));
    connection.execute_batch(FILL).unwrap();
    let tables = ["identity_alarms", "suspicions"];
    let tables = tables.map(|table| (table, columns(&connection, table)));
    let rows = |connection: &Connection| tables.clone().map(|table| all_rows(connection, &table));
    let before = rows(&connection);
    migrate(&mut connection, &path, MIGRATIONS);
    assert_eq!(rows(&connection), before);
    assert_eq!((before[0].len(), before[1].len()), (2, 1));
    let among_many: i64 = value(&connection, "SELECT among_many FROM suspicions");
    assert_eq!(among_many, 0);
    connection
        .pragma_update(None, "foreign_keys", true)
        .unwrap();
    for forbidden in [
        "UPDATE identity_alarms SET kind = 'noise'",
        "INSERT INTO identity_alarms VALUES ('nobody', 'pool', 'h', 100, 'why', 1)",
        "UPDATE suspicions SET among_many = 2",
    ] {
        connection.execute(forbidden, []).unwrap_err();
    }
    let pool = "INSERT INTO identity_alarms VALUES ('g', 'pool', 'h', 100, 'why', 1)";
    connection.execute(pool, []).unwrap();
}

/// Version 22 links what was audited before it, in the order of the numbers; what is linked is altered no more.
#[tokio::test]
async fn what_was_audited_before_there_was_a_chain_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(options(dir.path()), NOW, older(21))
        .await
        .unwrap();
    store.close().await;
    let path = dir.path().join("proximity.db");
    let old = raw(&path);
    old.execute_batch("BEGIN").unwrap();
    // More than are linked at once.
    for seq in 1..=2_100 {
        let add = "INSERT INTO audit VALUES (?1, ?1, 'admin', NULL, 'request', 'app.create', 'a', '{}', NULL, NULL, NULL)";
        old.execute(add, [seq]).unwrap();
        let tell = "INSERT INTO events VALUES (?1, ?1, 'AppCreated', '{}', NULL, NULL)";
        old.execute(tell, [seq]).unwrap();
    }
    old.execute_batch("COMMIT").unwrap();
    drop(old);
    let store = Store::open(options(dir.path()), NOW).await.unwrap();
    // Version 27 does the same to events.
    let events = store.verify_events(Vec::new()).await.unwrap();
    assert_eq!(events.unwrap().seq, 2_100);
    let head = store.audit_head().await.unwrap();
    assert_eq!(head.seq, 2_100);
    let verified = store.verify_audit(Head::NONE, vec![head]).await;
    assert_eq!(verified.unwrap(), Ok(head));
    let actor = Actor {
        account: "admin".to_owned(),
        token: None,
        request: None,
    };
    let noted = store.note_host_act("lab", "host.init", "change", &actor, NOW);
    noted.await.unwrap();
    let verified = store.verify_audit(Head::NONE, vec![head]).await;
    assert_eq!(
        verified.unwrap().unwrap().seq,
        2_101,
        "it goes on from there"
    );
    let linked = raw(&path);
    for forbidden in [
        "UPDATE audit SET at = 9 WHERE seq = 5",
        "UPDATE audit SET link = NULL WHERE seq = 5",
        "DELETE FROM audit WHERE seq = 5",
    ] {
        linked.execute(forbidden, []).unwrap_err();
    }
    store.close().await;
}

/// The columns that a table has by now.
fn columns(connection: &Connection, table: &str) -> String {
    let sql = format!("SELECT * FROM {table}");
    let statement = connection.prepare(&sql).unwrap();
    let names: Vec<&str> = statement.column_names().collect();
    names.join(", ")
}

/// Every row of a table as one text, by its first columns: of columns that came later nothing.
fn all_rows(connection: &Connection, (table, columns): &(&str, String)) -> Vec<String> {
    let sql = format!("SELECT {columns} FROM {table} ORDER BY 1, 2");
    let mut statement = connection.prepare(&sql).unwrap();
    let width = statement.column_count();
    let text = |row: &rusqlite::Row<'_>| {
        let columns = (0..width).map(|n| row.get::<_, rusqlite::types::Value>(n));
        Ok(format!("{:?}", columns.collect::<Result<Vec<_>, _>>()?))
    };
    let rows = statement.query_map([], text).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_program_with_another_key_migrates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let own = options(dir.path());
    let store = open_with(own.clone(), NOW, older(1)).await.unwrap();
    store.close().await;
    let other = StoreOptions {
        key_file: dir.path().join("other"),
        ..own
    };
    std::fs::write(&other.key_file, "ab".repeat(32)).unwrap();
    std::fs::set_permissions(&other.key_file, PermissionsExt::from_mode(0o600)).unwrap();
    let refused = Store::open(other, NOW).await;
    assert!(
        matches!(refused, Err(StoreError::Key { .. })),
        "{refused:?}"
    );
    let still = raw(&dir.path().join("proximity.db"));
    assert_eq!(
        value::<i64>(&still, "SELECT MAX(version) FROM migrations"),
        1
    );
}

/// What recovery asks of a long audit is a look-up.
#[test]
fn what_is_asked_often_is_found_by_an_index_however_long_the_history() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fresh.db");
    let mut connection = raw(&path);
    migrate(&mut connection, &path, MIGRATIONS);
    for (sql, index) in [
        (MUTATIONS.sqlite, "audit_by_step"),
        (crate::operations::COUNT_QUEUED, "operations_queued"),
        (crate::queue::CLAIMABLE, "operations_claimable"),
        (crate::counts::PROMISED, "apps_live_status"),
        (crate::guests::HELD, "guests_place"),
        (
            crate::prepared::HELD_BY_TEMPLATE,
            "prepared_templates_place",
        ),
        (crate::clearing::ENDED, "operations_uncleared"),
        (crate::clearing::FIRST_KEPT_LINE, "log_lines_by_app"),
    ] {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let mut plan = connection.prepare(&sql).unwrap();
        let mut plan = plan.raw_query();
        let plan: String = plan.next().unwrap().unwrap().get(3).unwrap();
        assert!(plan.contains(index), "{sql}: {plan}");
    }
}

/// Before version 7 a change of the ranges left free ports on the side they had served, where nobody looks for them: they
/// are found again though the ranges have not changed since.
#[tokio::test]
async fn free_ports_that_were_left_on_the_wrong_side_are_given_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let one = |port| PortRange {
        first: port,
        last: port,
    };
    let own = StoreOptions {
        public: one(10),
        internal: one(20),
        ..options(dir.path())
    };
    let old = open_with(own.clone(), NOW, older(6)).await.unwrap();
    old.close().await;
    let app = AppId(uuid::Uuid::from_u128(1));
    let left = format!(
        "INSERT INTO port_ranges VALUES ('public', 10, 10), ('internal', 20, 20); \
         INSERT INTO ports (port, side, freed_at) VALUES (10, 'internal', 1), (20, 'public', 1); \
         INSERT INTO apps (id, class, owner, hostname, catalog_id, catalog_version, host_id, node, status, \
         status_full, status_changed_at, resources, environment, environment_sealed, guest_port, created_at) \
         VALUES ('{app}', 'native', 'admin', 'web', 'nginx', '1', 'lab', 'pve1', 'deploying', '\"deploying\"', 1, \
         '{{}}', '{{}}', 'sealed', 80, 1)"
    );
    raw(&own.path).execute_batch(&left).unwrap();
    let store = Store::open(own, NOW).await.unwrap();
    let taken = store.write(async |tx| take(tx, &store.shared, app, NOW).await);
    let pair = PortPair {
        public: 10,
        internal: 20,
    };
    assert_eq!(taken.await.unwrap(), pair);
    store.close().await;
}

#[tokio::test]
async fn a_copy_that_cannot_be_made_stops_the_migration() {
    let dir = tempfile::tempdir().unwrap();
    open_with(options(dir.path()), NOW, older(1))
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
    let still = raw(&dir.path().join("proximity.db"));
    assert_eq!(
        value::<i64>(&still, "SELECT MAX(version) FROM migrations"),
        1
    );
}

#[tokio::test]
async fn a_newer_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    Store::open(options(dir.path()), NOW)
        .await
        .unwrap()
        .close()
        .await;
    let known = MIGRATIONS.iter().map(|m| m.version).max().unwrap();
    let refused = open_with(options(dir.path()), NOW, older(1)).await;
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
