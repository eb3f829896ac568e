//! Applies that are taken up long after they were begun, or by another program.

use std::path::Path;
use std::sync::Arc;

use proximity_domain::apply::{ApplyState, Consent};
use proximity_domain::operation::OperationKind;
use proximity_domain::time::Clock;
use proximity_engine::apply::Applier;
use proximity_pve_emulator::core::Access;
use proximity_testkit::pve::Pve;
use proximity_testkit::sources::MovedClock;
use proximity_testkit::world::{Place, TestWorld, WorldParts, fixtures};

use super::{Stand, app, spec};

const TWO_DAYS_MS: u64 = 2 * 24 * 60 * 60 * 1_000;

/// Keys of requests are kept for a day, and a server may be away for a weekend.
#[tokio::test]
async fn what_was_begun_days_ago_is_found_by_what_is_written_down_of_it() {
    let clock = Arc::new(MovedClock::default());
    let world = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        clock: Some(clock.clone()),
        ..WorldParts::default()
    });
    let mut s = Stand::over(world.await.unwrap());
    let mut document = app("web", &[]);
    spec(&mut document).resources.disk_gib = Some(2);
    let id = s.apply(std::slice::from_ref(&document)).await;
    assert_eq!(s.ended(id).await.0, ApplyState::Done);

    // It is replaced: removed, then made anew. Nobody carries operations out for two days, twice.
    spec(&mut document).resources.disk_gib = Some(1);
    let documents = [document];
    let consent = Consent {
        confirm_destroyed: Some(1),
        ..Consent::default()
    };
    s.w.stop_worker().await.unwrap();
    let id = s.agreed(&documents, false, consent).await.id;
    for kind in [OperationKind::Remove, OperationKind::Deploy] {
        let is_begun = async || {
            s.pass().await;
            let changes = s.w.store.apply_changes(id).await.unwrap();
            let Some(begun) = changes[0].operation else {
                return false;
            };
            let begun = s.w.store.operation(begun).await.unwrap().unwrap();
            begun.kind == kind
        };
        s.w.until(is_begun).await.unwrap();
        clock.set_forward(TWO_DAYS_MS);
        s.w.store.forget_old_requests(clock.now()).await.unwrap();
        let changes = s.w.store.apply_changes(id).await.unwrap();
        s.w.start_worker();
        s.w.settled(changes[0].operation.unwrap()).await.unwrap();
        s.w.stop_worker().await.unwrap();
    }
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    let counted = (
        s.operations(OperationKind::Remove).await,
        s.operations(OperationKind::Deploy).await,
    );
    assert_eq!(counted, (1, 2), "none is begun twice");
    assert_eq!(s.hostnames().await, ["web"]);
}

/// The entry of the fixtures, with another default.
fn with_more_memory(folder: &Path) {
    let entry = std::fs::read_to_string(fixtures().join("beacon/app.yaml")).unwrap();
    let before = "default: 64 }";
    assert!(entry.contains(before), "{entry}");
    std::fs::create_dir_all(folder.join("beacon")).unwrap();
    let entry = entry.replace(before, "default: 96 }");
    std::fs::write(folder.join("beacon/app.yaml"), entry).unwrap();
}

/// Its catalog gives apps more memory than was shown.
#[tokio::test]
async fn nothing_is_begun_that_another_catalog_makes_of_the_documents() {
    let s = Stand::start().await;
    let documents = [app("web", &[])];
    let id = s.apply(&documents).await;
    let folder = tempfile::tempdir().unwrap();
    with_more_memory(folder.path());
    let next = TestWorld::start_of(WorldParts {
        clusters: vec![s.w.pve.clone()],
        seed: 7,
        place: Place::Opened(s.w.store.clone()),
        catalog: Some(folder.path().to_owned()),
        ..WorldParts::default()
    });
    let next = next.await.unwrap();
    *s.applier.lock().await = Applier::new(next.engine.clone(), true);
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Failed);
    let why = changes[0].why.as_ref().map(|why| why.code.as_str());
    assert_eq!(why, Some("plan_outdated"), "{changes:?}");
    assert!(s.hostnames().await.is_empty());
}
