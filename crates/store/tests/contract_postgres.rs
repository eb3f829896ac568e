//! The contract of a store, on PostgreSQL, and what holds there alone.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

#[path = "../../testkit/src/postgres.rs"]
mod postgres;
mod suite;

use std::any::Any;
use std::sync::Arc;

use postgres::Cluster;
use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use proximity_store::{DatabaseError, PostgresOptions, Store, StoreError};
use suite::world::{Make, REST_MS, Shape, World};
use tokio::sync::Semaphore;

/// Each store in a database of its own.
#[derive(Clone)]
struct Postgres(Arc<Cluster>);

fn options(cluster: &Cluster, database: &str, shape: Shape) -> PostgresOptions {
    PostgresOptions {
        url: cluster.url(database),
        password: None,
        key_file: cluster.folder().join(format!("{database}.key")),
        public: shape.public,
        internal: shape.internal,
        rest_ms: REST_MS,
    }
}

impl Make for Postgres {
    async fn make(&self, shape: Shape) -> (Store, Box<dyn Any + Send + Sync>) {
        let database = self.0.database().await;
        let options = options(&self.0, &database, shape);
        let store = Store::open_postgres(options, Timestamp(0)).await.unwrap();
        (store, Box::new(Arc::clone(&self.0)))
    }

    fn sequences(&self) -> u32 {
        4
    }
}

/// Cases that run beside each other.
const AT_ONCE: usize = 4;

/// All cases in one process, because each process has a server of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_the_contract_holds() {
    let make = Postgres(Arc::new(Cluster::start()));
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let running = cases!(make).map(|(name, case)| {
        let turns = Arc::clone(&turns);
        let case = tokio::spawn(async move {
            let _turn = turns.acquire_owned().await;
            case.await;
        });
        (name, case)
    });
    let mut failed = Vec::new();
    for (name, case) in running {
        if case.await.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

fn in_use(opened: Result<Store, StoreError>) -> bool {
    matches!(opened, Err(StoreError::Database(DatabaseError::InUse)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_one_server_at_a_time() {
    let cluster = Cluster::start();
    let database = cluster.database().await;
    let open =
        || Store::open_postgres(options(&cluster, &database, Shape::default()), Timestamp(0));
    let first = open().await.unwrap();
    assert!(in_use(open().await), "opened, but not asked for alone");
    let mut alone = first.serve_alone().await.unwrap().unwrap();
    assert!(in_use(open().await));
    assert!(first.serve_alone().await.unwrap().is_none());
    let kill =
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2";
    cluster.execute(&database, kill).await.unwrap();
    let told = alone.lost().await;
    assert!(matches!(told, StoreError::Database(_)), "{told:?}");
    let second = open().await.unwrap();
    assert!(first.serve_alone().await.unwrap().is_none());
    second.close().await;
    let third = open().await.unwrap();
    first.close().await;
    third.close().await;
}

/// Who is refused, because another server is there or for its key, has not brought the schema up, nor made the ports fit its
/// own ranges, nor made a key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_who_is_refused_has_changed_nothing() {
    let cluster = Cluster::start();
    let database = cluster.database().await;
    let own = options(&cluster, &database, Shape::default());
    let first = Store::open_postgres(own.clone(), Timestamp(0))
        .await
        .unwrap();
    // As an older program left it: a newer one would make the last migration again.
    let forget = "DELETE FROM migrations WHERE version = (SELECT MAX(version) FROM migrations)";
    assert_eq!(cluster.execute(&database, forget).await.unwrap(), 1);
    let state = || async {
        let all = "SELECT 'm' || version AS v FROM migrations \
             UNION ALL SELECT side || first_port || '-' || last_port FROM port_ranges \
             UNION ALL SELECT 'u' || first_port || '-' || last_port FROM unused_ports ORDER BY v";
        cluster.texts(&database, all).await.unwrap()
    };
    let before = state().await;
    assert!(before.len() > 5, "{before:?}");
    let other = PostgresOptions {
        public: PortRange {
            first: 10,
            last: 20,
        },
        key_file: cluster.folder().join("other.key"),
        ..own
    };
    assert!(in_use(
        Store::open_postgres(other.clone(), Timestamp(1)).await
    ));
    assert!(!other.key_file.exists());
    assert_eq!(state().await, before);

    first.close().await;
    for text in [None, Some("ab".repeat(32))] {
        if let Some(text) = text {
            std::fs::write(&other.key_file, text).unwrap();
            let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&other.key_file, owner_only).unwrap();
        }
        let refused = Store::open_postgres(other.clone(), Timestamp(1)).await;
        assert!(
            matches!(refused, Err(StoreError::Key { .. })),
            "{refused:?}"
        );
        assert_eq!(state().await, before);
    }
}

/// Guards that SQLite has are there as well, in this dialect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_what_no_program_may_do_is_refused() {
    let cluster = Arc::new(Cluster::start());
    let make = Postgres(Arc::clone(&cluster));
    let mut world = World::new(&make).await;
    world.deployed("web", 101).await;
    world.deployed("shop", 102).await;
    world.journal_numbered().await;
    for (act, refused_with) in [
        ("UPDATE apps SET class = 'adopted'", "fixed at birth"),
        ("UPDATE guests SET class = 'ephemeral'", "fixed at birth"),
        ("UPDATE guests SET mark = 'x'", "fixed at birth"),
        ("UPDATE guests SET rootfs_volid = NULL", "learned once"),
        ("DELETE FROM guests", "are kept"),
        (
            "UPDATE operations SET epoch = 0 WHERE epoch = 1",
            "never falls",
        ),
        ("UPDATE audit SET account = 'nobody'", "not altered"),
        ("UPDATE audit SET seq = seq + 1000", "not altered"),
        ("DELETE FROM audit", "not removed"),
        ("UPDATE events SET kind = 'x'", "not altered"),
        ("UPDATE apps SET hostname = 'web'", "unique"),
        ("UPDATE apps SET status = 'Running'", "check"),
    ] {
        let error = cluster
            .execute("test_0", act)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(refused_with), "{act}: {error}");
    }
    world.assert_sound().await;
}

/// Sixty-four writers at once: conflicts are solved inside, every app is there with ports of its own, and what they said is
/// numbered without gaps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_writers_beside_each_other_all_get_through() {
    let make = Postgres(Arc::new(Cluster::start()));
    let mut world = World::new(&make).await;
    let mut writing = tokio::task::JoinSet::new();
    for n in 0..64 {
        let (app, operation) = world.new_app(&format!("app-{n}"));
        let (store, actor, at) = (world.store.clone(), world.actor.clone(), world.at());
        writing.spawn(async move { store.create_app(app, operation, &actor, None, at).await });
    }
    let mut ports = std::collections::BTreeSet::new();
    while let Some(made) = writing.join_next().await {
        ports.insert(made.unwrap().unwrap().ports.unwrap().public);
    }
    assert_eq!(ports.len(), 64);
    let mut claiming = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (store, holder, at) = (world.store.clone(), world.holder, world.at());
        claiming.spawn(async move { store.claim(holder, 10_000, false, at).await });
    }
    let mut claimed = std::collections::BTreeSet::new();
    while let Some(found) = claiming.join_next().await {
        if let Some((operation, _)) = found.unwrap().unwrap() {
            assert!(claimed.insert(operation.id), "claimed twice");
        }
    }
    assert_eq!(claimed.len(), 64);
    world.journal_numbered().await;
    world.assert_sound().await;
}
