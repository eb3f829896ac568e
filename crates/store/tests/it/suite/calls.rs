//! What is told of the store's calls: each by its method, with its error, and snapshots once they are there.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use proximity_domain::resource::SnapshotChange;
use proximity_store::SnapshotWritten;

use super::resources::{census, container, state};
use super::world::{Make, World};

/// No error.
const WELL: Option<&str> = None;

/// What was told since this was asked the last time.
fn taken<T>(told: &Mutex<Vec<T>>) -> Vec<T> {
    std::mem::take(&mut *told.lock().unwrap())
}

pub async fn are_told_of_by_their_method(make: &impl Make) {
    let mut world = World::new(make).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    world.store.observe_calls(move |end| {
        heard.lock().unwrap().push((end.call, end.error));
    });
    let app = world.create("web").await.id;
    assert_eq!(taken(&told), [("create_app", WELL)]);
    world.store.app(app).await.unwrap().unwrap();
    world.store.hosts().await.unwrap();
    world.store.reader().ports().await.unwrap();
    let read = [("app", WELL), ("hosts", WELL), ("ports", WELL)];
    assert_eq!(taken(&told), read);
    let (again, operation) = world.new_app("web");
    let refused = world
        .store
        .create_app(again, operation, &world.actor, None, world.at());
    assert!(refused.await.is_err());
    assert_eq!(taken(&told), [("create_app", Some("hostname_taken"))]);
}

/// What is as it was makes no snapshot, so nothing is told.
pub async fn that_write_snapshots_tell_of_each(make: &impl Make) {
    let world = World::new(make).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    world.store.observe_snapshots(move |written| {
        heard.lock().unwrap().push(written);
    });
    let mut looks = Vec::new();
    for status in ["running", "running", "stopped"] {
        let shown = [(container(101), state(status, "web"))];
        let kept = world.store.kept_resources(world.host).await.unwrap();
        let found = census(world.host, &shown).findings(&kept);
        world
            .store
            .note_resources(&found, world.at())
            .await
            .unwrap();
        looks.push(taken(&told));
    }
    let bytes = |status| {
        let kept = serde_json::to_string(&state(status, "web"));
        kept.unwrap().len()
    };
    let [first, same, changed]: [Vec<SnapshotWritten>; 3] = looks.try_into().unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].change, SnapshotChange::Discovered);
    assert_eq!(first[0].bytes, bytes("running"));
    assert!(same.is_empty(), "{same:?}");
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].change, SnapshotChange::Updated);
    assert_eq!(changed[0].bytes, bytes("stopped"));
}

/// Who went away does not count as at work for ever.
pub async fn that_are_over_are_not_under_way(make: &impl Make) {
    let mut world = World::new(make).await;
    for n in 0..8 {
        let (app, operation) = world.new_app(&format!("app-{n}"));
        let write = world
            .store
            .create_app(app, operation, &world.actor, None, world.at());
        super::world::at_most(1 + n % 4, write).await;
    }
    assert_eq!(world.store.usage().await.unwrap().writes, 0);
    let (app, operation) = world.new_app("last");
    let (actor, at) = (&world.actor, world.at());
    let mut write = pin!(world.store.create_app(app, operation, actor, None, at));
    let first = poll_fn(|context| Poll::Ready(write.as_mut().poll(context))).await;
    if first.is_pending() {
        assert_eq!(world.store.usage().await.unwrap().writes, 1);
        write.await.unwrap();
    }
    assert_eq!(world.store.usage().await.unwrap().writes, 0);
}
