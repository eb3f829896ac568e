use super::*;

const GOOD: &str = r#"{"guests":"lxc","app":"redis","version":"1.0.0","sign":"connection","answers":true,"seconds_to_answer":12.5,"answers_after_restart":true,"changed":[],"answers_after_change":true,"stop_refuses":true,"answers_after_start":true,"removed":true,"leftovers":[]}"#;

fn captured(ended: Ended, stdout: &str, stderr: &str) -> Captured {
    Captured {
        ended,
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
    }
}

fn why(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn entries_are_those_of_the_catalog_or_those_that_were_named() {
    let all = words(&["caddy", "nginx", "redis"]);
    assert_eq!(chosen(&all, &[]).unwrap(), all);
    let some = words(&["redis", "caddy", "redis"]);
    assert_eq!(chosen(&all, &some).unwrap(), ["redis", "caddy"]);
    let error = chosen(&all, &words(&["ngnix"])).unwrap_err().to_string();
    assert!(error.contains("ngnix; there are caddy"), "{error}");
}

#[test]
fn a_good_report_passes_and_each_broken_promise_is_named() {
    let good = format!("deploying\n{GOOD}\n");
    let passed = judge("redis", &captured(Ended::Code(0), &good, "")).unwrap();
    assert!(matches!(passed, Outcome::Passed(_)), "{passed:?}");
    for (good, bad) in [
        (r#""guests":"lxc""#, r#""guests":"simulated""#),
        (r#""app":"redis""#, r#""app":"nginx""#),
        (r#""answers":true"#, r#""answers":false"#),
        (
            r#""answers_after_restart":true"#,
            r#""answers_after_restart":false"#,
        ),
        (r#""changed":[]"#, r#""changed":["etc/redis.conf"]"#),
        (r#""changed":[]"#, r#""changed":null"#),
        (
            r#""answers_after_change":true"#,
            r#""answers_after_change":false"#,
        ),
        (r#""stop_refuses":true"#, r#""stop_refuses":false"#),
        (
            r#""answers_after_start":true"#,
            r#""answers_after_start":false"#,
        ),
        (r#""removed":true"#, r#""removed":false"#),
        (r#""leftovers":[]"#, r#""leftovers":["port 8100"]"#),
    ] {
        let report: Report = serde_json::from_str(&GOOD.replace(good, bad)).unwrap();
        assert_eq!(complaints(&report, "redis").len(), 1, "{bad}");
    }
}

#[test]
fn a_run_without_a_report_or_with_a_bad_end_has_failed() {
    let ended = |code, stdout: &str| {
        let run = captured(Ended::Code(code), stdout, "one\n\nerror: no node\n");
        why(judge("redis", &run).unwrap())
    };
    assert_eq!(
        ended(1, ""),
        "it ended with code 1: one\n    error: no node"
    );
    assert_eq!(ended(0, "done\n"), "it printed no report");
    assert_eq!(ended(1, GOOD), "`proximity try` ended with code 1");
    assert!(judge("redis", &captured(Ended::Code(0), "{}", "")).is_err());
}

#[test]
fn the_table_and_the_last_line_say_what_came_of_each() {
    let row = |id: &str, outcome| Row {
        id: id.to_owned(),
        outcome,
        seconds: 20,
    };
    let report = serde_json::from_str(GOOD).unwrap();
    let rows = [
        row("redis", Outcome::Passed(report)),
        row("nats", Outcome::Failed("no page\nmore".to_owned())),
        row("nginx", Outcome::NotRun),
    ];
    let table = table(&rows);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[1].contains("12.5") && lines[1].ends_with("ok"));
    assert!(lines[2].ends_with("FAILED: no page"));
    assert!(lines[3].ends_with("not run"));
    let last: serde_json::Value = serde_json::from_str(&summary(&rows)).unwrap();
    let of = &last["catalog_test"];
    assert_eq!(of["asked"], 3);
    assert_eq!(of["passed"]["redis"]["seconds_to_answer"], 12.5);
    assert_eq!(of["failed"]["nats"], "no page\nmore");
    assert_eq!(of["not_run"][0], "nginx");
}
