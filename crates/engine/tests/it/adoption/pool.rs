//! An adopted container in the pool of those that were made by us: told once when it is there, with what takes it out, and once
//! when it no longer is.

use proximity_engine::reconcile::Pass;

use super::*;

/// A world whose host has the pool `ours`, with an adopted container in none, that was recognised.
async fn pooled() -> TestWorld {
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        place: Place::Memory,
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let mut host = w.store.hosts().await.unwrap().pop().unwrap();
    let at = host.created_at;
    host.pool = Some("ours".parse().unwrap());
    w.store.update_host(host, &w.actor, at).await.unwrap();
    for name in ["ours", "ours/web", "theirs"] {
        let pool = [("poolid", name)];
        let made = w.pve.as_root(Method::Post, "/pools", &pool).await;
        assert_eq!(made.status, 200, "{made:?}");
    }
    stranger(&w, 150, "web", false).await;
    let (_, state) = adopt(&w, 150).await;
    assert_eq!(state, OperationState::Succeeded);
    w
}

async fn change_pool(w: &TestWorld, pool: &str, how: (&str, &str)) {
    let member = [("poolid", pool), ("vms", "150"), how];
    let changed = w.pve.as_root(Method::Put, "/pools", &member).await;
    assert_eq!(changed.status, 200, "{changed:?}");
}

async fn into(w: &TestWorld, pool: &str) {
    change_pool(w, pool, ("allow-move", "1")).await;
}

async fn out_of(w: &TestWorld, pool: &str) {
    change_pool(w, pool, ("delete", "1")).await;
}

async fn pass(w: &TestWorld) {
    let passed = w.engine.reconciler().pass(&Pass::Work).await.unwrap();
    assert!(passed.result.success, "{passed:?}");
}

async fn sweep(w: &TestWorld) {
    let swept = w.engine.reconciler().sweep().await.unwrap();
    assert_eq!((swept.recognised, swept.unread), (1, 0), "{swept:?}");
}

/// How often it was told that it is in our pool, and that it no longer is.
async fn counts(w: &TestWorld) -> (usize, usize) {
    let events = w.store.events(0, 1000).await.unwrap();
    let of = |kind| events.iter().filter(|event| event.2.kind == kind).count();
    (
        of(EventKind::AdoptedEnteredPool),
        of(EventKind::AdoptedLeftPool),
    )
}

#[tokio::test]
async fn an_adopted_container_in_our_pool_is_told_of_once_and_its_end_once() {
    let w = pooled().await;
    sweep(&w).await;
    let changes = w.pve.changes();
    into(&w, "theirs").await;
    pass(&w).await;
    assert_eq!(counts(&w).await, (0, 0), "the pool of others");
    into(&w, "ours").await;
    w.engine.reconciler().pass(&Pass::Dry).await.unwrap();
    assert_eq!(counts(&w).await, (0, 0), "a dry pass tells nobody");
    pass(&w).await;
    let entered = told(&w, EventKind::AdoptedEnteredPool).await;
    assert_eq!(
        (&entered["hostname"], &entered["vmid"], &entered["pool"]),
        (&json!("web"), &json!(150), &json!("ours"))
    );
    let next = "pveum pool modify ours --vms 150 --delete 1";
    assert_eq!(entered["next"], json!(next));
    let why = entered["why"].as_str().unwrap();
    assert!(why.contains("lab/pve1/150 was adopted as web and is in pool ours"));
    let commit = *w.store.commits().borrow();
    pass(&w).await;
    assert_eq!(*w.store.commits().borrow(), commit, "nothing new, no row");
    sweep(&w).await;
    into(&w, "ours/web").await;
    pass(&w).await;
    assert_eq!(counts(&w).await, (1, 0), "what is granted reaches below");
    out_of(&w, "ours/web").await;
    for _ in 0..2 {
        pass(&w).await;
    }
    assert_eq!(counts(&w).await, (1, 1));
    let left = told(&w, EventKind::AdoptedLeftPool).await;
    assert_eq!(left["since"], entered["since"]);
    assert_eq!(w.store.alarms().await.unwrap(), []);
    into(&w, "ours").await;
    pass(&w).await;
    assert_eq!(counts(&w).await, (2, 1));
    assert_eq!(w.pve.changes(), changes, "nothing was sent");
    assert_sound(&w).await;
}

/// Only what was read is told of: another container may have its number by now.
#[tokio::test]
async fn it_is_told_of_when_it_was_recognised() {
    let w = pooled().await;
    into(&w, "ours").await;
    pass(&w).await;
    assert_eq!(counts(&w).await, (0, 0));
    sweep(&w).await;
    pass(&w).await;
    assert_eq!(counts(&w).await, (1, 0));
    assert_sound(&w).await;
}

/// The next process, on the same record and cluster.
async fn another_process(w: &TestWorld) -> TestWorld {
    let parts = WorldParts {
        clusters: vec![w.pve.clone()],
        place: Place::Opened(w.store.clone()),
        seed: 1,
        ..WorldParts::default()
    };
    TestWorld::start_of(parts).await.unwrap()
}

#[tokio::test]
async fn a_restart_tells_nothing_anew_and_still_tells_the_end() {
    let mut w = pooled().await;
    sweep(&w).await;
    into(&w, "ours").await;
    pass(&w).await;
    w.crash_worker().await;
    let again = another_process(&w).await;
    sweep(&again).await;
    pass(&again).await;
    assert_eq!(counts(&again).await, (1, 0));
    out_of(&again, "ours").await;
    pass(&again).await;
    assert_eq!(counts(&again).await, (1, 1));
    assert_sound(&again).await;
}

/// Without it the host has no pool of ours, so nothing is in it.
#[tokio::test]
async fn what_is_no_pool_of_ours_any_more_is_left() {
    let mut w = pooled().await;
    sweep(&w).await;
    into(&w, "ours").await;
    pass(&w).await;
    w.crash_worker().await;
    let mut host = w.store.hosts().await.unwrap().pop().unwrap();
    let at = host.created_at;
    host.pool = None;
    w.store.update_host(host, &w.actor, at).await.unwrap();
    let again = another_process(&w).await;
    pass(&again).await;
    assert_eq!(counts(&again).await, (1, 1));
}
