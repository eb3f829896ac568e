//! Containers that are gone behind an operation that waits for a person. Such a one is not live: the loss is told, as what it is.

use proximity_domain::ids::OperationId;
use proximity_pve_emulator::core::{Calls, FaultKind, FaultWish};

use super::*;

/// These calls are refused, until the fault is ended.
fn refused(verb: &str, path: &str) -> FaultWish {
    FaultWish {
        calls: Calls {
            verb: Some(verb.to_owned()),
            path: Some(path.to_owned()),
            ..Calls::default()
        },
        nth: 1,
        times: None,
        kind: FaultKind::Refused {
            errors: std::collections::BTreeMap::new(),
            message: Some("the test refuses this".to_owned()),
        },
    }
}

impl Looked {
    async fn state(&self, op: OperationId) -> OperationState {
        let op = self.w.store.operation(op).await.unwrap();
        op.unwrap().state
    }
}

/// A deploy that turned back has destroyed its container, and was kept from reading that it is gone.
#[tokio::test]
async fn what_its_operation_destroyed_is_not_said_to_be_deleted_by_hand() {
    let l = Looked::new().await;
    let go_on = l.w.pve.hold(Method::Post, "/status/start");
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        node: Some("pve2".to_owned()),
        ..CreateApp::default()
    };
    let app = l.w.engine.create_app(&l.w.actor, request).await.unwrap();
    let op = app.operation.unwrap();
    l.w.until(async || {
        let steps = l.w.store.steps(op).await.unwrap();
        steps.iter().any(|step| step.name == "start")
    })
    .await
    .unwrap();
    let faults = [
        ("POST", "/nodes/{node}/lxc/{vmid}/status/start"),
        ("GET", "/access/permissions"),
    ]
    .map(|(verb, path)| {
        let wish = refused(verb, path);
        l.w.pve.meddle(|world| world.add_fault(wish)).unwrap()
    });
    go_on.send_replace(true);
    let stuck = l.w.settled(op).await.unwrap();
    let OperationState::Stuck { failure, .. } = &stuck.state else {
        panic!("{:?}", stuck.state)
    };
    assert_eq!(failure.code, "pve_refused");
    let seen = l.w.store.app(app.id).await.unwrap().unwrap();
    assert_eq!(seen.status.label(), StatusLabel::Deploying);
    let there = l.w.pve.meddle(|world| world.guests().count());
    assert_eq!(there, 0, "it was destroyed");
    for fault in faults {
        l.w.pve.meddle(|world| world.end_fault(fault));
    }
    let found = l.looks(3).await.result;
    assert_eq!(
        (
            found.expected_orphans,
            found.anomalous_orphans,
            found.orphans_purged
        ),
        (1, 0, 1)
    );
    assert_eq!(l.last_line(&app).await, EXPECTED_LINE);
    assert_eq!(l.events(EventKind::ExpectedOrphanArchived).await, 1);
    assert_eq!(l.events(EventKind::AnomalousOrphanDetected).await, 0);
    let ended = l.state(op).await;
    assert!(matches!(ended, OperationState::Failed { .. }), "{ended:?}");
    l.assert_sound().await;
}

/// Nobody is at work on it, and maybe nobody ever will be again: what a person deleted is told all the same.
#[tokio::test]
async fn what_was_deleted_by_hand_behind_a_stuck_stop_is_said_to_be() {
    let mut l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    l.w.crash_worker().await;
    let stop = Action::Stop { force: false };
    let op = l.w.engine.act(&l.w.actor, "web", stop).await.unwrap();
    let seen = l.w.store.claimable().await.unwrap().pop().unwrap();
    let holder = HolderId(uuid::Uuid::from_u128(9));
    let claimed = l.w.store.claim_as_seen(&seen, holder, 1_000, op.created_at);
    let (_, fence) = claimed.await.unwrap().unwrap();
    let (why, none) = (
        Failure::new("x", "it is locked", "Look."),
        Effects::default(),
    );
    let stuck = l.w.store.stick(&fence, None, why, none, op.created_at);
    stuck.await.unwrap();
    l.delete_by_hand(vmid).await;
    let found = l.looks(3).await.result;
    assert_eq!(
        (
            found.expected_orphans,
            found.anomalous_orphans,
            found.orphans_purged
        ),
        (0, 1, 1)
    );
    assert_eq!(l.last_line(&app).await, ANOMALOUS_LINE);
    let ended = l.state(op.id).await;
    assert!(matches!(ended, OperationState::Failed { .. }), "{ended:?}");
    l.assert_sound().await;
}
