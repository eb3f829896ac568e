//! Orphans whose operation waits for a person.

use proximity_domain::ids::OperationId;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_store::orphans::OrphanFound;

use super::observation::orphan;
use super::world::{Make, World};

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
