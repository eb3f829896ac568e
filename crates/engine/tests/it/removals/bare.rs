//! However a removal ends, its container is gone, or protected again, or somebody is told that it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proximity_domain::app::StatusLabel;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::{OperationState, StuckWas, UnwindCause};
use proximity_domain::retry::RetryPolicy;
use proximity_domain::saga::StepState;
use proximity_engine::commands::CreateApp;
use proximity_engine::engine::EngineLimits;
use proximity_pve::transport::{Method, RawResponse, Request, TransportError};
use proximity_pve_emulator::core::Access;
use proximity_store::records::AppRecord;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};
use serde_json::{Value, json};

use super::{
    BROKEN, CONFIG, CREATE, DESTROY, UNPROTECT, VMID, ask, assert_sound, failure, is_protected,
    late, protections, put, remove, world, world_with,
};

/// Gone, or there and protected: nothing in between is left.
fn assert_gone_or_protected(w: &TestWorld, when: &str) {
    let there = w.pve.guests.vmids();
    if there.is_empty() {
        return;
    }
    assert_eq!(there, [VMID], "{when}");
    assert!(is_protected(w), "{when}: it is left without its protection");
}

/// Waits until the removal has lifted the protection and its DELETE hangs; then its process dies. The DELETE never arrives.
async fn dies_before_its_destroy(w: &mut TestWorld) -> OperationId {
    let go_on = w.pve.hold(Method::Delete, "/lxc/100");
    let op = ask(w).await;
    let sends = async || !w.store.mutations(op, DESTROY).await.unwrap().is_empty();
    w.until(sends).await.unwrap();
    w.crash_worker().await;
    drop(go_on);
    assert!(!is_protected(w), "it was lifted");
    op
}

async fn log(w: &TestWorld, app: &AppRecord) -> String {
    let lines = w.store.log(app.id, 0, 1000).await.unwrap();
    let lines: Vec<String> = lines.into_iter().map(|line| line.message).collect();
    lines.join("\n")
}

/// The process dies at ever later calls, and a person cancels before the next one takes over.
#[tokio::test]
async fn cut_off_at_any_call_and_cancelled_it_leaves_nothing_or_a_protected_container() {
    for more in 1_u64.. {
        let (mut w, _) = world().await;
        let before = w.pve.calls();
        let op = ask(&w).await;
        let finished = tokio::select! {
            biased;
            () = w.pve.calls_arrived(before + more) => false,
            settled = w.settled(op) => settled.is_ok(),
        };
        w.crash_worker().await;
        // It may be over by now.
        let _refused = w.engine.cancel_operation(&w.actor, op).await;
        w.start_worker();
        let ended = w.settled(op).await.unwrap();
        let when = format!("cut at call {more}");
        assert!(ended.state.is_final(), "{when}: {:?}", ended.state);
        assert_gone_or_protected(&w, &when);
        assert_sound(&w).await;
        if finished {
            assert!(more > 12, "a removal takes more calls than that");
            return;
        }
    }
}

/// It dies with the protection lifted, is cancelled, and dies again at ever later calls of its way back.
#[tokio::test]
async fn its_way_back_survives_a_worker_that_dies_at_any_call() {
    for more in 1_u64.. {
        let (mut w, _) = world().await;
        let op = dies_before_its_destroy(&mut w).await;
        w.engine.cancel_operation(&w.actor, op).await.unwrap();
        let before = w.pve.calls();
        w.start_worker();
        let finished = tokio::select! {
            biased;
            () = w.pve.calls_arrived(before + more) => false,
            settled = w.settled(op) => settled.is_ok(),
        };
        w.crash_worker().await;
        w.start_worker();
        let ended = w.settled(op).await.unwrap();
        assert_eq!(ended.state, OperationState::Cancelled, "cut at call {more}");
        assert_eq!(w.pve.guests.vmids(), [VMID], "cut at call {more}");
        assert!(is_protected(&w), "cut at call {more}");
        assert_sound(&w).await;
        if finished {
            assert!(more > 5, "a way back takes more calls than that");
            return;
        }
    }
}

#[tokio::test]
async fn a_destroy_that_is_refused_leaves_it_protected_again_and_says_so() {
    let (w, app) = world().await;
    w.pve.refuse(Method::Delete, "/lxc/100", BROKEN, 1);
    let op = remove(&w, false).await;
    assert_eq!(failure(&op).0, "pve_refused");
    assert!(is_protected(&w));
    assert_eq!(protections(&w, op.id).await, [json!(0), json!(1)]);
    assert!(
        log(&w, &app)
            .await
            .contains("Container 100 is protected again")
    );
    assert_sound(&w).await;
    // What was put back is lifted by the next removal.
    assert_eq!(remove(&w, false).await.state, OperationState::Succeeded);
    assert!(w.pve.guests.vmids().is_empty());
}

/// It was not protected: nothing is lifted, and nothing is put back.
#[tokio::test]
async fn what_a_person_has_unprotected_before_stays_so() {
    let (w, _) = world().await;
    put(&w, "protection", "0").await;
    w.pve.refuse(Method::Delete, "/lxc/100", BROKEN, 1);
    let op = remove(&w, false).await;
    assert_eq!(failure(&op).0, "pve_refused");
    assert!(!is_protected(&w), "as the person wants it");
    assert_eq!(protections(&w, op.id).await, Vec::<Value>::new());
    assert_sound(&w).await;
}

/// A person takes it away between our look and our call, which the digest refuses.
#[tokio::test]
async fn what_a_person_unprotects_right_before_us_stays_so() {
    let (w, _) = world().await;
    let go_on = w.pve.hold(Method::Put, "/lxc/100/config");
    w.pve.refuse(Method::Delete, "/lxc/100", BROKEN, 1);
    let op = ask(&w).await;
    let sends = async || !protections(&w, op).await.is_empty();
    w.until(sends).await.unwrap();
    put(&w, "protection", "0").await;
    go_on.send(true).unwrap();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(failure(&ended).0, "pve_refused");
    assert_eq!(protections(&w, op).await, [json!(0)]);
    assert!(!is_protected(&w), "as the person wants it");
    assert_sound(&w).await;
}

/// A person protects it while it shuts down: the removal that they have not cancelled lifts that, and puts it back.
#[tokio::test]
async fn what_a_person_protects_meanwhile_is_put_back_too() {
    let (w, _) = world().await;
    put(&w, "protection", "0").await;
    let go_on = w.pve.hold(Method::Post, "/status/shutdown");
    w.pve.refuse(Method::Delete, "/lxc/100", BROKEN, 1);
    let op = ask(&w).await;
    let begun = async || {
        let steps = w.store.steps(op).await.unwrap();
        let shutdown = steps.iter().find(|step| step.name == "shutdown");
        shutdown.is_some_and(|step| step.state == StepState::Started)
    };
    w.until(begun).await.unwrap();
    put(&w, "protection", "1").await;
    go_on.send(true).unwrap();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(failure(&ended).0, "pve_refused");
    assert!(is_protected(&w));
    assert_sound(&w).await;
}

/// The answer to the call that lifts is lost. Put back at once, the container would show the digest of before, and a lift that
/// is still under way would be taken.
#[tokio::test]
async fn a_lift_that_may_still_arrive_is_waited_for_before_it_is_put_back() {
    const LATE_MS: u64 = 400;
    let (w, _) = world_with(late(LATE_MS)).await;
    w.pve.delay(Method::Put, "/lxc/100/config", |_| false);
    w.pve.refuse(Method::Delete, "/lxc/100", BROKEN, 1);
    let op = remove(&w, false).await;
    assert_eq!(failure(&op).0, "pve_refused");
    assert!(is_protected(&w));
    let calls = w.store.mutations(op.id, UNPROTECT).await.unwrap();
    let (last, lifts) = calls.split_last().unwrap();
    assert_eq!(last.details["protection"], 1);
    assert_eq!(lifts.len(), 2, "the second one was sent after a look");
    let waited_ms = u64::try_from(last.at.0 - lifts[1].at.0).unwrap();
    assert!(waited_ms >= LATE_MS, "{waited_ms}");
}

/// It is answered well, and does not show: nobody says that it is protected.
#[tokio::test]
async fn a_protection_that_is_not_read_back_is_not_told() {
    let (w, app) = world().await;
    let asked = AtomicBool::new(false);
    let without = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        let protects = ("protection".to_owned(), "1".to_owned());
        if request.method == Method::Put && request.params.contains(&protects) {
            asked.store(true, Ordering::Relaxed);
        }
        if request.path != CONFIG || !request.method.is_read() || !asked.load(Ordering::Relaxed) {
            return answer;
        }
        answer.map(|mut answer| {
            let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
            if let Some(keys) = body["data"].as_object_mut() {
                keys.remove("protection");
            }
            answer.body = body.to_string().into_bytes().into();
            answer
        })
    };
    w.pve.distort(Some(Arc::new(without)));
    w.pve.refuse(Method::Delete, "/lxc/100", BROKEN, 1);
    let op = remove(&w, false).await;
    let (code, hint) = failure(&op);
    assert_eq!(code, "not_protected");
    assert!(
        hint.contains("had lifted the protection of container 100"),
        "{hint}"
    );
    assert!(!log(&w, &app).await.contains("is protected again"));
    // Once it shows, the person's retry ends it.
    w.pve.distort(None);
    w.engine.retry_operation(&w.actor, op.id).await.unwrap();
    let ended = w.settled(op.id).await.unwrap();
    assert_eq!(failure(&ended).0, "pve_refused");
    assert!(is_protected(&w));
}

/// Its mark was edited while it was without its protection: no call is sent to it, and that it is bare is told.
#[tokio::test]
async fn what_shows_another_identity_on_the_way_back_is_left_alone_and_told() {
    let (mut w, app) = world().await;
    let op = dies_before_its_destroy(&mut w).await;
    put(&w, "description", "my notes").await;
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    let changes = w.pve.changes();
    w.start_worker();
    let stuck = w.settled(op).await.unwrap();
    let (code, hint) = failure(&stuck);
    assert_eq!(code, "identity_conflict");
    assert!(hint.contains("has not put it back"), "{hint}");
    assert_eq!(w.pve.changes(), changes);
    // With its mark back, the person's retry puts the protection back.
    let guest = w.store.native_guests(app.id).await.unwrap().pop().unwrap();
    let mark = guest.identity.mark.described("my notes");
    put(&w, "description", &mark).await;
    w.engine.retry_operation(&w.actor, op).await.unwrap();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Cancelled);
    assert!(is_protected(&w));
}

/// A destroy that failed is a person's to look at; until then the container is bare, and the next step says so.
#[tokio::test]
async fn what_waits_for_a_person_says_that_the_protection_is_lifted() {
    let (w, _) = world().await;
    w.pve.guests.refuse_destroy(VMID, true);
    let op = remove(&w, false).await;
    assert!(matches!(
        &op.state,
        OperationState::Stuck {
            was: StuckWas::Running,
            ..
        }
    ));
    let hint = failure(&op).1;
    assert!(hint.contains("its protection in PVE was lifted"), "{hint}");
}

/// A deploy that is cancelled once its container is being started.
async fn cancelled_deploy(w: &TestWorld) -> (AppRecord, OperationId) {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        node: Some("pve1".to_owned()),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = app.operation.unwrap();
    let starts = async || {
        let steps = w.store.steps(op).await.unwrap();
        steps.iter().any(|step| step.name == "start")
    };
    w.until(starts).await.unwrap();
    w.pve.guests.refuse_destroy(VMID, true);
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    (app, op)
}

/// Which protection each audited call of a deploy set.
async fn set_by_deploy(w: &TestWorld, op: OperationId) -> Vec<Value> {
    let calls = w.store.mutations(op, CREATE).await.unwrap().into_iter();
    let config = calls.filter(|call| call.action.ends_with("/config"));
    config
        .map(|call| call.details["protection"].clone())
        .collect()
}

/// It wants its container gone, and waits for a person meanwhile: until they let it go on the container is protected.
#[tokio::test]
async fn a_deploy_that_cannot_take_its_container_back_protects_it_meanwhile() {
    let w = TestWorld::start_with(Access::Full, late(20)).await.unwrap();
    let (app, op) = cancelled_deploy(&w).await;
    let stuck = w.settled(op).await.unwrap();
    let hint = failure(&stuck).1;
    assert!(!hint.contains("was lifted"), "{hint}");
    assert!(is_protected(&w));
    assert_eq!(set_by_deploy(&w, op).await, [json!(0), json!(1)]);
    let said = log(&w, &app).await;
    assert!(said.contains("Container 100 is protected again"), "{said}");

    // Whoever takes the protection away while it waits wants it so.
    put(&w, "protection", "0").await;
    w.engine.retry_operation(&w.actor, op).await.unwrap();
    let again = w.settled(op).await.unwrap();
    assert!(matches!(again.state, OperationState::Stuck { .. }));
    assert!(!is_protected(&w), "as the person wants it");

    // What is lifted for another attempt is put back after it as well.
    put(&w, "protection", "1").await;
    w.engine.retry_operation(&w.actor, op).await.unwrap();
    w.settled(op).await.unwrap();
    assert!(is_protected(&w));
    let set = [0, 1, 0, 1].map(|on| json!(on));
    assert_eq!(set_by_deploy(&w, op).await, set);

    w.pve.guests.refuse_destroy(VMID, false);
    w.engine.retry_operation(&w.actor, op).await.unwrap();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Cancelled);
    assert!(w.pve.guests.vmids().is_empty());
    assert_sound(&w).await;
}

/// PVE refuses that once the destroy has failed: the next step says that the container is bare.
#[tokio::test]
async fn a_deploy_that_cannot_protect_its_container_again_says_so() {
    let w = TestWorld::start_with(Access::Full, late(20)).await.unwrap();
    let protects = ("protection".to_owned(), "1".to_owned());
    let refuses = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        if request.method != Method::Put || !request.params.contains(&protects) {
            return answer;
        }
        answer.map(|answer| RawResponse {
            status: 403,
            ..answer
        })
    };
    w.pve.distort(Some(Arc::new(refuses)));
    let (app, op) = cancelled_deploy(&w).await;
    let stuck = w.settled(op).await.unwrap();
    let hint = failure(&stuck).1;
    let bare = "its protection in PVE was lifted for the destroy, and is not put back";
    assert!(hint.contains(bare), "{hint}");
    assert!(!log(&w, &app).await.contains("is protected again"));
}

/// HA moves it once its destroy has failed: the look that finds it elsewhere is not the last one.
#[tokio::test]
async fn a_container_that_is_moved_meanwhile_is_protected_where_it_is() {
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::cluster(0, &["pve1", "pve2"], Access::Full)],
        limits: late(20),
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let (pve, is_moved) = (w.pve.clone(), AtomicBool::new(false));
    let moves = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        let is_of_destroy = request.path.contains("/tasks/") && request.path.contains("vzdestroy");
        let says_so = |answer: &RawResponse| answer.body.windows(7).any(|text| text == b"stopped");
        let is_over = answer.as_ref().is_ok_and(says_so);
        if is_of_destroy && is_over && !is_moved.swap(true, Ordering::Relaxed) {
            pve.meddle(|world| world.move_guest(VMID, "pve2"));
        }
        answer
    };
    w.pve.distort(Some(Arc::new(moves)));
    let (app, op) = cancelled_deploy(&w).await;
    let stuck = w.settled(op).await.unwrap();
    w.pve.distort(None);
    let hint = failure(&stuck).1;
    assert!(!hint.contains("was lifted"), "{hint}");
    assert!(is_protected(&w));
    let guest = w.store.native_guests(app.id).await.unwrap().pop().unwrap();
    assert_eq!(guest.place.node.as_str(), "pve2");
    assert_eq!(set_by_deploy(&w, op).await, [json!(0), json!(1)]);
}

/// Between two attempts of its way back it is without its protection: whoever looks at the wait sees it.
#[tokio::test]
async fn what_waits_for_its_next_attempt_says_that_the_protection_is_lifted() {
    const LONG_MS: u64 = 600_000;
    let limits = EngineLimits {
        retry: RetryPolicy {
            first_ms: LONG_MS,
            longest_ms: LONG_MS,
            ..RetryPolicy::DEFAULT
        },
        ..late(20)
    };
    let w = TestWorld::start_with(Access::Full, limits).await.unwrap();
    w.pve.lose(Method::Delete, "/lxc/100", 1);
    let (_, op) = cancelled_deploy(&w).await;
    let wait = async || w.store.operation(op).await.unwrap().unwrap().wait;
    w.until(async || wait().await.is_some()).await.unwrap();
    let because = wait().await.unwrap().because;
    assert!(!is_protected(&w));
    let bare = "its protection in PVE was lifted for the destroy";
    assert!(because.hint.ends_with(bare), "{because:?}");
}

/// A fault of the program stops it for good with the protection lifted.
#[tokio::test]
async fn what_a_fault_stops_says_that_the_protection_is_lifted() {
    let (w, _) = world().await;
    let lifted = AtomicBool::new(false);
    let faulty = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        let lifts = ("protection".to_owned(), "0".to_owned());
        if request.method == Method::Put && request.params.contains(&lifts) {
            lifted.store(true, Ordering::Relaxed);
        }
        let reads = request.path == "/nodes/pve1/lxc/100/status/current";
        let is_lifted = lifted.load(Ordering::Relaxed);
        assert!(!(reads && is_lifted), "a fault of the test");
        answer
    };
    w.pve.distort(Some(Arc::new(faulty)));
    let op = remove(&w, false).await;
    let (code, hint) = failure(&op);
    assert_eq!(code, "internal");
    assert!(!is_protected(&w));
    assert!(hint.contains("its protection in PVE was lifted"), "{hint}");
    w.pve.distort(None);
    w.engine.retry_operation(&w.actor, op.id).await.unwrap();
    let ended = w.settled(op.id).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded);
}

/// One that died at its destroy goes on when nobody cancels: that is the other way to end it.
#[tokio::test]
async fn one_that_nobody_cancels_goes_on_to_its_end() {
    let (mut w, app) = world().await;
    let op = dies_before_its_destroy(&mut w).await;
    w.start_worker();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded);
    assert!(w.pve.guests.vmids().is_empty());
    assert!(w.store.app(app.id).await.unwrap().is_none());
    assert_eq!(protections(&w, op).await, [json!(0)]);
    assert_sound(&w).await;
}

/// Cancelled, it shows what it is and can be removed anew.
#[tokio::test]
async fn one_that_is_cancelled_with_the_protection_lifted_ends_as_it_was() {
    let (mut w, app) = world().await;
    let op = dies_before_its_destroy(&mut w).await;
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    w.start_worker();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Cancelled);
    assert!(is_protected(&w));
    let shown = w.store.app(app.id).await.unwrap().unwrap();
    assert_eq!(shown.status.label(), StatusLabel::Stopped);
    assert_eq!(remove(&w, false).await.state, OperationState::Succeeded);
    assert_sound(&w).await;
}

/// What is turned back while PVE does not answer says that the container is bare, and ends when it answers again.
#[tokio::test]
async fn a_way_back_without_an_answer_is_stuck_and_says_that_it_is_bare() {
    let (mut w, _) = world().await;
    let op = dies_before_its_destroy(&mut w).await;
    w.engine.cancel_operation(&w.actor, op).await.unwrap();
    w.pve.lose(Method::Put, "/lxc/100/config", u32::MAX);
    w.start_worker();
    let stuck = w.settled(op).await.unwrap();
    let OperationState::Stuck { failure, was } = &stuck.state else {
        panic!("{:?}", stuck.state)
    };
    assert_eq!(failure.code, "pve_unreachable");
    assert!(failure.hint.contains("has not put it back"), "{failure:?}");
    assert!(matches!(
        was,
        StuckWas::Unwinding {
            cause: UnwindCause::Cancel
        }
    ));
    w.pve.lose(Method::Put, "/lxc/100/config", 0);
    w.engine.retry_operation(&w.actor, op).await.unwrap();
    let ended = w.settled(op).await.unwrap();
    assert_eq!(ended.state, OperationState::Cancelled);
    assert!(is_protected(&w));
}
