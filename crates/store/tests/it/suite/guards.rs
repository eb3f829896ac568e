//! The guard of adopted apps: what is told is told once.

use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_store::StoreError;
use proximity_store::effects::NewEvent;
use serde_json::json;

use super::adoptions::{adopt, adopted};
use super::world::{Make, World};

fn drifts(kind: EventKind) -> NewEvent {
    let fields = kind.spec().fields.iter();
    let body = fields.map(|field| ((*field).to_owned(), json!(1)));
    NewEvent {
        kind,
        body: body.collect(),
    }
}

async fn count(world: &World, kind: EventKind) -> usize {
    let events = world.events(0, 1_000).await;
    events.iter().filter(|event| event.2.kind == kind).count()
}

pub async fn tell_of_a_drift_once_and_of_its_end(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = adopted(&mut world, "found", 105).await;
    let id = app.id;
    let guard = async |world: &World, on| {
        let store = &world.store;
        store.guard(id, on, &world.actor, world.at()).await.unwrap()
    };
    let tell = async |world: &World, keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let kind = match keys.is_empty() {
            true => EventKind::DriftEnded,
            false => EventKind::DriftDetected,
        };
        let (store, event) = (&world.store, drifts(kind));
        let told = store.tell_drift(id, &keys, &event, world.at());
        told.await.unwrap()
    };
    assert!(!tell(&world, &["memory"]).await, "nobody asked for it");
    assert!(guard(&world, true).await && !guard(&world, true).await);
    let since = world.store.guarded_since(id).await.unwrap();
    assert!(since.is_some());
    assert!(!tell(&world, &[]).await, "nothing to be over");
    assert!(tell(&world, &["memory"]).await && !tell(&world, &["memory"]).await);
    assert!(tell(&world, &["memory", "tags"]).await);
    let told = world.store.guards().await.unwrap().pop().unwrap();
    assert_eq!((told.app, Some(told.since)), (id, since));
    assert_eq!(told.told.unwrap().keys, ["memory", "tags"]);
    assert!(tell(&world, &[]).await && !tell(&world, &[]).await);
    assert_eq!(count(&world, EventKind::DriftDetected).await, 2);
    assert_eq!(count(&world, EventKind::DriftEnded).await, 1);
    tell(&world, &["memory"]).await;
    assert!(guard(&world, false).await && !guard(&world, false).await);
    assert!(!tell(&world, &["tags"]).await, "off is silence");
    assert!(guard(&world, true).await);
    assert!(tell(&world, &["memory"]).await, "another guard tells anew");
    assert_eq!(count(&world, EventKind::AppGuarded).await, 2);
    assert_eq!(count(&world, EventKind::AppUnguarded).await, 1);
    world.assert_sound().await;
}

pub async fn are_for_adopted_apps_and_end_with_them(make: &impl Make) {
    let mut world = World::new(make).await;
    let (made, _) = world.deployed("made", 106).await;
    for (app, is_there) in [(made.id, true), (AppId(world.id()), false)] {
        let store = &world.store;
        let refused = store.guard(app, true, &world.actor, world.at()).await;
        match is_there {
            true => assert!(matches!(refused, Err(StoreError::IllegalTransition { .. }))),
            false => assert!(matches!(refused, Err(StoreError::NotFound { .. }))),
        }
    }
    // Also one whose adoption is not done yet, and is cancelled.
    let (app, guest) = adopt(&mut world, "found", 105).await.unwrap();
    let store = &world.store;
    let guarded = store.guard(app.id, true, &world.actor, world.at()).await;
    assert!(guarded.unwrap());
    let cancelled = store.request_cancel(guest.created_by, &world.actor, world.at());
    assert!(cancelled.await.unwrap().state.is_final());
    assert_eq!(world.store.guards().await.unwrap(), []);
    assert_eq!(world.store.guarded_since(app.id).await.unwrap(), None);
    world.assert_sound().await;
}
