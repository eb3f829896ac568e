//! What has expired goes though nobody asks for anything.

use proximity_domain::ids::{HostId, OperationId};
use proximity_domain::observe::{Expected, Inventory, NodeSeen, Sight};
use proximity_domain::resource::{Census, Listed, ResourceId, ResourceKey, ResourceState};
use proximity_domain::retention::{Keep, Retention};
use proximity_domain::time::{Clock, Timestamp};
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_engine::housekeeping;
use proximity_pve_emulator::core::Access;
use proximity_store::records::{AppRecord, HostRecord, RequestKey};
use proximity_testkit::sources::RealClock;
use proximity_testkit::world::TestWorld;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const DAY_MS: i64 = 86_400_000;

/// Adds a host entry under a key `at_ms` from now, and keeps house once. Gives how many keys a look at `later_ms` from now still forgets.
async fn left(at_ms: i64, later_ms: i64) -> u64 {
    let w = TestWorld::start(Access::Full).await.unwrap();
    let now = RealClock.now().0;
    let host = w.store.hosts().await.unwrap().remove(0);
    let spare = HostRecord {
        id: HostId(Uuid::from_u128(77)),
        label: "spare".parse().unwrap(),
        cluster_key: "node:elsewhere".to_owned(),
        ..host
    };
    let key = RequestKey {
        key: "k".to_owned(),
        fingerprint: "f".to_owned(),
    };
    let at = Timestamp(now + at_ms);
    let added = w.store.add_host_once(spare, Some(key), &w.actor, at);
    added.await.unwrap();
    keep_house_once(&w).await;
    let later = Timestamp(now + later_ms);
    w.store.forget_old_requests(later).await.unwrap()
}

async fn keep_house_once(w: &TestWorld) {
    let ended = CancellationToken::new();
    ended.cancel();
    housekeeping::run(w.engine.clone(), ended).await;
}

/// The app and its deploy, when it has ended.
async fn deploy(w: &TestWorld, hostname: &str) -> (AppRecord, OperationId) {
    let wanted = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, wanted).await.unwrap();
    let operation = app.operation.unwrap();
    w.settled(operation).await.unwrap();
    (app, operation)
}

#[tokio::test]
async fn of_what_happened_as_much_stays_as_is_kept_and_what_nobody_may_lose() {
    let limits = EngineLimits {
        retention: Retention {
            events: Keep::of(0, 5),
            operations: Keep {
                age_ms: None,
                most: Some(0),
            },
            snapshots: Keep::default(),
        },
        ..EngineLimits::default()
    };
    let mut w = TestWorld::start_with(Access::Full, limits).await.unwrap();
    let (gone, its_deploy) = deploy(&w, "gone").await;
    let remove = Action::Delete {
        confirm: Some("gone".to_owned()),
        force_stop: false,
        purge: false,
    };
    let removal = w.engine.act(&w.actor, "gone", remove).await.unwrap();
    w.settled(removal.id).await.unwrap();
    let (kept, deploy_of_kept) = deploy(&w, "kept").await;
    w.stop_worker().await.unwrap();
    let newest = w.store.newest_event().await.unwrap();
    let audit = w.store.audit(1000, 0).await.unwrap();
    let lines = w.store.log(kept.id, 0, 1000).await.unwrap();
    keep_house_once(&w).await;
    let events = w.store.events(0, 1000).await.unwrap();
    let seqs: Vec<i64> = events.iter().map(|event| event.0).collect();
    assert_eq!(seqs, (newest - 4..=newest).collect::<Vec<_>>());
    for (operation, has_steps) in [
        (its_deploy, false),
        (removal.id, false),
        (deploy_of_kept, true),
    ] {
        let steps = w.store.steps(operation).await.unwrap();
        assert_eq!(!steps.is_empty(), has_steps, "{steps:?}");
        let record = w.store.operation(operation).await.unwrap().unwrap();
        assert_eq!(record.cleared_at.is_none(), has_steps, "{record:?}");
    }
    // The last word on the app that is gone, and every line of the one that lives.
    assert_eq!(w.store.log(gone.id, 0, 1000).await.unwrap().len(), 1);
    assert_eq!(w.store.log(kept.id, 0, 1000).await.unwrap(), lines);
    assert!(w.store.archived_app(gone.id).await.unwrap().is_some());
    assert_eq!(w.store.audit(1000, 0).await.unwrap(), audit);
    let wrong = w.store.invariants().await.unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Nothing is left to do, and nothing is committed.
    let mut commits = w.store.commits();
    commits.mark_unchanged();
    keep_house_once(&w).await;
    assert!(!commits.has_changed().unwrap());
}

#[tokio::test]
async fn keys_of_requests_are_forgotten_after_a_day_and_not_before() {
    assert_eq!(left(-DAY_MS - 60_000, 0).await, 0, "it is gone already");
    assert_eq!(left(-DAY_MS + 600_000, 2 * DAY_MS).await, 1, "it was kept");
}

/// A look at one node with this status.
fn look(host: HostId, status: &str) -> Census {
    look_beside(host, status, Vec::new())
}

/// The same, with what the list shows beside it.
fn look_beside(host: HostId, status: &str, mut listed: Vec<Listed>) -> Census {
    let node = NodeSeen {
        name: "pve1".parse().unwrap(),
        online: true,
    };
    let shown = Listed {
        key: ResourceKey::node(&node.name),
        state: Some(ResourceState::of([("status", json!(status))])),
    };
    let inventory = Inventory {
        host,
        at: None,
        by: None,
        cluster: None,
        quorate: true,
        nodes: vec![node],
        list_nodes: Vec::new(),
        list_pools: Vec::new(),
        guests: Vec::new(),
    };
    let expected = Expected {
        cluster: None,
        known_nodes: &[],
    };
    let whole = inventory.complete(&expected, Sight::All).unwrap();
    listed.push(shown);
    Census::of(whole, listed, Sight::All)
}

/// The numbers that are left, newest first, of what a node was on these days from now on, when house was kept by this rule.
async fn snapshots_left(days: &[i64], keep: Keep) -> Vec<i64> {
    let limits = EngineLimits {
        retention: Retention {
            snapshots: keep,
            ..Retention::default()
        },
        ..EngineLimits::default()
    };
    let w = TestWorld::start_with(Access::Full, limits).await.unwrap();
    let host = w.store.hosts().await.unwrap().remove(0).id;
    let now = RealClock.now().0;
    for (number, day) in days.iter().enumerate() {
        let status = if number.is_multiple_of(2) {
            "online"
        } else {
            "offline"
        };
        let kept = w.store.kept_resources(host).await.unwrap();
        let found = look(host, status).findings(&kept);
        let at = Timestamp(now + day * DAY_MS);
        assert_eq!(w.store.note_resources(&found, at).await.unwrap(), 1);
    }
    keep_house_once(&w).await;
    let key = ResourceKey::node(&"pve1".parse().unwrap());
    let id = ResourceId::of(host, &key);
    let left = w.store.snapshots(id, None, 100).await.unwrap();
    left.iter().map(|one| one.seq).collect()
}

#[tokio::test]
async fn of_what_a_resource_was_as_much_stays_as_is_kept_and_the_newest_always() {
    let days = [-9, -3, -2, 0];
    assert_eq!(snapshots_left(&days, Keep::of(0, 0)).await, [4, 3, 2, 1]);
    assert_eq!(snapshots_left(&days, Keep::of(0, 2)).await, [4, 3]);
    // The second one was the state until two days ago; the third one was it until now.
    assert_eq!(snapshots_left(&days, Keep::of(1, 0)).await, [4, 3]);
    assert_eq!(snapshots_left(&[-9], Keep::of(1, 1)).await, [1]);
}

#[tokio::test]
async fn what_is_gone_for_longer_than_is_kept_goes_whole() {
    let limits = EngineLimits {
        retention: Retention {
            snapshots: Keep::of(5, 0),
            ..Retention::default()
        },
        ..EngineLimits::default()
    };
    let w = TestWorld::start_with(Access::Full, limits).await.unwrap();
    let host = w.store.hosts().await.unwrap().remove(0).id;
    let container = |n: u32| ResourceKey::container(n.try_into().unwrap());
    let listed = |n| Listed {
        key: container(n),
        state: Some(ResourceState::of([("status", json!("running"))])),
    };
    let now = RealClock.now().0;
    for (day, there) in [
        (-9, vec![listed(101), listed(102)]),
        (-8, vec![listed(102)]),
        (-2, vec![]),
    ] {
        let kept = w.store.kept_resources(host).await.unwrap();
        let found = look_beside(host, "online", there).findings(&kept);
        let at = Timestamp(now + day * DAY_MS);
        w.store.note_resources(&found, at).await.unwrap();
    }
    keep_house_once(&w).await;
    let of = |n| w.store.resource(ResourceId::of(host, &container(n)));
    assert_eq!(of(101).await.unwrap(), None);
    let kept = of(102).await.unwrap().unwrap();
    assert!(kept.gone_at.is_some(), "not long enough");
}
