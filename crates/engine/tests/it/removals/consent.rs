//! `purge`, and what the preview of a removal says.

use serde_json::json;

use super::*;

async fn job(w: &TestWorld, id: &str, vmids: &str) {
    let form = [("id", id), ("schedule", "02:30"), ("vmid", vmids)];
    let made = w.pve.as_root(Method::Post, "/cluster/backup", &form).await;
    assert_eq!(made.status, 200);
}

/// The jobs of backups that there are, by id, with the numbers that each names.
async fn jobs(w: &TestWorld) -> Vec<(String, String)> {
    let answer = w.pve.as_root(Method::Get, "/cluster/backup", &[]).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = body["data"].as_array().unwrap().iter();
    rows.map(|row| (text(&row["id"]), text(&row["vmid"])))
        .collect()
}

fn named(id: &str, vmids: &str) -> (String, String) {
    (id.to_owned(), vmids.to_owned())
}

/// What the audited DELETE was sent with.
async fn sent_with(w: &TestWorld, op: OperationId) -> Value {
    let mut calls = w.store.mutations(op, DESTROY).await.unwrap();
    assert_eq!(calls.len(), 1);
    calls.remove(0).details
}

#[tokio::test]
async fn without_consent_jobs_of_backups_keep_its_number_and_the_preview_names_them() {
    let (w, _) = world().await;
    job(&w, "both", "100,777").await;
    job(&w, "one", "100").await;
    let plan = w.engine.plan_remove("web", false).await.unwrap();
    let found = plan.guests[0].backup_jobs.as_deref().unwrap();
    assert_eq!(found, ["both", "one"]);
    for id in found {
        let begin = format!("keep its number in the job of backups {id},");
        assert!(
            plan.steps.iter().any(|step| step.starts_with(&begin)),
            "{:?}",
            plan.steps
        );
    }
    let op = remove(&w, false).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(sent_with(&w, op.id).await, json!({}));
    assert_eq!(
        jobs(&w).await,
        [named("both", "100,777"), named("one", "100")]
    );
}

#[tokio::test]
async fn with_consent_it_is_purged_as_the_preview_says_and_the_record_names_it() {
    let (w, _) = world().await;
    job(&w, "both", "100,777").await;
    job(&w, "one", "100").await;
    let plan = w.engine.plan_remove("web", true).await.unwrap();
    for step in [
        "take its number out of the job of backups both",
        "remove the job of backups one, which names nothing else",
    ] {
        assert!(
            plan.steps.iter().any(|told| told == step),
            "{:?}",
            plan.steps
        );
    }
    let op = remove(&w, true).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(op.input["purge"], true);
    assert_eq!(sent_with(&w, op.id).await, json!({ "purge": 1 }));
    assert_eq!(jobs(&w).await, [named("both", "777")]);
}

/// The consent is part of what is repeated, and is not asked for again.
#[tokio::test]
async fn a_removal_that_is_repeated_keeps_its_consent() {
    let (w, _) = world().await;
    job(&w, "one", "100").await;
    w.pve.refuse(Method::Delete, "/lxc/100", BROKEN, 1);
    let op = remove(&w, true).await;
    assert_eq!(failure(&op).0, "pve_refused");
    assert_eq!(jobs(&w).await, [named("one", "100")]);
    let again = w.engine.retry_operation(&w.actor, op.id).await.unwrap().id;
    let ended = w.settled(again).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded);
    assert!(jobs(&w).await.is_empty());
}

/// The preview reads what the token may read, and says what it could not.
#[tokio::test]
async fn a_preview_without_a_view_of_the_jobs_says_so() {
    let (w, _) = world().await;
    w.pve
        .refuse(Method::Get, "/cluster/backup", "Permission check failed", 1);
    let plan = w.engine.plan_remove("web", false).await.unwrap();
    assert_eq!(plan.guests[0].backup_jobs, None);
    let told = |step: &String| step.ends_with("which they are could not be read");
    assert!(plan.steps.iter().any(told), "{:?}", plan.steps);
}

/// A lock of PVE's is no refusal: the removal waits for its end, and goes on.
#[tokio::test]
async fn a_removal_waits_for_a_lock_as_its_preview_says() {
    let limits = EngineLimits {
        retry: RetryPolicy {
            first_ms: 400,
            ..RetryPolicy::DEFAULT
        },
        ..late(20)
    };
    let (w, _) = world_with(limits).await;
    w.pve.meddle(|world| world.set_lock(VMID, Some("backup")));
    let plan = w.engine.plan_remove("web", false).await.unwrap();
    let begin = "wait for PVE to take its lock (backup) off container 100 on pve1: 3 attempts within some 2 s,";
    assert!(plan.steps[0].starts_with(begin), "{:?}", plan.steps);
    assert_eq!(plan.steps[1], "shut down container 100 on pve1");
    let told = plan.guests[0].trouble.as_deref();
    assert_eq!(told, Some("PVE holds a lock on it (backup)"));
    assert!(plan.guests[0].identity_ok);
    let op = ask(&w).await;
    let waits = async || {
        let op = w.store.operation(op).await.unwrap().unwrap();
        op.wait
            .is_some_and(|wait| wait.because.code == "container_locked")
    };
    w.until(waits).await.unwrap();
    w.pve.meddle(|world| world.set_lock(VMID, None));
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded);
    assert!(w.pve.guests.vmids().is_empty());
    assert_sound(&w).await;
}

/// What another refuses is told before a lock is: the removal fails for it, locked or not.
#[tokio::test]
async fn a_member_that_is_locked_is_refused_as_a_member() {
    let (w, app) = world().await;
    hand_to_ha(&w).await;
    w.pve.meddle(|world| world.set_lock(VMID, Some("backup")));
    refused_at_the_door(&w, &app, "managed by PVE's HA").await;
}

/// A container that is another one by now speaks against it; one that is gone does not.
#[tokio::test]
async fn a_preview_says_what_a_removal_would_find() {
    let (w, _) = world().await;
    put(&w, "description", "made by hand").await;
    let plan = w.engine.plan_remove("web", false).await.unwrap();
    assert_eq!(plan.steps.len(), 1);
    assert!(!plan.guests[0].identity_ok);
    w.pve.refuse(
        Method::Get,
        "/lxc/100/config",
        "Configuration file 'nodes/pve1/lxc/100.conf' does not exist",
        1,
    );
    let plan = w.engine.plan_remove("web", false).await.unwrap();
    assert_eq!(plan.steps[0], "prove that container 100 on pve1 is gone");
    assert!(plan.steps.iter().any(|step| step.starts_with("free ports")));
}
