//! Orphans: archived with their history, as they were judged or not at all.

use proximity_domain::app::{Status, StatusLabel};
use proximity_domain::event::EventKind;
use proximity_domain::guest::NativeGuest;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::time::Timestamp;
use proximity_store::observation::SuspicionChange;
use proximity_store::orphans::OrphanFound;
use proximity_store::records::{AppRecord, LogLevel};
use proximity_store::views::ArchivedBy;

use super::observation::{begun, event};
use super::world::{Make, REST_MS, World};

/// As it is judged that sees them so.
pub fn orphan(world: &World, app: &AppRecord, guest: &NativeGuest) -> OrphanFound {
    OrphanFound {
        app: app.id,
        status: app.status.label(),
        guests: vec![guest.id],
        operation: app.operation,
        event: event(EventKind::AnomalousOrphanDetected),
        level: LogLevel::Error,
        line: "gone".to_owned(),
        actor: world.actor.clone(),
    }
}

pub async fn an_orphan_is_archived_with_its_history(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let change = begun(&guest, world.at());
    world
        .store
        .change_suspicions(&[change], world.at())
        .await
        .unwrap();
    world.pass(60_000);
    let found = orphan(&world, &app, &guest);
    assert!(
        world
            .store
            .archive_orphan(&found, world.at())
            .await
            .unwrap()
    );
    assert_eq!(world.store.app(app.id).await.unwrap(), None);
    assert_eq!(world.store.suspicions().await.unwrap(), []);
    assert_eq!(world.store.watched_guests(world.host).await.unwrap(), []);
    let kept = world.store.archived_app(app.id).await.unwrap().unwrap();
    assert_eq!(
        (kept.by, kept.archived_at),
        (ArchivedBy::Reconciler, world.at())
    );
    assert_eq!(kept.record.status, Status::Running);
    let rests = Some(Timestamp(world.at().0 + REST_MS));
    let ports = world.store.ports().await.unwrap();
    assert!(ports.freed.len() == 2 && ports.freed.iter().all(|p| p.rests_until == rests));
    let log = world.log(app.id, 0, 100).await;
    let last = log.last().unwrap();
    assert_eq!(
        (last.message.as_str(), last.level, last.operation),
        ("gone", LogLevel::Error, None)
    );
    let audit = world.audit(1000, 0).await;
    assert_eq!(audit.last().unwrap().action, "app.archive_orphan");
    let again = world
        .store
        .archive_orphan(&found, world.at())
        .await
        .unwrap();
    assert!(!again, "it is archived once");
    // Whoever had looked before says that it is there.
    let newest = world.store.newest_event().await.unwrap();
    let seen = SuspicionChange::Ended {
        guest: guest.id,
        event: Some((app.id, event(EventKind::GuestSeenAgain))),
    };
    let seen = [seen];
    let changed = world.store.change_suspicions(&seen, world.at());
    changed.await.unwrap();
    assert_eq!(world.events(newest, 10).await, [], "it is gone");
    world.assert_sound().await;
}

pub async fn an_orphan_is_archived_as_judged_or_not_at_all(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let judged = orphan(&world, &app, &guest);
    for other in [
        OrphanFound {
            status: StatusLabel::Removing,
            ..judged.clone()
        },
        OrphanFound {
            guests: Vec::new(),
            ..judged.clone()
        },
        OrphanFound {
            app: AppId(world.id()),
            ..judged.clone()
        },
    ] {
        assert!(
            !world
                .store
                .archive_orphan(&other, world.at())
                .await
                .unwrap()
        );
    }
    world.enqueue(OperationKind::Stop, app.id, None).await;
    let at_work = world
        .store
        .archive_orphan(&judged, world.at())
        .await
        .unwrap();
    assert!(!at_work, "an operation is at work");
    assert!(world.store.app(app.id).await.unwrap().is_some());
    let audit = world.audit(1000, 0).await;
    assert!(audit.iter().all(|a| a.action != "app.archive_orphan"));
    world.assert_sound().await;
}

pub async fn a_stuck_operation_of_an_orphan_is_given_up(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let removal = world
        .enqueue(OperationKind::Remove, app.id, Some(Status::Removing))
        .await;
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "shut_down").await;
    world.stick(&fence, Some(0), "locked").await;
    let app = world.app(app.id).await;
    let found = orphan(&world, &app, &guest);
    assert!(
        world
            .store
            .archive_orphan(&found, world.at())
            .await
            .unwrap()
    );
    let ended = world.operation(removal.id).await;
    assert!(
        matches!(&ended.state, OperationState::Failed { .. }),
        "{ended:?}"
    );
    world.assert_sound().await;
}

/// What the operation has done to the container is part of what is told, so it goes with that very one.
pub async fn go_with_the_operation_they_were_judged_with(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let without = orphan(&world, &app, &guest);
    let stop = world.enqueue(OperationKind::Stop, app.id, None).await;
    let (_, fence) = world.claim().await;
    world.stick(&fence, None, "x").await;
    let store = world.store.clone();
    let at = world.at();
    let archive = async |found: &OrphanFound| store.archive_orphan(found, at).await.unwrap();
    assert!(!archive(&without).await, "one has become stuck since");
    let other = OrphanFound {
        operation: Some(OperationId(world.id())),
        ..without.clone()
    };
    assert!(!archive(&other).await, "another one was looked at");
    let still = world.operation(stop.id).await;
    assert!(
        matches!(&still.state, OperationState::Stuck { .. }),
        "{still:?}"
    );
    let judged = OrphanFound {
        operation: Some(stop.id),
        ..without
    };
    assert!(archive(&judged).await);
    let ended = world.operation(stop.id).await;
    assert!(
        matches!(&ended.state, OperationState::Failed { .. }),
        "{ended:?}"
    );
    world.assert_sound().await;
}
