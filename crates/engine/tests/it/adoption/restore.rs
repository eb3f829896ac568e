//! Keys of an adopted container's configuration, brought back to the day of its adoption: what was previewed, and nothing else.

use std::sync::Arc;

use proximity_domain::failure::Failure;
use proximity_domain::ids::OperationId;
use proximity_domain::restore::{InForce, NotRestored, Wanted};
use proximity_domain::retry::RetryPolicy;
use proximity_engine::commands::RestoreKeys;
use proximity_engine::engine::EngineLimits;
use proximity_pve::transport::{RawResponse, Request, TransportError};
use proximity_store::error::StoreError;

use super::*;

const CONFIG: &str = "/nodes/pve1/lxc/150/config";
/// What the app's log says of keys that are restored by what did not succeed.
const STAY: &str = "are as on the day of the adoption now, and stay so: ";

fn keys(names: &[&str]) -> Wanted {
    Wanted::Keys(names.iter().map(|name| (*name).to_owned()).collect())
}

/// Changes the configuration as somebody else would.
async fn set(w: &TestWorld, params: &[(&str, &str)]) {
    let put = w.pve.as_root(Method::Put, CONFIG, params).await;
    assert_eq!(put.status, 200, "{put:?}");
}

/// A container that was adopted, running or not, and some of whose keys have changed since.
async fn changed_one(runs: bool) -> (TestWorld, AppRecord) {
    changed_in(world().await, runs).await
}

async fn changed_in(w: TestWorld, runs: bool) -> (TestWorld, AppRecord) {
    stranger(&w, 150, "web", runs).await;
    set(&w, &[("cores", "2")]).await;
    let (app, state) = adopt(&w, 150).await;
    assert_eq!(state, OperationState::Succeeded);
    set(&w, &[("cores", "4"), ("tags", "new"), ("tty", "4")]).await;
    (w, app)
}

async fn changed() -> (TestWorld, AppRecord) {
    changed_one(true).await
}

async fn digest(w: &TestWorld, wanted: &Wanted) -> String {
    w.engine
        .preview_restore("web", wanted)
        .await
        .unwrap()
        .digest
}

fn request(wanted: &Wanted, digest: &str) -> RestoreKeys {
    let Wanted::Keys(keys) = wanted else {
        panic!("a restore names its keys");
    };
    RestoreKeys {
        keys: keys.clone(),
        digest: digest.to_owned(),
        key: None,
    }
}

/// Previews, and restores what the preview showed.
async fn restore(w: &TestWorld, wanted: &Wanted) -> OperationState {
    let preview = w.engine.preview_restore("web", wanted).await.unwrap();
    let asked = RestoreKeys {
        keys: preview.plan.names().into_iter().collect(),
        digest: preview.digest,
        key: None,
    };
    let op = w.engine.restore_keys(&w.actor, "web", asked).await.unwrap();
    w.settled(op.id).await.unwrap().state
}

async fn drifted(w: &TestWorld) -> Vec<String> {
    let view = w.engine.drift("web").await.unwrap();
    view.changes.into_iter().map(|change| change.key).collect()
}

fn failure(state: OperationState) -> Failure {
    match state {
        OperationState::Failed { failure } => failure,
        other => panic!("{other:?}"),
    }
}

async fn refused(w: &TestWorld, wanted: &Wanted, digest: &str) -> &'static str {
    let asked = request(wanted, digest);
    let refused = w.engine.restore_keys(&w.actor, "web", asked).await;
    refused.unwrap_err().code()
}

#[tokio::test]
async fn one_key_is_brought_back_by_one_call_and_read_back() {
    let (w, app) = changed().await;
    let wanted = keys(&["cores"]);
    let before = w.pve.changes();
    let preview = w.engine.preview_restore("web", &wanted).await.unwrap();
    let call = "PUT /nodes/pve1/lxc/150/config (cores)";
    assert_eq!(preview.call.as_deref(), Some(call));
    let planned = &preview.plan.keys[0];
    assert_eq!(planned.drift.now, Some(json!(4)));
    assert_eq!(planned.in_force, InForce::AtOnce);
    assert!(preview.running && preview.plan.left.is_empty());
    assert_eq!(w.pve.changes(), before, "a preview changes nothing");
    assert_eq!(restore(&w, &wanted).await, OperationState::Succeeded);
    assert_eq!(drifted(&w).await, ["tags", "tty"]);
    assert_eq!(w.pve.changes().len(), before.len() + 1);
    let body = told(&w, EventKind::AppKeysRestored).await;
    assert_eq!(body["keys"], json!(["cores"]));
    assert_eq!(body["waits"], json!([]));
    assert_eq!(status(&w, &app).await, StatusLabel::Running);
    // Who did it, and what it was and is.
    let audit = w.store.audit(1000, 0).await.unwrap();
    let sent = audit.iter().find(|e| e.details["keys"].is_object());
    let expected = json!({ "cores": { "from": 4, "to": 2 } });
    assert_eq!(sent.unwrap().details["keys"], expected);
    assert!(audit.iter().any(|e| e.action == "app.restore_keys"));
    assert_sound(&w).await;
}

#[tokio::test]
async fn all_keys_come_back_and_what_waits_for_a_start_is_told() {
    let (w, _) = changed().await;
    set(&w, &[("nameserver", "10.0.0.53")]).await;
    let preview = w.engine.preview_restore("web", &Wanted::All).await.unwrap();
    let in_force: Vec<(&str, InForce)> = preview
        .plan
        .keys
        .iter()
        .map(|key| (key.drift.key.as_str(), key.in_force))
        .collect();
    let expected = [
        ("cores", InForce::AtOnce),
        ("nameserver", InForce::NextStart),
        ("tags", InForce::AtOnce),
        ("tty", InForce::NextStart),
    ];
    assert_eq!(in_force, expected);
    assert_eq!(restore(&w, &Wanted::All).await, OperationState::Succeeded);
    assert_eq!(drifted(&w).await, Vec::<String>::new());
    // What was never in force does not wait for its end either: PVE drops a pending change that says what is.
    let body = told(&w, EventKind::AppKeysRestored).await;
    assert_eq!(body["keys"], json!(["cores", "nameserver", "tags", "tty"]));
    assert_eq!(body["waits"], json!([]));
    let named = keys(&["cores", "nameserver", "tags", "tty"]);
    let again = refused(&w, &named, &digest(&w, &named).await).await;
    assert_eq!(again, "not_restorable");
    // What is in force inside comes back with the next start.
    set(&w, &[("nameserver", "10.0.0.53")]).await;
    act(&w, "web", Action::Restart { force: false }).await;
    assert_eq!(restore(&w, &Wanted::All).await, OperationState::Succeeded);
    let body = told(&w, EventKind::AppKeysRestored).await;
    assert_eq!(body["waits"], json!(["nameserver"]));
    assert_sound(&w).await;
}

/// Proxmox VE writes the memory, says that nothing of it waits, and changes the limit of the running container with its next start
/// alone: what takes the swap away in the same call is all that it does at once.
#[tokio::test]
async fn memory_beside_a_swap_that_is_taken_away_is_not_said_to_be_in_force() {
    for runs in [true, false] {
        let w = world().await;
        stranger(&w, 150, "web", runs).await;
        set(&w, &[("memory", "512"), ("delete", "swap")]).await;
        let (_, state) = adopt(&w, 150).await;
        assert_eq!(state, OperationState::Succeeded);
        set(&w, &[("memory", "1024"), ("swap", "256")]).await;
        let preview = w.engine.preview_restore("web", &Wanted::All).await.unwrap();
        let in_force = preview.plan.keys.iter().map(|key| key.in_force);
        let in_force: Vec<InForce> = in_force.collect();
        let memory = if runs {
            InForce::NextStart
        } else {
            InForce::AtOnce
        };
        assert_eq!(preview.plan.names(), ["memory", "swap"]);
        assert_eq!(in_force, [memory, InForce::AtOnce]);
        assert_eq!(restore(&w, &Wanted::All).await, OperationState::Succeeded);
        assert_eq!(drifted(&w).await, Vec::<String>::new());
        let waits = if runs { json!(["memory"]) } else { json!([]) };
        let body = told(&w, EventKind::AppKeysRestored).await;
        assert_eq!(body["waits"], waits);
        assert_sound(&w).await;
    }
}

/// How long PVE says that the container runs, from now on.
fn runs_for(w: &TestWorld, seconds: u64) {
    let uptime = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        if !request.path.ends_with("/lxc/150/status/current") {
            return answer;
        }
        answer.map(|mut answer| {
            let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
            body["data"]["uptime"] = json!(seconds);
            answer.body = body.to_string().into_bytes().into();
            answer
        })
    };
    w.pve.distort(Some(Arc::new(uptime)));
}

/// The memory of a running container waits for its next start, and the process dies before it could say so.
#[tokio::test]
async fn memory_whose_start_came_during_a_crash_is_not_told_as_waiting() {
    for (runs_now_for, waits) in [(1_010, json!(["memory"])), (4, json!([]))] {
        let mut w = world().await;
        stranger(&w, 150, "web", true).await;
        set(&w, &[("memory", "512"), ("delete", "swap")]).await;
        let (_, state) = adopt(&w, 150).await;
        assert_eq!(state, OperationState::Succeeded);
        set(&w, &[("memory", "1024"), ("swap", "256")]).await;
        runs_for(&w, 1_000);
        let go_on = w.pve.hold(Method::Get, "/lxc/150/pending");
        let op = sent(&w, &keys(&["memory", "swap"])).await;
        let kept = async || {
            let steps = w.store.steps(op).await.unwrap();
            steps.iter().any(|step| step.intent["up"].is_object())
        };
        w.until(kept).await.unwrap();
        w.crash_worker().await;
        runs_for(&w, runs_now_for);
        go_on.send(true).unwrap();
        w.start_worker();
        let done = w.settled(op).await.unwrap().state;
        assert_eq!(done, OperationState::Succeeded);
        let body = told(&w, EventKind::AppKeysRestored).await;
        assert_eq!(body["waits"], waits);
        assert_sound(&w).await;
    }
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused_by_name_before_anything_is_sent() {
    let (w, _) = changed().await;
    let (before, calls) = (file(&w, 150).await, w.pve.changes());
    let digest = digest(&w, &Wanted::All).await;
    for key in ["rootfs", "hostname", "croes", "digest", "mp0", "hookscript"] {
        let wanted = keys(&["cores", key]);
        let asked = request(&wanted, &digest);
        let refused = w.engine.restore_keys(&w.actor, "web", asked).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), "not_restorable", "{key}");
        assert!(refused.to_string().contains(key), "{refused}");
    }
    assert_eq!(refused(&w, &keys(&[]), &digest).await, "not_restorable");
    assert_eq!(
        refused(&w, &keys(&["cores"]), "ab").await,
        "preview_outdated"
    );
    assert_eq!((file(&w, 150).await, w.pve.changes()), (before, calls));
    let preview = w.engine.preview_restore("web", &keys(&["rootfs"])).await;
    let left = preview.unwrap().plan.left;
    assert_eq!(left, [("rootfs".to_owned(), NotRestored::Same)]);
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_configuration_that_changed_since_the_preview_is_left_alone() {
    let (mut w, _) = changed().await;
    let wanted = keys(&["cores"]);
    let seen = digest(&w, &wanted).await;
    set(&w, &[("startup", "order=3")]).await;
    assert_eq!(refused(&w, &wanted, &seen).await, "preview_outdated");
    // Between the request and the work, too.
    let seen = digest(&w, &wanted).await;
    w.stop_worker().await.unwrap();
    let asked = request(&wanted, &seen);
    let op = w.engine.restore_keys(&w.actor, "web", asked).await.unwrap();
    set(&w, &[("startup", "order=4")]).await;
    let changes = w.pve.changes();
    w.start_worker();
    let failed = failure(w.settled(op.id).await.unwrap().state);
    assert_eq!(failed.code, "preview_outdated");
    assert_eq!(w.pve.changes(), changes);
    told(&w, EventKind::AppKeysRestoreFailed).await;
    assert_sound(&w).await;
}

#[tokio::test]
async fn another_container_and_a_busy_app_get_no_call() {
    let (mut w, app) = changed_one(false).await;
    let wanted = keys(&["cores"]);
    let seen = digest(&w, &wanted).await;
    w.stop_worker().await.unwrap();
    let asked = request(&wanted, &seen);
    let op = w.engine.restore_keys(&w.actor, "web", asked.clone()).await;
    let op = op.unwrap();
    let busy = w.engine.restore_keys(&w.actor, "web", asked).await;
    assert!(
        matches!(busy, Err(EngineError::Store(StoreError::Busy { .. }))),
        "{busy:?}"
    );
    let other = "name=eth0,bridge=vmbr0,ip=dhcp,hwaddr=02:00:00:00:00:77";
    set(&w, &[("net0", other)]).await;
    let changes = w.pve.changes();
    w.start_worker();
    let failed = failure(w.settled(op.id).await.unwrap().state);
    assert_eq!(failed.code, "identity_conflict");
    assert_eq!(w.pve.changes(), changes);
    assert_eq!(status(&w, &app).await, StatusLabel::Stopped);
    let asked = w.engine.preview_restore("web", &wanted).await;
    assert_eq!(asked.unwrap_err().code(), "identity_conflict");
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_found_and_not_sent_again() {
    let (w, _) = changed().await;
    let changes = w.pve.changes().len();
    w.pve.cut_after(Method::Put, "/lxc/150/config");
    let wanted = keys(&["cores", "tags"]);
    assert_eq!(restore(&w, &wanted).await, OperationState::Succeeded);
    assert_eq!(drifted(&w).await, ["tty"]);
    assert_eq!(w.pve.changes().len(), changes + 1);
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_crash_after_the_call_is_gone_on_with_by_looking() {
    let (mut w, _) = changed().await;
    let wanted = keys(&["cores"]);
    let seen = digest(&w, &wanted).await;
    let changes = w.pve.changes().len();
    let go_on = w.pve.hold(Method::Get, "/lxc/150/pending");
    let asked = request(&wanted, &seen);
    let op = w.engine.restore_keys(&w.actor, "web", asked).await.unwrap();
    let sent = async || w.pve.changes().len() == changes + 1;
    w.until(sent).await.unwrap();
    w.crash_worker().await;
    go_on.send(true).unwrap();
    w.start_worker();
    let done = w.settled(op.id).await.unwrap().state;
    assert_eq!(done, OperationState::Succeeded);
    assert_eq!(w.pve.changes().len(), changes + 1);
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_change_that_pve_refuses_changes_nothing_and_says_why() {
    let (w, app) = changed().await;
    w.pve.refuse(
        Method::Put,
        "/lxc/150/config",
        "unable to hotplug",
        u32::MAX,
    );
    let failed = failure(restore(&w, &keys(&["cores"])).await);
    assert_eq!(failed.code, "pve_refused");
    assert!(failed.message.contains("unable to hotplug"), "{failed:?}");
    // That nothing was changed is said because it was read.
    let read = "read back, none of the keys has changed";
    assert!(failed.message.ends_with(read), "{failed:?}");
    assert!(!lines(&w, &app).await.contains(STAY));
    assert_eq!(status(&w, &app).await, StatusLabel::Running);
    assert_eq!(drifted(&w).await, ["cores", "tags", "tty"]);
    // A native app has no such record.
    let beacon = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "made".to_owned(),
        ..CreateApp::default()
    };
    let made = w.engine.create_app(&w.actor, beacon).await.unwrap();
    w.settled(made.operation.unwrap()).await.unwrap();
    let native = w.engine.preview_restore("made", &Wanted::All).await;
    assert_eq!(native.unwrap_err().code(), "not_found");
    assert_sound(&w).await;
}

/// A change that PVE refuses in the middle: some of it is done.
#[tokio::test]
async fn a_refusal_that_came_too_late_is_told_with_what_was_changed() {
    let (w, app) = changed().await;
    let refuse = |request: &Request, answer: Result<RawResponse, TransportError>| {
        if request.method == Method::Put {
            return Ok(RawResponse {
                status: 500,
                reason: "unable to hotplug swap".to_owned(),
                body: r#"{"data":null,"message":"unable to hotplug swap\n"}"#.into(),
            });
        }
        answer
    };
    w.pve.distort(Some(Arc::new(refuse)));
    let failed = failure(restore(&w, &keys(&["cores"])).await);
    w.pve.distort(None);
    assert_eq!(failed.code, "pve_refused");
    assert!(failed.message.contains("unable to hotplug"), "{failed:?}");
    let read = "restored all the same: cores";
    assert!(failed.message.ends_with(read), "{failed:?}");
    let log = lines(&w, &app).await;
    assert!(log.contains(&format!("{STAY}cores")), "{log}");
    assert_eq!(drifted(&w).await, ["tags", "tty"]);
    assert_eq!(status(&w, &app).await, StatusLabel::Running);
    told(&w, EventKind::AppKeysRestoreFailed).await;
    assert_sound(&w).await;
}

/// Asks for a restore, and returns when its change was sent.
async fn sent(w: &TestWorld, wanted: &Wanted) -> OperationId {
    let seen = digest(w, wanted).await;
    let changes = w.pve.changes().len();
    let asked = request(wanted, &seen);
    let op = w.engine.restore_keys(&w.actor, "web", asked).await.unwrap();
    let sent = async || w.pve.changes().len() == changes + 1;
    w.until(sent).await.unwrap();
    op.id
}

#[tokio::test]
async fn one_that_is_cancelled_after_its_call_says_what_it_has_changed() {
    let (w, app) = changed().await;
    let _held = w.pve.hold(Method::Get, "/lxc/150/pending");
    let op = sent(&w, &keys(&["cores"])).await;
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let ended = w.settled(op).await.unwrap().state;
    assert_eq!(ended, OperationState::Cancelled);
    let log = lines(&w, &app).await;
    assert!(log.contains(&format!("{STAY}cores")), "{log}");
    assert_eq!(drifted(&w).await, ["tags", "tty"]);
    assert_eq!(status(&w, &app).await, StatusLabel::Running);
    told(&w, EventKind::AppKeysRestoreFailed).await;
    assert_sound(&w).await;
}

#[tokio::test]
async fn one_that_turns_back_and_cannot_read_what_it_changed_waits_for_a_person() {
    let retry = RetryPolicy {
        first_ms: 10,
        ..RetryPolicy::DEFAULT
    };
    let limits = EngineLimits {
        retry,
        ..EngineLimits::default()
    };
    let w = TestWorld::start_with(Access::Full, limits).await.unwrap();
    let (w, app) = changed_in(w, true).await;
    let _held = w.pve.hold(Method::Get, "/lxc/150/pending");
    let op = sent(&w, &keys(&["cores"])).await;
    w.pve.lose(Method::Get, "/lxc/150/config", u32::MAX);
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let stuck = w.settled(op).await.unwrap().state;
    assert!(matches!(stuck, OperationState::Stuck { .. }), "{stuck:?}");
    assert!(!lines(&w, &app).await.contains(STAY), "it was not read");
    w.pve.lose(Method::Get, "/lxc/150/config", 0);
    w.engine.retry_operation(&w.actor, op).await.unwrap();
    let state = async || w.store.operation(op).await.unwrap().unwrap().state;
    let over = async || state().await.is_final();
    w.until(over).await.unwrap();
    assert_ne!(state().await, OperationState::Succeeded);
    let log = lines(&w, &app).await;
    assert!(log.contains(&format!("{STAY}cores")), "{log}");
    assert_sound(&w).await;
}

/// PVE takes a device away before it puts the new one in: while the container runs, that is nothing to be tried.
#[tokio::test]
async fn a_network_device_is_restored_while_the_container_is_stopped_and_not_before() {
    let (w, app) = changed_one(false).await;
    let record = w.store.adoption(app.id).await.unwrap().unwrap();
    let device = record.proxmox_config_snapshot["net0"].as_str().unwrap();
    let slower = format!("{device},rate=10");
    set(&w, &[("net0", slower.as_str())]).await;
    let started = act(&w, "web", Action::Start).await;
    assert_eq!(started, OperationState::Succeeded);
    let wanted = keys(&["net0"]);
    let preview = w.engine.preview_restore("web", &wanted).await.unwrap();
    let left = [("net0".to_owned(), NotRestored::Running)];
    assert_eq!(preview.plan.left, left);
    assert_eq!((preview.running, preview.call), (true, None));
    let changes = w.pve.changes();
    let no = refused(&w, &wanted, &preview.digest).await;
    assert_eq!(no, "not_restorable");
    assert_eq!(w.pve.changes(), changes);
    let stopped = act(&w, "web", Action::Stop { force: true }).await;
    assert_eq!(stopped, OperationState::Succeeded);
    assert_eq!(restore(&w, &wanted).await, OperationState::Succeeded);
    assert_eq!(drifted(&w).await, ["cores", "tags", "tty"]);
    assert_sound(&w).await;
}

#[tokio::test]
async fn notes_are_restored_and_the_audit_does_not_tell_them() {
    let (w, _) = changed().await;
    set(&w, &[("description", "password=hunter2")]).await;
    let wanted = keys(&["description"]);
    assert_eq!(restore(&w, &wanted).await, OperationState::Succeeded);
    assert_eq!(drifted(&w).await, ["cores", "tags", "tty"]);
    let audit = w.store.audit(1000, 0).await.unwrap();
    let sent = audit.iter().find(|e| e.details["keys"].is_object());
    let expected = json!({ "description": "changed" });
    assert_eq!(sent.unwrap().details["keys"], expected);
    let tells = |text: &str| audit.iter().any(|e| e.details.to_string().contains(text));
    assert!(!tells("hunter2") && !tells("\"mine"));
}
