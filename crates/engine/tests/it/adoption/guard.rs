//! The guard: what drifts is told once, told again when it changes, told as over when it is gone, and not at all when off.

use super::*;

const CONFIG: &str = "/nodes/pve1/lxc/150/config";

async fn guarded() -> TestWorld {
    let w = world().await;
    stranger(&w, 150, "web", false).await;
    let (_, state) = adopt(&w, 150).await;
    assert_eq!(state, OperationState::Succeeded);
    let view = w.engine.guard(&w.actor, "web", true).await.unwrap();
    assert!(view.since.is_some());
    w
}

async fn sweep(w: &TestWorld) {
    let swept = w.engine.reconciler().sweep().await.unwrap();
    assert_eq!((swept.recognised, swept.unread), (1, 0), "{swept:?}");
}

async fn count(w: &TestWorld, kind: EventKind) -> usize {
    let events = w.store.events(0, 1000).await.unwrap();
    events.iter().filter(|event| event.2.kind == kind).count()
}

#[tokio::test]
async fn a_drift_is_told_once_until_it_changes_and_its_end_once() {
    let w = guarded().await;
    sweep(&w).await;
    assert_eq!(count(&w, EventKind::DriftDetected).await, 0);
    w.pve.put(CONFIG, &[("memory", "640")]).await;
    let changes = w.pve.changes();
    sweep(&w).await;
    let first = told(&w, EventKind::DriftDetected).await;
    assert_eq!(first["keys"], json!(["memory"]));
    assert_eq!(
        (&first["hostname"], &first["vmid"]),
        (&json!("web"), &json!(150))
    );
    let commit = *w.store.commits().borrow();
    sweep(&w).await;
    assert_eq!(*w.store.commits().borrow(), commit, "nothing new, no row");
    assert_eq!(count(&w, EventKind::DriftDetected).await, 1);
    w.pve.put(CONFIG, &[("tags", "new")]).await;
    sweep(&w).await;
    let second = told(&w, EventKind::DriftDetected).await;
    assert_eq!(second["keys"], json!(["memory", "tags"]));
    let view = w.engine.drift("web").await.unwrap();
    assert!(view.guarded_since.is_some());
    w.pve
        .put(CONFIG, &[("memory", "512"), ("delete", "tags")])
        .await;
    for _ in 0..2 {
        sweep(&w).await;
    }
    let over = told(&w, EventKind::DriftEnded).await;
    assert_eq!(over["since"], second["since"]);
    assert_eq!(count(&w, EventKind::DriftEnded).await, 1);
    assert_eq!(count(&w, EventKind::DriftDetected).await, 2);
    assert_eq!(
        w.pve.changes(),
        changes,
        "what changed was changed by a person"
    );
    assert_sound(&w).await;
}

#[tokio::test]
async fn off_is_silence_and_costs_no_request_either_way() {
    let w = guarded().await;
    w.pve.put(CONFIG, &[("memory", "640")]).await;
    let before = w.pve.calls();
    sweep(&w).await;
    let with_guard = w.pve.calls() - before;
    let off = w.engine.guard(&w.actor, "web", false).await.unwrap();
    assert_eq!(off.since, None);
    w.pve.put(CONFIG, &[("tags", "new")]).await;
    let before = w.pve.calls();
    sweep(&w).await;
    assert_eq!(w.pve.calls() - before, with_guard);
    assert_eq!(count(&w, EventKind::DriftDetected).await, 1);
    assert_eq!(w.engine.drift("web").await.unwrap().guarded_since, None);
    // On again, it is told anew; and it ends with the app.
    w.engine.guard(&w.actor, "web", true).await.unwrap();
    sweep(&w).await;
    assert_eq!(count(&w, EventKind::DriftDetected).await, 2);
    act(&w, "web", removal("web")).await;
    assert_eq!(w.store.guards().await.unwrap(), []);
    let gone = w.engine.guard(&w.actor, "web", true).await.unwrap_err();
    assert_eq!(gone.code(), "app_not_found");
    assert_sound(&w).await;
}

/// What has its number is not its container: that is told as what it is, and never as drift.
#[tokio::test]
async fn another_container_has_no_drift() {
    let w = guarded().await;
    w.pve
        .as_root(Method::Delete, "/nodes/pve1/lxc/150", &[])
        .await;
    w.until(async || {
        !w.pve
            .meddle(|world| world.guests().any(|(id, _)| id == 150))
    })
    .await
    .unwrap();
    stranger(&w, 150, "other", false).await;
    let swept = w.engine.reconciler().sweep().await.unwrap();
    assert_eq!(swept.conflicts, 1, "{swept:?}");
    assert_eq!(count(&w, EventKind::DriftDetected).await, 0);
    assert_eq!(count(&w, EventKind::GuestConflicted).await, 1);
    assert_sound(&w).await;
}
