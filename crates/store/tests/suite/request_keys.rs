//! Requests that come twice.

use proximity_domain::operation::OperationKind;
use proximity_store::StoreError;
use proximity_store::records::RequestKey;

use super::world::{Make, World, request_key};

const DAY_MS: i64 = 86_400_000;

pub async fn count_once_for_operations_and_hosts(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 100).await;
    let mut stop = world.new_operation(OperationKind::Stop, app.id);
    stop.key = Some(request_key("k"));
    let first = world
        .store
        .enqueue(stop.clone(), None, &world.actor, world.at());
    let first = first.await.unwrap();
    stop.id = world.new_operation(OperationKind::Stop, app.id).id;
    let again = world.store.enqueue(stop, None, &world.actor, world.at());
    assert_eq!(
        again.await.unwrap(),
        first,
        "busy or not, it is the same request"
    );
    let key = request_key("k");
    let known = world.store.request(&world.actor.account, &key, world.at());
    assert_eq!(known.await.unwrap(), Some(first.id.to_string()));

    let host = world.host_record("second");
    for _ in 0..2 {
        let key = Some(request_key("h"));
        let added = world
            .store
            .add_host_once(host.clone(), key, &world.actor, world.at());
        added.await.unwrap();
    }
    let hosts = world.store.hosts().await.unwrap();
    assert_eq!(hosts.iter().filter(|h| h.id == host.id).count(), 1);
    world.assert_sound().await;
}

pub async fn refuse_another_request(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, operation) = world.new_app("web");
    let key = Some(request_key("k"));
    let made = world
        .store
        .create_app(app, operation, &world.actor, key, world.at());
    made.await.unwrap();
    let other = RequestKey {
        fingerprint: "g".to_owned(),
        ..request_key("k")
    };
    let (app, operation) = world.new_app("web2");
    let refused = world
        .store
        .create_app(
            app.clone(),
            operation,
            &world.actor,
            Some(other.clone()),
            world.at(),
        )
        .await;
    assert!(
        matches!(refused, Err(StoreError::KeyReused { .. })),
        "{refused:?}"
    );
    assert!(world.store.app(app.id).await.unwrap().is_none());
    let asked = world
        .store
        .request(&world.actor.account, &other, world.at())
        .await;
    assert!(
        matches!(asked, Err(StoreError::KeyReused { .. })),
        "{asked:?}"
    );
    let remembered = world
        .store
        .remember_request(&other, "x", &world.actor, world.at())
        .await;
    assert!(
        matches!(remembered, Err(StoreError::KeyReused { .. })),
        "{remembered:?}"
    );
    let stranger = world.store.request("other", &other, world.at()).await;
    assert_eq!(
        stranger.unwrap(),
        None,
        "another account's key is another key"
    );
}

pub async fn are_kept_for_a_day(make: &impl Make) {
    let world = World::new(make).await;
    let (key, account) = (request_key("k"), world.actor.account.clone());
    let now = world.at();
    let kept = world.store.remember_request(&key, "x", &world.actor, now);
    kept.await.unwrap();
    let mut later = now;
    later.0 += DAY_MS;
    let asked = world.store.request(&account, &key, later).await.unwrap();
    assert_eq!(asked.as_deref(), Some("x"));
    later.0 += 1;
    assert_eq!(
        world.store.request(&account, &key, later).await.unwrap(),
        None
    );
    let anew = RequestKey {
        fingerprint: "g".to_owned(),
        ..key
    };
    let kept = world
        .store
        .remember_request(&anew, "y", &world.actor, later);
    kept.await.unwrap();
    let asked = world.store.request(&account, &anew, later).await.unwrap();
    assert_eq!(asked.as_deref(), Some("y"));
}
