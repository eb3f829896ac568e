//! What is changed back, how often, and what speaks against it.

use proximity_domain::failure::Failure;
use proximity_domain::ids::Epoch;
use proximity_domain::merge::Verdict;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;

const MINUTE_MS: i64 = 60_000;

fn change(by: &str, at: i64, state: OperationState) -> OperationRecord {
    OperationRecord {
        id: OperationId(Uuid::from_u128(1)),
        kind: OperationKind::Update,
        app: AppId(Uuid::from_u128(2)),
        state,
        input: json!({}),
        requested_by: by.to_owned(),
        request_id: None,
        retry_of: None,
        percent: 100,
        cancel_requested: false,
        epoch: Epoch(1),
        lease: None,
        attempt: 1,
        wait: None,
        created_at: Timestamp(at),
        finished_at: Some(Timestamp(at)),
        cleared_at: None,
    }
}

fn failed() -> OperationState {
    OperationState::Failed {
        failure: Failure::new("pve_refused", "it was refused", "look"),
    }
}

#[test]
fn what_came_to_nothing_is_rejected_until_something_came_of_it_or_else_is_wanted() {
    let done = || OperationState::Succeeded;
    let policy = |at, state| change("system", at, state);
    let person = |at, state| change("ann", at, state);
    let rejects = |newest: &[OperationRecord]| {
        came_to_nothing(Way::Configuration, newest, Timestamp(5)).is_some()
    };
    assert!(!rejects(&[]));
    assert!(!rejects(&[policy(10, done())]));
    assert!(!rejects(&[person(10, failed())]));
    assert!(rejects(&[policy(10, failed())]));
    assert!(rejects(&[policy(10, OperationState::Cancelled)]));
    assert!(!rejects(&[policy(4, failed())]), "before it was wanted");
    assert!(!rejects(&[person(20, done()), policy(10, failed())]));
    // Who was away says nothing of what was wanted, and is asked again.
    let away = || OperationState::Failed {
        failure: Failure::new("pve_unreachable", "nobody answers", "look"),
    };
    assert!(!rejects(&[policy(10, away())]));
    assert!(rejects(&[person(20, away()), policy(10, failed())]));
    // What a person tried in vain as well speaks for nothing.
    assert!(rejects(&[person(20, failed()), policy(10, failed())]));
    assert!(!rejects(&[policy(20, done()), policy(10, failed())]));
    let mended = |newest: &[OperationRecord]| is_mended(newest, Timestamp(15));
    assert!(mended(&[policy(30, failed()), person(20, done())]));
    assert!(!mended(&[policy(20, done()), person(20, failed())]));
    assert!(!mended(&[person(15, done())]), "before it was rejected");
    // A start that fails keeps nobody from bringing its memory back, nor the other way round.
    let start = OperationRecord {
        kind: OperationKind::Start,
        ..policy(30, failed())
    };
    let both = [start, policy(20, done())];
    assert!(!rejects(&both));
    assert!(came_to_nothing(Way::Power, &both, Timestamp(5)).is_some());
    assert!(came_to_nothing(Way::Power, &both[1..], Timestamp(5)).is_none());
}

/// Something sets it again as soon as it is changed back, for a week.
#[test]
fn what_is_set_again_and_again_is_changed_back_a_few_times_a_day() {
    let mut begun = Vec::new();
    for minute in 0..7 * 24 * 60 {
        let now = Timestamp(minute * MINUTE_MS);
        if !is_often_enough(&begun, now) {
            begun.push(now);
        }
    }
    assert_eq!(begun.len(), 7 * MOST_IN_A_DAY);
    let within = |ms: i64| {
        let until = |from: &Timestamp| {
            let later = begun.iter().map(|at| at.0 - from.0);
            later.filter(|since| (0..ms).contains(since)).count()
        };
        begun.iter().map(until).max()
    };
    assert_eq!(within(HOUR_MS), Some(MOST_IN_AN_HOUR));
    assert_eq!(within(DAY_MS), Some(MOST_IN_A_DAY));
    assert_eq!(within(REST_MS), Some(1));
    // A clock that is set back for a month stops nothing for a month.
    let back = Timestamp(-30 * DAY_MS);
    assert!(!is_often_enough(&begun, back));
    assert!(is_often_enough(&[Timestamp(back.0 - 1)], back));
}

#[test]
fn what_was_looked_at_in_vain_rests_until_something_else_is_told_or_wanted() {
    let look = |told: i64, wanted: i64, at: i64| InVain {
        told: Timestamp(told),
        wanted: Timestamp(wanted),
        at: Timestamp(at),
    };
    let before = look(1, 2, 1_000);
    assert!(look(1, 2, 1_000 + REST_MS - 1).is_too_soon(before));
    assert!(!look(1, 2, 1_000 + REST_MS).is_too_soon(before));
    assert!(!look(3, 2, 1_001).is_too_soon(before));
    assert!(!look(1, 3, 1_001).is_too_soon(before));
    assert!(!look(1, 2, 999).is_too_soon(before), "the clock went back");
}

#[test]
fn what_no_way_changes_back_is_no_way_that_is_left() {
    let field = |path: &str| Merged {
        path: path.to_owned(),
        verdict: Verdict::Theirs,
        last: Some(json!("was")),
        wanted: json!("was"),
        actual: Some(json!("is")),
    };
    let drift = |paths: &[&str]| DesiredDrift {
        app: AppId(Uuid::from_u128(2)),
        fields: paths.iter().copied().map(field).collect(),
        since: Timestamp(1),
    };
    let start = OperationRecord {
        kind: OperationKind::Start,
        ..change("system", 10, failed())
    };
    let newest = [start];
    let left = |paths: &[&str]| ways_left(&drift(paths), &newest, Timestamp(5));
    assert_eq!(left(&["rootfs", "node"]), Ok(vec![]));
    assert_eq!(left(&["memory", "power"]), Ok(vec![Way::Configuration]));
    assert_eq!(left(&["config.net0"]), Ok(vec![Way::Configuration]));
    let in_vain = left(&["power", "rootfs"]);
    assert!(in_vain.is_err(), "a larger disk hides no start that failed");
}

#[tokio::test(start_paused = true)]
async fn while_nothing_is_told_it_is_looked_after_what_is_written() {
    let (sender, mut commits) = watch::channel(0);
    let begun = Instant::now();
    pause(&mut commits, true).await;
    assert_eq!(begun.elapsed(), EVERY);
    let begun = Instant::now();
    pause(&mut commits, false).await;
    assert_eq!(begun.elapsed(), AT_REST + EVERY);
    let begun = Instant::now();
    let writes = async {
        sleep(2 * EVERY).await;
        sender.send_replace(1);
    };
    tokio::join!(pause(&mut commits, false), writes);
    assert_eq!(begun.elapsed(), 3 * EVERY);
}
