//! Events: each change tells of itself, once, in the commit that makes it.

use std::time::Duration;

use proximity_domain::event::EventKind;
use proximity_domain::event::EventKind as K;
use proximity_domain::ids::{AppId, HostId};
use proximity_store::effects::NewEvent;
use proximity_store::opening::opened_by;
use serde_json::{Value, json};

use super::observation::event;
use super::world::{Make, World, at_most, failure, with_status};
use proximity_domain::app::Status;

/// Kinds and bodies after `seq`.
async fn told(world: &World, seq: i64) -> Vec<(EventKind, Value)> {
    let events = world.events(seq, 1000).await;
    events
        .into_iter()
        .map(|(_, _, e, _, _)| (e.kind, e.body))
        .collect()
}

async fn newest(world: &World) -> i64 {
    world.events(0, 1000).await.last().unwrap().0
}

pub async fn tell_of_each_change_once(make: &impl Make) {
    let mut world = World::new(make).await;
    let before = newest(&world).await;
    world.create("web").await;
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "create").await;
    let effects = with_status(Status::Running);
    let done = world
        .store
        .finish_step(&fence, 0, json!({}), effects, world.at());
    done.await.unwrap();
    world.complete(&fence).await;
    let told = told(&world, before).await;
    let kinds: Vec<EventKind> = told.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        kinds,
        [
            K::AppCreated,
            K::OperationQueued,
            K::OperationStarted,
            K::AppStatusChanged,
            K::OperationProgressed,
            K::OperationSucceeded
        ]
    );
    assert_eq!(
        told[3].1,
        json!({"from": "deploying", "to": "running", "problem": null})
    );
    assert_eq!(told[4].1["percent"], 100);
    assert_eq!(
        told[5].1,
        json!({"kind": "deploy", "state": "succeeded", "problem": null})
    );
    world.assert_sound().await;
}

pub async fn tell_why_it_turned_back(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "create").await;
    let before = newest(&world).await;
    let failed = world.store.fail_step(
        &fence,
        Some(0),
        failure("boom"),
        Default::default(),
        world.at(),
    );
    failed.await.unwrap();
    let told = told(&world, before).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, K::OperationTurnedBack);
    assert_eq!(told[0].1["problem"]["code"], "boom");
    world.assert_sound().await;
}

pub async fn ring_with_a_commit_and_only_then(make: &impl Make) {
    let mut world = World::new(make).await;
    let mut commits = world.store.commits();
    // Where numbers come later, they ring as well.
    world.journal_numbered().await;
    commits.mark_unchanged();
    let (app, operation) = world.new_app("web");
    let refused = world
        .store
        .request_cancel(operation.id, &world.actor, world.at())
        .await;
    assert!(refused.is_err());
    assert!(!commits.has_changed().unwrap(), "nothing was committed");
    let made = world
        .store
        .create_app(app, operation, &world.actor, None, world.at());
    made.await.unwrap();
    assert!(commits.has_changed().unwrap());
}

/// Who went away before hearing of its commit has committed all the same, and who follows the events is told.
pub async fn ring_for_a_caller_that_went_away(make: &impl Make) {
    let mut world = World::new(make).await;
    // Polled once more each time, until it is dropped while the commit is on its way.
    let (mut polls, mut alone) = (1_u32, false);
    for n in 0..600 {
        if alone {
            break;
        }
        // What was numbered late rings late.
        world.journal_numbered().await;
        let mut commits = world.store.commits();
        commits.mark_unchanged();
        let (app, operation) = world.new_app(&format!("app-{n}"));
        let (id, store) = (app.id, world.store.clone());
        let write = store.create_app(app, operation, &world.actor, None, world.at());
        let made = at_most(polls, write).await;
        let dropped = made.map(Result::unwrap).is_none();
        polls += 1;
        if dropped && !becomes_there(&world, id).await {
            continue;
        }
        let rung = tokio::time::timeout(Duration::from_secs(10), commits.changed());
        rung.await.expect("nobody was told").unwrap();
        alone = dropped || !make.waits();
        polls = polls.saturating_sub(10).max(1);
    }
    assert!(alone, "no commit was left alone");
}

/// Whether the app is there within a moment; nobody else writes.
async fn becomes_there(world: &World, id: AppId) -> bool {
    let looked = tokio::time::timeout(Duration::from_millis(50), async {
        while world.store.app(id).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    });
    looked.await.is_ok()
}

/// An older program wrote no `since`. Its events stay as they were written, and nobody is told that they are wrong; the same of an
/// event that comes after one with it, or lacks anything else, is told.
pub async fn older_ones_lack_what_came_later(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let lacking = |lacks: &[&str]| {
        let fields = K::OrphanSuspected.spec().fields.iter();
        let fields = fields.filter(|field| !lacks.contains(field));
        NewEvent {
            kind: K::OrphanSuspected,
            body: fields
                .map(|field| ((*field).to_owned(), json!(1)))
                .collect(),
        }
    };
    let cases: [(&str, &[&str]); 4] = [
        ("pve2", &["since"]),
        ("pve1", &["since", "vmid"]),
        ("pve2", &[]),
        ("pve1", &["since"]),
    ];
    let mut told = Vec::new();
    for (node, lacks) in cases {
        let (node, event) = (node.parse().unwrap(), lacking(lacks));
        let moved = world
            .store
            .guest_moved(app.id, guest.id, &node, event, world.at());
        moved.await.unwrap();
        world.journal_numbered().await;
        told.push(world.store.broken_rules().await.unwrap().len());
    }
    assert_eq!(told, [0, 1, 1, 2]);
}

/// Whatever finds nothing to tell does not say that it began.
pub async fn open_with_what_is_told_once_and_never_alone(make: &impl Make) {
    let world = World::new(make).await;
    let (store, at) = (world.store.clone(), world.at());
    let before = newest(&world).await;
    let (opening, other) = (event(K::ReconciliationStarted), event(K::PortsFreed));
    let unknown = HostId(uuid::Uuid::from_u128(99));
    let quiet = async {
        let refused = store.remove_host(unknown, &world.actor, at).await;
        assert!(refused.is_err());
    };
    let ((), is_told) = opened_by(opening.clone(), quiet).await;
    assert!(!is_told);
    assert_eq!(told(&world, before).await, []);
    let work = async {
        let refused = store.remove_host(unknown, &world.actor, at).await;
        assert!(refused.is_err());
        let (one, two) = tokio::join!(store.announce(&other, at), store.announce(&other, at));
        one.unwrap();
        two.unwrap();
    };
    let ((), is_told) = opened_by(opening, work).await;
    assert!(is_told);
    store.announce(&other, at).await.unwrap();
    let told = told(&world, before).await;
    let kinds: Vec<EventKind> = told.iter().map(|(kind, _)| *kind).collect();
    let others = [K::PortsFreed; 3];
    assert_eq!(
        (kinds[0], &kinds[1..]),
        (K::ReconciliationStarted, &others[..])
    );
    world.assert_sound().await;
}
