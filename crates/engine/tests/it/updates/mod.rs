//! Apps that are changed in place on the emulated PVE: what is there afterwards, on the cluster, in the container and on record.

mod died;

use std::net::SocketAddr;
use std::path::PathBuf;

use proximity_domain::app::StatusLabel;
use proximity_domain::create::{ResourceRequest, Resources};
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::retry::RetryPolicy;
use proximity_engine::commands::{Action, AdoptContainer, CreateApp, UpdateApp};
use proximity_engine::engine::EngineLimits;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::Access;
use proximity_store::records::{AppRecord, RequestKey};
use proximity_testkit::guests::address;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts, fixtures};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

/// As the fixture has it.
const MADE: Resources = Resources {
    memory_mib: 64,
    cores: 1,
    disk_gib: 1,
};

/// Little is waited for between attempts, and for calls whose answer was lost.
fn limits() -> EngineLimits {
    EngineLimits {
        retry: RetryPolicy {
            first_ms: 10,
            ..RetryPolicy::DEFAULT
        },
        destroy_late_ms: 50,
        ..EngineLimits::default()
    }
}

async fn world() -> TestWorld {
    world_with(fixtures()).await
}

async fn world_with(catalog: PathBuf) -> TestWorld {
    let parts = WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        limits: limits(),
        catalog: Some(catalog),
        ..WorldParts::default()
    };
    TestWorld::start_of(parts).await.unwrap()
}

/// An app that runs, its container's number, and how many calls its deploy took.
async fn deployed(w: &TestWorld) -> (AppRecord, u32, usize) {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    let guest = w.store.native_guests(app.id).await.unwrap().pop().unwrap();
    let app = recorded(w, &app).await;
    assert_eq!(app.resources, MADE);
    (app, guest.place.vmid.get(), w.pve.changes().len())
}

async fn recorded(w: &TestWorld, app: &AppRecord) -> AppRecord {
    w.store.app(app.id).await.unwrap().unwrap()
}

fn larger() -> UpdateApp {
    UpdateApp {
        resources: ResourceRequest {
            memory_mib: Some(128),
            cores: Some(2),
            disk_gib: Some(2),
        },
        confirm: Some("web".to_owned()),
        ..UpdateApp::default()
    }
}

fn memory(mib: u64) -> UpdateApp {
    UpdateApp {
        resources: ResourceRequest {
            memory_mib: Some(mib),
            ..ResourceRequest::default()
        },
        ..UpdateApp::default()
    }
}

fn greeting(text: &str) -> Map<String, Value> {
    Map::from_iter([("greeting".to_owned(), json!(text))])
}

async fn update(w: &TestWorld, request: UpdateApp) -> OperationState {
    let op = w.engine.update_app(&w.actor, "web", request).await.unwrap();
    assert_eq!(op.kind, OperationKind::Update);
    w.settled(op.id).await.unwrap().state
}

/// The code with which it is refused; nothing is sent then.
async fn refused(w: &TestWorld, request: UpdateApp) -> &'static str {
    let before = w.pve.changes();
    let refused = w.engine.update_app(&w.actor, "web", request).await;
    assert_eq!(w.pve.changes(), before, "nothing is sent");
    let refused = refused.unwrap_err();
    assert!(!refused.hint().is_empty(), "{refused}");
    refused.code()
}

fn failure(state: OperationState) -> Failure {
    match state {
        OperationState::Failed { failure } => failure,
        other => panic!("{other:?}"),
    }
}

fn path(vmid: u32, what: &str) -> String {
    format!("/nodes/pve1/lxc/{vmid}/{what}")
}

async fn config(w: &TestWorld, vmid: u32) -> Value {
    let answer = w.pve.as_root(Method::Get, &path(vmid, "config"), &[]).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["data"].clone()
}

/// Memory, cores and the size of the disk, as PVE has them.
async fn shape(w: &TestWorld, vmid: u32) -> (Value, Value, String) {
    let config = config(w, vmid).await;
    let rootfs = config["rootfs"].as_str().unwrap();
    let size = rootfs.rsplit_once("size=").unwrap().1;
    (
        config["memory"].clone(),
        config["cores"].clone(),
        size.to_owned(),
    )
}

fn page(w: &TestWorld, vmid: u32) -> String {
    let at = SocketAddr::new(address(vmid), 8080);
    w.pve.guests.fetch(at, "/").unwrap().1
}

/// How many resizes were begun there.
async fn resizes(w: &TestWorld) -> usize {
    let params = [("typefilter", "resize"), ("source", "all")];
    let answer = w
        .pve
        .as_root(Method::Get, "/nodes/pve1/tasks", &params)
        .await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["data"].as_array().unwrap().len()
}

async fn assert_sound(w: &TestWorld) {
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

async fn told(w: &TestWorld, kind: EventKind) -> Option<Value> {
    let events = w.store.events(0, 1000).await.unwrap();
    let found = events.into_iter().rev().find(|e| e.2.kind == kind);
    found.map(|e| e.2.body)
}

#[tokio::test]
async fn memory_cores_disk_and_settings_are_changed_and_on_record() {
    let w = world().await;
    let (app, vmid, before) = deployed(&w).await;
    assert!(page(&w, vmid).contains("hello"));
    let request = UpdateApp {
        settings: greeting("another"),
        ..larger()
    };
    let preview = w.engine.preview_update("web", &request).await.unwrap();
    let paths: Vec<&str> = preview.changes.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(paths[..3], ["memory", "cores", "rootfs"]);
    assert!(paths[3].starts_with("settings."), "{paths:?}");
    assert!(preview.confirm && preview.running);
    assert_eq!(w.pve.changes().len(), before, "a preview changes nothing");
    assert_eq!(update(&w, request).await, OperationState::Succeeded);
    let sent = w.pve.changes().split_off(before);
    let expected = ["config", "resize"].map(|what| format!("PUT {}", path(vmid, what)));
    assert_eq!(sent, expected);
    assert_eq!(
        shape(&w, vmid).await,
        (json!(128), json!(2), "2G".to_owned())
    );
    assert!(page(&w, vmid).contains("another"));
    let now = recorded(&w, &app).await;
    let resources = Resources {
        memory_mib: 128,
        cores: 2,
        disk_gib: 2,
    };
    assert_eq!(
        (now.resources, now.status.label()),
        (resources, StatusLabel::Running)
    );
    assert!(
        now.environment.to_string().contains("another"),
        "{}",
        now.environment
    );
    let body = told(&w, EventKind::AppUpdated).await.unwrap();
    assert_eq!(body["resources"]["memory_mib"], 128);
    assert_eq!(body["settings"].as_array().unwrap().len(), 1);
    // What is as it is wanted leads to no call.
    assert_eq!(
        update(
            &w,
            UpdateApp {
                settings: greeting("another"),
                ..larger()
            }
        )
        .await,
        OperationState::Succeeded
    );
    assert_eq!(w.pve.changes().len(), before + 2);
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_stopped_app_gets_memory_and_disk_and_no_settings_and_stays_stopped() {
    let w = world().await;
    let (app, vmid, _) = deployed(&w).await;
    let stop = Action::Stop { force: false };
    let op = w.engine.act(&w.actor, "web", stop).await.unwrap();
    assert_eq!(
        w.settled(op.id).await.unwrap().state,
        OperationState::Succeeded
    );
    assert_eq!(update(&w, larger()).await, OperationState::Succeeded);
    assert_eq!(
        shape(&w, vmid).await,
        (json!(128), json!(2), "2G".to_owned())
    );
    assert_eq!(
        recorded(&w, &app).await.status.label(),
        StatusLabel::Stopped
    );
    let request = UpdateApp {
        settings: greeting("another"),
        ..UpdateApp::default()
    };
    assert_eq!(refused(&w, request).await, "app_stopped");
    assert_sound(&w).await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_before_anything_is_sent() {
    let w = world().await;
    let (app, vmid, _) = deployed(&w).await;
    let grows = UpdateApp {
        confirm: None,
        ..larger()
    };
    assert_eq!(refused(&w, grows).await, "confirmation_needed");
    assert_eq!(refused(&w, memory(16)).await, "memory_too_little");
    let unknown = UpdateApp {
        settings: Map::from_iter([("no_such".to_owned(), json!(1))]),
        ..UpdateApp::default()
    };
    assert_eq!(refused(&w, unknown).await, "setting_invalid");
    let resize = [("disk", "rootfs"), ("size", "3G")];
    w.pve
        .as_root(Method::Put, &path(vmid, "resize"), &resize)
        .await;
    w.until(async || shape(&w, vmid).await.2 == "3G")
        .await
        .unwrap();
    assert_eq!(refused(&w, larger()).await, "needs_replacement");
    // A person rewrites the notes, and the mark with them: it may be another container.
    w.pve
        .put(&path(vmid, "config"), &[("description", "somebody's")])
        .await;
    assert_eq!(refused(&w, memory(128)).await, "identity_conflict");
    assert_eq!(recorded(&w, &app).await.resources, MADE);
    assert_sound(&w).await;
}

#[tokio::test]
async fn an_adopted_app_is_not_changed() {
    let w = world().await;
    assert_eq!(w.pve.stranger_creates("pve1", 150).await.status, 200);
    w.pve
        .put(&path(150, "config"), &[("hostname", "web")])
        .await;
    let request = AdoptContainer {
        host: None,
        node: None,
        vmid: 150,
        suggested_type: None,
        port: None,
        probe: false,
        key: None,
    };
    let app = w.engine.adopt(&w.actor, request).await.unwrap();
    w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(refused(&w, memory(128)).await, "adopted_app");
}

#[tokio::test]
async fn the_same_key_gives_the_same_operation_whatever_became_of_it() {
    let w = world().await;
    deployed(&w).await;
    let request = UpdateApp {
        key: Some(RequestKey {
            key: "once".to_owned(),
            fingerprint: "same".to_owned(),
        }),
        ..memory(128)
    };
    let first = w
        .engine
        .update_app(&w.actor, "web", request.clone())
        .await
        .unwrap();
    // While it is at work as well as afterwards.
    let again = w
        .engine
        .update_app(&w.actor, "web", request.clone())
        .await
        .unwrap();
    assert_eq!(again.id, first.id);
    w.settled(first.id).await.unwrap();
    let again = w.engine.update_app(&w.actor, "web", request).await.unwrap();
    assert_eq!(again.id, first.id);
}

#[tokio::test]
async fn a_configuration_that_moved_meanwhile_is_left_as_it_is() {
    let mut w = world().await;
    let (app, vmid, before) = deployed(&w).await;
    let seen = w
        .engine
        .preview_update("web", &memory(128))
        .await
        .unwrap()
        .digest;
    w.pve.put(&path(vmid, "config"), &[("cores", "3")]).await;
    let old = UpdateApp {
        digest: Some(seen),
        ..memory(128)
    };
    assert_eq!(refused(&w, old).await, "preview_outdated");
    // Between the request and the work.
    w.stop_worker().await.unwrap();
    let op = w
        .engine
        .update_app(&w.actor, "web", memory(128))
        .await
        .unwrap();
    assert_eq!(
        recorded(&w, &app).await.status.label(),
        StatusLabel::Updating
    );
    w.pve.put(&path(vmid, "config"), &[("cores", "4")]).await;
    w.start_worker();
    let failed = failure(w.settled(op.id).await.unwrap().state);
    assert_eq!(failed.code, "preview_outdated");
    assert_eq!(w.pve.changes().len(), before, "nothing was sent");
    assert_eq!(
        shape(&w, vmid).await,
        (json!(64), json!(4), "1G".to_owned())
    );
    let now = recorded(&w, &app).await;
    assert_eq!(
        (now.resources, now.status.label()),
        (MADE, StatusLabel::Running)
    );
    assert!(told(&w, EventKind::AppUpdateFailed).await.is_some());
    // It was decided from what is no more: it is asked for anew, not repeated.
    let repeated = w.engine.retry_operation(&w.actor, op.id).await.unwrap_err();
    assert_eq!(repeated.code(), "not_repeated");
    assert_eq!(update(&w, memory(128)).await, OperationState::Succeeded);
    assert_sound(&w).await;
}

/// An app whose page says what its setting says, and which is well while that is what it was made with.
fn fragile() -> tempfile::TempDir {
    beacon_with(&[
        (
            "<title>proximity-app-beacon</title>",
            "<title>{{ settings.greeting }}</title>",
        ),
        ("default: hello", "default: proximity-app-beacon"),
        ("attempts: 20", "attempts: 2"),
    ])
}

/// The fixture's app with other texts in place of these.
fn beacon_with(others: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut text = std::fs::read_to_string(fixtures().join("beacon/app.yaml")).unwrap();
    for (this, other) in others {
        assert!(text.contains(this), "{this}");
        text = text.replace(this, other);
    }
    std::fs::create_dir(folder.path().join("beacon")).unwrap();
    std::fs::write(folder.path().join("beacon/app.yaml"), text).unwrap();
    folder
}

#[tokio::test]
async fn an_app_that_is_not_well_afterwards_gets_back_what_it_had_but_for_the_disk() {
    let catalog = fragile();
    let w = world_with(catalog.path().to_owned()).await;
    let (app, vmid, _) = deployed(&w).await;
    let request = UpdateApp {
        settings: greeting("broken"),
        ..larger()
    };
    let failed = failure(update(&w, request).await);
    assert_eq!(failed.code, "health_failed");
    assert_eq!(
        shape(&w, vmid).await,
        (json!(64), json!(1), "2G".to_owned())
    );
    assert!(page(&w, vmid).contains("proximity-app-beacon"));
    let now = recorded(&w, &app).await;
    let resources = Resources {
        disk_gib: 2,
        ..MADE
    };
    assert_eq!(
        (now.resources, now.status.label()),
        (resources, StatusLabel::Running)
    );
    assert_eq!(now.environment, app.environment);
    let log = w.store.log(app.id, 0, 1000).await.unwrap();
    for text in [
        "none is ever made smaller",
        "As before again: memory, cores",
    ] {
        assert!(log.iter().any(|line| line.message.contains(text)), "{text}");
    }
    assert_sound(&w).await;
}

#[tokio::test]
async fn an_app_that_is_not_well_is_no_failure_where_nothing_is_to_be_done() {
    let catalog = fragile();
    let w = world_with(catalog.path().to_owned()).await;
    let (_, vmid, before) = deployed(&w).await;
    w.pve.guests.lose_address(vmid);
    assert_eq!(update(&w, memory(64)).await, OperationState::Succeeded);
    assert_eq!(w.pve.changes().len(), before);
    let failed = failure(update(&w, memory(128)).await).code;
    assert_eq!(failed, "health_failed");
}

/// The others are read when it is at work: another update may have ended since it was decided.
#[tokio::test]
async fn an_update_is_given_the_settings_it_was_asked_for_and_no_others() {
    let catalog = beacon_with(&[
        (
            "    help: What the page says.\n",
            "    help: What the page says.\n  - name: footer\n    type: string\n    default: small print\n    max: 200\n    help: What is below.\n",
        ),
        (
            "<p>{{ settings.greeting }}</p>",
            "<p>{{ settings.greeting }}</p><p>{{ settings.footer }}</p>",
        ),
    ]);
    let mut w = world_with(catalog.path().to_owned()).await;
    let (_, vmid, _) = deployed(&w).await;
    w.stop_worker().await.unwrap();
    let request = UpdateApp {
        settings: greeting("another"),
        ..UpdateApp::default()
    };
    let op = w.engine.update_app(&w.actor, "web", request).await.unwrap();
    let given = w.store.sealed_input(op.id).await.unwrap().unwrap();
    let given: Map<String, Value> = serde_json::from_str(given.expose_secret()).unwrap();
    assert_eq!(given.values().collect::<Vec<_>>(), [&json!("another")]);
    w.start_worker();
    assert_eq!(
        w.settled(op.id).await.unwrap().state,
        OperationState::Succeeded
    );
    assert!(page(&w, vmid).contains("<p>another</p><p>small print</p>"));
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_is_looked_for_and_not_sent_again() {
    let w = world().await;
    let (_, vmid, before) = deployed(&w).await;
    w.pve.cut_after(Method::Put, "/config");
    assert_eq!(update(&w, memory(128)).await, OperationState::Succeeded);
    assert_eq!(w.pve.changes().len(), before + 1);
    w.pve.cut_after(Method::Put, "/resize");
    assert_eq!(update(&w, larger()).await, OperationState::Succeeded);
    assert_eq!(
        shape(&w, vmid).await,
        (json!(128), json!(2), "2G".to_owned())
    );
    assert_eq!(resizes(&w).await, 1);
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_cancel_puts_memory_and_cores_back() {
    let w = world().await;
    let (app, vmid, _) = deployed(&w).await;
    // The root file system is looked at before it grows, and that look hangs.
    let go_on = w.pve.hold(Method::Get, "/nodes/pve1/tasks");
    let op = w
        .engine
        .update_app(&w.actor, "web", larger())
        .await
        .unwrap();
    w.until(async || w.store.steps(op.id).await.unwrap().len() == 2)
        .await
        .unwrap();
    assert_eq!(shape(&w, vmid).await.0, json!(128));
    w.engine.cancel_operation(&w.actor, op.id).await.unwrap();
    let ended = w.settled(op.id).await.unwrap();
    assert_eq!(ended.state, OperationState::Cancelled);
    let expected = (json!(64), json!(1), "1G".to_owned());
    assert_eq!(shape(&w, vmid).await, expected);
    let now = recorded(&w, &app).await;
    assert_eq!(
        (now.resources, now.status.label()),
        (MADE, StatusLabel::Running)
    );
    assert_sound(&w).await;
    drop(go_on);
}
