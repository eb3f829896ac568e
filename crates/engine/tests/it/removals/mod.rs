//! A removal: what it refuses at the door, what it takes with consent alone, and that a container is gone or protected again
//! however it ends.

mod bare;
mod consent;
mod lists;

use proximity_domain::app::StatusLabel;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::OperationState;
use proximity_domain::retry::RetryPolicy;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_engine::seams::Ingress;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::Access;
use proximity_store::records::{AppRecord, OperationRecord};
use proximity_testkit::world::TestWorld;
use serde_json::Value;

/// The one container of these worlds.
const VMID: u32 = 100;
const CONFIG: &str = "/nodes/pve1/lxc/100/config";
/// Places in the tables of steps: of a deploy, and of a removal.
const CREATE: u32 = 1;
const UNPROTECT: u32 = 3;
const DESTROY: u32 = 4;
/// As PVE refuses what it has not begun.
const BROKEN: &str = "storage 'local' is not online";

fn late(late_ms: u64) -> EngineLimits {
    EngineLimits {
        late_ms,
        destroy_late_ms: late_ms,
        power_off_late_ms: late_ms,
        proxied_late_ms: late_ms,
        retry: RetryPolicy {
            first_ms: 20,
            ..RetryPolicy::DEFAULT
        },
        ..EngineLimits::default()
    }
}

async fn world_with(limits: EngineLimits) -> (TestWorld, AppRecord) {
    let w = TestWorld::start_with(Access::Full, limits).await.unwrap();
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(w.pve.guests.vmids(), [VMID]);
    assert!(is_protected(&w), "a deploy protects");
    let app = w.store.app(app.id).await.unwrap().unwrap();
    (w, app)
}

async fn world() -> (TestWorld, AppRecord) {
    world_with(late(20)).await
}

fn removal(purge: bool) -> Action {
    Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: false,
        purge,
    }
}

async fn ask(w: &TestWorld) -> OperationId {
    let asked = w.engine.act(&w.actor, "web", removal(false)).await;
    asked.unwrap().id
}

async fn remove(w: &TestWorld, purge: bool) -> OperationRecord {
    let asked = w.engine.act(&w.actor, "web", removal(purge)).await;
    w.settled(asked.unwrap().id).await.unwrap()
}

fn is_protected(w: &TestWorld) -> bool {
    w.pve.meddle(|world| {
        let mut guests = world.guests();
        let found = guests.find(|(vmid, _)| *vmid == VMID).unwrap();
        found.1.config.get("protection") == Some("1")
    })
}

/// A person changes the configuration.
async fn put(w: &TestWorld, key: &str, value: &str) {
    w.pve.put(CONFIG, &[(key, value)]).await;
}

/// Which protection each audited call of a step set.
async fn protections(w: &TestWorld, op: OperationId) -> Vec<Value> {
    let calls = w.store.mutations(op, UNPROTECT).await.unwrap();
    calls
        .into_iter()
        .map(|call| call.details["protection"].clone())
        .collect()
}

fn failure(op: &OperationRecord) -> (&str, &str) {
    match &op.state {
        OperationState::Failed { failure } | OperationState::Stuck { failure, .. } => {
            (failure.code.as_str(), failure.hint.as_str())
        }
        other => panic!("{other:?}"),
    }
}

async fn assert_sound(w: &TestWorld) {
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

async fn hand_to_ha(w: &TestWorld) {
    let member = [("sid", "ct:100"), ("state", "started")];
    let made = w
        .pve
        .as_root(Method::Post, "/cluster/ha/resources", &member)
        .await;
    assert_eq!(made.status, 200);
}

/// Refused before anything is done: it runs on, and its port stays open.
async fn refused_at_the_door(w: &TestWorld, app: &AppRecord, says: &str) {
    let plan = w.engine.plan_remove("web", false).await.unwrap();
    assert_eq!(plan.steps.len(), 1, "{:?}", plan.steps);
    assert!(plan.steps[0].starts_with("nothing: "), "{:?}", plan.steps);
    assert!(plan.steps[0].contains(says), "{:?}", plan.steps);
    let changes = w.pve.changes();
    for purge in [false, true] {
        let op = remove(w, purge).await;
        let OperationState::Failed { failure } = &op.state else {
            panic!("{:?}", op.state)
        };
        assert_eq!(failure.code, "ha_managed");
        assert_eq!(failure.step.as_deref(), Some("identify"));
        assert!(failure.message.contains(says), "{}", failure.message);
    }
    assert_eq!(w.pve.changes(), changes);
    assert_eq!(w.routes.routes().await.unwrap().len(), 1);
    let shown = w.store.app(app.id).await.unwrap().unwrap().status;
    assert_eq!(shown.label(), StatusLabel::Running);
    assert_sound(w).await;
}

#[tokio::test]
async fn a_member_of_high_availability_is_refused_with_the_reason() {
    let (w, app) = world().await;
    hand_to_ha(&w).await;
    refused_at_the_door(&w, &app, "managed by PVE's HA").await;
}

#[tokio::test]
async fn a_container_that_is_replicated_is_refused_with_the_reason() {
    let (w, app) = world().await;
    w.pve.meddle(|world| world.replicate(VMID, "pve2"));
    refused_at_the_door(&w, &app, "100-0 to pve2").await;
}

/// It becomes a member while the removal is at work: the last look finds out, and everything is put back.
#[tokio::test]
async fn what_is_replicated_from_now_on_gets_no_permit() {
    let (w, _) = world().await;
    let go_on = w.pve.hold(Method::Put, "/lxc/100/config");
    let op = ask(&w).await;
    let sends = async || !protections(&w, op).await.is_empty();
    w.until(sends).await.unwrap();
    w.pve.meddle(|world| world.replicate(VMID, "pve2"));
    go_on.send(true).unwrap();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(failure(&ended).0, "ha_managed");
    let deletes = w.pve.changes();
    assert!(deletes.iter().all(|call| !call.starts_with("DELETE")));
    assert!(is_protected(&w));
    assert_sound(&w).await;
}
