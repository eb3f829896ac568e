//! Requests that come twice.

use proximity_domain::ids::HostId;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::time::Timestamp;
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
    let stranger = world.store.request("other", &other, world.at()).await;
    assert_eq!(
        stranger.unwrap(),
        None,
        "another account's key is another key"
    );
}

/// A host entry under a label of its own, added under the key.
async fn add_host(world: &mut World, label: &str, key: RequestKey, now: Timestamp) -> HostId {
    let host = world.host_record(label);
    let added = world
        .store
        .add_host_once(host, Some(key), &world.actor, now);
    added.await.unwrap()
}

pub async fn are_kept_for_a_day(make: &impl Make) {
    let mut world = World::new(make).await;
    let (key, account) = (request_key("k"), world.actor.account.clone());
    let now = world.at();
    let first = add_host(&mut world, "a", key.clone(), now).await;
    let mut later = now;
    later.0 += DAY_MS;
    let asked = world.store.request(&account, &key, later).await.unwrap();
    assert_eq!(asked, Some(first.to_string()));
    later.0 += 1;
    assert_eq!(
        world.store.request(&account, &key, later).await.unwrap(),
        None
    );
    let anew = RequestKey {
        fingerprint: "g".to_owned(),
        ..key
    };
    let second = add_host(&mut world, "b", anew.clone(), later).await;
    let asked = world.store.request(&account, &anew, later).await.unwrap();
    assert_eq!(asked, Some(second.to_string()));
}

pub async fn are_forgotten_though_no_other_comes(make: &impl Make) {
    let mut world = World::new(make).await;
    let now = world.at();
    add_host(&mut world, "a", request_key("k"), now).await;
    let mut later = now;
    later.0 += DAY_MS;
    world.journal_numbered().await;
    let commits = *world.store.commits().borrow();
    assert_eq!(world.store.forget_old_requests(later).await.unwrap(), 0);
    assert_eq!(*world.store.commits().borrow(), commits, "nothing to write");
    later.0 += 1;
    assert_eq!(world.store.forget_old_requests(later).await.unwrap(), 1);
    assert_eq!(world.store.forget_old_requests(later).await.unwrap(), 0);
}

pub async fn let_a_stuck_operation_go_on_once(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let (operation, fence) = world.claim().await;
    world.begin(&fence, 0, "start").await;
    let (id, key) = (operation.id, Some(request_key("k")));
    let retry = async |world: &World| {
        let retried = world
            .store
            .retry_stuck_once(id, key.clone(), &world.actor, world.at());
        retried.await
    };
    let early = retry(&world).await;
    assert!(
        matches!(early, Err(StoreError::IllegalTransition { .. })),
        "{early:?}"
    );
    world.stick(&fence, Some(0), "odd").await;
    let first = retry(&world).await.unwrap();
    assert_eq!(first.state, OperationState::Running, "no key was taken");
    let (_, fence) = world.claim().await;
    world.stick(&fence, Some(0), "odd").await;
    let again = retry(&world).await.unwrap();
    assert!(
        matches!(again.state, OperationState::Stuck { .. }),
        "it was let go on once, and got stuck again: {again:?}"
    );
    world.assert_sound().await;
}
