//! What is left of a removed app.

use proximity_domain::app::Status;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_store::StoreError;
use proximity_store::effects::{Effects, GuestChange, NewLogLine};
use proximity_store::records::LogLevel;
use serde_json::json;

use super::world::{Make, World};

pub async fn keeps_history_and_frees_the_rest(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    world.pass(10);
    let removal = world
        .enqueue(OperationKind::Remove, app.id, Some(Status::Removing))
        .await;
    let (_, fence) = world.claim().await;
    world.step(&fence, 0).await;
    let line = NewLogLine {
        level: LogLevel::Info,
        step: None,
        message: "Removed".to_owned(),
        percent: Some(100),
    };
    let effects = Effects {
        guests: vec![GuestChange::Gone { guest: guest.id }],
        archive: true,
        log: vec![line],
        ..Effects::default()
    };
    world
        .store
        .complete(&fence, effects, world.at())
        .await
        .unwrap();
    assert!(world.store.app(app.id).await.unwrap().is_none());
    assert!(world.store.app_by_hostname("web").await.unwrap().is_none());
    assert!(
        world.store.app_environment(app.id).await.is_err(),
        "its secrets are gone"
    );
    let kept = world.store.archived_app(app.id).await.unwrap().unwrap();
    assert_eq!((kept.operation, kept.archived_at), (removal.id, world.at()));
    assert_eq!(
        (kept.record.status, kept.record.ports),
        (Status::Removing, None)
    );
    assert_eq!(
        (kept.ports, kept.record.created_at),
        (app.ports, app.created_at)
    );
    let log = world.store.log(app.id, 0, 100).await.unwrap();
    assert_eq!(log.last().unwrap().message, "Removed");
    assert_eq!(
        world
            .store
            .steps(app_deploy(&world, &app).await)
            .await
            .unwrap()
            .len(),
        2
    );
    let ports = world.store.ports().await.unwrap();
    assert!(ports.held.is_empty());
    assert!(
        ports
            .freed
            .iter()
            .all(|f| f.freed_at == world.at() && f.rests_until.is_none())
    );
    assert!(
        world
            .store
            .host_guests(world.host)
            .await
            .unwrap()
            .is_empty()
    );
    let stop = world.new_operation(OperationKind::Stop, app.id);
    let refused = world
        .store
        .enqueue(stop, None, &world.actor, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { .. })),
        "{refused:?}"
    );
    world.create("web").await;
    world.assert_sound().await;
}

async fn app_deploy(
    world: &World,
    app: &proximity_store::records::AppRecord,
) -> proximity_domain::ids::OperationId {
    let filter = proximity_store::views::OperationFilter {
        app: Some(app.id),
        ..Default::default()
    };
    world
        .store
        .operations(filter)
        .await
        .unwrap()
        .last()
        .unwrap()
        .id
}

pub async fn waits_for_the_last_guest(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 101).await;
    world
        .enqueue(OperationKind::Remove, app.id, Some(Status::Removing))
        .await;
    let (_, fence) = world.claim().await;
    let archive = Effects {
        archive: true,
        ..Effects::default()
    };
    let refused = world.store.complete(&fence, archive, world.at()).await;
    assert!(
        matches!(refused, Err(StoreError::IllegalTransition { .. })),
        "{refused:?}"
    );
    assert_eq!(world.app(app.id).await.ports, app.ports);
    world.store.check_fence(&fence).await.unwrap();
    world.assert_sound().await;
}

pub async fn ends_inside_a_step_too(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let removal = world
        .enqueue(OperationKind::Remove, app.id, Some(Status::Removing))
        .await;
    let (_, fence) = world.claim().await;
    let begun = world.store.begin_step(
        &fence,
        0,
        "forget",
        json!({}),
        Effects::default(),
        world.at(),
    );
    begun.await.unwrap();
    let effects = Effects {
        guests: vec![GuestChange::Gone { guest: guest.id }],
        archive: true,
        ..Effects::default()
    };
    world
        .store
        .finish_step(&fence, 0, json!({}), effects, world.at())
        .await
        .unwrap();
    world.assert_sound().await;
    let late = Effects {
        status: Some(Status::Running),
        ..Effects::default()
    };
    let refused = world.store.complete(&fence, late, world.at()).await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { what: "app", .. })),
        "{refused:?}"
    );
    world
        .store
        .complete(&fence, Effects::default(), world.at())
        .await
        .unwrap();
    assert_eq!(
        world.operation(removal.id).await.state,
        OperationState::Succeeded
    );
    world.assert_sound().await;
}
