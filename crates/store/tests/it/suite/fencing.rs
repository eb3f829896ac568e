//! Whoever lost its claim leaves no trace.

use proximity_domain::ids::{Epoch, HolderId};
use proximity_store::StoreError;
use proximity_store::effects::{Effects, MutationAudit};
use proximity_store::records::Fence;
use serde_json::json;
use uuid::Uuid;

use super::world::{LEASE_MS, Make, World, error_status, failure, with_status};

/// Everything a worker can write, each under `fence`; says which was not refused with `LeaseLost`.
async fn every_write(world: &World, fence: &Fence) -> Vec<&'static str> {
    let (s, now, none) = (&world.store, world.at(), Effects::default);
    let loud = || with_status(error_status(now));
    let audit = MutationAudit {
        call: "POST /nodes/pve1/lxc".to_owned(),
        target: "lab/pve1/101".to_owned(),
        details: json!({}),
    };
    let results = [
        ("renew", s.renew(fence, LEASE_MS, now).await.map(|_| ())),
        ("check_fence", s.check_fence(fence).await),
        (
            "begin_step",
            s.begin_step(fence, 1, "x", json!({}), loud(), now).await,
        ),
        ("record_upid", s.record_upid(fence, 0, "UPID", now).await),
        (
            "amend_intent",
            s.amend_intent(fence, 0, json!({}), now).await,
        ),
        (
            "record_mutation",
            s.record_mutation(fence, 0, audit, Effects::default(), now)
                .await,
        ),
        (
            "finish_step",
            s.finish_step(fence, 0, json!({}), loud(), now).await,
        ),
        (
            "fail_step",
            s.fail_step(fence, Some(0), failure("x"), loud(), now).await,
        ),
        (
            "begin_unwind_cancelled",
            s.begin_unwind_cancelled(fence, now).await,
        ),
        ("note", s.note(fence, loud(), now).await),
        ("begin_undo", s.begin_undo(fence, 0, now).await),
        ("finish_undo", s.finish_undo(fence, 0, loud(), now).await),
        ("fail_undo", s.fail_undo(fence, 0, failure("x"), now).await),
        (
            "stick",
            s.stick(fence, Some(0), failure("x"), loud(), now).await,
        ),
        ("complete", s.complete(fence, loud(), now).await),
        (
            "end_unwound",
            s.end_unwound(fence, none(), now).await.map(|_| ()),
        ),
    ];
    let refused = |r: &Result<(), StoreError>| matches!(r, Err(StoreError::LeaseLost { operation }) if *operation == fence.operation);
    results
        .iter()
        .filter(|(_, r)| !refused(r))
        .map(|(name, _)| *name)
        .collect()
}

async fn trace(world: &World, fence: &Fence) -> String {
    let operation = world.operation(fence.operation).await;
    let app = world.app(operation.app).await;
    let steps = world.store.steps(operation.id).await.unwrap();
    let log = world.log(operation.app, 0, 1000).await;
    let audit = world.audit(1000, 0).await;
    let events = world.events(0, 1000).await;
    format!("{operation:?} {app:?} {steps:?} {log:?} {audit:?} {events:?}")
}

async fn begun(make: &impl Make) -> (World, Fence) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "create").await;
    (world, fence)
}

pub async fn every_write_of_a_stale_epoch_is_refused(make: &impl Make) {
    let (mut world, old) = begun(make).await;
    world.pass(LEASE_MS);
    let (_, new) = world.claim_again().await;
    assert_eq!(
        (old.holder, new.epoch),
        (new.holder, Epoch(2)),
        "the same holder, a newer claim"
    );
    let before = trace(&world, &new).await;
    for stale in [
        old,
        Fence {
            epoch: Epoch(0),
            ..old
        },
        Fence {
            epoch: Epoch(3),
            ..old
        },
    ] {
        assert!(every_write(&world, &stale).await.is_empty());
    }
    assert_eq!(trace(&world, &new).await, before);
    world.store.check_fence(&new).await.unwrap();
    world.assert_sound().await;
}

pub async fn every_write_of_another_holder_is_refused(make: &impl Make) {
    let (world, fence) = begun(make).await;
    let before = trace(&world, &fence).await;
    let holder = HolderId(Uuid::from_u128(99));
    let forged = Fence { holder, ..fence };
    assert!(every_write(&world, &forged).await.is_empty());
    assert_eq!(trace(&world, &fence).await, before);
    world.assert_sound().await;
}

pub async fn nothing_is_written_after_the_end(make: &impl Make) {
    let (world, fence) = begun(make).await;
    world.finish(&fence, 0).await;
    let running = with_status(proximity_domain::app::Status::Running);
    world
        .store
        .complete(&fence, running, world.at())
        .await
        .unwrap();
    let before = trace(&world, &fence).await;
    assert!(every_write(&world, &fence).await.is_empty());
    assert_eq!(trace(&world, &fence).await, before);
    world.assert_sound().await;
}
