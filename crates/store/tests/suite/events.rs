//! Events: each change tells of itself, once, in the commit that makes it.

use proximity_domain::event::EventKind;
use proximity_domain::event::EventKind as K;
use serde_json::{Value, json};

use super::world::{Make, World, failure, with_status};
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
