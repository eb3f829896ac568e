//! The engine on a database of PostgreSQL: deploys, and a worker that dies in the middle of one.

use std::sync::Mutex;

use proximity_domain::app::StatusLabel;
use proximity_domain::audit::{Anchor, Chain};
use proximity_domain::operation::OperationState;
use proximity_domain::ports::PortRange;
use proximity_domain::retry::RetryPolicy;
use proximity_domain::time::Clock;
use proximity_engine::audit_anchor;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_engine::seams::Ingress;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::{Access, TaskTimes};
use proximity_store::{PostgresOptions, Store};
use proximity_testkit::postgres::Cluster;
use proximity_testkit::pve::Pve;
use proximity_testkit::sources::RealClock;
use proximity_testkit::world::{Place, TestWorld, WorldParts};
use tokio_util::sync::CancellationToken;

/// A world on a database of its own.
async fn world(cluster: &Cluster) -> TestWorld {
    world_with(cluster, EngineLimits::default()).await
}

async fn world_with(cluster: &Cluster, limits: EngineLimits) -> TestWorld {
    let database = cluster.database().await;
    let options = PostgresOptions {
        url: cluster.url(&database),
        password: None,
        key_file: cluster.folder().join(format!("{database}.key")),
        public: PortRange {
            first: 8100,
            last: 8103,
        },
        internal: PortRange {
            first: 9100,
            last: 9103,
        },
        rest_ms: 86_400_000,
    };
    let store = Store::open_postgres(options, RealClock.now())
        .await
        .unwrap();
    TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        place: Place::Opened(store),
        limits,
        ..WorldParts::default()
    })
    .await
    .unwrap()
}

fn beacon(hostname: &str) -> CreateApp {
    CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        ..CreateApp::default()
    }
}

async fn act(world: &TestWorld, action: Action) -> OperationState {
    let acted = world.engine.act(&world.actor, "web", action).await;
    world.settled(acted.unwrap().id).await.unwrap().state
}

async fn assert_sound(world: &TestWorld) {
    world.store.journal_numbered().await.unwrap();
    assert_eq!(
        world.store.invariants().await.unwrap(),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn real_postgres_an_app_lives_stops_starts_and_goes() {
    let cluster = Cluster::start();
    let w = world(&cluster).await;
    let app = w.engine.create_app(&w.actor, beacon("web")).await.unwrap();
    let deployed = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(deployed.state, OperationState::Succeeded);
    let running = w.store.app(app.id).await.unwrap().unwrap();
    assert_eq!(running.status.label(), StatusLabel::Running);
    assert_eq!(w.routes.routes().await.unwrap().len(), 1);
    for action in [
        Action::Stop { force: false },
        Action::Start,
        Action::Restart { force: false },
    ] {
        let name = format!("{action:?}");
        assert_eq!(act(&w, action).await, OperationState::Succeeded, "{name}");
    }
    let remove = Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: false,
        purge: false,
    };
    assert_eq!(act(&w, remove).await, OperationState::Succeeded);
    assert!(w.pve.guests.vmids().is_empty());
    assert!(w.store.ports().await.unwrap().held.is_empty());
    assert_sound(&w).await;
    // Everything was told, in order and without gaps.
    let events = w.store.events(0, 1_000).await.unwrap();
    let seqs: Vec<i64> = events.iter().map(|(seq, ..)| *seq).collect();
    let expected: Vec<i64> = (1..).take(seqs.len()).collect();
    assert_eq!(seqs, expected);
    assert!(seqs.len() > 20, "{seqs:?}");
    w.store.close().await;
}

/// Many at once: what one transaction could not know of another is tried again inside, and nobody hears of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_deploys_beside_each_other_all_succeed() {
    let cluster = Cluster::start();
    let w = world(&cluster).await;
    let names = ["one", "two", "three", "four"];
    let asked = names.map(|name| w.engine.create_app(&w.actor, beacon(name)));
    for app in futures::future::join_all(asked).await {
        let operation = app.unwrap().operation.unwrap();
        let deployed = w.settled(operation).await.unwrap();
        assert_eq!(deployed.state, OperationState::Succeeded);
    }
    assert_eq!(w.pve.guests.vmids().len(), names.len());
    assert_sound(&w).await;
    w.store.close().await;
}

#[tokio::test]
async fn real_postgres_an_operation_survives_a_worker_that_dies() {
    let cluster = Cluster::start();
    // Cut off at ever later calls to PVE, until one deploy goes through before the cut.
    let mut taken_over = 0;
    for calls in (4_u64..).step_by(3) {
        let mut w = world(&cluster).await;
        let app = w.engine.create_app(&w.actor, beacon("web")).await.unwrap();
        let op = app.operation.unwrap();
        let finished = tokio::select! {
            biased;
            () = w.pve.calls_arrived(calls) => false,
            settled = w.settled(op) => settled.is_ok(),
        };
        w.crash_worker().await;
        w.start_worker();
        let op = w.settled(op).await.unwrap();
        assert_eq!(op.state, OperationState::Succeeded, "cut at call {calls}");
        // The first calls are the look for a place, before there is anything to take over.
        taken_over += u32::from(op.epoch.0 > 1);
        assert_eq!(w.pve.guests.vmids().len(), 1, "cut at call {calls}");
        assert_sound(&w).await;
        w.store.close().await;
        if finished {
            assert!(calls > 20, "a deploy takes more calls than that");
            assert!(
                taken_over > 3,
                "cut off before there was work: {taken_over}"
            );
            return;
        }
    }
}

/// The answer to a DELETE is lost, and a person cancels while its task still runs. Here the record itself is waited for, so
/// the cancel is there before the first look: what was sent is seen to its end all the same.
#[tokio::test]
async fn real_postgres_a_removal_cancelled_while_its_destroy_runs_ends_as_what_it_did() {
    let cluster = Cluster::start();
    let limits = EngineLimits {
        retry: RetryPolicy {
            first_ms: 600_000,
            longest_ms: 600_000,
            ..RetryPolicy::DEFAULT
        },
        ..EngineLimits::default()
    };
    let w = world_with(&cluster, limits).await;
    let app = w.engine.create_app(&w.actor, beacon("web")).await.unwrap();
    let deployed = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(deployed.state, OperationState::Succeeded);
    w.pve.meddle(|world| {
        world.set_task_times(TaskTimes {
            destroy_ms: 1_500,
            ..world.task_times()
        });
    });
    w.pve.cut_after(Method::Delete, "/lxc/100");
    let remove = Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: false,
        purge: false,
    };
    let op = w.engine.act(&w.actor, "web", remove).await.unwrap().id;
    w.until(async || {
        let now = w.store.operation(op).await.unwrap().unwrap();
        now.wait.is_some()
    })
    .await
    .unwrap();
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded);
    assert!(w.pve.guests.vmids().is_empty());
    assert!(w.store.native_guests(app.id).await.unwrap().is_empty());
    assert_sound(&w).await;
    w.store.close().await;
}

/// Keeps all others from numbering until there is a row in this table.
const HOLD: &str = "BEGIN; SELECT pg_advisory_xact_lock(7640, 1); \
     DO $$ BEGIN WHILE NOT EXISTS (SELECT 1 FROM let_go) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$; \
     COMMIT";
const HELD: &str = "SELECT 'held' FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
     WHERE l.locktype = 'advisory' AND l.classid = 7640 AND l.objid = 1 AND l.granted \
     AND a.query LIKE 'BEGIN; %let_go%'";

/// What was written in the last moment has no number yet; the last anchor waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_the_last_anchor_is_the_last_entry() {
    let cluster = Cluster::start();
    let w = world(&cluster).await;
    w.store.journal_numbered().await.unwrap();
    let before = w.store.audit_head().await.unwrap().seq;
    let sign = "CREATE TABLE let_go (x BIGINT)";
    cluster.execute("test_0", sign).await.unwrap();
    let said = Mutex::new(Vec::new());
    let say = |anchor: &Anchor| {
        if anchor.chain == Chain::Audit {
            said.lock().unwrap().push(anchor.head.seq);
        }
    };
    let ended = CancellationToken::new();
    ended.cancel();
    let written = async {
        while cluster.texts("test_0", HELD).await.unwrap().is_empty() {}
        let (store, now) = (&w.store, RealClock.now());
        let noted = store.note_host_act("lab", "host.init", "x", &w.actor, now);
        noted.await.unwrap();
        let let_go = async {
            while said.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            let go = "INSERT INTO let_go VALUES (1)";
            cluster.execute("test_0", go).await.unwrap();
        };
        tokio::join!(audit_anchor::run(w.store.clone(), say, ended), let_go);
    };
    let (held, ()) = tokio::join!(cluster.execute("test_0", HOLD), written);
    held.unwrap();
    assert_eq!(*said.lock().unwrap(), [before, before + 1]);
    w.store.close().await;
}
