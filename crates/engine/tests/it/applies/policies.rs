//! What somebody changed by hand where documents say `policy: revert`: it is changed back, a few times, and never what cannot be.

use std::sync::Arc;

use proximity_domain::create::ResourceRequest;
use proximity_domain::desired::DesiredSpec;
use proximity_domain::event::EventKind;
use proximity_domain::ids::OperationId;
use proximity_domain::merge::Accepted;
use proximity_domain::operation::OperationState;
use proximity_engine::commands::UpdateApp;
use proximity_engine::policy::{MOST_IN_AN_HOUR, Reverter};
use proximity_pve::transport::Method;
use proximity_store::effects::NewEvent;
use proximity_store::rejections::NewRejection;
use proximity_testkit::pve::Pve;
use proximity_testkit::sources::MovedClock;
use proximity_testkit::world::WorldParts;
use serde_json::{Value, json};

use super::hand_edits::{place, set, sweep, told, wanted, wanted_on};
use super::*;

const AGAIN_MS: u64 = 11 * 60_000;

/// The same in a world whose time is let pass.
async fn moved(policy: Policy) -> (Stand, Arc<MovedClock>) {
    let clock = Arc::new(MovedClock::default());
    let parts = WorldParts {
        clock: Some(clock.clone()),
        clusters: vec![Pve::cluster(0, &["pve1"], Access::Full)],
        ..WorldParts::default()
    };
    let world = TestWorld::start_of(parts).await.unwrap();
    (wanted_on(Stand::over(world), policy).await, clock)
}

pub(super) async fn pass(s: &Stand) -> Vec<OperationId> {
    let reverter = Reverter::new(s.w.engine.clone());
    reverter.pass().await.unwrap()
}

pub(super) async fn config(s: &Stand) -> Value {
    let place = place(s).await;
    let path = format!("/nodes/{}/lxc/{}/config", place.node, place.vmid);
    let answer = s.w.pve.as_root(Method::Get, &path, &[]).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["data"].clone()
}

#[tokio::test]
async fn what_was_told_is_changed_back_by_an_operation_that_says_why() {
    let s = wanted(Policy::Revert).await;
    assert!(pass(&s).await.is_empty(), "nothing was told");
    set(&s, &[("memory", "256"), ("cores", "2")]).await;
    assert!(pass(&s).await.is_empty(), "the sweep has not seen it");
    sweep(&s).await;
    let [operation] = pass(&s).await[..] else {
        panic!("one operation");
    };
    assert!(pass(&s).await.is_empty(), "it is under way, or just ended");
    let record = s.w.settled(operation).await.unwrap();
    assert_eq!(record.kind, OperationKind::Update);
    assert_eq!(record.requested_by, "system");
    let because = record.input["because"].as_str().unwrap();
    assert!(because.starts_with("policy revert"), "{because}");
    let now = config(&s).await;
    assert_eq!((&now["memory"], &now["cores"]), (&json!(128), &json!(1)));
    assert!(pass(&s).await.is_empty(), "nothing differs any more");
    sweep(&s).await;
    assert_eq!(told(&s, EventKind::DesiredDriftEnded).await.len(), 1);
    let audit = s.w.store.audit(1_000, 0).await.unwrap();
    let updates = audit.iter().filter(|row| row.action == "app.update");
    let by_policy = updates.filter(|row| row.account == "system");
    assert_eq!(by_policy.count(), 1);
}

#[tokio::test]
async fn somebody_who_goes_on_wins_after_a_few_times() {
    let (s, clock) = moved(Policy::Revert).await;
    let mut memory = 200;
    for _ in 0..MOST_IN_AN_HOUR {
        memory += 1;
        set(&s, &[("memory", &memory.to_string())]).await;
        sweep(&s).await;
        let [operation] = pass(&s).await[..] else {
            panic!("one operation");
        };
        s.w.settled(operation).await.unwrap();
        set(&s, &[("memory", "300")]).await;
        sweep(&s).await;
        assert!(pass(&s).await.is_empty(), "the last one was just now");
        clock.pass(AGAIN_MS);
    }
    assert!(pass(&s).await.is_empty(), "often enough");
    clock.pass(60 * 60_000);
    let [operation] = pass(&s).await[..] else {
        panic!("an hour later");
    };
    s.w.settled(operation).await.unwrap();
}

#[tokio::test]
async fn a_disk_and_a_warning_are_left_as_they_are() {
    let s = wanted(Policy::Warn).await;
    set(&s, &[("memory", "256")]).await;
    sweep(&s).await;
    assert_eq!(told(&s, EventKind::DesiredDrifted).await.len(), 1);
    assert!(pass(&s).await.is_empty());
    let s = wanted(Policy::Revert).await;
    let at = place(&s).await;
    let resize = format!("/nodes/{}/lxc/{}/resize", at.node, at.vmid);
    let params = [("disk", "rootfs"), ("size", "+1G")];
    s.w.pve.as_root(Method::Put, &resize, &params).await;
    let is_told = async || {
        sweep(&s).await;
        !told(&s, EventKind::DesiredDrifted).await.is_empty()
    };
    s.w.until(is_told).await.unwrap();
    assert!(pass(&s).await.is_empty(), "no disk is made smaller");
    assert_eq!(s.operations(OperationKind::Update).await, 0);
}

#[tokio::test]
async fn keys_of_a_container_that_was_taken_over_are_brought_back() {
    let s = Stand::start().await;
    assert_eq!(s.w.pve.stranger_creates("pve1", 150).await.status, 200);
    let mut document = found("web", 150);
    match &mut document {
        Manifest::AdoptedApp { spec, .. } => {
            spec.policy = Policy::Revert;
            spec.guard = false;
        }
        other => panic!("{other:?}"),
    }
    let id = s.apply(&[document]).await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    let before = config(&s).await;
    set(&s, &[("memory", "640")]).await;
    sweep(&s).await;
    let event = told(&s, EventKind::DesiredDrifted).await.remove(0);
    // Whatever else is in there may be private.
    let fields = json!([{"field": "config.memory", "source": "cluster"}]);
    assert_eq!(event["fields"], fields);
    let [operation] = pass(&s).await[..] else {
        panic!("one operation");
    };
    let record = s.w.settled(operation).await.unwrap();
    assert_eq!(record.kind, OperationKind::RestoreKeys);
    assert_eq!(config(&s).await["memory"], before["memory"]);
    sweep(&s).await;
    assert_eq!(told(&s, EventKind::DesiredDriftEnded).await.len(), 1);
}

#[tokio::test]
async fn what_is_accepted_is_wanted_from_now_on_as_a_new_revision() {
    let s = wanted(Policy::Accept).await;
    let changes = s.w.pve.changes();
    set(&s, &[("memory", "256"), ("cores", "2")]).await;
    for _ in 0..2 {
        sweep(&s).await;
    }
    assert!(told(&s, EventKind::DesiredDrifted).await.is_empty());
    let accepted = told(&s, EventKind::DesiredAccepted).await;
    let [event] = accepted.as_slice() else {
        panic!("{accepted:?}");
    };
    assert_eq!(event["fields"][1]["to"], 256, "{event}");
    let name = "web".parse().unwrap();
    let newest = s.w.store.desired(&name).await.unwrap().unwrap();
    assert_eq!((newest.revision, newest.applied_by.as_str()), (2, "system"));
    let mut document = app("web", &[]);
    spec(&mut document).resources.memory_mib = Some(256);
    spec(&mut document).resources.cores = Some(2);
    spec(&mut document).policy = Policy::Accept;
    assert_eq!(newest.spec.unwrap().manifest(&name), document);
    let web = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    assert_eq!((web.resources.memory_mib, web.resources.cores), (256, 2));
    assert!(pass(&s).await.is_empty());
    assert_eq!(s.w.pve.changes(), changes, "nothing is sent");
    s.is_as_wanted(&[document]).await;
}

#[tokio::test]
async fn what_a_person_cancelled_is_not_tried_again() {
    let (mut s, clock) = moved(Policy::Revert).await;
    set(&s, &[("memory", "256")]).await;
    sweep(&s).await;
    s.w.crash_worker().await;
    let [operation] = pass(&s).await[..] else {
        panic!("one operation");
    };
    let (store, actor) = (&s.w.store, &s.w.actor);
    let now = store.operation(operation).await.unwrap().unwrap();
    let cancelled = store.request_cancel(operation, actor, now.created_at).await;
    assert!(cancelled.unwrap().state.is_final());
    clock.pass(AGAIN_MS);
    assert!(pass(&s).await.is_empty());
    let web = store.app_by_hostname("web").await.unwrap().unwrap();
    assert_eq!(
        (web.operation, web.status.label().label()),
        (None, "running")
    );
    // That is on record, and told once.
    assert!(pass(&s).await.is_empty());
    let rejected = store.rejected_revisions().await.unwrap();
    let by: Vec<&str> = rejected.iter().map(|one| one.by.as_str()).collect();
    assert_eq!(by, ["policy revert"]);
    let told = told(&s, EventKind::RevisionRejected).await;
    assert_eq!(told.len(), 1);
    assert!(
        told[0]["why"].as_str().unwrap().contains("cancelled"),
        "{told:?}"
    );
    // Until a person lets it be tried again.
    s.w.engine.unreject(actor, &web.hostname).await.unwrap();
    assert_eq!(pass(&s).await.len(), 1);
}

/// Nobody has tried it yet.
#[tokio::test]
async fn what_a_person_rejected_is_not_changed_back() {
    let (s, clock) = moved(Policy::Revert).await;
    let name = "web".parse().unwrap();
    let wanted = s.w.store.desired(&name).await.unwrap().unwrap();
    let spec_hash = s.w.store.spec_hash(wanted.spec.as_ref()).unwrap();
    let new = [NewRejection {
        name,
        spec_hash,
        why: None,
    }];
    let (store, actor) = (&s.w.store, &s.w.actor);
    let rejected = store.reject_revisions(&new, "admin", actor, wanted.applied_at);
    assert_eq!(rejected.await.unwrap().len(), 1);
    set(&s, &[("memory", "256")]).await;
    sweep(&s).await;
    assert_eq!(told(&s, EventKind::DesiredDrifted).await.len(), 1);
    assert!(pass(&s).await.is_empty());
    clock.pass(AGAIN_MS);
    s.w.engine.unreject(actor, &new[0].name).await.unwrap();
    let [operation] = pass(&s).await[..] else {
        panic!("one operation");
    };
    s.w.settled(operation).await.unwrap();
    assert_eq!(config(&s).await["memory"], 128);
}

/// What was told is some minutes old when it is changed back.
#[tokio::test]
async fn what_a_person_asked_for_here_since_it_was_told_stays() {
    let s = wanted(Policy::Revert).await;
    set(&s, &[("memory", "256")]).await;
    sweep(&s).await;
    let request = UpdateApp {
        resources: ResourceRequest {
            memory_mib: Some(300),
            ..ResourceRequest::default()
        },
        ..UpdateApp::default()
    };
    let asked = s.w.engine.update_app(&s.w.actor, "web", request).await;
    s.w.settled(asked.unwrap().id).await.unwrap();
    assert!(pass(&s).await.is_empty());
    assert_eq!(config(&s).await["memory"], 300);
    assert_eq!(s.operations(OperationKind::Update).await, 1);
}

#[tokio::test]
async fn a_container_under_a_lock_is_left_and_asked_again_after_a_rest() {
    let (s, clock) = moved(Policy::Revert).await;
    let vmid = place(&s).await.vmid.get();
    set(&s, &[("memory", "256")]).await;
    sweep(&s).await;
    let reverter = Reverter::new(s.w.engine.clone());
    s.w.pve.meddle(|world| world.set_lock(vmid, Some("backup")));
    assert!(reverter.pass().await.unwrap().is_empty());
    let asked = s.w.pve.calls();
    s.w.pve.meddle(|world| world.set_lock(vmid, None));
    assert!(reverter.pass().await.unwrap().is_empty());
    assert_eq!(s.w.pve.calls(), asked, "it is not asked at each pass");
    clock.pass(AGAIN_MS);
    let [operation] = reverter.pass().await.unwrap()[..] else {
        panic!("one operation");
    };
    let record = s.w.settled(operation).await.unwrap();
    assert_eq!(record.state, OperationState::Succeeded);
    assert_eq!(config(&s).await["memory"], 128);
}

/// It was told while another policy was in force.
#[tokio::test]
async fn what_was_told_is_accepted_once_the_policy_is_to_accept() {
    let s = wanted(Policy::Warn).await;
    set(&s, &[("memory", "256")]).await;
    sweep(&s).await;
    assert_eq!(told(&s, EventKind::DesiredDrifted).await.len(), 1);
    let name = "web".parse().unwrap();
    let before = s.w.store.desired(&name).await.unwrap().unwrap();
    let Some(DesiredSpec::App(mut spec)) = before.spec.clone() else {
        panic!("{before:?}")
    };
    spec.policy = Policy::Accept;
    let revision = Accepted {
        spec: DesiredSpec::App(spec),
        resources: None,
        paths: vec!["policy".to_owned()],
    };
    let vmid = place(&s).await.vmid;
    let event = NewEvent {
        kind: EventKind::DesiredAccepted,
        body: json!({
            "app": before.app, "hostname": "web", "host": "lab", "vmid": vmid,
            "fields": [], "by": null, "at": null,
        }),
    };
    let (store, actor, now) = (&s.w.store, &s.w.actor, before.applied_at);
    let revised = store.accept_drift(&before, &revision, &event, actor, now);
    assert!(revised.await.unwrap());
    for _ in 0..2 {
        sweep(&s).await;
    }
    let web = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    assert_eq!(web.resources.memory_mib, 256);
    let newest = s.w.store.desired(&name).await.unwrap().unwrap();
    assert_eq!(newest.revision, 3);
    assert_eq!(told(&s, EventKind::DesiredDriftEnded).await.len(), 1);
}
