//! What lies on the disk: key file, sealed secrets, guards inside the database.

mod tampered;

use std::any::Any;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::suite::world::{Make, Shape, World, failure};
use proximity_domain::app::StatusLabel;
use proximity_domain::audit::{Break, Entry, Head};
use proximity_domain::operation::OperationKind;
use proximity_domain::ports::PortRange;
use proximity_domain::saga::StepState;
use proximity_domain::time::Timestamp;
use proximity_store::effects::{Effects, MutationAudit};
use proximity_store::power::{ReadPower, SeenPower};
use proximity_store::{KeptRecord, Store, StoreError, StoreOptions};
use rusqlite::Connection;
use serde_json::json;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Stores in one directory that outlives them.
struct Inside(PathBuf);

impl Make for Inside {
    async fn make(&self, _: Shape) -> (Store, Box<dyn Any + Send + Sync>) {
        let store = Store::open(options(&self.0), NOW).await.unwrap();
        (store, Box::new(()))
    }
}

fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        path: dir.join("proximity.db"),
        key_file: dir.join("key"),
        public: PortRange::PUBLIC,
        internal: PortRange::INTERNAL,
        rest_ms: 0,
    }
}

fn raw(dir: &Path) -> Connection {
    let connection = Connection::open(dir.join("proximity.db")).unwrap();
    connection
        .pragma_update(None, "foreign_keys", true)
        .unwrap();
    connection
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

async fn refused_key(dir: &Path) -> String {
    match Store::open(options(dir), NOW).await {
        Err(StoreError::Key { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn database_and_key_are_made_together_for_their_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()), NOW).await.unwrap();
    for name in [
        "proximity.db",
        "proximity.db-wal",
        "proximity.db-shm",
        "key",
    ] {
        assert_eq!(mode(&dir.path().join(name)), 0o600, "{name}");
    }
    let first = store.installation();
    store.close().await;
    let again = Store::open(options(dir.path()), NOW).await.unwrap();
    assert_eq!(again.installation(), first);
    again.close().await;
    let names = std::fs::read_dir(dir.path()).unwrap();
    let mut names: Vec<_> = names
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["key", "proximity.db"], "nothing else is left");
}

#[tokio::test]
async fn a_key_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Store::open(options(dir.path()), NOW)
        .await
        .unwrap()
        .close()
        .await;
    let key = dir.path().join("key");
    for open in [0o640, 0o604, 0o620] {
        std::fs::set_permissions(&key, PermissionsExt::from_mode(open)).unwrap();
        let why = refused_key(dir.path()).await;
        assert!(why.contains("600"), "{why}");
    }
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o400)).unwrap();
    Store::open(options(dir.path()), NOW).await.unwrap();
}

#[tokio::test]
async fn the_key_must_be_there_and_belong_to_the_database() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for each in [&dir, &other] {
        Store::open(options(each.path()), NOW)
            .await
            .unwrap()
            .close()
            .await;
    }
    let key = dir.path().join("key");
    std::fs::remove_file(&key).unwrap();
    let why = refused_key(dir.path()).await;
    assert!(why.contains("missing"), "{why}");
    assert!(!key.exists(), "no new key is made for an old database");
    std::fs::copy(other.path().join("key"), &key).unwrap();
    let why = refused_key(dir.path()).await;
    assert!(why.contains("another database"), "{why}");
    std::fs::write(&key, "not a key").unwrap();
    let why = refused_key(dir.path()).await;
    assert!(why.contains("64"), "{why}");
}

#[tokio::test]
async fn no_secret_is_on_the_disk_in_plain() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(&Inside(dir.path().to_owned())).await;
    let (app, guest) = world.deployed("web", 101).await;
    world.create("shop").await;
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "x").await;
    let audit = MutationAudit {
        call: "POST /nodes/pve1/lxc".to_owned(),
        target: "lab/pve1/102".to_owned(),
        details: json!({}),
    };
    world
        .store
        .record_mutation(&fence, 0, audit, Effects::default(), world.at())
        .await
        .unwrap();
    world.fail(&fence, Some(0), "x").await;
    let host = world.store.host(world.host).await.unwrap().unwrap();
    world
        .store
        .update_host(host, &world.actor, world.at())
        .await
        .unwrap();
    world.removed(&app, guest.id, false).await;
    crate::suite::adoptions::adopted(&mut world, "found", 105).await;
    let key = std::fs::read_to_string(dir.path().join("key")).unwrap();
    let secrets = [
        "canary-of-the-record",
        "canary-of-the-step",
        "token-secret-of-",
        "private-key-of-",
        "secret-of-web",
        "secret-of-shop",
        key.trim(),
    ];
    let mut seen = 0;
    for name in ["proximity.db", "proximity.db-wal"] {
        let bytes = std::fs::read(dir.path().join(name)).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
        for secret in secrets {
            assert!(!holds(secret), "{name} holds {secret}");
        }
        seen += usize::from(holds("root@pam!proximity")) + usize::from(holds("nginx"));
    }
    assert!(seen > 0, "what is no secret is found, so the search works");
}

#[tokio::test]
async fn commits_are_synced_and_the_log_is_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(&Inside(dir.path().to_owned())).await;
    let settings = world.store.settings().await.unwrap();
    assert_eq!(
        settings,
        ("wal".to_owned(), 2, 1),
        "journal_mode, synchronous FULL, foreign_keys"
    );
}

#[tokio::test]
async fn what_no_program_may_do_is_refused_by_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(&Inside(dir.path().to_owned())).await;
    let (web, _) = world.deployed("web", 101).await;
    world.deployed("shop", 102).await;
    world.enqueue(OperationKind::Stop, web.id, None).await;
    let db = raw(dir.path());
    for (act, refused_with) in [
        ("UPDATE apps SET class = 'adopted'", "fixed at birth"),
        ("UPDATE guests SET class = 'ephemeral'", "fixed at birth"),
        ("UPDATE guests SET mark = 'x'", "fixed at birth"),
        (
            "UPDATE guests SET vmid = 103 WHERE vmid = 102",
            "fixed at birth",
        ),
        ("UPDATE guests SET rootfs_volid = NULL", "learned once"),
        ("DELETE FROM guests", "are kept"),
        (
            "UPDATE operations SET epoch = 0 WHERE epoch = 1",
            "never falls",
        ),
        ("UPDATE audit SET account = 'nobody'", "not altered"),
        ("DELETE FROM audit", "not removed"),
        ("UPDATE events SET kind = 'x'", "not altered"),
        ("UPDATE apps SET hostname = 'web'", "UNIQUE"),
        (
            "UPDATE operations SET state = 'queued', finished_at = NULL, lease_holder = NULL, lease_until = NULL",
            "UNIQUE",
        ),
        ("UPDATE ports SET port = 8100", "UNIQUE"),
        (
            "UPDATE ports SET app_id = (SELECT id FROM apps WHERE hostname = 'web')",
            "UNIQUE",
        ),
        (
            "UPDATE ports SET app_id = 'nobody' WHERE port = 8100",
            "FOREIGN KEY",
        ),
        ("UPDATE apps SET status = 'Running'", "CHECK"),
        ("UPDATE apps SET environment_sealed = NULL", "CHECK"),
        ("UPDATE operations SET kind = 'destroy'", "CHECK"),
        ("UPDATE operations SET state = 'running'", "CHECK"),
        ("UPDATE steps SET state = 'done'", "CHECK"),
    ] {
        let error = db.execute(act, []).unwrap_err().to_string();
        assert!(error.contains(refused_with), "{act}: {error}");
    }
    world.assert_sound().await;
}

#[tokio::test]
async fn the_database_knows_every_label() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(&Inside(dir.path().to_owned())).await;
    world.deployed("web", 101).await;
    let db = raw(dir.path());
    let kinds = OperationKind::ALL.map(OperationKind::label);
    let statuses = StatusLabel::ALL.map(StatusLabel::label);
    let steps = StepState::ALL.map(StepState::label);
    let all = kinds.iter().map(|l| ("operations", "kind", *l));
    let all = all.chain(statuses.iter().map(|l| ("apps", "status", *l)));
    for (table, column, label) in all.chain(steps.iter().map(|l| ("steps", "state", *l))) {
        let update = format!("UPDATE {table} SET {column} = '{label}'");
        db.execute(&update, []).unwrap();
    }
}

#[tokio::test]
async fn other_ranges_take_effect_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(&Inside(dir.path().to_owned())).await;
    let first = world.create("web").await.ports.unwrap();
    assert_eq!((first.public, first.internal), (8100, 9100));
    world.store.close().await;
    let range = |first, last| PortRange { first, last };
    for (public, internal, expected) in [
        (range(8099, 8101), range(9100, 9102), (8099, 9101)),
        (range(8100, 8102), range(9100, 9102), (8101, 9102)),
        (range(8100, 8102), range(9099, 9102), (8102, 9099)),
    ] {
        let options = StoreOptions {
            public,
            internal,
            ..options(dir.path())
        };
        world.store = Store::open(options, NOW).await.unwrap();
        let name = format!("app-{}", expected.0);
        let pair = world.create(&name).await.ports.unwrap();
        assert_eq!((pair.public, pair.internal), expected);
        world.assert_sound().await;
        world.store.close().await;
    }
}

#[tokio::test]
async fn a_damaged_row_is_named_not_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(&Inside(dir.path().to_owned())).await;
    let (app, _) = world.deployed("web", 101).await;
    let db = raw(dir.path());
    db.execute("UPDATE apps SET status = 'stopped'", [])
        .unwrap();
    let read = world.store.app(app.id).await;
    assert!(
        matches!(read, Err(StoreError::Damaged { what: "status", .. })),
        "{read:?}"
    );
    let opened = r#"{"observe":"#;
    let moved = format!(
        "UPDATE hosts SET purpose_tokens = replace(purpose_tokens, '{opened}', '{}')",
        r#"{"images":"#
    );
    assert_eq!(db.execute(&moved, []).unwrap(), 1);
    let read = world.store.hosts().await;
    assert!(
        matches!(read, Err(StoreError::Damaged { what: "secret", .. })),
        "a secret opens under its own purpose alone: {read:?}"
    );
    let moved = "UPDATE hosts SET token_secret_sealed = ssh_private_key_sealed";
    db.execute(moved, []).unwrap();
    let read = world.store.hosts().await;
    assert!(
        matches!(read, Err(StoreError::Damaged { what: "secret", .. })),
        "{read:?}"
    );
}

/// Of what another process writes nobody is told row by row. Until the next commit of this one a copy reads what this process
/// wrote and nothing else, then everything.
#[tokio::test]
async fn what_another_process_wrote_is_read_with_the_next_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(&Inside(dir.path().to_owned())).await;
    let (web, _) = world.deployed("web", 101).await;
    world.deployed("shop", 102).await;
    let mut kept = world.store.keep_record();
    kept.refresh().await.unwrap();
    let (running, stopped) = (ReadPower::Running, ReadPower::Stopped);
    let (store, at) = (world.store.clone(), world.at());
    let follow = async |from, to| {
        let seen = SeenPower {
            app: web.id,
            from,
            to,
        };
        store.follow_powers(&[seen], at).await.unwrap() == [web.id]
    };
    let shown = |kept: &KeptRecord| {
        let guests = kept.guests(world.host);
        let shown = guests.iter();
        let shown = shown.map(|guest| (guest.hostname.to_string(), guest.status));
        shown.collect::<Vec<_>>()
    };
    let named = |name: &str, status| (name.to_owned(), status);
    assert!(follow(running, stopped).await);
    let other = raw(dir.path());
    let named_anew = "UPDATE apps SET hostname = 'store' WHERE hostname = 'shop'";
    assert_eq!(other.execute(named_anew, []).unwrap(), 1);
    kept.refresh().await.unwrap();
    assert_eq!(
        shown(&kept),
        [
            named("web", StatusLabel::Stopped),
            named("shop", StatusLabel::Running)
        ]
    );
    assert!(follow(stopped, running).await);
    kept.refresh().await.unwrap();
    assert_eq!(
        shown(&kept),
        [
            named("web", StatusLabel::Running),
            named("store", StatusLabel::Running)
        ]
    );
    let anew = store.watched_guests(world.host).await.unwrap();
    assert_eq!(*kept.guests(world.host), anew);
}

#[test]
fn futures_of_the_store_can_move_between_threads() {
    fn sendable<T: Send>(_: impl FnOnce(Store, World) -> T) {}
    sendable(|store, world| async move {
        let _ = store
            .add_host(store.host(world.host).await?.unwrap(), &world.actor, NOW)
            .await;
        let claimed = store.claim(world.holder, 1, true, NOW).await?;
        if let Some((operation, fence)) = claimed {
            store
                .begin_step(&fence, 0, "x", json!({}), Effects::default(), NOW)
                .await?;
            store
                .finish_step(&fence, 0, json!({}), Effects::default(), NOW)
                .await?;
            store.fail_undo(&fence, 0, failure("x"), NOW).await?;
            store.end_unwound(&fence, Effects::default(), NOW).await?;
            store
                .abandon(operation.id, failure("x"), &world.actor, NOW)
                .await?;
        }
        store.invariants().await
    });
}
