//! What is left of a removed app.

use proximity_domain::app::Status;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_store::StoreError;
use proximity_store::effects::{Effects, GuestChange, MutationAudit};
use proximity_store::records::AppRecord;
use proximity_store::views::{ArchivedBy, OperationFilter, PastGuest};
use serde_json::json;

use super::world::{Make, World};

/// An app that was deployed and removed; as it was, and the operations that did both.
async fn removed(make: &impl Make) -> (World, AppRecord, [OperationId; 2]) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    world.pass(10);
    world.removed(&app, guest.id, false).await;
    let filter = OperationFilter {
        app: Some(app.id),
        ..OperationFilter::default()
    };
    let operations = world.store.operations(filter).await.unwrap();
    let [removal, deploy] = operations.as_slice() else {
        panic!("{operations:?}")
    };
    let ids = [deploy.id, removal.id];
    (world, app, ids)
}

pub async fn keeps_history(make: &impl Make) {
    let (world, app, [deploy, removal]) = removed(make).await;
    assert_eq!(world.store.app(app.id).await.unwrap(), None);
    let kept = world.store.archived_app(app.id).await.unwrap().unwrap();
    let by = ArchivedBy::Operation(removal);
    assert_eq!((kept.by, kept.archived_at), (by, world.at()));
    let last = AppRecord {
        status: Status::Removing,
        status_changed_at: world.at(),
        ports: None,
        ..app.clone()
    };
    assert_eq!((kept.record, kept.ports), (last, app.ports));
    let log = world.log(app.id, 0, 100).await;
    let texts: Vec<&str> = log.iter().map(|l| l.message.as_str()).collect();
    assert_eq!(texts, ["Complete!", "Removed"]);
    assert_eq!(world.store.steps(deploy).await.unwrap().len(), 2);
    assert_eq!(world.store.steps(removal).await.unwrap().len(), 1);
    world.assert_sound().await;
}

/// Where its containers were, by whose numbers its backups are named, and what was sent for it.
pub async fn tells_of_its_containers_and_calls(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let (other, _) = world.deployed("other", 102).await;
    let there = PastGuest {
        place: guest.place.clone(),
        gone_at: None,
    };
    assert_eq!(world.store.past_guests(app.id).await.unwrap(), [there]);
    world
        .enqueue(OperationKind::Remove, app.id, Some(Status::Removing))
        .await;
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "destroy").await;
    for call in ["PUT /first", "DELETE /second"] {
        let audit = MutationAudit {
            call: call.to_owned(),
            target: "lab/pve1/101".to_owned(),
            details: json!({}),
        };
        let effects = Effects::default();
        let written = world
            .store
            .record_mutation(&fence, 0, audit, effects, world.at());
        written.await.unwrap();
    }
    let effects = Effects {
        guests: vec![GuestChange::Gone { guest: guest.id }],
        archive: true,
        ..Effects::default()
    };
    let finished = world
        .store
        .finish_step(&fence, 0, json!({}), effects, world.at());
    finished.await.unwrap();
    let gone = PastGuest {
        place: guest.place.clone(),
        gone_at: Some(world.at()),
    };
    assert_eq!(world.store.past_guests(app.id).await.unwrap(), [gone]);
    let calls = async |app, limit| {
        let calls = world.store.mutations_of_app(app, limit).await.unwrap();
        let calls: Vec<String> = calls.into_iter().map(|call| call.action).collect();
        calls
    };
    let newest = calls(app.id, 2).await;
    assert_eq!(newest, ["DELETE /second", "PUT /first"]);
    assert_eq!(calls(app.id, 1).await, ["DELETE /second"]);
    let others = calls(other.id, 1_000).await;
    assert!(!others.contains(&"PUT /first".to_owned()), "{others:?}");
}

pub async fn frees_name_ports_and_secrets(make: &impl Make) {
    let (mut world, app, _) = removed(make).await;
    assert_eq!(world.store.app_by_hostname("web").await.unwrap(), None);
    let secrets = world.store.app_environment(app.id).await;
    assert!(
        matches!(secrets, Err(StoreError::NotFound { .. })),
        "{secrets:?}"
    );
    let ports = world.store.ports().await.unwrap();
    assert_eq!(ports.held, []);
    let now = world.at();
    assert_eq!(ports.freed.len(), 2);
    assert!(
        ports
            .freed
            .iter()
            .all(|f| f.freed_at == now && f.rests_until.is_none())
    );
    assert_eq!(world.store.host_guests(world.host).await.unwrap(), []);
    let stop = world.new_operation(OperationKind::Stop, app.id);
    let refused = world.store.enqueue(stop, None, &world.actor, now).await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { .. })),
        "{refused:?}"
    );
    world.create("web").await;
    world.assert_sound().await;
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
    world.begin(&fence, 0, "forget").await;
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
