//! The life of an app on the emulated PVE: what is there afterwards, not what was called.

use proximity_domain::app::StatusLabel;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::OperationState;
use proximity_engine::commands::{Action, ChangeHost, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_engine::error::ErrorKind;
use proximity_engine::seams::Ingress;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::Access;
use proximity_store::records::AppRecord;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{Place, TestWorld, WorldParts};

fn beacon(hostname: &str) -> CreateApp {
    CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        ..CreateApp::default()
    }
}

async fn world() -> TestWorld {
    TestWorld::start(Access::Full).await.unwrap()
}

async fn world_at(place: Place) -> TestWorld {
    TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        place,
        ..WorldParts::default()
    })
    .await
    .unwrap()
}

async fn deploy(world: &TestWorld, hostname: &str) -> (AppRecord, OperationState) {
    let app = world
        .engine
        .create_app(&world.actor, beacon(hostname))
        .await
        .unwrap();
    let op = world.settled(app.operation.unwrap()).await.unwrap();
    (world.store.app(app.id).await.unwrap().unwrap(), op.state)
}

async fn act(world: &TestWorld, app: &str, action: Action) -> OperationState {
    let op = world.engine.act(&world.actor, app, action).await.unwrap();
    world.settled(op.id).await.unwrap().state
}

fn remove(hostname: &str) -> Action {
    Action::Delete {
        confirm: Some(hostname.to_owned()),
        force_stop: false,
        purge: false,
    }
}

async fn assert_sound(world: &TestWorld) {
    assert_eq!(
        world.store.invariants().await.unwrap(),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn an_app_lives_stops_starts_and_goes() {
    lives_and_goes(Place::Temporary).await;
}

#[tokio::test]
async fn an_app_lives_and_goes_on_a_store_in_memory() {
    lives_and_goes(Place::Memory).await;
}

async fn lives_and_goes(place: Place) {
    let w = world_at(place).await;
    let (app, state) = deploy(&w, "web").await;
    assert_eq!(state, OperationState::Succeeded);
    assert_eq!(app.status.label(), StatusLabel::Running);
    assert_eq!(app.url.as_deref(), Some("http://127.0.0.1:8100/"));
    let guest = w.store.native_guests(app.id).await.unwrap().pop().unwrap();
    assert!(
        guest.identity.rootfs_volid.is_some(),
        "the volume was read back"
    );
    assert_eq!(w.pve.guests.vmids(), vec![guest.identity.vmid.get()]);

    assert_eq!(
        act(&w, "web", Action::Stop { force: false }).await,
        OperationState::Succeeded
    );
    assert!(
        w.routes.routes().await.unwrap().is_empty(),
        "a stopped app has no route"
    );
    assert_eq!(
        w.store.app(app.id).await.unwrap().unwrap().status.label(),
        StatusLabel::Stopped
    );
    assert_eq!(
        act(&w, "web", Action::Start).await,
        OperationState::Succeeded
    );
    assert_eq!(
        act(&w, "web", Action::Restart { force: false }).await,
        OperationState::Succeeded
    );
    assert_eq!(w.routes.routes().await.unwrap().len(), 1);

    assert_eq!(
        act(&w, "web", remove("web")).await,
        OperationState::Succeeded
    );
    assert!(w.pve.guests.vmids().is_empty());
    assert!(w.routes.routes().await.unwrap().is_empty());
    assert!(w.store.app(app.id).await.unwrap().is_none());
    assert!(w.store.archived_app(app.id).await.unwrap().is_some());
    assert!(w.store.ports().await.unwrap().held.is_empty());
    assert_sound(&w).await;
}

#[tokio::test]
async fn the_log_has_the_texts_and_percentages_people_know() {
    let w = world().await;
    let (app, _) = deploy(&w, "web").await;
    let log = w.store.log(app.id, 0, 100).await.unwrap();
    let known = [
        "Allocating VMID",
        "Creating LXC container",
        "Starting container",
        "Configuring application",
        "Complete!",
    ];
    let found: Vec<&str> = log
        .iter()
        .map(|l| l.message.as_str())
        .filter(|m| known.contains(m))
        .collect();
    assert_eq!(found, known);
    assert!(
        log.iter()
            .filter(|l| known.contains(&l.message.as_str()))
            .all(|l| l.percent.is_some())
    );
}

#[tokio::test]
async fn a_failed_deploy_leaves_nothing_but_its_record_and_can_be_retried() {
    let w = world().await;
    // The template is there when the request is judged and gone when the container is made.
    w.pve.meddle(|world| {
        world.set_task_times(proximity_pve_emulator::core::TaskTimes {
            create_ms: 300,
            ..world.task_times()
        })
    });
    let limits = EngineLimits::default();
    assert!(
        limits.protect,
        "the guest is protected, so unwinding has to lift that"
    );
    let app = w.engine.create_app(&w.actor, beacon("web")).await.unwrap();
    w.pve.meddle(|world| world.set_templates(Vec::new()));
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    let OperationState::Failed { failure } = op.state else {
        panic!("{:?}", op.state)
    };
    assert_eq!(failure.code, "template_missing", "{failure:?}");
    assert!(w.pve.guests.vmids().is_empty());
    assert!(w.store.native_guests(app.id).await.unwrap().is_empty());
    let after = w.store.app(app.id).await.unwrap().unwrap();
    assert_eq!(after.status.label(), StatusLabel::Error);
    assert_sound(&w).await;

    assert_eq!(
        act(&w, "web", remove("web")).await,
        OperationState::Succeeded
    );
    assert!(w.store.ports().await.unwrap().held.is_empty());
}

#[tokio::test]
async fn a_cut_connection_makes_no_second_container() {
    for path in ["/lxc", "/status/start"] {
        let w = world().await;
        w.pve.cut_after(Method::Post, path);
        let (app, state) = deploy(&w, "web").await;
        assert_eq!(state, OperationState::Succeeded, "cut after POST …{path}");
        assert_eq!(app.status.label(), StatusLabel::Running);
        let creates = w
            .pve
            .changes()
            .iter()
            .filter(|c| c.ends_with("/lxc"))
            .count();
        assert_eq!(creates, 1, "created once");
        assert_eq!(w.pve.guests.vmids().len(), 1);
        assert_sound(&w).await;
    }
}

#[tokio::test]
async fn a_cut_connection_at_destroy_is_looked_up_not_repeated() {
    let w = world().await;
    let (app, _) = deploy(&w, "web").await;
    let vmid = w
        .store
        .native_guests(app.id)
        .await
        .unwrap()
        .pop()
        .unwrap()
        .identity
        .vmid;
    w.pve.cut_after(Method::Delete, &format!("/lxc/{vmid}"));
    assert_eq!(
        act(&w, "web", remove("web")).await,
        OperationState::Succeeded
    );
    let deletes = w
        .pve
        .changes()
        .iter()
        .filter(|c| c.starts_with("DELETE"))
        .count();
    assert_eq!(deletes, 1);
    assert!(w.pve.guests.vmids().is_empty());
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_stranger_on_our_vmid_is_never_touched() {
    let w = world().await;
    let (app, _) = deploy(&w, "web").await;
    let guest = w.store.native_guests(app.id).await.unwrap().pop().unwrap();
    // Somebody destroyed ours by hand and made another container with the same number.
    let place = &guest.place;
    let path = format!("/nodes/{}/lxc/{}/config", place.node, place.vmid);
    w.pve
        .put(
            &path,
            &[("description", "made by hand"), ("protection", "0")],
        )
        .await;
    let before = w.pve.changes().len();
    let state = act(&w, "web", remove("web")).await;
    let OperationState::Failed { failure } = state else {
        panic!("{state:?}")
    };
    assert_eq!(failure.code, "identity_conflict");
    assert_eq!(w.pve.changes().len(), before, "no mutating call was sent");
    assert_eq!(w.pve.guests.vmids(), vec![place.vmid.get()]);
    let state = act(&w, "web", Action::Stop { force: true }).await;
    assert!(matches!(state, OperationState::Failed { .. }), "{state:?}");
    assert_eq!(w.pve.changes().len(), before, "nor for a stop");
}

#[tokio::test]
async fn a_container_that_does_not_stop_is_not_killed_unasked() {
    let limits = EngineLimits {
        shutdown_s: 1,
        ..EngineLimits::default()
    };
    let w = TestWorld::start_with(Access::Full, limits).await.unwrap();
    let (app, _) = deploy(&w, "web").await;
    let vmid = w
        .store
        .native_guests(app.id)
        .await
        .unwrap()
        .pop()
        .unwrap()
        .identity
        .vmid
        .get();
    w.pve.guests.ignore_shutdown(vmid);
    let state = act(&w, "web", remove("web")).await;
    let OperationState::Failed { failure } = state else {
        panic!("{state:?}")
    };
    assert_eq!(failure.code, "shutdown_timed_out");
    assert!(failure.hint.contains("--force-stop"));
    let after = w.store.app(app.id).await.unwrap().unwrap();
    assert_eq!(
        after.status.label(),
        StatusLabel::Running,
        "it still runs, and says so"
    );
    assert_eq!(
        w.routes.routes().await.unwrap().len(),
        1,
        "its port is open again"
    );
    let forced = Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: true,
        purge: false,
    };
    assert_eq!(act(&w, "web", forced).await, OperationState::Succeeded);
    assert!(w.pve.guests.vmids().is_empty());
    assert_sound(&w).await;
}

#[tokio::test]
async fn what_can_be_known_before_is_refused_before() {
    let w = world().await;
    deploy(&w, "web").await;
    let refused = |request| {
        let w = &w;
        async move { w.engine.create_app(&w.actor, request).await.unwrap_err() }
    };
    let memory = |mib| {
        let mut request = beacon("big");
        request.resources.memory_mib = Some(mib);
        request
    };
    let cases = [
        (beacon("web"), "hostname_taken", ErrorKind::Conflict),
        (beacon("Bad_Name"), "invalid_value", ErrorKind::Invalid),
        (
            CreateApp {
                catalog_id: "nosuch".to_owned(),
                ..beacon("a-1")
            },
            "catalog_unknown",
            ErrorKind::NotFound,
        ),
        (
            CreateApp {
                host: Some("nosuch".to_owned()),
                ..beacon("a-1")
            },
            "host_not_found",
            ErrorKind::NotFound,
        ),
        (memory(9 << 10), "memory_above_node", ErrorKind::Resources),
        (memory(1), "out_of_range", ErrorKind::Invalid),
        (memory(17), "memory_too_little", ErrorKind::Invalid),
    ];
    for (request, code, kind) in cases {
        let error = refused(request).await;
        assert_eq!((error.code(), error.kind()), (code, kind), "{error}");
        assert!(!error.hint().is_empty());
    }
    w.pve.meddle(|world| world.set_templates(Vec::new()));
    let by_hand = ChangeHost {
        fetch_templates: Some(false),
        ..ChangeHost::default()
    };
    w.engine
        .change_host(&w.actor, "lab", by_hand)
        .await
        .unwrap();
    assert_eq!(refused(beacon("a-1")).await.code(), "template_missing");
    assert_eq!(
        w.store.ports().await.unwrap().held.len(),
        1,
        "refused requests hold no ports"
    );
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_token_without_rights_makes_nothing() {
    let w = TestWorld::start(Access::Empty).await.unwrap();
    let error = w
        .engine
        .create_app(&w.actor, beacon("web"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Resources | ErrorKind::Upstream | ErrorKind::Forbidden
        ),
        "{error}"
    );
    assert!(w.pve.changes().is_empty());
    assert!(w.store.ports().await.unwrap().held.is_empty());
}

#[tokio::test]
async fn an_operation_survives_a_worker_that_dies_at_any_call() {
    survives_a_dying_worker(Place::Temporary).await;
}

#[tokio::test]
async fn an_operation_survives_a_worker_that_dies_on_a_store_in_memory() {
    survives_a_dying_worker(Place::Memory).await;
}

async fn survives_a_dying_worker(place: Place) {
    // The worker is cut off at ever later calls to PVE, until one deploy goes through before the cut; the next worker
    // takes over from the log.
    for calls in 4_u64.. {
        let mut w = world_at(place.clone()).await;
        let app = w.engine.create_app(&w.actor, beacon("web")).await.unwrap();
        let op: OperationId = app.operation.unwrap();
        let finished = tokio::select! {
            biased;
            () = w.pve.calls_arrived(calls) => false,
            settled = w.settled(op) => settled.is_ok(),
        };
        w.crash_worker().await;
        w.start_worker();
        let op = w.settled(op).await.unwrap();
        assert_eq!(op.state, OperationState::Succeeded, "cut at call {calls}");
        assert_eq!(w.pve.guests.vmids().len(), 1, "cut at call {calls}");
        // A call that was on its way when the worker died may arrive late; PVE makes one container all the same.
        let created = w.pve.meddle(|world| {
            world
                .tasks()
                .filter(|t| t.upid.to_string().contains(":vzcreate:"))
                .count()
        });
        assert_eq!(created, 1, "cut at call {calls}");
        assert_sound(&w).await;
        if finished {
            assert!(calls > 20, "a deploy takes more calls than that");
            return;
        }
    }
}
