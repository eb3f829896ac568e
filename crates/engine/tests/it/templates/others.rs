//! Prepared templates where somebody else acts beside us, or nothing goes on.

use super::*;

/// What somebody put in the place of a template after a deploy has chosen it is not cloned.
#[tokio::test]
async fn what_took_the_place_of_a_chosen_template_is_not_cloned() {
    let w = world(true).await;
    let (_, template) = prepared(&w).await;
    // The deploy asks for tasks between its choice and its call.
    let held = w.pve.hold(Method::Get, "/nodes/pve1/tasks");
    let app = ask(&w, "web-c").await;
    let operation = app.operation.unwrap();
    w.until(async || {
        let steps = w.store.steps(operation).await.unwrap();
        steps.iter().any(|row| !row.intent["clone"].is_null())
    })
    .await
    .unwrap();
    let path = format!("/nodes/pve1/lxc/{template}/config");
    w.pve.put(&path, &[("description", "mine by now")]).await;
    held.send(true).unwrap();
    let op = end_of(&w, &app).await;
    assert_eq!(op.state, OperationState::Succeeded);
    let clone = format!("POST /nodes/pve1/lxc/{template}/clone");
    assert_eq!(sent(&w, &clone), 0);
    let kept = &w.store.prepared().await.unwrap()[0];
    assert_eq!((kept.clones.linked, kept.clones.unconfirmed), (0, 0));
    assert_sound(&w).await;
}

/// Who starts what was shut down to become a template gives it an identity of its own again.
#[tokio::test]
async fn what_somebody_has_started_is_made_no_template() {
    let w = world(true).await;
    for name in ["web-a", "web-b"] {
        deployed(&w, name).await;
    }
    let held = w.pve.hold(Method::Post, "/template");
    cut_off_at(&w, Call::Convert).await;
    let vmid = w.store.prepared().await.unwrap()[0].prepared.identity.vmid;
    let path = format!("/nodes/pve1/lxc/{vmid}/status");
    let start = format!("{path}/start");
    let started = w.pve.as_root(Method::Post, &start, &[]).await;
    assert_eq!(started.status, 200);
    let current = format!("{path}/current");
    w.until(async || {
        let answer = w.pve.as_root(Method::Get, &current, &[]).await;
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        body["data"]["status"] == "running"
    })
    .await
    .unwrap();
    held.send(true).unwrap();
    tended(&w, "it was made a template, or stays", <[Kept]>::is_empty).await;
    assert_eq!(w.pve.guests.vmids().len(), 2);
    assert_sound(&w).await;
}

/// A template that somebody else destroyed is gone when that was seen more than once.
#[tokio::test]
async fn one_look_does_not_prove_that_a_template_is_gone() {
    let w = world(true).await;
    let (id, template) = prepared(&w).await;
    let path = format!("/nodes/pve1/lxc/{template}");
    w.pve.as_root(Method::Delete, &path, &[]).await;
    w.until(async || {
        w.pve
            .meddle(|world| world.guests().all(|(id, _)| id != template))
    })
    .await
    .unwrap();
    Templates::new(w.engine.clone()).pass().await.unwrap();
    let all = w.store.prepared().await.unwrap();
    let stages: Vec<_> = all
        .iter()
        .map(|kept| (kept.prepared.id, kept.prepared.stage))
        .collect();
    assert_eq!(stages, [(id, Stage::Leaving)]);
    tended(&w, "it stays", <[Kept]>::is_empty).await;
}

/// Another container has the number of a template that is gone, on another node: a person can end the record.
#[tokio::test]
async fn a_number_that_somebody_has_elsewhere_can_be_given_up() {
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::cluster(0, &["pve1", "pve2"], Access::Full)],
        limits: limits(true),
        pairs: 8,
        ..WorldParts::default()
    })
    .await
    .unwrap();
    for name in ["web-a", "web-b"] {
        let request = CreateApp {
            catalog_id: "nginx".to_owned(),
            hostname: name.to_owned(),
            node: Some("pve1".to_owned()),
            ..CreateApp::default()
        };
        let app = w.engine.create_app(&w.actor, request).await.unwrap();
        let op = end_of(&w, &app).await;
        assert_eq!(op.state, OperationState::Succeeded, "{name}");
    }
    tended(&w, "none is ready", is_ready).await;
    let one = w.store.prepared().await.unwrap()[0].prepared.clone();
    let vmid = one.identity.vmid.get();
    w.pve.meddle(|world| world.forget_guest(vmid));
    assert_eq!(w.pve.stranger_creates("pve2", vmid).await.status, 200);
    let before = w.pve.changes();
    Templates::new(w.engine.clone()).pass().await.unwrap();
    let told = w.engine.templates().await.unwrap();
    assert!(told[0].trouble.is_some(), "{told:?}");
    let forgotten = w.engine.drop_template(&w.actor, one.id, true);
    forgotten.await.unwrap();
    assert!(w.store.prepared().await.unwrap().is_empty());
    assert_eq!(w.pve.changes(), before);
}

/// A person who drops a template twice says nothing of a create whose answer was lost.
#[tokio::test]
async fn a_drop_takes_no_create_off_the_record() {
    let slow = EngineLimits {
        late_ms: 60_000,
        proxied_late_ms: 0,
        ..limits(true)
    };
    let w = world_with(true, slow).await;
    for name in ["web-a", "web-b"] {
        deployed(&w, name).await;
    }
    w.pve.cut_after(Method::Post, "/nodes/pve1/lxc");
    Templates::new(w.engine.clone()).pass().await.unwrap();
    let kept = w.store.prepared().await.unwrap().remove(0);
    assert_eq!(kept.sent.map(|sent| sent.call), Some(Call::Create));
    for _ in 0..2 {
        dropped(&w, kept.prepared.id).await;
    }
    assert_eq!(w.store.prepared().await.unwrap()[0].sent, kept.sent);
}

/// What would be refused again and again fills no audit: nothing is on record that is not sent, and nothing is sent again by itself.
#[tokio::test]
async fn a_template_that_cannot_go_writes_nothing() {
    let w = world(true).await;
    let (id, template) = prepared(&w).await;
    let delete = format!("DELETE /nodes/pve1/lxc/{template}");
    let templates = Templates::new(w.engine.clone());
    let path = format!("/nodes/pve1/lxc/{template}/config");
    w.pve.put(&path, &[("protection", "1")]).await;
    dropped(&w, id).await;
    let audited = async || w.store.audit(1_000, 0).await.unwrap().len();
    let before = audited().await;
    for _ in 0..3 {
        templates.pass().await.unwrap();
    }
    let told = w.engine.templates().await.unwrap();
    let trouble = told[0].trouble.clone().unwrap_or_default();
    assert!(trouble.contains("protected"), "{trouble}");
    assert_eq!(audited().await, before);
    w.pve.put(&path, &[("protection", "0")]).await;
    let end = format!("/lxc/{template}");
    w.pve.refuse(Method::Delete, &end, "not today", 1);
    for _ in 0..3 {
        templates.pass().await.unwrap();
    }
    assert_eq!(sent(&w, &delete), 1);
    assert_eq!(audited().await, before + 1);
    dropped(&w, id).await;
    tended(&w, "it stays", <[Kept]>::is_empty).await;
    assert_eq!(sent(&w, &delete), 2);
}

/// A call for a clone that was lost for good, and whose template is somebody else's by then: nothing came of it, and the archive is unpacked.
#[tokio::test]
async fn a_lost_call_for_a_clone_stops_no_deploy() {
    let slow = EngineLimits {
        retry: RetryPolicy {
            first_ms: 1_000,
            ..RetryPolicy::DEFAULT
        },
        ..limits(true)
    };
    let w = world_with(true, slow).await;
    let (_, template) = prepared(&w).await;
    w.pve.delay(Method::Post, "/clone", |_| false);
    let app = ask(&w, "web-c").await;
    w.until(async || w.pve.under_way() == 1).await.unwrap();
    let path = format!("/nodes/pve1/lxc/{template}/config");
    w.pve.put(&path, &[("description", "mine by now")]).await;
    let op = end_of(&w, &app).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(w.pve.guests.vmids().len(), 4);
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_clone_whose_task_fails_is_unpacked_from_the_archive() {
    let w = world(true).await;
    prepared(&w).await;
    let unpacked = sent(&w, "POST /nodes/pve1/lxc");
    w.pve.guests.fail_next_create("no space left on device");
    deployed(&w, "web-c").await;
    assert_eq!(sent(&w, "POST /nodes/pve1/lxc"), unpacked + 1);
    assert_eq!(w.pve.guests.vmids().len(), 4);
    let kept = &w.store.prepared().await.unwrap()[0];
    assert_eq!((kept.clones.linked, kept.clones.unconfirmed), (0, 0));
    assert_sound(&w).await;
}
