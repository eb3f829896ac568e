//! What takes an hour, or three looks half a minute apart: an installation beside the programs' own, on the same real
//! containers, whose clock is moved. Nothing of the proof is shortened.

use proximity_domain::app::StatusLabel;
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::ids::HolderId;
use proximity_domain::operation::OperationState;
use proximity_engine::commands::Action;
use proximity_engine::janitor::LEFT_LINE;
use proximity_engine::reconcile::{ANOMALOUS_LINE, EXPECTED_LINE};
use proximity_store::effects::Effects;
use proximity_store::records::AppRecord;

use super::second::Second;
use crate::lab::{at_rest, delete_by_hand, numbers, seen};
use crate::standing::Standing;

/// Two apps, two pairs of ports; one after the other they go every way there is.
pub(crate) async fn scenarios(lab: &Standing) {
    let mut s = Second::on(lab, 2).await;
    let (doomed, kept) = (s.wish("doomed").await, s.wish("kept").await);
    for app in [&doomed, &kept] {
        let deployed = s.w.settled(app.operation.unwrap()).await.unwrap();
        assert_eq!(deployed.state, OperationState::Succeeded);
        assert_eq!(status(&s, app).await, StatusLabel::Running);
    }
    assert_ne!(doomed.ports, kept.ports);
    scenario_2_removal_of_a_native_app_is_hard(&s, lab, &kept).await;
    let again = s.wish("again").await;
    regression_2_ports_are_given_back_and_used_again(&s, &kept, &again).await;
    scenario_5_a_deploy_that_is_stuck_is_an_error_and_its_container_stays(&mut s, lab, &again)
        .await;
    scenario_4_a_running_app_s_container_deleted_by_hand_is_one_alert(&s, lab, &doomed).await;
    scenario_3_a_container_that_was_being_removed_is_expected_to_go(&s, lab, &again).await;
    let wrong = s.w.store.invariants().await.unwrap();
    assert_eq!(wrong, Vec::<String>::new());
}

async fn status(s: &Second, app: &AppRecord) -> StatusLabel {
    s.live(app).await.unwrap().status.label()
}

fn removal(hostname: &str) -> Action {
    Action::Delete {
        confirm: Some(hostname.to_owned()),
        force_stop: false,
        purge: false,
    }
}

async fn scenario_2_removal_of_a_native_app_is_hard(s: &Second, lab: &Standing, app: &AppRecord) {
    let vmid = s.vmid(app).await;
    assert!(numbers(lab).contains(&vmid.into()));
    let asked = s.w.engine.act(&s.w.actor, "kept", removal("kept")).await;
    let removed = s.w.settled(asked.unwrap().id).await.unwrap();
    assert_eq!(removed.state, OperationState::Succeeded);
    assert!(!numbers(lab).contains(&vmid.into()));
    assert_eq!(s.live(app).await, None);
    let log = s.log(app).await;
    let hard = "HARD DELETE: Destroying container and cleaning up resources";
    assert!(log.iter().any(|line| line == hard), "{log:?}");
    assert!(s.w.store.archived_app(app.id).await.unwrap().is_some());
}

async fn regression_2_ports_are_given_back_and_used_again(
    s: &Second,
    removed: &AppRecord,
    next: &AppRecord,
) {
    assert_eq!(next.ports, removed.ports);
    let ports = s.w.store.ports().await.unwrap();
    assert!(ports.freed.is_empty(), "both pairs are held: {ports:?}");
}

/// The container, once the record knows it whole.
async fn confirmed(s: &Second, app: &AppRecord) -> Option<NativeGuest> {
    let guests = s.w.store.native_guests(app.id).await.unwrap();
    let whole = |g: &NativeGuest| g.identity.rootfs_volid.is_some();
    guests.into_iter().find(whole)
}

async fn scenario_5_a_deploy_that_is_stuck_is_an_error_and_its_container_stays(
    s: &mut Second,
    lab: &Standing,
    app: &AppRecord,
) {
    s.w.until(async || confirmed(s, app).await.is_some())
        .await
        .unwrap();
    s.w.crash_worker().await;
    assert_eq!(status(s, app).await, StatusLabel::Deploying);
    let vmid = s.vmid(app).await;
    // What was sent before the crash comes to its end.
    at_rest(lab, vmid);
    let before = seen(lab, vmid);
    let early = s.w.engine.janitor().pass(false).await.unwrap();
    assert_eq!(early.result.stuck_found, 0);
    s.clock.pass(2 * 3_600_000);
    let marked = s.w.engine.janitor().pass(false).await.unwrap();
    assert_eq!(
        (
            marked.result.total_transitional,
            marked.result.stuck_marked_error
        ),
        (1, 1)
    );
    assert_eq!(
        marked.lines,
        [
            "DIAGNOSING: again (deploying) Stuck for 2h 0m",
            "DIAGNOSED AS ERROR: again (was: deploying)",
            LEFT_LINE,
        ]
    );
    assert_eq!(status(s, app).await, StatusLabel::Error);
    assert_eq!(seen(lab, vmid), before, "the container is left as it is");
    assert_eq!(s.looks(4).await.result.orphans_found, 0);
}

async fn scenario_4_a_running_app_s_container_deleted_by_hand_is_one_alert(
    s: &Second,
    lab: &Standing,
    app: &AppRecord,
) {
    let vmid = s.vmid(app).await;
    delete_by_hand(lab, vmid);
    let two = s.looks(2).await;
    assert_eq!((two.suspected, two.result.orphans_found), (1, 0));
    assert_eq!(status(s, app).await, StatusLabel::Running);
    let found = s.looks(1).await.result;
    assert_eq!(
        (
            found.orphans_found,
            found.anomalous_orphans,
            found.orphans_purged
        ),
        (1, 1, 1)
    );
    assert_eq!(s.looks(3).await.result.orphans_found, 0);
    assert_eq!(s.live(app).await, None);
    assert_eq!(s.log(app).await.pop().unwrap(), ANOMALOUS_LINE);
    let archived = s.w.store.archived_app(app.id).await.unwrap().unwrap();
    assert_eq!(archived.ports, app.ports);
    s.alerted_of("AnomalousOrphanDetected").await;
    let alerts = s.alerts(app).await;
    let of_it = |alert: &&String| alert.contains("AnomalousOrphanDetected");
    let of_it: Vec<_> = alerts.iter().filter(of_it).collect();
    let [alert] = of_it.as_slice() else {
        panic!("one alert, and no more: {alerts:?}");
    };
    assert!(
        alert.contains("doomed") && alert.contains(r#""level":"error""#),
        "{alert}"
    );
    let ports = s.w.store.ports().await.unwrap();
    assert!(ports.freed.iter().all(|port| port.rests_until.is_some()));
}

async fn scenario_3_a_container_that_was_being_removed_is_expected_to_go(
    s: &Second,
    lab: &Standing,
    app: &AppRecord,
) {
    let vmid = s.vmid(app).await;
    give_up_what_was_begun(s).await;
    let asked = s.w.engine.act(&s.w.actor, "again", removal("again")).await;
    asked.unwrap();
    assert_eq!(status(s, app).await, StatusLabel::Removing);
    delete_by_hand(lab, vmid);
    let waiting = s.looks(4).await;
    assert_eq!(waiting.suspected, 0, "it is left to its operation");
    stick(s).await;
    let before = s.alerts(app).await.len();
    let found = s.looks(3).await.result;
    assert_eq!(
        (
            found.expected_orphans,
            found.anomalous_orphans,
            found.orphans_purged
        ),
        (1, 0, 1)
    );
    assert_eq!(s.live(app).await, None);
    assert_eq!(s.log(app).await.pop().unwrap(), EXPECTED_LINE);
    assert_eq!(s.events(EventKind::ExpectedOrphanArchived).await, 1);
    assert_eq!(s.events(EventKind::AnomalousOrphanDetected).await, 1);
    let alerts = s.alerts(app).await;
    assert_eq!(alerts.len(), before + 1, "nobody is alerted: {alerts:?}");
}

/// Takes the operation that waits, and says that it needs a person.
async fn stick(s: &Second) {
    let seen = s.w.store.claimable().await.unwrap().pop().unwrap();
    let at = s.w.store.live_operations().await.unwrap()[0].created_at;
    let holder = HolderId(uuid::Uuid::from_u128(9));
    let claimed = s.w.store.claim_as_seen(&seen, holder, 1_000, at).await;
    let (_, fence) = claimed.unwrap().unwrap();
    let (why, none) = (
        Failure::new("x", "it is locked", "Look."),
        Effects::default(),
    );
    let stuck = s.w.store.stick(&fence, None, why, none, at).await;
    stuck.unwrap();
}

/// The deploy that died: a person gives it up.
async fn give_up_what_was_begun(s: &Second) {
    let dead = s.w.store.live_operations().await.unwrap().remove(0);
    stick(s).await;
    let why = Failure::new("x", "it is locked", "Look.");
    let abandoned = s.w.store.abandon(dead.id, why, &s.w.actor, dead.created_at);
    abandoned.await.unwrap();
}
