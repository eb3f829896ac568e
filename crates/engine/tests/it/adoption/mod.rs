//! Adopted containers on the emulated PVE: found, taken over, started and stopped, given back; nothing of ours is written
//! into them.

use proximity_domain::adoption::{AdoptionPart, StatusAtAdoption};
use proximity_domain::app::{AppClass, StatusLabel};
use proximity_domain::event::EventKind;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_engine::commands::{Action, AdoptContainer, CreateApp, DiscoveredMark};
use proximity_engine::error::EngineError;
use proximity_engine::seams::Ingress;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::Access;
use proximity_store::exposure::Exposure;
use proximity_store::records::AppRecord;
use proximity_store::views::OperationFilter;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{Place, TestWorld, WorldParts};
use serde_json::{Value, json};

mod guard;
mod inside;
mod living;
mod pool;
mod probe;
mod restore;

async fn world() -> TestWorld {
    TestWorld::start(Access::Full).await.unwrap()
}

fn asked(vmid: u32) -> AdoptContainer {
    AdoptContainer {
        host: Some("lab".to_owned()),
        node: None,
        vmid,
        suggested_type: None,
        port: None,
        probe: false,
        key: None,
    }
}

/// A stranger's container, running or not, with a name.
async fn stranger(w: &TestWorld, vmid: u32, name: &str, runs: bool) {
    assert_eq!(w.pve.stranger_creates("pve1", vmid).await.status, 200);
    let config = format!("/nodes/pve1/lxc/{vmid}/config");
    w.pve
        .put(&config, &[("hostname", name), ("description", "mine")])
        .await;
    if runs {
        let start = format!("/nodes/pve1/lxc/{vmid}/status/start");
        w.pve.as_root(Method::Post, &start, &[]).await;
        let started = async || is_up(w, vmid);
        w.until(started).await.unwrap();
        w.pve.quiet().await;
    }
}

/// The configuration as it is answered, with the SHA-1 of the whole file: the same to the byte, or another text.
async fn file(w: &TestWorld, vmid: u32) -> String {
    let config = format!("/nodes/pve1/lxc/{vmid}/config");
    let answer = w.pve.as_root(Method::Get, &config, &[]).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.contains("digest"), "{text}");
    text
}

fn is_up(w: &TestWorld, vmid: u32) -> bool {
    w.pve
        .meddle(|world| world.guests().any(|(id, g)| id == vmid && g.is_running()))
}

async fn adopt(w: &TestWorld, vmid: u32) -> (AppRecord, OperationState) {
    let app = w.engine.adopt(&w.actor, asked(vmid)).await.unwrap();
    assert_eq!(app.status.label(), StatusLabel::Adopting);
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    let now = w.store.app(app.id).await.unwrap().unwrap_or(app);
    (now, op.state)
}

async fn act(w: &TestWorld, app: &str, action: Action) -> OperationState {
    let op = w.engine.act(&w.actor, app, action).await.unwrap();
    w.settled(op.id).await.unwrap().state
}

fn removal(hostname: &str) -> Action {
    Action::Delete {
        confirm: Some(hostname.to_owned()),
        force_stop: false,
        purge: false,
    }
}

async fn status(w: &TestWorld, app: &AppRecord) -> StatusLabel {
    w.store.app(app.id).await.unwrap().unwrap().status.label()
}

/// The lines of an app's log, one each.
async fn lines(w: &TestWorld, app: &AppRecord) -> String {
    let lines = w.store.log(app.id, 0, 1000).await.unwrap();
    let lines: Vec<String> = lines.into_iter().map(|line| line.message).collect();
    lines.join("\n")
}

/// The body of the last event of this kind, without what is drawn.
async fn told(w: &TestWorld, kind: EventKind) -> Value {
    let events = w.store.events(0, 1000).await.unwrap();
    let found = events.into_iter().rev().find(|e| e.2.kind == kind);
    let mut body = found.unwrap().2.body;
    for drawn in ["app", "operation"] {
        body[drawn] = json!("drawn");
    }
    body
}

async fn assert_sound(w: &TestWorld) {
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

fn code(refused: Result<AppRecord, EngineError>) -> &'static str {
    refused.unwrap_err().code()
}

#[tokio::test]
async fn adoption_of_a_running_container_captures_everything_and_touches_nothing() {
    let w = world().await;
    stranger(&w, 150, "my-postgres", true).await;
    let (before, changes) = (file(&w, 150).await, w.pve.changes());
    let (app, state) = adopt(&w, 150).await;
    assert_eq!(state, OperationState::Succeeded);
    assert_eq!((app.class, app.exposed), (AppClass::Adopted, false));
    assert_eq!(app.status.label(), StatusLabel::Running);
    assert_eq!(
        (app.hostname.as_str(), app.guest_port),
        ("my-postgres", 5432)
    );
    assert_eq!(app.catalog_id.as_str(), "postgres");
    let record = w.store.adoption(app.id).await.unwrap().unwrap();
    assert_eq!(record.status_at_adoption, StatusAtAdoption::Running);
    assert_eq!(record.missing_parts, [AdoptionPart::ListeningSockets]);
    assert_eq!(record.original_vmid.get(), 150);
    assert_eq!(record.hostname.as_deref(), Some("my-postgres"));
    assert!(record.architecture.is_some() && record.os_type.is_some());
    assert!(record.network_interfaces.iter().any(|i| i.name == "eth0"));
    assert!(record.resources_at_adoption.memory_bytes.is_some());
    for key in ["net0", "rootfs", "hostname", "digest"] {
        assert!(record.proxmox_config_snapshot.contains_key(key), "{key}");
    }
    insta::assert_snapshot!("log_of_an_adoption", lines(&w, &app).await);
    let body = told(&w, EventKind::AppAdopted).await;
    let keys = record.proxmox_config_snapshot.len();
    assert_eq!(body["config_keys_count"], json!(keys));
    insta::assert_json_snapshot!("result_of_an_adoption", body);
    // Nothing was written, and nothing leads there.
    assert_eq!(w.pve.changes(), changes);
    assert_eq!(file(&w, 150).await, before);
    proximity_engine::route_sweep::sweep(&w.engine)
        .await
        .unwrap();
    assert!(w.routes.routes().await.unwrap().is_empty());
    assert!(app.ports.is_some() && app.url.is_none());
    assert_sound(&w).await;
}

#[tokio::test]
async fn adoption_of_a_stopped_container_ends_stopped_and_says_what_is_missing() {
    let w = world().await;
    stranger(&w, 150, "web", false).await;
    let (app, state) = adopt(&w, 150).await;
    assert_eq!(state, OperationState::Succeeded);
    assert_eq!(app.status.label(), StatusLabel::Stopped);
    let record = w.store.adoption(app.id).await.unwrap().unwrap();
    assert_eq!(record.status_at_adoption, StatusAtAdoption::Stopped);
    assert!(
        record
            .missing_parts
            .contains(&AdoptionPart::NetworkInterfaces)
    );
    assert!(!is_up(&w, 150));
    assert_sound(&w).await;
}

#[tokio::test]
async fn removal_of_an_adopted_app_leaves_its_container_running_and_its_configuration_to_the_byte()
{
    let w = world().await;
    stranger(&w, 150, "db", true).await;
    let before = file(&w, 150).await;
    let (app, _) = adopt(&w, 150).await;
    let hostname = app.hostname.to_string();
    let plan = w.engine.plan_remove(&hostname, false).await.unwrap();
    assert_eq!(plan.deletion_type, "soft");
    assert!(plan.guests[0].identity_ok && plan.guests[0].running);
    assert!(plan.steps[0].starts_with("leave container 150 on pve1 as it is"));
    let changes = w.pve.changes();
    // Consent to `purge` takes it for one of ours.
    let purge = Action::Delete {
        confirm: Some(hostname.clone()),
        force_stop: false,
        purge: true,
    };
    let refused = w.engine.act(&w.actor, &hostname, purge).await.unwrap_err();
    assert_eq!(refused.code(), "invalid_value");
    let preview = w.engine.plan_remove(&hostname, true).await.unwrap_err();
    assert_eq!(preview.code(), "invalid_value");
    assert_eq!(
        act(&w, &hostname, removal(&hostname)).await,
        OperationState::Succeeded
    );
    assert_eq!(w.pve.changes(), changes);
    assert_eq!(file(&w, 150).await, before);
    assert!(is_up(&w, 150));
    let log = lines(&w, &app).await;
    assert!(log.contains("SOFT DELETE: Removing Proximity management (container preserved)"));
    assert!(!log.contains("HARD DELETE"), "{log}");
    insta::assert_json_snapshot!(
        "result_of_a_soft_delete",
        told(&w, EventKind::AppForgotten).await
    );
    // The archive tells all of it, the ports are free, and it can be taken over again.
    let archived = w.store.archived_app(app.id).await.unwrap().unwrap();
    assert_eq!(archived.record.class, AppClass::Adopted);
    assert!(w.store.adoption(app.id).await.unwrap().is_some());
    assert!(w.store.ports().await.unwrap().held.is_empty());
    let (again, state) = adopt(&w, 150).await;
    assert_eq!(state, OperationState::Succeeded);
    assert_ne!(again.id, app.id);
    assert_sound(&w).await;
}

#[tokio::test]
async fn an_adopted_app_is_given_back_while_its_cluster_is_away() {
    let w = world().await;
    stranger(&w, 150, "web", true).await;
    let (app, _) = adopt(&w, 150).await;
    w.pve.allow(Access::Empty);
    let plan = w.engine.plan_remove("web", false).await.unwrap();
    assert!(plan.guests[0].trouble.is_some() && plan.deletion_type == "soft");
    assert_eq!(
        act(&w, "web", removal("web")).await,
        OperationState::Succeeded
    );
    assert!(w.store.app(app.id).await.unwrap().is_none());
    assert_sound(&w).await;
}

#[tokio::test]
async fn what_cannot_be_adopted_is_refused_and_leaves_nothing() {
    let w = world().await;
    let beacon = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "made".to_owned(),
        ..CreateApp::default()
    };
    let made = w.engine.create_app(&w.actor, beacon).await.unwrap();
    w.settled(made.operation.unwrap()).await.unwrap();
    let native = w.store.native_guests(made.id).await.unwrap().pop().unwrap();
    let native_vmid = native.identity.vmid.get();
    for (vmid, name) in [
        (150, "a-b"),
        (151, "copied"),
        (152, "bare"),
        (153, "template"),
    ] {
        stranger(&w, vmid, name, false).await;
    }
    let mark = native.identity.mark.to_string();
    w.pve
        .put("/nodes/pve1/lxc/151/config", &[("description", &mark)])
        .await;
    w.pve
        .put("/nodes/pve1/lxc/152/config", &[("delete", "net0")])
        .await;
    w.pve
        .as_root(Method::Post, "/nodes/pve1/lxc/153/template", &[])
        .await;
    w.until(async || file(&w, 153).await.contains("\"template\":"))
        .await
        .unwrap();
    let refused = async |request| code(w.engine.adopt(&w.actor, request).await);
    assert_eq!(refused(asked(native_vmid)).await, "already_managed");
    assert_eq!(refused(asked(151)).await, "guest_marked");
    assert_eq!(refused(asked(152)).await, "not_adoptable");
    assert_eq!(refused(asked(153)).await, "not_adoptable");
    assert_eq!(refused(asked(999)).await, "not_found");
    assert_eq!(refused(asked(7)).await, "invalid_value");
    let elsewhere = AdoptContainer {
        node: Some("pve9".to_owned()),
        ..asked(150)
    };
    assert_eq!(refused(elsewhere).await, "not_found");
    let nowhere = AdoptContainer {
        host: Some("other".to_owned()),
        ..asked(150)
    };
    assert_eq!(refused(nowhere).await, "host_not_found");
    let ill = AdoptContainer {
        suggested_type: Some("No Type".to_owned()),
        ..asked(150)
    };
    assert_eq!(refused(ill).await, "invalid_value");
    adopt(&w, 150).await;
    assert_eq!(refused(asked(150)).await, "already_managed");
    let guests = w.store.recorded_guests(made.id).await.unwrap();
    assert_eq!(guests.len(), 1);
    let all = w
        .store
        .operations(OperationFilter::default())
        .await
        .unwrap();
    let adoptions = all.iter().filter(|op| op.kind == OperationKind::Adopt);
    assert_eq!(adoptions.count(), 1, "the refused ones left nothing");
    assert_sound(&w).await;
}

#[tokio::test]
async fn port_0_is_refused_before_anything_is_asked() {
    let w = world().await;
    let calls = w.pve.calls();
    let request = AdoptContainer {
        port: Some(0),
        ..asked(150)
    };
    let refused = w.engine.adopt(&w.actor, request).await;
    assert_eq!(code(refused), "invalid_value");
    assert_eq!(w.pve.calls(), calls);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_stores_nothing() {
    let mut w = world().await;
    stranger(&w, 150, "web", true).await;
    let (before, changes) = (file(&w, 150).await, w.pve.changes());
    w.stop_worker().await.unwrap();
    let app = w.engine.adopt(&w.actor, asked(150)).await.unwrap();
    w.pve
        .refuse(Method::Get, "/lxc/150/config", "unable to read", u32::MAX);
    w.start_worker();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert!(
        matches!(op.state, OperationState::Failed { .. }),
        "{:?}",
        op.state
    );
    assert_eq!(w.store.app(app.id).await.unwrap(), None);
    assert_eq!(w.store.adoption(app.id).await.unwrap(), None);
    assert!(w.store.ports().await.unwrap().held.is_empty());
    told(&w, EventKind::AppAdoptFailed).await;
    w.pve.refuse(Method::Get, "/nowhere", "", 0);
    assert_eq!((file(&w, 150).await, w.pve.changes()), (before, changes));
    let (_, state) = adopt(&w, 150).await;
    assert_eq!(state, OperationState::Succeeded);
    assert_sound(&w).await;
}

#[tokio::test]
async fn interfaces_that_cannot_be_read_are_named_as_missing() {
    let mut w = world().await;
    stranger(&w, 150, "web", true).await;
    w.stop_worker().await.unwrap();
    let app = w.engine.adopt(&w.actor, asked(150)).await.unwrap();
    w.pve
        .refuse(Method::Get, "/lxc/150/interfaces", "no", u32::MAX);
    w.start_worker();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    let record = w.store.adoption(app.id).await.unwrap().unwrap();
    assert!(
        record
            .missing_parts
            .contains(&AdoptionPart::NetworkInterfaces)
    );
    assert!(record.network_interfaces.is_empty());
    assert_eq!(status(&w, &app).await, StatusLabel::Running);
}

#[tokio::test]
async fn a_container_that_became_another_one_is_not_adopted() {
    let mut w = world().await;
    stranger(&w, 150, "web", false).await;
    w.stop_worker().await.unwrap();
    let app = w.engine.adopt(&w.actor, asked(150)).await.unwrap();
    let other = "name=eth0,bridge=vmbr0,ip=dhcp,hwaddr=02:00:00:00:00:77";
    w.pve
        .put("/nodes/pve1/lxc/150/config", &[("net0", other)])
        .await;
    w.start_worker();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    let OperationState::Failed { failure } = op.state else {
        panic!("{:?}", op.state)
    };
    assert_eq!(failure.code, "identity_conflict");
    assert_eq!(w.store.app(app.id).await.unwrap(), None);
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_crash_in_the_middle_of_an_adoption_is_gone_on_with() {
    let mut w = world().await;
    stranger(&w, 150, "web", true).await;
    w.stop_worker().await.unwrap();
    let app = w.engine.adopt(&w.actor, asked(150)).await.unwrap();
    let go_on = w.pve.hold(Method::Get, "/status/current");
    w.start_worker();
    let operation = app.operation.unwrap();
    let captured = async || w.store.steps(operation).await.unwrap().len() == 2;
    w.until(captured).await.unwrap();
    w.crash_worker().await;
    go_on.send(true).unwrap();
    w.start_worker();
    let op = w.settled(operation).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    assert!(w.store.adoption(app.id).await.unwrap().is_some());
    assert_eq!(status(&w, &app).await, StatusLabel::Running);
    assert_sound(&w).await;
}
