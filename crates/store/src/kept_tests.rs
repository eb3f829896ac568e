//! The copy of what is on record beside commits and reads that fail.

use proximity_domain::ids::HostId;
use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use crate::error::StoreError;
use crate::options::StoreOptions;
use crate::sql::query;
use crate::store::Store;

/// On SQLite, with one live app.
async fn opened() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        path: dir.path().join("proximity.db"),
        key_file: dir.path().join("key"),
        public: PortRange::PUBLIC,
        internal: PortRange::INTERNAL,
        rest_ms: 0,
    };
    let store = Store::open(options, Timestamp(1_000)).await.unwrap();
    run(&store, &[LIVE]).await.unwrap();
    (dir, store)
}

/// In one commit.
async fn run(store: &Store, statements: &[&'static str]) -> Result<(), StoreError> {
    let written = store.write(async |tx| {
        for sql in statements {
            query(*sql).fetch_all(&mut *tx).await?;
        }
        Ok(())
    });
    written.await
}

macro_rules! an_app {
    ($values:literal) => {
        concat!(
            "INSERT INTO apps (id, class, owner, hostname, catalog_id, catalog_version, host_id, node, status, \
             status_full, status_changed_at, resources, environment, guest_port, created_at, \
             environment_sealed, archived_at, archived_by, archived_record) VALUES (",
            $values,
            ")"
        )
    };
}

const LIVE: &str = an_app!(
    "'00000000-0000-0000-0000-000000000001', 'native', 'o', 'web', 'c', '1', 'h', 'pve1', 'running', '{}', 0, \
     '{}', '{}', 80, 0, 'x', NULL, NULL, NULL"
);
const OTHER: &str = an_app!(
    "'00000000-0000-0000-0000-000000000002', 'native', 'o', 'shop', 'c', '1', 'h', 'pve1', 'running', '{}', 0, \
     '{}', '{}', 80, 0, 'x', NULL, NULL, NULL"
);
/// One that is not live, and cannot be read.
const BROKEN: &str = an_app!(
    "'broken', 'native', 'o', 'old', 'c', '1', 'h', 'pve1', 'running', '{}', 0, '{}', '{}', 80, 0, NULL, 1, \
     'x', '{}'"
);

/// A thousand apps, and a container of each on one of two clusters.
const MANY_APPS: &str = "WITH RECURSIVE n (n) AS (VALUES (100) UNION ALL SELECT n + 1 FROM n WHERE n < 1099) \
    INSERT INTO apps (id, class, owner, hostname, catalog_id, catalog_version, host_id, node, status, \
    status_full, status_changed_at, resources, environment, guest_port, created_at, environment_sealed) \
    SELECT printf('00000000-0000-0000-0001-%012d', n), 'native', 'o', 'web-' || n, 'c', '1', 'h', 'pve1', \
    'running', '{}', 0, '{}', '{}', 80, 0, 'x' FROM n";
const THEIR_DEPLOY: &str = "INSERT INTO operations (id, kind, app_id, state, state_full, input, requested_by, \
    percent, cancel_requested, epoch, created_at, finished_at) \
    VALUES ('deploy', 'deploy', '00000000-0000-0000-0000-000000000001', 'succeeded', '{}', '{}', 'o', \
    100, 0, 1, 0, 0)";
const MANY_GUESTS: &str = "WITH RECURSIVE n (n) AS (VALUES (100) UNION ALL SELECT n + 1 FROM n WHERE n < 1099) \
    INSERT INTO guests (id, class, app_id, created_by, host_id, node, vmid, mark, net0_mac, recorded_at) \
    SELECT printf('00000000-0000-0000-0002-%012d', n), 'native', printf('00000000-0000-0000-0001-%012d', n), \
    'deploy', printf('00000000-0000-0000-0000-%012d', n % 2), 'pve1', n, 'mark ' || n, 'mac', 0 FROM n";

/// Asked for again it would fail each look from then on.
#[tokio::test]
async fn after_a_row_that_cannot_be_read_all_that_is_watched_is_read() {
    let (_dir, store) = opened().await;
    let mut record = store.keep_record();
    record.refresh().await.unwrap();
    assert_eq!(record.live_apps(), 1);
    run(&store, &[BROKEN, OTHER]).await.unwrap();
    assert!(record.refresh().await.is_err());
    assert_eq!(record.live_apps(), 1, "it is as before");
    record.refresh().await.unwrap();
    assert_eq!(record.live_apps(), 2);
}

#[tokio::test]
async fn a_commit_that_fails_leaves_the_copy_as_the_record_is() {
    let (_dir, store) = opened().await;
    let mut record = store.keep_record();
    record.refresh().await.unwrap();
    let failing = [
        "PRAGMA defer_foreign_keys = ON",
        OTHER,
        "INSERT INTO guards (app_id, since) VALUES ('nobody', 0)",
    ];
    assert!(run(&store, &failing).await.is_err());
    record.refresh().await.unwrap();
    assert_eq!(record.live_apps(), 1);
    run(&store, &[OTHER]).await.unwrap();
    record.refresh().await.unwrap();
    assert_eq!(record.live_apps(), store.live_apps().await.unwrap());
    assert_eq!(record.live_apps(), 2);
}

/// It is read page by page.
#[tokio::test]
async fn all_that_is_live_is_read_however_much_it_is() {
    let (_dir, store) = opened().await;
    let many = [MANY_APPS, THEIR_DEPLOY, MANY_GUESTS];
    run(&store, &many).await.unwrap();
    let mut record = store.keep_record();
    record.refresh().await.unwrap();
    assert_eq!(record.live_apps(), 1_001);
    let mut numbers = Vec::new();
    for n in 0..2_u128 {
        let guests = record.guests(HostId(Uuid::from_u128(n)));
        let own = guests.iter().map(|guest| guest.watched.place.vmid.get());
        numbers.extend(own);
    }
    // Those with even numbers are on the one cluster, those with odd ones on the other.
    let even = (100..1_100_u32).filter(|n| n.is_multiple_of(2));
    let odd = (100..1_100_u32).filter(|n| !n.is_multiple_of(2));
    assert_eq!(numbers, even.chain(odd).collect::<Vec<_>>());
}
