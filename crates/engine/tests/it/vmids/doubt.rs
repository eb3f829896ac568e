//! A create call of which nobody knows what became: it may still arrive, and others may be faster or gone before it does.

use super::*;

/// The answer to a create call is lost, and the call itself is so late that it arrives between two looks of the next
/// attempt, or while the next call loses the race to it: what is there is ours, and is neither given up nor made twice.
#[tokio::test]
async fn a_create_call_that_arrives_late_is_ours_whenever_it_arrives() {
    type When = fn(&str) -> bool;
    let cases: [(&str, When, Option<&str>); 3] = [
        (
            "before the proof of absence",
            |path| path == "/access/permissions",
            None,
        ),
        (
            "before the next call",
            |path| path == "/nodes/pve1/lxc",
            None,
        ),
        (
            "while the next one's task loses the race",
            |path| path.contains("/tasks/UPID"),
            Some(
                "close (rename) atomic file '/etc/pve/nodes/pve1/lxc/100.conf' failed: File exists",
            ),
        ),
    ];
    for (when, arrives, fails) in cases {
        let pve = Pve::start(Access::Full);
        let w = quick_world(&pve, quick()).await;
        pve.delay(Method::Post, "/nodes/pve1/lxc", move |r| arrives(&r.path));
        if let Some(text) = fails {
            pve.guests.fail_next_create(text);
        }
        let (app, op) = deploy(&w).await;
        assert_eq!(op.state, OperationState::Succeeded, "{when}");
        assert_eq!(pve.under_way(), 0, "{when}: it arrived");
        assert_eq!(held(&w, &app).await, vec![100], "{when}");
        assert_eq!(pve.guests.vmids(), vec![100], "{when}");
        assert_sound(&w).await;
    }
}

/// Cancelled while nothing is known of the create call: it arrives after the first look of the unwinding, and is removed.
#[tokio::test]
async fn unwinding_waits_for_a_create_call_that_may_arrive_late() {
    let pve = Pve::start(Access::Full);
    let w = quick_world(
        &pve,
        EngineLimits {
            retry: RetryPolicy {
                first_ms: 60_000,
                ..RetryPolicy::DEFAULT
            },
            ..quick()
        },
    )
    .await;
    // Each proof of absence asks once: the unwinding's own, and that of the first look after it.
    let mut proofs = 0;
    pve.delay(Method::Post, "/nodes/pve1/lxc", move |r| {
        proofs += u32::from(r.path == "/access/permissions");
        proofs == 3
    });
    let app = ask(&w, "web").await;
    let op = app.operation.unwrap();
    w.until(async || w.store.operation(op).await.unwrap().unwrap().wait.is_some())
        .await
        .unwrap();
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let op = w.settled(op).await.unwrap();
    assert_eq!(op.state, OperationState::Cancelled);
    assert_eq!(
        pve.under_way(),
        0,
        "it arrived before the number was given up"
    );
    assert!(pve.guests.vmids().is_empty(), "and was removed");
    assert!(held(&w, &app).await.is_empty());
    assert_sound(&w).await;
}

/// A cluster that takes a while to make a container and to start it.
fn slow() -> Pve {
    let pve = Pve::start(Access::Full);
    pve.meddle(|world| {
        let mut times = world.task_times();
        (times.create_ms, times.start_ms) = (300, 300);
        world.set_task_times(times);
    });
    pve
}

/// One of two calls made the container, and the other one arrives when that has been unwound: what it makes is removed as
/// well.
#[tokio::test]
async fn unwinding_removes_what_a_late_call_makes_after_the_first_container_is_gone() {
    let pve = slow();
    let w = quick_world(&pve, quick()).await;
    // The proof of the destroy's own, then that of the first look after it.
    let (mut destroyed, mut proofs) = (false, 0);
    pve.delay(Method::Post, "/nodes/pve1/lxc", move |r| {
        destroyed |= r.method == Method::Delete;
        proofs += u32::from(destroyed && r.path == "/access/permissions");
        proofs == 2
    });
    let app = ask(&w, "web").await;
    let op = app.operation.unwrap();
    w.until(async || w.store.steps(op).await.unwrap().len() > 2)
        .await
        .unwrap();
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let op = w.settled(op).await.unwrap();
    assert_eq!(op.state, OperationState::Cancelled);
    assert_eq!(pve.under_way(), 0, "it arrived");
    assert!(pve.guests.vmids().is_empty(), "and was removed");
    assert!(held(&w, &app).await.is_empty());
    assert_sound(&w).await;
}

/// The container was destroyed by the unwinding, whose worker died before it said so, and somebody restores it from a backup:
/// with our mark and MAC, and a volume of its own. No call of ours can have made it, so it is not destroyed again.
#[tokio::test]
async fn a_container_that_was_restored_after_its_destroy_is_left_alone() {
    let pve = slow();
    let mut w = quick_world(&pve, quick()).await;
    let app = ask(&w, "web").await;
    let op = app.operation.unwrap();
    w.until(async || w.store.steps(op).await.unwrap().len() > 2)
        .await
        .unwrap();
    let ours = pve.meddle(|world| {
        let guest = world.guests().find(|(id, _)| *id == 100).unwrap().1.clone();
        ["description", "net0"].map(|key| guest.config.get(key).unwrap().to_owned())
    });
    // The destroy's own proof of absence.
    let go_on = pve.hold(Method::Get, "/access/permissions");
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    w.until(async || pve.meddle(|world| world.guests().next().is_none()))
        .await
        .unwrap();
    w.crash_worker().await;
    go_on.send(true).unwrap();
    assert_eq!(pve.stranger_creates("pve1", 100).await.status, 200);
    let [description, net0] = &ours;
    let as_ours = [("description", description.as_str()), ("net0", net0)];
    pve.put("/nodes/pve1/lxc/100/config", &as_ours).await;
    pve.meddle(|world| {
        let text = serde_json::to_string(world).unwrap();
        *world = serde_json::from_str(&text.replace("vm-100-disk-0", "vm-100-disk-7")).unwrap();
    });
    w.start_worker();
    let op = w.settled(op).await.unwrap();
    assert!(
        matches!(&op.state, OperationState::Stuck { failure, .. } if failure.code == "identity_conflict"),
        "{:?}",
        op.state
    );
    assert_eq!(pve.guests.vmids(), vec![100]);
    assert_eq!(held(&w, &app).await, vec![100]);
}

/// A create call that was not sent leaves no doubt: its number is given up without waiting for anything.
#[tokio::test]
async fn a_create_call_that_was_not_sent_is_not_waited_for() {
    let pve = Pve::start(Access::Full);
    let w = quick_world(
        &pve,
        EngineLimits {
            late_ms: 3_600_000,
            ..quick()
        },
    )
    .await;
    pve.lose(Method::Post, "/nodes/pve1/lxc", 3);
    let (app, op) = deploy(&w).await;
    let OperationState::Failed { failure } = op.state else {
        panic!("{:?}", op.state)
    };
    assert_eq!(failure.code, "pve_unreachable");
    assert!(held(&w, &app).await.is_empty());
}

/// The container was made, and then its mark and MAC changed or went: it may be this very one, so no second one is made.
#[tokio::test]
async fn a_container_that_was_made_is_not_given_up_when_it_shows_nothing_of_ours() {
    let others = [
        (
            "net0",
            "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=dhcp",
        ),
        ("description", "not ours"),
    ];
    let bare = [("delete", "net0"), ("description", "notes")];
    for change in [others, bare] {
        let pve = slow();
        let mut w = quick_world(&pve, quick()).await;
        let app = ask(&w, "web").await;
        let op = app.operation.unwrap();
        creating(&w, op).await;
        w.crash_worker().await;
        pve.quiet().await;
        pve.put("/nodes/pve1/lxc/100/config", &change).await;
        w.start_worker();
        let op = w.settled(op).await.unwrap();
        let OperationState::Stuck { failure, .. } = &op.state else {
            panic!("{change:?}: {:?}", op.state)
        };
        assert_eq!(failure.code, "identity_conflict");
        assert_eq!(held(&w, &app).await, vec![100], "{change:?}");
        assert_eq!(pve.guests.vmids(), vec![100], "{change:?}");
    }
}

/// A stranger has our number while our own call may still arrive, and goes before it does: what the call makes is ours, and
/// on record.
#[tokio::test]
async fn a_number_is_not_given_up_to_a_taker_who_goes_before_our_call_arrives() {
    let pve = Pve::start(Access::Full);
    let limits = EngineLimits {
        late_ms: 4_000,
        retry: RetryPolicy {
            first_ms: 1_000,
            ..RetryPolicy::DEFAULT
        },
        ..EngineLimits::default()
    };
    let w = quick_world(&pve, limits).await;
    let (taken, gone, looked) = (flag(), flag(), flag());
    let (is_taken, is_gone, has_looked) = (taken.clone(), gone.clone(), looked.clone());
    pve.delay(Method::Post, "/nodes/pve1/lxc", move |r| {
        if is_taken.load(Ordering::Relaxed) && r.path == "/nodes/pve1/lxc/100/config" {
            has_looked.store(true, Ordering::Relaxed);
        }
        is_gone.load(Ordering::Relaxed)
    });
    let app = ask(&w, "web").await;
    let op = app.operation.unwrap();
    w.until(async || w.store.operation(op).await.unwrap().unwrap().wait.is_some())
        .await
        .unwrap();
    pve.stranger_creates("pve1", 100).await;
    taken.store(true, Ordering::Relaxed);
    w.until(async || looked.load(Ordering::Relaxed))
        .await
        .unwrap();
    pve.meddle(|world| world.forget_guest(100));
    gone.store(true, Ordering::Relaxed);
    let op = w.settled(op).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(pve.under_way(), 0, "it arrived");
    pve.quiet().await;
    assert_eq!(held(&w, &app).await, vec![100]);
    assert_eq!(pve.guests.vmids(), vec![100]);
    assert_sound(&w).await;
}

fn flag() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

/// Somebody keeps a console open on our number: that makes nothing, so neither is the number given up for it, nor is its end
/// waited for when the answer to our call is lost.
#[tokio::test]
async fn a_task_that_makes_no_guest_is_not_waited_for() {
    let pve = Pve::start(Access::Full);
    pve.open_console("pve1", 100);
    let w = quick_world(&pve, quick()).await;
    pve.cut_after(Method::Post, "/nodes/pve1/lxc");
    let (app, op) = deploy(&w).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(held(&w, &app).await, vec![100]);
    assert_eq!(pve.guests.vmids(), vec![100]);
    assert_sound(&w).await;
}

/// Our create lost the number in its task, and what has it shows neither a mark nor our MAC: nothing of ours can be there, so
/// it is somebody else's, on the way forwards and on the way back.
#[tokio::test]
async fn a_bare_taker_of_a_number_lost_in_the_task_is_left_alone() {
    let text = "close (rename) atomic file '/etc/pve/nodes/pve1/lxc/100.conf' failed: File exists";
    for cancelled in [false, true] {
        let pve = slow();
        pve.guests.fail_next_create(text);
        let mut w = quick_world(&pve, quick()).await;
        let app = ask(&w, "web").await;
        let op = app.operation.unwrap();
        creating(&w, op).await;
        w.crash_worker().await;
        pve.quiet().await;
        pve.stranger_creates("pve1", 100).await;
        let bare = [("delete", "net0"), ("description", "notes")];
        pve.put("/nodes/pve1/lxc/100/config", &bare).await;
        if cancelled {
            w.engine.cancel_operation(&w.actor, op).await.unwrap();
        }
        w.start_worker();
        let op = w.settled(op).await.unwrap();
        let (state, ours) = if cancelled {
            (OperationState::Cancelled, vec![])
        } else {
            (OperationState::Succeeded, vec![101])
        };
        assert_eq!(op.state, state);
        assert_eq!(held(&w, &app).await, ours);
        assert_eq!(hostname_of(&pve, 100).as_deref(), Some("stranger"));
        assert_sound(&w).await;
    }
}

/// Returns when the create's task is on record.
async fn creating(w: &TestWorld, op: OperationId) {
    w.until(async || {
        let steps = w.store.steps(op).await.unwrap();
        steps.iter().any(|s| {
            s.name == "create_container" && s.state == StepState::Started && s.upid.is_some()
        })
    })
    .await
    .unwrap();
}

/// Somebody restores a backup under our number while it is not known what became of our own call: that task is waited for
/// like a create, and nobody is told to destroy what it makes.
#[tokio::test]
async fn a_strangers_restore_is_waited_for_and_left_alone() {
    let pve = Pve::start(Access::Full);
    pve.show_creates_as_restores();
    pve.meddle(|world| {
        let mut times = world.task_times();
        times.create_ms = 500;
        world.set_task_times(times);
    });
    let w = quick_world(&pve, quick()).await;
    pve.delay(Method::Post, "/nodes/pve1/lxc", |_| false);
    pve.taken_before(Method::Post, "/nodes/pve1/lxc", "pve1", 100);
    let (app, op) = deploy(&w).await;
    assert_eq!(op.state, OperationState::Succeeded, "{:?}", op.state);
    assert_eq!(held(&w, &app).await, vec![101]);
    assert_eq!(hostname_of(&pve, 100).as_deref(), Some("stranger"));
    assert_sound(&w).await;
}
