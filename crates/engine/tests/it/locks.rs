//! A container that is not free: PVE says so before it does anything, so nothing is lost by trying again.

use proximity_domain::ids::OperationId;
use proximity_domain::operation::{OperationState, StuckWas, UnwindCause};
use proximity_domain::retry::RetryPolicy;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::{Access, TaskTimes};
use proximity_testkit::world::TestWorld;

const STOP: Action = Action::Stop { force: false };

fn removal() -> Action {
    Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: false,
        purge: false,
    }
}

/// A world with one app that runs. PVE waits for a tenth of a second for what is not free.
async fn world() -> (TestWorld, u32) {
    let limits = EngineLimits {
        retry: RetryPolicy {
            first_ms: 200,
            ..RetryPolicy::DEFAULT
        },
        ..EngineLimits::default()
    };
    let w = TestWorld::start_with(Access::Full, limits).await.unwrap();
    w.pve.meddle(|world| {
        world.set_task_times(TaskTimes {
            lock_ms: 100,
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
    settled(&w, app.operation.unwrap(), "succeeded").await;
    let vmid = w.pve.guests.vmids()[0];
    (w, vmid)
}

async fn ask(w: &TestWorld, action: Action) -> OperationId {
    w.engine.act(&w.actor, "web", action).await.unwrap().id
}

async fn settled(w: &TestWorld, op: OperationId, expected: &str) {
    let state = w.settled(op).await.unwrap().state;
    assert_eq!(state.label(), expected, "{state:?}");
}

/// Returns when the operation has been told that the container was not free, and waits for its next attempt.
async fn waits(w: &TestWorld, op: OperationId) {
    w.until(async || {
        let op = w.store.operation(op).await.unwrap().unwrap();
        op.wait
            .is_some_and(|w| w.because.code == "container_locked")
    })
    .await
    .unwrap();
}

/// Asks for it while somebody else's command holds the configuration: a removal finds that out when it comes to destroy.
async fn ask_while_held(w: &TestWorld, vmid: u32, action: Action) -> OperationId {
    if !matches!(action, Action::Delete { .. }) {
        w.pve.meddle(|world| world.hold_config(vmid, true));
        return ask(w, action).await;
    }
    let go_on = w.pve.hold(Method::Delete, "/lxc/100");
    let op = ask(w, action).await;
    w.until(async || {
        let audit = w.store.audit(1_000, 0).await.unwrap();
        audit.iter().any(|a| a.action.starts_with("DELETE"))
    })
    .await
    .unwrap();
    w.pve.meddle(|world| world.hold_config(vmid, true));
    go_on.send_replace(true);
    op
}

fn changes(w: &TestWorld, end: &str) -> usize {
    let changes = w.pve.changes();
    changes.iter().filter(|c| c.ends_with(end)).count()
}

#[tokio::test]
async fn stop_start_and_removal_are_tried_again_when_the_container_is_free() {
    let (w, vmid) = world().await;
    for (action, call) in [
        (Action::Stop { force: true }, "/status/shutdown"),
        (Action::Start, "/status/start"),
        (STOP, "/status/shutdown"),
        (removal(), "/lxc/100"),
    ] {
        let before = changes(&w, call);
        let op = ask_while_held(&w, vmid, action).await;
        waits(&w, op).await;
        w.pve.meddle(|world| world.hold_config(vmid, false));
        settled(&w, op, "succeeded").await;
        assert!(changes(&w, call) - before > 1, "{call}");
    }
    assert_eq!(changes(&w, "/status/stop"), 0, "no reason for force");
    assert!(w.pve.guests.vmids().is_empty());
}

/// PVE may find the lock when it takes the call, before there is a task: that is waited for in the same way.
#[tokio::test]
async fn a_lock_found_at_the_call_is_waited_for_as_one_found_by_the_task() {
    let (w, _) = world().await;
    for (action, method, call) in [
        (STOP, Method::Post, "/status/shutdown"),
        (Action::Start, Method::Post, "/status/start"),
        (
            Action::Stop { force: true },
            Method::Post,
            "/status/shutdown",
        ),
        (removal(), Method::Put, "/lxc/100/config"),
    ] {
        w.pve.refuse(method, call, "CT is locked (backup)", 1);
        let before = changes(&w, call);
        let op = ask(&w, action).await;
        waits(&w, op).await;
        settled(&w, op, "succeeded").await;
        assert!(changes(&w, call) - before > 1, "{call}");
    }
    assert_eq!(changes(&w, "/status/stop"), 0, "no reason for force");

    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    settled(&w, app.operation.unwrap(), "succeeded").await;
    w.pve
        .refuse(Method::Delete, "/lxc/100", "CT is locked (backup)", 1);
    let op = ask(&w, removal()).await;
    waits(&w, op).await;
    settled(&w, op, "succeeded").await;
    assert!(w.pve.guests.vmids().is_empty());
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// A removal that has neither to shut down nor to lift anything finds the lock at its last look, and sends nothing.
#[tokio::test]
async fn a_lock_found_by_the_last_look_before_a_destroy_is_waited_for() {
    let (w, vmid) = world().await;
    settled(&w, ask(&w, STOP).await, "succeeded").await;
    let bare = [("protection", "0")];
    w.pve.put("/nodes/pve1/lxc/100/config", &bare).await;
    w.pve.meddle(|world| world.set_lock(vmid, Some("backup")));
    let op = ask(&w, removal()).await;
    waits(&w, op).await;
    assert_eq!(changes(&w, "/nodes/pve1/lxc/100"), 0, "nothing was sent");
    w.pve.meddle(|world| world.set_lock(vmid, None));
    settled(&w, op, "succeeded").await;
    assert!(w.pve.guests.vmids().is_empty());
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// What is never free when PVE takes the call ends as when its task finds out.
#[tokio::test]
async fn a_lock_found_at_every_call_fails_the_start_after_as_many_attempts() {
    let (w, _) = world().await;
    settled(&w, ask(&w, STOP).await, "succeeded").await;
    let lock = "CT is locked (backup)";
    w.pve.refuse(Method::Post, "/status/start", lock, u32::MAX);
    let op = ask(&w, Action::Start).await;
    let ended = w.settled(op).await.unwrap();
    let OperationState::Failed { failure, .. } = &ended.state else {
        panic!("{:?}", ended.state)
    };
    assert_eq!(failure.code, "container_locked");
    assert_eq!(changes(&w, "/status/start"), 1 + 3, "one for the deploy");
}

/// As a backup does, which takes longer than PVE waits for a configuration.
#[tokio::test]
async fn a_start_during_a_backup_is_tried_again() {
    let (w, vmid) = world().await;
    settled(&w, ask(&w, STOP).await, "succeeded").await;
    w.pve.meddle(|world| world.set_lock(vmid, Some("backup")));
    let op = ask(&w, Action::Start).await;
    waits(&w, op).await;
    w.pve.meddle(|world| world.set_lock(vmid, None));
    settled(&w, op, "succeeded").await;
}

/// It is never free: the operation fails, and what it asked for can be asked for again.
#[tokio::test]
async fn a_start_of_what_is_never_free_fails_and_can_be_repeated() {
    let (w, vmid) = world().await;
    settled(&w, ask(&w, STOP).await, "succeeded").await;
    let op = ask_while_held(&w, vmid, Action::Start).await;
    let ended = w.settled(op).await.unwrap();
    let OperationState::Failed { failure, .. } = &ended.state else {
        panic!("{:?}", ended.state)
    };
    assert_eq!(failure.code, "container_locked");
    assert_eq!(changes(&w, "/status/start"), 1 + 3, "one for the deploy");
    w.pve.meddle(|world| world.hold_config(vmid, false));
    let again = w.engine.retry_operation(&w.actor, op).await.unwrap().id;
    settled(&w, again, "succeeded").await;
}

/// The same for a removal: its container is whole, but its protection cannot be given back before it is free.
#[tokio::test]
async fn a_removal_of_what_is_never_free_turns_back_and_can_be_repeated() {
    let (w, vmid) = world().await;
    let op = ask_while_held(&w, vmid, removal()).await;
    let ended = w.settled(op).await.unwrap();
    let OperationState::Stuck { failure, was } = &ended.state else {
        panic!("{:?}", ended.state)
    };
    let StuckWas::Unwinding {
        cause: UnwindCause::Failure { failure: cause },
    } = was
    else {
        panic!("{was:?}")
    };
    let told = [cause, failure].map(|f| (f.code.as_str(), f.step.as_deref()));
    let locked = |step| ("container_locked", Some(step));
    assert_eq!(told, [locked("destroy"), locked("unprotect")]);
    let bare = "had lifted the protection of container 100 in PVE, and has not put it back";
    assert!(failure.hint.contains(bare), "{failure:?}");
    assert_eq!(changes(&w, "/lxc/100"), 3);
    w.pve.meddle(|world| world.hold_config(vmid, false));
    w.engine.retry_operation(&w.actor, op).await.unwrap();
    settled(&w, op, "failed").await;
    assert_eq!(w.pve.guests.vmids(), [vmid]);
    let again = w.engine.retry_operation(&w.actor, op).await.unwrap().id;
    settled(&w, again, "succeeded").await;
    assert!(w.pve.guests.vmids().is_empty());
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// Nobody heard how the destroy ended: its task says that nothing was done, so no person is asked.
#[tokio::test]
async fn a_destroy_that_found_no_free_container_unseen_is_sent_again() {
    let (mut w, vmid) = world().await;
    settled(&w, ask(&w, STOP).await, "succeeded").await;
    let op = ask_while_held(&w, vmid, removal()).await;
    w.until(async || {
        let steps = w.store.steps(op).await.unwrap();
        let destroys = |u: &str| u.contains(":vzdestroy:");
        steps
            .iter()
            .any(|s| s.upid.as_deref().is_some_and(destroys))
    })
    .await
    .unwrap();
    w.crash_worker().await;
    w.until(async || {
        w.pve
            .meddle(|world| world.tasks().all(|task| !task.is_running()))
    })
    .await
    .unwrap();
    w.pve.meddle(|world| world.hold_config(vmid, false));
    w.start_worker();
    settled(&w, op, "succeeded").await;
    assert!(w.pve.guests.vmids().is_empty());
}

/// A deploy that is cancelled takes its container back when it is free, and without force.
#[tokio::test]
async fn an_unwinding_waits_for_its_container_too() {
    let (w, _) = world().await;
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "other".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = app.operation.unwrap();
    let reaches = async |steps| {
        w.until(async || w.store.steps(op).await.unwrap().len() == steps)
            .await
            .unwrap();
    };
    reaches(3).await;
    w.pve.guests.lose_address(101);
    reaches(4).await;
    w.pve.meddle(|world| world.hold_config(101, true));
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    waits(&w, op).await;
    w.pve.meddle(|world| world.hold_config(101, false));
    settled(&w, op, "cancelled").await;
    assert_eq!(changes(&w, "/status/stop"), 0, "no reason for force");
    assert_eq!(w.pve.guests.vmids(), [100]);
}
