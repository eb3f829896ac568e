//! Asking for operations, claiming them, leases.

use proximity_domain::app::Status;
use proximity_domain::ids::{Epoch, HolderId};
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_store::StoreError;
use proximity_store::views::OperationFilter;
use uuid::Uuid;

use super::world::{LEASE_MS, Make, World, error_status, failure, with_status};

fn other() -> HolderId {
    HolderId(Uuid::from_u128(99))
}

pub async fn the_oldest_is_claimed_first(make: &impl Make) {
    let mut world = World::new(make).await;
    let first = world.create("app-a").await;
    world.pass(1);
    let second = world.create("app-b").await;
    let (operation, fence) = world.claim().await;
    assert_eq!(operation.app, first.id);
    assert_eq!(operation.state, OperationState::Running);
    assert_eq!((operation.epoch, fence.epoch), (Epoch(1), Epoch(1)));
    let (holder, until) = operation.lease.unwrap();
    assert_eq!((holder, until.0), (world.holder, world.at().0 + LEASE_MS));
    assert_eq!(world.claim().await.0.app, second.id);
    let none = world
        .store
        .claim(world.holder, LEASE_MS, false, world.at())
        .await
        .unwrap();
    assert!(none.is_none());
    world.assert_sound().await;
}

pub async fn a_lease_keeps_others_away(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("app-a").await;
    let (_, fence) = world.claim().await;
    world.pass(LEASE_MS - 1);
    assert!(
        world
            .store
            .claim(other(), LEASE_MS, false, world.at())
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        !world
            .store
            .renew(&fence, LEASE_MS, world.at())
            .await
            .unwrap()
    );
    world.pass(LEASE_MS - 1);
    assert!(
        world
            .store
            .claim(other(), LEASE_MS, false, world.at())
            .await
            .unwrap()
            .is_none()
    );
    world.store.check_fence(&fence).await.unwrap();
}

pub async fn an_expired_lease_is_taken_over(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("app-a").await;
    let (_, old) = world.claim().await;
    world.step(&old, 0).await;
    world.pass(LEASE_MS);
    world.store.check_fence(&old).await.unwrap();
    let taken = world
        .store
        .claim(other(), LEASE_MS, false, world.at())
        .await
        .unwrap();
    let (operation, new) = taken.unwrap();
    assert_eq!((new.epoch, new.holder), (Epoch(2), other()));
    assert_eq!(operation.state, OperationState::Running);
    assert_eq!(world.store.steps(operation.id).await.unwrap().len(), 1);
    let refused = world.store.check_fence(&old).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost { .. })),
        "{refused:?}"
    );
    let refused = world.store.renew(&old, LEASE_MS, world.at()).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost { .. })),
        "{refused:?}"
    );
    world.assert_sound().await;
}

pub async fn a_dead_holder_is_taken_over_at_once(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("app-a").await;
    let (_, old) = world.claim().await;
    let own = world
        .store
        .claim(world.holder, LEASE_MS, true, world.at())
        .await
        .unwrap();
    assert!(own.is_none(), "its own lease stands");
    let taken = world
        .store
        .claim(other(), LEASE_MS, true, world.at())
        .await
        .unwrap();
    assert_eq!(taken.unwrap().1.epoch, Epoch(2));
    assert!(world.store.check_fence(&old).await.is_err());
}

pub async fn one_operation_per_app(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("app-a").await;
    let live = app.operation.unwrap();
    let refuse = async |world: &mut World, stage: &str| {
        let stop = world.new_operation(OperationKind::Stop, app.id);
        let refused = world
            .store
            .enqueue(stop, None, &world.actor, world.at())
            .await;
        assert!(
            matches!(refused, Err(StoreError::Busy { operation, .. }) if operation == live),
            "{stage}: {refused:?}"
        );
    };
    refuse(&mut world, "queued").await;
    let (_, fence) = world.claim().await;
    refuse(&mut world, "running").await;
    world.stick(&fence, None, "odd").await;
    refuse(&mut world, "stuck").await;
    world
        .store
        .abandon(live, failure("given_up"), &world.actor, world.at())
        .await
        .unwrap();
    world.enqueue(OperationKind::Start, app.id, None).await;
    world.assert_sound().await;
}

pub async fn statuses_follow_the_table(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("app-a", 101).await;
    let deploy = world.new_operation(OperationKind::Deploy, app.id);
    let refused = world
        .store
        .enqueue(deploy, Some(Status::Deploying), &world.actor, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::IllegalTransition { .. })),
        "{refused:?}"
    );
    assert_eq!(world.app(app.id).await, app, "nothing was written");
    world.pass(5);
    let queued = world
        .enqueue(OperationKind::Remove, app.id, Some(Status::Removing))
        .await;
    let now = world.app(app.id).await;
    assert_eq!(
        (now.status, now.status_changed_at),
        (Status::Removing, world.at())
    );
    assert_eq!(now.operation, Some(queued.id));
    let unknown = proximity_domain::ids::AppId(world.id());
    let stop = world.new_operation(OperationKind::Stop, unknown);
    let refused = world
        .store
        .enqueue(stop, None, &world.actor, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { what: "app", .. })),
        "{refused:?}"
    );
    world.assert_sound().await;
}

pub async fn only_a_failed_one_is_repeated(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("app-a").await;
    let first = app.operation.unwrap();
    let (_, fence) = world.claim().await;
    world.fail(&fence, None, "x").await;
    let status = with_status(error_status(world.at()));
    world
        .store
        .end_unwound(&fence, status, world.at())
        .await
        .unwrap();
    let mut retry = world.new_operation(OperationKind::Deploy, app.id);
    retry.retry_of = Some(first);
    let queued = world
        .store
        .enqueue(retry, Some(Status::Deploying), &world.actor, world.at());
    let queued = queued.await.unwrap();
    assert_eq!(queued.retry_of, Some(first));
    let (other, _) = {
        let (_, fence) = world.claim().await;
        world.complete(&fence).await;
        world.deployed("app-b", 102).await
    };
    for (of, on) in [(first, other.id), (queued.id, app.id)] {
        let mut bad = world.new_operation(OperationKind::Start, on);
        bad.retry_of = Some(of);
        let refused = world
            .store
            .enqueue(bad, None, &world.actor, world.at())
            .await;
        assert!(
            matches!(refused, Err(StoreError::IllegalTransition { .. })),
            "{refused:?}"
        );
    }
    world.assert_sound().await;
}

pub async fn lists_are_paged(make: &impl Make) {
    let mut world = World::new(make).await;
    let mut ids = Vec::new();
    for name in ["app-a", "app-b", "app-c"] {
        ids.push(world.create(name).await.operation.unwrap());
    }
    ids.reverse();
    let list = async |filter: OperationFilter| -> Vec<_> {
        let rows = world.store.operations(filter).await.unwrap();
        rows.iter().map(|o| o.id).collect()
    };
    let all = OperationFilter::default();
    assert_eq!(list(all.clone()).await, ids);
    assert_eq!(
        list(OperationFilter {
            limit: 1,
            ..all.clone()
        })
        .await,
        ids[..1]
    );
    let older = OperationFilter {
        before: Some(ids[0]),
        ..all.clone()
    };
    assert_eq!(list(older).await, ids[1..], "same moment, told apart by id");
    world.claim().await;
    let running = OperationFilter {
        state: Some("running".to_owned()),
        ..all.clone()
    };
    assert_eq!(list(running).await, ids[2..]);
    let app = world.operation(ids[1]).await.app;
    assert_eq!(
        list(OperationFilter {
            app: Some(app),
            ..all
        })
        .await,
        ids[1..2]
    );
    let live: Vec<_> = world
        .store
        .live_operations()
        .await
        .unwrap()
        .iter()
        .map(|o| o.id)
        .collect();
    assert_eq!(live, [ids[2], ids[1], ids[0]], "oldest first");
}
