//! The contract of a store, on PostgreSQL, and what holds there alone.

mod kept_on_postgres;

use std::any::Any;
use std::sync::Arc;

use crate::cut::{Cut, How};
use crate::postgres::Cluster;
use crate::suite::world::{Make, REST_MS, Shape, World, at_most};
use proximity_domain::audit::{Break, Head};
use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use proximity_store::{DatabaseError, PostgresOptions, Store, StoreError};
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
    let running = crate::cases!(make).map(|(name, case)| {
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

/// The same database each time.
struct Same(Arc<Cluster>, String);

impl Make for Same {
    async fn make(&self, shape: Shape) -> (Store, Box<dyn Any + Send + Sync>) {
        let options = options(&self.0, &self.1, shape);
        let store = Store::open_postgres(options, Timestamp(0)).await.unwrap();
        (store, Box::new(Arc::clone(&self.0)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_changed_ranges_lose_no_port() {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database().await;
    crate::suite::ports::changed_ranges_lose_no_port(&Same(cluster, database)).await;
}

/// Another process numbers one event while this one waits for its turn to number.
const ANOTHER_NUMBERS: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
     SELECT pg_advisory_xact_lock(7640, 1); \
     INSERT INTO events (at, kind, body) VALUES (0, 'AppCreated', '{}'); \
     DO $$ BEGIN WHILE NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 \
     AND NOT granted) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$; \
     UPDATE events SET seq = 45001, link = repeat('0', 64) WHERE seq IS NULL; COMMIT";
const NUMBERS: &str =
    "SELECT 'held' FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND granted";

/// However many rows wait, and whatever isolation the database has by default: when it says that all are numbered, they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_everything_is_numbered_without_gaps() {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database().await;
    let level =
        format!("ALTER DATABASE {database} SET default_transaction_isolation TO 'repeatable read'");
    cluster.execute(&database, &level).await.unwrap();
    let options = options(&cluster, &database, Shape::default());
    let store = Store::open_postgres(options, Timestamp(0)).await.unwrap();
    store.journal_numbered().await.unwrap();
    let many = "INSERT INTO events (at, kind, body) \
         SELECT 0, 'AppCreated', '{}' FROM generate_series(1, 45000)";
    assert_eq!(cluster.execute(&database, many).await.unwrap(), 45_000);
    store.journal_numbered().await.unwrap();
    assert_eq!(store.newest_event().await.unwrap(), 45_000);

    let waiting = async {
        while cluster.texts(&database, NUMBERS).await.unwrap().is_empty() {}
        store.journal_numbered().await
    };
    let (numbered, told) = tokio::join!(cluster.execute(&database, ANOTHER_NUMBERS), waiting);
    numbered.unwrap();
    told.unwrap();
    assert_eq!(store.newest_event().await.unwrap(), 45_001);
    store.close().await;
}

/// A database behind a way that breaks.
struct Behind(Arc<Cluster>, Cut);

impl Make for Behind {
    async fn make(&self, shape: Shape) -> (Store, Box<dyn Any + Send + Sync>) {
        let database = self.0.database().await;
        let url = format!(
            "postgres://proximity@{}/{database}?sslmode=disable",
            self.1.address
        );
        let options = PostgresOptions {
            url: url.into(),
            ..options(&self.0, &database, shape)
        };
        let store = Store::open_postgres(options, Timestamp(0)).await.unwrap();
        (store, Box::new(Arc::clone(&self.0)))
    }
}

/// A commit whose answer does not come: who asked is told what happened, and it happened once or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_a_lost_answer_doubles_nothing_and_loses_nothing() {
    let cluster = Arc::new(Cluster::start());
    let cut = Cut::before(&cluster.socket()).await;
    let behind = Behind(Arc::clone(&cluster), cut);
    let mut world = World::new(&behind).await;
    let kinds = [How::Swallowed, How::Sent, How::Answered, How::GivenUp];
    let mut there = 0;
    for n in 0..32 {
        let how = kinds[n % kinds.len()];
        let name = format!("app-{n}");
        let (app, operation) = world.new_app(&name);
        behind.1.arm(how);
        let made = world
            .store
            .create_app(app, operation, &world.actor, None, world.at());
        let made = made.await;
        assert!(behind.1.is_spent(), "the commit went another way");
        let found = format!("SELECT id FROM apps WHERE hostname = '{name}'");
        let found = cluster.texts("test_0", &found).await.unwrap().len();
        match (how, &made) {
            (How::Swallowed, Err(_)) => assert_eq!(found, 0),
            (How::Sent, Err(_)) => assert_eq!(found, 0, "{made:?}"),
            (How::Sent | How::Answered | How::GivenUp, Ok(_)) => assert_eq!(found, 1),
            (_, other) => panic!("{how:?}: {other:?}"),
        }
        let unknown = matches!(made, Err(StoreError::Database(DatabaseError::Unknown)));
        assert!(!unknown, "{how:?}: the server could have said");
        there += found;
    }
    let told = "SELECT body FROM events WHERE kind = 'AppCreated'";
    let told = cluster.texts("test_0", told).await.unwrap().len();
    assert_eq!(told, there);
    behind.1.arm(How::Answered);
    let (operation, fence) = world.claim().await;
    assert!(behind.1.is_spent());
    assert_eq!(world.operation(operation.id).await.epoch, fence.epoch);
    world.journal_numbered().await;
    world.assert_sound().await;
}

/// Whoever goes away while it reads, writes or numbers leaves no open transaction on a connection for the next one to be in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_who_goes_away_leaves_no_transaction_behind() {
    let cluster = Arc::new(Cluster::start());
    let mut world = World::new(&Postgres(Arc::clone(&cluster))).await;
    let app = world.create("first").await.id;
    for n in 0..60 {
        let polls = 1 + n % 6;
        let store = world.store.clone();
        at_most(polls, store.app(app)).await;
        at_most(polls, store.journal_numbered()).await;
        let (new, operation) = world.new_app(&format!("gone-{n}"));
        let write = store.create_app(new, operation, &world.actor, None, world.at());
        at_most(polls, write).await;
        world.create(&format!("app-{n}")).await;
        assert!(world.app(app).await.ports.is_some());
    }
    world.assert_sound().await;
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

/// Notes what the session that asks for the lock is set to, then asks for it.
const SPY: &str = "CREATE SCHEMA spy; CREATE TABLE spy.seen (said TEXT NOT NULL); \
     CREATE FUNCTION spy.pg_try_advisory_lock(a INT, b INT) RETURNS BOOL LANGUAGE sql AS $$ \
     INSERT INTO spy.seen SELECT current_setting('tcp_keepalives_idle') || ' ' || \
     current_setting('tcp_keepalives_interval') || ' ' || current_setting('tcp_keepalives_count') || ' ' || \
     current_setting('tcp_user_timeout'); \
     SELECT pg_catalog.pg_try_advisory_lock(a, b) $$";

/// A server whose machine lost its power says no farewell. The database notices within half a minute, and another server
/// may have the lock then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_a_machine_that_is_gone_is_noticed_within_half_a_minute() {
    let cluster = Cluster::start_on_tcp();
    let database = cluster.database().await;
    cluster.execute(&database, SPY).await.unwrap();
    let first = format!("ALTER DATABASE {database} SET search_path TO spy, pg_catalog");
    cluster.execute(&database, &first).await.unwrap();
    let options = PostgresOptions {
        url: cluster.url_on_tcp(&database),
        ..options(&cluster, &database, Shape::default())
    };
    let store = Store::open_postgres(options, Timestamp(0)).await.unwrap();
    let seen = cluster.texts(&database, "SELECT said FROM seen");
    assert_eq!(seen.await.unwrap(), ["10 5 3 25000"]);
    store.close().await;
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
        ("UPDATE audit SET link = NULL", "not altered"),
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

/// As a program of before left it, with an entry that had no number yet. What came after the chain is not there either.
const BEFORE_THE_CHAIN: &str = "DROP FUNCTION touch_app() CASCADE; \
     DROP TABLE plans, snapshots, resources, apply_changes, applies, desired, desired_drifts, secrets, sources, touched_apps, \
     rejected_revisions, entry_sources, entry_source_files, entry_revisions, root_passwords, prepared_clones, prepared_templates, \
     prepared_bases, sessions, accounts; \
     ALTER TABLE operations DROP COLUMN input_sealed; \
     ALTER TABLE apps DROP COLUMN site_name CASCADE, DROP COLUMN site_cert_file CASCADE, DROP COLUMN site_key_file CASCADE, \
     DROP COLUMN site_url CASCADE, DROP COLUMN site_trouble CASCADE, DROP COLUMN entry_hash, DROP COLUMN made_with CASCADE; \
     DROP TRIGGER audit_is_not_altered ON audit; \
     UPDATE audit SET seq = NULL WHERE seq = (SELECT MAX(seq) FROM audit); \
     ALTER TABLE audit DROP COLUMN link; \
     CREATE TRIGGER audit_is_not_altered BEFORE UPDATE ON audit FOR EACH ROW \
     EXECUTE FUNCTION refuse('audit entries are not altered'); \
     DROP TRIGGER events_are_not_altered ON events; \
     ALTER TABLE events DROP COLUMN link; \
     ALTER TABLE clearings DROP COLUMN link; \
     CREATE TRIGGER events_are_not_altered BEFORE UPDATE ON events FOR EACH ROW WHEN (OLD.seq IS NOT NULL) \
     EXECUTE FUNCTION refuse('events are not altered'); \
     DELETE FROM migrations WHERE version >= 22";

/// More than are linked at once, twice.
const MANY_NUMBERED: i64 = 2_100;

/// Those that have a number are linked by the migration, page by page in the order of their numbers, and the other one by the
/// sequencer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_what_was_audited_before_there_was_a_chain_is_in_it() {
    let cluster = Arc::new(Cluster::start());
    let make = Postgres(Arc::clone(&cluster));
    let mut world = World::new(&make).await;
    for n in 0..5 {
        world.create(&format!("app-{n}")).await;
    }
    world.journal_numbered().await;
    let count = world.store.audit_head().await.unwrap().seq;
    world.store.close().await;
    cluster.execute("test_0", BEFORE_THE_CHAIN).await.unwrap();
    let many = format!(
        "INSERT INTO audit (at, account, kind, action, target, details, seq) \
         SELECT 0, 'admin', 'request', 'app.create', 'a', '{{}}', n + (SELECT MAX(seq) FROM audit) \
         FROM generate_series(1, {MANY_NUMBERED}) AS n"
    );
    cluster.execute("test_0", &many).await.unwrap();
    let options = options(&cluster, "test_0", Shape::default());
    let store = Store::open_postgres(options, Timestamp(0)).await.unwrap();
    store.journal_numbered().await.unwrap();
    let head = store.audit_head().await.unwrap();
    assert_eq!(head.seq, count + MANY_NUMBERED);
    let verified = store.verify_audit(Head::NONE, vec![head]).await.unwrap();
    assert_eq!(verified, Ok(head));
    store.close().await;
}

/// What was done to the table behind the back of the program is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_an_audit_that_was_tampered_with_is_told() {
    let cluster = Arc::new(Cluster::start());
    let make = Postgres(Arc::clone(&cluster));
    let mut world = World::new(&make).await;
    for n in 0..4 {
        world.create(&format!("app-{n}")).await;
    }
    world.journal_numbered().await;
    let head = world.store.audit_head().await.unwrap();
    assert_eq!(head.seq, 5);
    let unguard =
        "ALTER TABLE audit DISABLE TRIGGER USER; CREATE TABLE kept AS SELECT * FROM audit";
    cluster.execute("test_0", unguard).await.unwrap();
    let restore = "DELETE FROM audit; INSERT INTO audit OVERRIDING SYSTEM VALUE SELECT * FROM kept";
    let cut_off = Break::CutOff {
        seq: 4,
        anchored: 5,
    };
    for (act, told) in [
        (
            "UPDATE audit SET account = 'nobody' WHERE seq = 3",
            Break::Altered { seq: 3 },
        ),
        (
            "UPDATE audit SET link = NULL WHERE seq = 3",
            Break::Unlinked { seq: 3 },
        ),
        ("DELETE FROM audit WHERE seq = 3", Break::Missing { seq: 3 }),
        ("DELETE FROM audit WHERE seq > 3", cut_off),
    ] {
        cluster.execute("test_0", act).await.unwrap();
        let verified = world.store.verify_audit(Head::NONE, vec![head]);
        assert_eq!(verified.await.unwrap(), Err(told), "{act}");
        cluster.execute("test_0", restore).await.unwrap();
        let verified = world.store.verify_audit(Head::NONE, vec![head]);
        assert_eq!(verified.await.unwrap(), Ok(head), "{act}");
    }
    world.assert_sound().await;
}
