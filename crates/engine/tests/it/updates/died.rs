//! A worker that dies at a call of an update: the next one goes on.

use super::*;

/// Ends the worker while calls that end so hang, in this step if it changes something: app, container and operation.
async fn dead_at(
    method: Method,
    path_end: &str,
    step: Option<u32>,
) -> (TestWorld, AppRecord, u32, OperationId) {
    let mut w = world().await;
    let (app, vmid, _) = deployed(&w).await;
    w.stop_worker().await.unwrap();
    let request = UpdateApp {
        settings: greeting("another"),
        ..larger()
    };
    let op = w.engine.update_app(&w.actor, "web", request).await.unwrap();
    let go_on = w.pve.hold(method, path_end);
    w.start_worker();
    let hangs = async || match step {
        Some(step) => !w.store.mutations(op.id, step).await.unwrap().is_empty(),
        // Beside the one that is kept for those to come.
        None => go_on.receiver_count() > 1,
    };
    w.until(hangs).await.unwrap();
    w.crash_worker().await;
    go_on.send_replace(true);
    (w, app, vmid, op.id)
}

/// The next worker goes on.
async fn dies_at(method: Method, path_end: &str, step: Option<u32>) {
    let (mut w, app, vmid, op) = dead_at(method, path_end, step).await;
    w.start_worker();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded, "{path_end}");
    let expected = (json!(128), json!(2), "2G".to_owned());
    assert_eq!(shape(&w, vmid).await, expected);
    assert_eq!(resizes(&w).await, 1, "{path_end}");
    assert!(page(&w, vmid).contains("another"));
    assert_eq!(recorded(&w, &app).await.resources.disk_gib, 2);
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_worker_that_dies_at_a_call_leaves_what_the_next_one_goes_on_with() {
    for (method, path_end, step) in [
        (Method::Get, "/config", None),
        (Method::Put, "/config", Some(0)),
        (Method::Put, "/resize", Some(1)),
        (Method::Get, "/status/current", Some(2)),
    ] {
        dies_at(method, path_end, step).await;
    }
}

#[tokio::test]
async fn settings_of_a_container_that_is_gone_hold_nobody_up() {
    let (mut w, app, vmid, op) = dead_at(Method::Get, "/status/current", Some(2)).await;
    w.pve.meddle(|world| world.forget_guest(vmid));
    w.start_worker();
    let ended = failure(w.settled(op).await.unwrap().state).code;
    assert_eq!(ended, "container_missing");
    assert_eq!(recorded(&w, &app).await.status.label(), StatusLabel::Error);
    assert_sound(&w).await;
}
