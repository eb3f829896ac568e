//! Containers that are gone behind an operation that waits for a person. Such a one is not live: the loss is told, as what it is.

use proximity_domain::ids::OperationId;
use proximity_pve_emulator::core::{Calls, FaultKind, FaultWish};

use super::*;

const START: &str = "/nodes/{node}/lxc/{vmid}/status/start";

/// This befalls these calls, until the fault is ended.
fn fault(verb: &str, path: &str, kind: FaultKind) -> FaultWish {
    FaultWish {
        calls: Calls {
            verb: Some(verb.to_owned()),
            path: Some(path.to_owned()),
            ..Calls::default()
        },
        nth: 1,
        times: None,
        kind,
    }
}

fn refused(verb: &str, path: &str) -> FaultWish {
    let kind = FaultKind::Refused {
        errors: std::collections::BTreeMap::new(),
        message: Some("the test refuses this".to_owned()),
    };
    fault(verb, path, kind)
}

impl Looked {
    async fn state(&self, op: OperationId) -> OperationState {
        let op = self.w.store.operation(op).await.unwrap();
        op.unwrap().state
    }

    /// A deploy that turns back at its start and gets stuck by these faults, which are over then; with the code of its failure.
    async fn stuck_deploy(&self, wishes: [FaultWish; 2]) -> (AppRecord, OperationId, String) {
        let go_on = self.w.pve.hold(Method::Post, "/status/start");
        let request = CreateApp {
            catalog_id: "beacon".to_owned(),
            hostname: "web".to_owned(),
            node: Some("pve2".to_owned()),
            ..CreateApp::default()
        };
        let (engine, actor) = (&self.w.engine, &self.w.actor);
        let app = engine.create_app(actor, request).await.unwrap();
        let op = app.operation.unwrap();
        let starts = async || {
            let steps = self.w.store.steps(op).await.unwrap();
            steps.iter().any(|step| step.name == "start")
        };
        self.w.until(starts).await.unwrap();
        let meddle = |wish| self.w.pve.meddle(|world| world.add_fault(wish)).unwrap();
        let faults = wishes.map(meddle);
        go_on.send_replace(true);
        let stuck = self.w.settled(op).await.unwrap();
        let OperationState::Stuck { failure, .. } = &stuck.state else {
            panic!("{:?}", stuck.state)
        };
        for fault in faults {
            self.w.pve.meddle(|world| world.end_fault(fault));
        }
        let seen = self.w.store.app(app.id).await.unwrap().unwrap();
        assert_eq!(seen.status.label(), StatusLabel::Deploying);
        (app, op, failure.code.clone())
    }
}

/// A deploy that turned back has destroyed its container, and was kept from reading that it is gone.
#[tokio::test]
async fn what_its_operation_destroyed_is_not_said_to_be_deleted_by_hand() {
    let l = Looked::new().await;
    let faults = [
        refused("POST", START),
        refused("GET", "/access/permissions"),
    ];
    let (app, op, code) = l.stuck_deploy(faults).await;
    assert_eq!(code, "pve_refused");
    let there = l.w.pve.meddle(|world| world.guests().count());
    assert_eq!(there, 0, "it was destroyed");
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

/// A deploy that turned back never got to destroy its container: each task found it locked before it did anything.
#[tokio::test]
async fn what_was_deleted_by_hand_behind_destroys_that_did_nothing_is_said_to_be() {
    let l = Looked::new().await;
    let locked = FaultKind::TaskError {
        message: "CT is locked (backup)".to_owned(),
        after_effect: false,
    };
    let destroy = fault("DELETE", "/nodes/{node}/lxc/{vmid}", locked);
    let (app, op, code) = l.stuck_deploy([refused("POST", START), destroy]).await;
    assert_eq!(code, "container_locked");
    let audit = l.w.store.audit(1_000, 0).await.unwrap();
    assert!(
        audit
            .iter()
            .any(|entry| entry.action.starts_with("DELETE "))
    );
    let there: Vec<u32> =
        l.w.pve
            .meddle(|world| world.guests().map(|(vmid, _)| vmid).collect());
    let [vmid] = there[..] else {
        panic!("{there:?}")
    };
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
