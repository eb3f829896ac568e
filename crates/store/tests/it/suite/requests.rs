//! Cancel, retry, abandon.

use proximity_domain::app::{Status, StatusLabel};
use proximity_domain::event::EventKind;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_store::StoreError;
use proximity_store::effects::{Effects, GuestChange};
use serde_json::json;

use super::adoptions::{adopt, adopted, count};
use super::world::{LEASE_MS, Make, World, failure};

pub async fn a_queued_deploy_is_cancelled_into_error(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await;
    let ended = world
        .store
        .request_cancel(app.operation.unwrap(), &world.actor, world.at())
        .await
        .unwrap();
    assert_eq!(
        (ended.state, ended.finished_at),
        (OperationState::Cancelled, Some(world.at()))
    );
    let Status::Error { was, why, since } = world.app(app.id).await.status else {
        panic!("not in error");
    };
    assert_eq!(
        (was, why.code.as_str(), since),
        (StatusLabel::Deploying, "cancelled", world.at())
    );
    assert!(
        world
            .store
            .claim(world.holder, LEASE_MS, true, world.at())
            .await
            .unwrap()
            .is_none()
    );
    world.assert_sound().await;
}

pub async fn a_queued_removal_is_cancelled_without_trace(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 101).await;
    let removal = world
        .enqueue(OperationKind::Remove, app.id, Some(Status::Removing))
        .await;
    world
        .store
        .request_cancel(removal.id, &world.actor, world.at())
        .await
        .unwrap();
    assert_eq!(world.app(app.id).await.status, Status::Running);
    let stop = world.enqueue(OperationKind::Stop, app.id, None).await;
    world
        .store
        .request_cancel(stop.id, &world.actor, world.at())
        .await
        .unwrap();
    assert_eq!(world.app(app.id).await.status, Status::Running);
    world.assert_sound().await;
}

pub async fn only_stuck_ones_are_retried_or_abandoned(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await;
    let id = app.operation.unwrap();
    let refuse = async |stage: &str| {
        let retried = world.store.retry_stuck(id, &world.actor, world.at()).await;
        assert!(
            matches!(retried, Err(StoreError::IllegalTransition { .. })),
            "{stage}: {retried:?}"
        );
        let abandoned = world
            .store
            .abandon(id, failure("x"), &world.actor, world.at())
            .await;
        assert!(
            matches!(abandoned, Err(StoreError::IllegalTransition { .. })),
            "{stage}: {abandoned:?}"
        );
    };
    refuse("queued").await;
    let (_, fence) = world.claim().await;
    refuse("running").await;
    world.complete(&fence).await;
    refuse("succeeded").await;
    let cancelled = world
        .store
        .request_cancel(id, &world.actor, world.at())
        .await;
    assert!(
        matches!(cancelled, Err(StoreError::IllegalTransition { .. })),
        "{cancelled:?}"
    );
    let nowhere = OperationId(uuid::Uuid::from_u128(5));
    let unknown = world
        .store
        .request_cancel(nowhere, &world.actor, world.at())
        .await;
    assert!(
        matches!(
            unknown,
            Err(StoreError::NotFound {
                what: "operation",
                ..
            })
        ),
        "{unknown:?}"
    );
    world.assert_sound().await;
}

pub async fn abandoned_keeps_what_is_left(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await;
    let (operation, fence) = world.claim().await;
    let guest = world.guest(app.id, operation.id, 101);
    let effects = Effects {
        guests: vec![GuestChange::Insert(guest.clone())],
        ..Effects::default()
    };
    let begun = world
        .store
        .begin_step(&fence, 0, "create", json!({}), effects, world.at());
    begun.await.unwrap();
    world.stick(&fence, Some(0), "odd").await;
    let calls_before = world.audit(100, 0).await.len();
    let ended = world
        .store
        .abandon(operation.id, failure("given_up"), &world.actor, world.at());
    let ended = ended.await.unwrap();
    assert!(matches!(ended.state, OperationState::Failed { failure } if failure.code == "odd"));
    let now = world.app(app.id).await;
    assert!(matches!(now.status, Status::Error { why, .. } if why.code == "given_up"));
    assert_eq!((now.ports, now.operation), (app.ports, None));
    assert_eq!(
        world.store.native_guests(app.id).await.unwrap(),
        vec![guest.clone()]
    );
    assert_eq!(
        world.store.host_guests(world.host).await.unwrap(),
        vec![guest]
    );
    let audit = world.audit(100, 0).await;
    assert_eq!(audit.len(), calls_before + 1);
    assert_eq!(audit.last().unwrap().action, "operation.abandon");
    world.assert_sound().await;
}

/// Nothing of the container is on record before the adoption is done.
pub async fn an_abandoned_adoption_leaves_nothing(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = adopt(&mut world, "found", 105).await.unwrap();
    let (operation, fence) = world.claim().await;
    world.step(&fence, 0).await;
    world.stick(&fence, None, "odd").await;
    let why = failure("given_up");
    let ended = world
        .store
        .abandon(operation.id, why, &world.actor, world.at());
    assert!(matches!(
        ended.await.unwrap().state,
        OperationState::Failed { .. }
    ));
    assert_eq!(world.store.app(app.id).await.unwrap(), None);
    assert!(world.store.archived_app(app.id).await.unwrap().is_some());
    assert_eq!(count(&world, EventKind::AppAdoptFailed).await, 1);
    let (host, vmid) = (world.host, guest.place.vmid);
    assert!(!world.store.is_held(host, vmid).await.unwrap());
    adopt(&mut world, "found", 105).await.unwrap();
    world.assert_sound().await;
}

/// Nothing of the app depends on its keys: a healthy one is not in error because nobody went on with them.
pub async fn a_restore_of_keys_that_ends_early_is_told_and_leaves_its_app_alone(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = adopted(&mut world, "found", 105).await;
    let before = world.app(app.id).await.status;
    assert_eq!(before, Status::Stopped);
    let queued = world
        .enqueue(OperationKind::RestoreKeys, app.id, None)
        .await;
    let cancelled = world
        .store
        .request_cancel(queued.id, &world.actor, world.at());
    assert_eq!(cancelled.await.unwrap().state, OperationState::Cancelled);
    assert_eq!(world.app(app.id).await.status, before);
    assert_eq!(count(&world, EventKind::AppKeysRestoreFailed).await, 1);
    let again = world
        .enqueue(OperationKind::RestoreKeys, app.id, None)
        .await;
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "restore_keys").await;
    world.stick(&fence, Some(0), "odd").await;
    let why = failure("given_up");
    let ended = world.store.abandon(again.id, why, &world.actor, world.at());
    assert!(matches!(
        ended.await.unwrap().state,
        OperationState::Failed { .. }
    ));
    let left = world.app(app.id).await;
    assert_eq!((left.status, left.operation), (before, None));
    assert_eq!(count(&world, EventKind::AppKeysRestoreFailed).await, 2);
    assert_eq!(count(&world, EventKind::OperationAbandoned).await, 1);
    world.assert_sound().await;
}
