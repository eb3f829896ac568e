use proximity_api::apps::Problem;

use super::*;

fn change(position: u32, name: &str, state: &str) -> ApplyChange {
    let why = |code: &str, message: &str| Problem {
        code: code.to_owned(),
        message: message.to_owned(),
        hint: "look at the app's log".to_owned(),
        step: None,
    };
    ApplyChange {
        position,
        layer: position + 1,
        name: name.to_owned(),
        app_id: None,
        act: "create".to_owned(),
        depends_on: Vec::new(),
        state: state.to_owned(),
        operation_id: None,
        problem: match state {
            "failed" => Some(why("health_failed", "nothing answered")),
            "held_up" => Some(why("held_up", "it depends on data, which failed")),
            _ => None,
        },
        started_at: None,
        ended_at: None,
    }
}

fn apply(state: &str, changes: Vec<ApplyChange>) -> Apply {
    let many = |state: &str| changes.iter().filter(|one| one.state == state).count() as u64;
    let first = changes.iter().find(|one| one.state == "failed");
    let is_over = !matches!(state, "running" | "stopping");
    Apply {
        id: "018f0000-0000-7000-8000-000000000001".to_owned(),
        plan_id: "018f0000-0000-7000-8000-000000000002".to_owned(),
        state: state.to_owned(),
        parallel: 4,
        requested_by: "admin".to_owned(),
        stopped_by: None,
        started_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        ended_at: is_over.then(|| "2026-01-02T03:05:05Z".parse().unwrap()),
        problem: first.and_then(|one| one.problem.clone()),
        counts: ApplyCounts {
            waiting: many("waiting"),
            started: many("started"),
            done: many("done"),
            failed: many("failed"),
            held_up: many("held_up"),
            not_started: many("not_started"),
            quiet: many("quiet"),
        },
        changes: Some(changes),
    }
}

#[test]
fn each_change_is_told_once_as_it_begins_and_as_it_ends() {
    let mut told = BTreeMap::new();
    let running = |state: &str| {
        apply(
            "running",
            vec![change(0, "data", state), change(1, "web", "waiting")],
        )
    };
    assert!(news(&running("waiting"), &mut told).is_empty());
    assert_eq!(
        news(&running("started"), &mut told),
        ["started      create data"]
    );
    assert!(news(&running("started"), &mut told).is_empty());
    let failed = news(&running("failed"), &mut told);
    assert_eq!(failed.len(), 1);
    for part in [
        "failed",
        "create data",
        "nothing answered",
        "[health_failed]",
        "hint: look",
    ] {
        assert!(failed[0].contains(part), "{failed:?}");
    }
}

#[test]
fn how_an_apply_ended_decides_the_exit_code() {
    let exit = |state, changes| verdict(&apply(state, changes)).map_err(|failed| failed.exit);
    assert_eq!(exit("done", vec![change(0, "data", "done")]), Ok(()));
    assert_eq!(exit("stopped", vec![]), Err(ExitCode::Cancelled));
    let failed = vec![change(0, "data", "failed"), change(1, "web", "held_up")];
    assert_eq!(exit("failed", failed), Err(ExitCode::HealthFailed));
    assert_eq!(exit("failed", vec![]), Err(ExitCode::Error));
}

#[test]
fn an_apply_is_told_with_what_was_not_done_and_why() {
    let changes = vec![
        change(0, "cache\u{7}", "done"),
        change(1, "data", "failed"),
        change(2, "web", "held_up"),
        change(3, "other", "quiet"),
    ];
    let told = human(&apply("failed", changes));
    for part in [
        "failed",
        "1 done, 1 failed, 1 held up",
        "it depends on data",
        "[held_up]",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains('\u{7}') && !told.contains("other"), "{told}");
    assert!(human(&apply("done", vec![])).contains("nothing to do"));
}
