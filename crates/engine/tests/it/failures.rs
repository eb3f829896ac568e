//! What failing and cancelled operations leave: app, route, guest and records agree.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proximity_domain::app::StatusLabel;
use proximity_domain::guest::NativeGuest;
use proximity_domain::ids::{AppId, GuestId, HolderId, InstallationId, OperationId, Vmid};
use proximity_domain::operation::OperationState;
use proximity_domain::time::Timestamp;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_engine::route_sweep::sweep;
use proximity_engine::seams::{Ingress, RouteSpec};
use proximity_pve_emulator::core::{Access, TaskTimes};
use proximity_store::effects::{Effects, GuestChange};
use proximity_store::records::{AppRecord, OperationRecord};
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{Place, TestWorld, WorldParts, damage, fixtures};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

async fn world_with(limits: EngineLimits) -> (TestWorld, AppRecord, NativeGuest) {
    let w = TestWorld::start_with(Access::Full, limits).await.unwrap();
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    let guest = w.store.native_guests(app.id).await.unwrap().pop().unwrap();
    let app = w.store.app(app.id).await.unwrap().unwrap();
    (w, app, guest)
}

async fn act(w: &TestWorld, action: Action) -> OperationRecord {
    let op = w.engine.act(&w.actor, "web", action).await.unwrap();
    w.settled(op.id).await.unwrap()
}

async fn now_is(w: &TestWorld, app: &AppRecord) -> AppRecord {
    w.store.app(app.id).await.unwrap().unwrap()
}

async fn routes(w: &TestWorld) -> usize {
    w.routes.routes().await.unwrap().len()
}

#[tokio::test]
async fn a_restart_that_does_not_come_up_ends_with_its_ports_closed() {
    let (w, app, guest) = world_with(EngineLimits {
        network_ms: 300,
        ..EngineLimits::default()
    })
    .await;
    w.pve.guests.lose_address(guest.identity.vmid.get());
    let op = act(&w, Action::Restart { force: false }).await;
    assert!(
        matches!(op.state, OperationState::Failed { .. }),
        "{:?}",
        op.state
    );
    let after = now_is(&w, &app).await;
    assert_eq!(
        (after.status.label(), after.url),
        (StatusLabel::Error, None)
    );
    assert_eq!(routes(&w).await, 0);
}

#[tokio::test]
async fn a_restart_that_could_not_stop_its_container_leaves_the_app_serving() {
    let (w, app, guest) = world_with(EngineLimits {
        shutdown_s: 1,
        ..EngineLimits::default()
    })
    .await;
    w.pve.guests.ignore_shutdown(guest.identity.vmid.get());
    let op = act(&w, Action::Restart { force: false }).await;
    assert!(
        matches!(op.state, OperationState::Failed { .. }),
        "{:?}",
        op.state
    );
    let after = now_is(&w, &app).await;
    assert_eq!(
        (after.status.label(), after.url),
        (StatusLabel::Running, app.url)
    );
    assert_eq!(routes(&w).await, 1);
}

/// The container neither stops nor answers any more: the stop has failed, and that is all there is to say.
#[tokio::test]
async fn a_failed_stop_of_an_app_that_does_not_answer_is_failed_not_stuck() {
    let (w, app, guest) = world_with(EngineLimits {
        shutdown_s: 1,
        ..EngineLimits::default()
    })
    .await;
    let vmid = guest.identity.vmid.get();
    w.pve.guests.ignore_shutdown(vmid);
    w.pve.guests.lose_address(vmid);
    let op = act(&w, Action::Stop { force: false }).await;
    let OperationState::Failed { failure } = &op.state else {
        panic!("{:?}", op.state)
    };
    assert_eq!(failure.code, "shutdown_timed_out");
    assert_eq!(now_is(&w, &app).await.status.label(), StatusLabel::Running);
    let log = w.store.log(app.id, 0, 1_000).await.unwrap();
    assert!(
        log.iter()
            .any(|l| l.message.contains("not be opened again"))
    );
}

#[tokio::test]
async fn a_start_cancelled_before_its_first_step_changes_nothing() {
    let (mut w, app, _) = world_with(EngineLimits::default()).await;
    act(&w, Action::Stop { force: false }).await;
    w.crash_worker().await;
    let op = w.engine.act(&w.actor, "web", Action::Start).await.unwrap();
    // A worker claims it and dies at once.
    let holder = HolderId(Uuid::from_u128(77));
    let claimed = w.store.claim(holder, 60_000, true, Timestamp(0)).await;
    assert_eq!(claimed.unwrap().unwrap().0.id, op.id);
    w.engine.cancel_operation(&w.actor, op.id).await.unwrap();
    w.start_worker();
    let op = w.settled(op.id).await.unwrap();
    assert_eq!(op.state, OperationState::Cancelled);
    assert_eq!(now_is(&w, &app).await.status.label(), StatusLabel::Stopped);
}

#[tokio::test]
async fn the_sweep_closes_what_should_not_be_open_and_opens_what_should() {
    let (mut w, app, guest) = world_with(EngineLimits::default()).await;
    // An operation is seen to have ended before its worker has let go of the app; the sweep leaves such an app alone.
    w.stop_worker().await.unwrap();
    assert_eq!(sweep(&w.engine).await.unwrap(), 0, "nothing to do");
    w.routes.withdraw(app.id).await.unwrap();
    assert_eq!(sweep(&w.engine).await.unwrap(), 1);
    assert_eq!(routes(&w).await, 1, "a running app's route is set again");

    w.start_worker();
    act(&w, Action::Stop { force: false }).await;
    w.stop_worker().await.unwrap();
    let vmid = guest.identity.vmid.get();
    let route = RouteSpec {
        app: app.id,
        installation: w.store.installation(),
        ports: app.ports.unwrap(),
        target: (proximity_testkit::guests::address(vmid), 8080).into(),
        site: None,
    };
    w.routes.set_route(&route).await.unwrap();
    assert_eq!(sweep(&w.engine).await.unwrap(), 1);
    assert_eq!(routes(&w).await, 0, "a stopped app's route is closed");

    let strangers = RouteSpec {
        app: AppId(Uuid::from_u128(4711)),
        installation: InstallationId(Uuid::from_u128(4712)),
        ..route.clone()
    };
    w.routes.set_route(&strangers).await.unwrap();
    assert_eq!(sweep(&w.engine).await.unwrap(), 0);
    assert_eq!(
        routes(&w).await,
        1,
        "another server has its own routes here"
    );
    w.routes.withdraw(strangers.app).await.unwrap();

    // The record was brought back from before this app: it goes on serving as long as its ports are nobody's.
    let forgotten = RouteSpec {
        app: AppId(Uuid::from_u128(4713)),
        ..route.clone()
    };
    w.routes.set_route(&forgotten).await.unwrap();
    assert_eq!(sweep(&w.engine).await.unwrap(), 0);
    w.start_worker();
    act(&w, Action::Start).await;
    w.stop_worker().await.unwrap();
    let routes_now = w.routes.routes().await.unwrap();
    assert_eq!(routes_now.len(), 1);
    assert_eq!(routes_now[0].app, app.id, "its ports are this app's");

    // Another server's is never in our way to be taken.
    w.start_worker();
    act(&w, Action::Stop { force: false }).await;
    w.routes.set_route(&strangers).await.unwrap();
    let refused = act(&w, Action::Start).await;
    assert!(!matches!(refused.state, OperationState::Succeeded));
    assert_eq!(w.routes.routes().await.unwrap()[0].app, strangers.app);
    w.routes.withdraw(strangers.app).await.unwrap();
    w.stop_worker().await.unwrap();

    w.start_worker();
    let action = Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: false,
        purge: false,
    };
    act(&w, action).await;
    w.stop_worker().await.unwrap();
    w.routes.set_route(&route).await.unwrap();
    assert_eq!(sweep(&w.engine).await.unwrap(), 1);
    assert_eq!(routes(&w).await, 0, "a removed app's route is closed");
}

/// A removal that failed once is not carried out later by a retry of its id: that would be a removal without confirmation.
#[tokio::test]
async fn an_old_removal_is_not_repeated() {
    let limits = EngineLimits {
        shutdown_s: 1,
        ..EngineLimits::default()
    };
    let (w, app, guest) = world_with(limits).await;
    w.pve.guests.ignore_shutdown(guest.identity.vmid.get());
    let removal = act(
        &w,
        Action::Delete {
            confirm: Some("web".to_owned()),
            force_stop: false,
            purge: false,
        },
    )
    .await;
    assert!(matches!(removal.state, OperationState::Failed { .. }));
    act(&w, Action::Stop { force: true }).await;
    let refused = w.engine.retry_operation(&w.actor, removal.id).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(now_is(&w, &app).await.status.label(), StatusLabel::Stopped);
}

/// A commit the store refuses by rule is refused by every take-over as well: the operation is stuck, it does not go round.
#[tokio::test]
async fn an_operation_whose_end_cannot_be_recorded_is_stuck() {
    let (mut w, app, guest) = world_with(EngineLimits::default()).await;
    w.crash_worker().await;
    let action = Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: false,
        purge: false,
    };
    let op = w.engine.act(&w.actor, "web", action).await.unwrap();
    let holder = HolderId(Uuid::from_u128(77));
    let now = Timestamp(0);
    let (_, fence) = w
        .store
        .claim(holder, 60_000, true, now)
        .await
        .unwrap()
        .unwrap();
    // A second guest of the app, which this removal does not know what to do with.
    let mut second = guest.clone();
    second.id = GuestId(Uuid::from_u128(78));
    second.created_by = op.id;
    second.identity.vmid = Vmid::try_from(900).unwrap();
    second.identity.mark.nonce = 79;
    second.place.vmid = second.identity.vmid;
    second.identity.rootfs_volid = None;
    let effects = Effects {
        guests: vec![GuestChange::Insert(second)],
        ..Effects::default()
    };
    w.store.note(&fence, effects, now).await.unwrap();
    w.start_worker();
    let op = w.settled(op.id).await.unwrap();
    let OperationState::Stuck { failure, .. } = &op.state else {
        panic!("{:?}", op.state)
    };
    assert_eq!(failure.code, "record_refused");
    assert!(w.store.app(app.id).await.unwrap().is_some(), "not archived");
}

/// A cancel takes effect at the next step, not at the next heartbeat.
#[tokio::test]
async fn a_cancel_turns_the_operation_back_at_its_next_step() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    w.pve.meddle(|world| {
        world.set_task_times(TaskTimes {
            start_ms: 300,
            ..world.task_times()
        });
    });
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = app.operation.unwrap();
    let starting = async {
        while w.store.steps(op).await.unwrap().len() < 3 {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, starting).await.unwrap();
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Cancelled);
    assert!(w.pve.guests.vmids().is_empty());
}

/// A world in which the record of one of these apps' operations cannot be read, and no worker is at work. Gives the other
/// operations first.
async fn damaged_world(
    folder: &Path,
    names: &[&str],
    damaged: usize,
) -> (TestWorld, Vec<OperationId>, OperationId) {
    let mut w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        place: Place::Folder(folder.to_owned()),
        ..WorldParts::default()
    })
    .await
    .unwrap();
    w.crash_worker().await;
    let mut asked = Vec::new();
    for name in names {
        asked.push(ask(&w, name).await);
    }
    let id = asked.remove(damaged);
    let sql = format!("UPDATE operations SET state_full = 'x' WHERE id = '{id}'");
    damage(folder, &sql).unwrap();
    (w, asked, id)
}

async fn ask(w: &TestWorld, name: &str) -> OperationId {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: name.to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    app.operation.unwrap()
}

/// Many operations are claimed in one commit; one of which the record cannot be read holds up none of the others.
#[tokio::test]
async fn a_damaged_operation_holds_up_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let (mut w, asked, id) = damaged_world(folder.path(), &["one", "damaged", "other"], 1).await;
    w.start_worker();
    for id in asked {
        let op = w.settled(id).await.unwrap();
        assert_eq!(op.state, OperationState::Succeeded);
    }
    assert!(w.store.operation(id).await.is_err(), "nobody repaired it");
}

/// When each line of the log that names a claim that failed was written.
#[derive(Debug, Clone)]
struct FailedClaims(Arc<watch::Sender<Vec<Instant>>>);

impl Write for FailedClaims {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if String::from_utf8_lossy(line).contains("an operation cannot be claimed") {
            self.0.send_modify(|seen| seen.push(Instant::now()));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A claim that fails is tried again after a pause, however often; a request that comes meanwhile is taken up all the same.
#[tokio::test]
async fn a_claim_that_fails_is_not_tried_again_without_a_pause() {
    let failed = FailedClaims(Arc::default());
    let written = failed.clone();
    let log = tracing_subscriber::fmt().with_writer(move || written.clone());
    let _log = tracing::subscriber::set_default(log.finish());
    let folder = tempfile::tempdir().unwrap();
    let (mut w, ..) = damaged_world(folder.path(), &["damaged"], 0).await;
    w.start_worker();
    let mut seen = failed.0.subscribe();
    let at = seen.wait_for(|at| at.len() >= 3).await.unwrap().clone();
    for (one, next) in at.iter().zip(&at[1..]) {
        let apart = next.duration_since(*one);
        assert!(apart >= Duration::from_secs(2), "{apart:?} apart");
    }
    let other = ask(&w, "other").await;
    let other = w.settled(other).await.unwrap();
    assert_eq!(other.state, OperationState::Succeeded);
}

/// Everything was set up, and another page answers than the app's own.
#[tokio::test]
async fn an_app_that_does_not_become_healthy_is_taken_back() {
    let entries = tempfile::tempdir().unwrap();
    let beacon = std::fs::read_to_string(fixtures().join("beacon/app.yaml")).unwrap();
    let (before, health) = beacon.split_once("\nhealth:\n").unwrap();
    let health = health
        .replace("proximity-app-beacon", "something else")
        .replace("attempts: 20", "attempts: 1");
    std::fs::create_dir(entries.path().join("beacon")).unwrap();
    let entry = format!("{before}\nhealth:\n{health}");
    std::fs::write(entries.path().join("beacon/app.yaml"), entry).unwrap();
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        catalog: Some(entries.path().to_owned()),
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    let OperationState::Failed { failure } = &op.state else {
        panic!("{:?}", op.state)
    };
    assert_eq!(failure.code, "health_failed", "{failure:?}");
    assert!(
        failure.message.contains("its marker is missing"),
        "{failure:?}"
    );
    assert_eq!(now_is(&w, &app).await.status.label(), StatusLabel::Error);
    assert_eq!((routes(&w).await, w.pve.guests.vmids()), (0, vec![]));
}
