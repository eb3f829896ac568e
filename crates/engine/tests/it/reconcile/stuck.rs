//! The janitor: what is stuck is marked, and nothing else.

use super::*;

#[tokio::test]
async fn a_deploy_that_is_stuck_is_marked_and_its_container_left() {
    let mut l = Looked::new().await;
    l.w.crash_worker().await;
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = l.w.engine.create_app(&l.w.actor, request).await.unwrap();
    l.clock.pass(2 * 3_600_000);
    let waiting = l.w.engine.janitor().pass(false).await.unwrap();
    assert_eq!(waiting.result.total_transitional, 1);
    assert_eq!(waiting.result.stuck_found, 0, "it waits for a worker");
    let seen = l.w.store.claimable().await.unwrap().pop().unwrap();
    let holder = HolderId(uuid::Uuid::from_u128(9));
    let at = l.w.store.app(app.id).await.unwrap().unwrap().created_at;
    l.w.store
        .claim_as_seen(&seen, holder, 1, at)
        .await
        .unwrap()
        .unwrap();
    let calls = l.w.pve.calls();
    let dry = l.w.engine.janitor().pass(true).await.unwrap();
    assert_eq!(
        (dry.result.stuck_found, dry.result.stuck_marked_error),
        (1, 0)
    );
    let marked = l.w.engine.janitor().pass(false).await.unwrap();
    assert_eq!(
        (marked.result.stuck_found, marked.result.stuck_marked_error),
        (1, 1)
    );
    assert_eq!(
        marked.lines,
        [
            "DIAGNOSING: web (deploying) Stuck for 2h 0m",
            "DIAGNOSED AS ERROR: web (was: deploying)",
            LEFT_LINE,
        ]
    );
    assert_eq!(l.w.pve.calls(), calls, "the janitor asks nobody");
    let status = l.w.store.app(app.id).await.unwrap().unwrap().status;
    assert_eq!(status.label(), StatusLabel::Error);
    let again = l.w.engine.janitor().pass(false).await.unwrap();
    assert_eq!(again.result.total_transitional, 0);
}

#[tokio::test]
async fn a_clock_that_is_set_forward_marks_nothing() {
    let mut l = Looked::new().await;
    l.w.crash_worker().await;
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    l.w.engine.create_app(&l.w.actor, request).await.unwrap();
    let seen = l.w.store.claimable().await.unwrap().pop().unwrap();
    let holder = HolderId(uuid::Uuid::from_u128(9));
    let at = l.w.store.live_operations().await.unwrap()[0].created_at;
    l.w.store
        .claim_as_seen(&seen, holder, 1, at)
        .await
        .unwrap()
        .unwrap();
    l.clock.set_forward(10 * 3_600_000);
    let none = l.w.engine.janitor().pass(false).await.unwrap();
    assert_eq!(
        (none.result.total_transitional, none.result.stuck_found),
        (1, 0)
    );
}
