use proximity_api::apps::Problem;

use super::*;

fn ended(state: &str, code: Option<&str>) -> Operation {
    Operation {
        id: "018f0000-0000-7000-8000-000000000001".to_owned(),
        kind: "deploy".to_owned(),
        app_id: "018f0000-0000-7000-8000-000000000002".to_owned(),
        hostname: Some("web".to_owned()),
        state: state.to_owned(),
        problem: code.map(|code| Problem {
            code: code.to_owned(),
            message: "nothing answered at 10.0.0.2:8080".to_owned(),
            hint: "look at the app's log".to_owned(),
            step: Some("health_check".to_owned()),
        }),
        percent: 90,
        input: serde_json::json!({}),
        requested_by: "admin".to_owned(),
        request_id: None,
        retry_of: None,
        cancel_requested: false,
        attempt: 1,
        next_attempt_at: None,
        waits_because: None,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        finished_at: None,
        steps: None,
        cleared_at: None,
    }
}

#[test]
fn how_an_operation_ended_decides_the_exit_code() {
    let exit = |state, code| verdict(ended(state, code)).map_err(|failed| failed.exit);
    assert!(exit("succeeded", None).is_ok());
    assert_eq!(
        exit("failed", Some("health_failed")),
        Err(ExitCode::HealthFailed)
    );
    assert_eq!(
        exit("failed", Some("template_missing")),
        Err(ExitCode::Resources)
    );
    assert_eq!(exit("failed", Some("never_heard_of")), Err(ExitCode::Error));
    assert_eq!(exit("failed", None), Err(ExitCode::Error));
    assert_eq!(
        exit("cancelled", Some("cancelled")),
        Err(ExitCode::Cancelled)
    );
    assert_eq!(exit("stuck", Some("busy")), Err(ExitCode::Busy));
}

#[test]
fn failures_say_what_happened_and_what_to_do() {
    let texts = [
        ended("failed", Some("health_failed")),
        ended("stuck", Some("pve_unreachable")),
        ended("failed", None),
    ]
    .map(|operation| verdict(operation).unwrap_err().to_string());
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn whoever_stops_waiting_is_told_that_the_work_goes_on() {
    let failed = interrupted("018f", Ok(()));
    assert_eq!(
        (failed.exit, &*failed.body.code),
        (ExitCode::Cancelled, "cancelled")
    );
    assert!(failed.body.message.contains("goes on"), "{failed}");
}
