//! Compares an answer and a task with the recorded ones.

use serde_json::{Value, json};

use crate::compare::Comparison;
use crate::scenario::Scenario;
use crate::server::Answer;

/// Longest delay a quick answer may have, milliseconds.
const QUICK_MS: u64 = 2_500;

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Compared {
    pub differences: Vec<String>,
    /// Places that were not compared, and why.
    pub left_out: Vec<String>,
}

/// Differences between an answer and the recorded one.
pub fn compare_answer(scenario: &Scenario, at: usize, step: &Value, answer: &Answer) -> Compared {
    let mut comparison = Comparison::new(&scenario.volatile);
    comparison.unsaid = scenario.unsaid();
    response(&mut comparison, at, step, answer);
    Compared {
        differences: comparison.differences,
        left_out: comparison.left_out,
    }
}

fn response(comparison: &mut Comparison<'_>, at: usize, step: &Value, answer: &Answer) {
    let recorded = &step["response"];
    let place = |key: &str| format!("/steps/{at}/response/{key}");
    comparison.text(&place("status"), &recorded["status"], &json!(answer.status));
    if recorded["status"].is_null() || answer.status.is_none() {
        return;
    }
    comparison.message(&place("reason"), &recorded["reason"], &json!(answer.reason));
    let headers = &recorded["headers"];
    comparison.text(
        &place("headers/connection"),
        &headers["connection"],
        &json!(answer.connection),
    );
    comparison.text(
        &place("headers/content-type"),
        &headers["content-type"],
        &json!(answer.content_type),
    );
    comparison.text(
        &place("body_empty"),
        &json!(recorded["body_empty"] == true),
        &json!(answer.body.is_empty()),
    );
    delay(comparison, at, step, answer);
    let ours = answer.value();
    match (&recorded["body"], &ours) {
        (Value::Object(fields), Value::Object(_)) => {
            let field = |key: &str| fields.get(key).cloned().unwrap_or_default();
            comparison.message(&place("body/message"), &field("message"), &ours["message"]);
            for key in ["success", "status", "total"] {
                comparison.text(&place(&format!("body/{key}")), &field(key), &ours[key]);
            }
            let errors = |body: &Value| body.get("errors").cloned().unwrap_or_else(|| json!({}));
            comparison.value(
                &place("body/errors"),
                &errors(&recorded["body"]),
                &errors(&ours),
            );
            comparison.rows_only = cut(step);
            comparison.value(&place("body/data"), &field("data"), &ours["data"]);
        }
        (recorded, ours) => comparison.message(&place("body"), recorded, ours),
    }
}

/// The recording kept only some rows.
fn cut(step: &Value) -> bool {
    step["note"]
        .as_str()
        .is_some_and(|note| note.contains("kept"))
}

/// Answers that PVE delays on purpose, or that a time-out decides.
fn delay(comparison: &mut Comparison<'_>, at: usize, step: &Value, answer: &Answer) {
    let recorded_ms = step["elapsed_ms"].as_u64().unwrap_or_default();
    let place = format!("/steps/{at}/delay");
    let about = |ms: u64| answer.took_ms + 700 >= ms && answer.took_ms <= ms + 700;
    match answer.status {
        Some(401) if !about(3_000) => {
            comparison.differ(&place, format!("took {} ms, not 3 s", answer.took_ms))
        }
        Some(596) if recorded_ms > 20_000 && !about(30_000) => {
            comparison.differ(&place, format!("took {} ms, not 30 s", answer.took_ms));
        }
        Some(_) if recorded_ms < 1_000 && answer.took_ms > QUICK_MS => {
            comparison.differ(
                &place,
                format!("took {} ms, recorded {recorded_ms}", answer.took_ms),
            );
        }
        _ => {}
    }
}

/// Differences between a task's end and the recorded one.
pub fn compare_task(
    volatile: &[String],
    at: usize,
    recorded: &Value,
    status: &Value,
    log: &Value,
) -> Vec<String> {
    let mut comparison = Comparison::new(volatile);
    let place = |key: &str| format!("/steps/{at}/task/{key}");
    comparison.message(
        &place("exitstatus"),
        &recorded["exitstatus"],
        &status["exitstatus"],
    );
    for key in ["type", "id", "user", "tokenid", "status"] {
        comparison.text(&place(key), &recorded[key], &status[key]);
    }
    let last = recorded["log"]
        .as_array()
        .and_then(|lines| lines.last())
        .cloned()
        .unwrap_or_default();
    let ours = log
        .as_array()
        .and_then(|lines| lines.last())
        .map(|line| line["t"].clone())
        .unwrap_or_default();
    if !comparison.is_volatile(&place("exitstatus"), "") {
        comparison.message(&place("log/last"), &last, &ours);
    }
    comparison.differences
}
