//! `proximity operations show`.

use jiff::Timestamp;
use proximity_api::operations::{Operation, Step};

use crate::cli::OperationsShow;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{details, moment, or_dash, table};

pub(crate) async fn run(context: &Context, args: OperationsShow) -> Result<(), Failed> {
    let operation = context.client()?.operation(&args.id).await?;
    context.output.result(&operation, human)
}

/// An operation for people.
pub(crate) fn human(operation: &Operation) -> String {
    let problem = operation.problem.as_ref();
    let head = details([
        ("operation", operation.id.clone()),
        ("what", operation.kind.clone()),
        (
            "app",
            operation
                .hostname
                .clone()
                .unwrap_or_else(|| operation.app_id.clone()),
        ),
        (
            "state",
            format!("{}, {} %", operation.state, operation.percent),
        ),
        ("waits", waits(operation)),
        (
            "problem",
            problem.map(|p| p.message.clone()).unwrap_or_default(),
        ),
        (
            "next step",
            problem.map(|p| p.hint.clone()).unwrap_or_default(),
        ),
        ("repeats", operation.retry_of.clone().unwrap_or_default()),
        ("asked by", operation.requested_by.clone()),
        ("request", operation.request_id.clone().unwrap_or_default()),
        ("asked for", moment(operation.created_at)),
        (
            "ended",
            operation.finished_at.map(moment).unwrap_or_default(),
        ),
        (
            "steps",
            operation.cleared_at.map(cleared).unwrap_or_default(),
        ),
    ]);
    match &operation.steps {
        Some(steps) if !steps.is_empty() => format!("{head}\n\n{}", table_of(steps)),
        Some(_) | None => head,
    }
}

/// Why none are shown.
fn cleared(at: Timestamp) -> String {
    format!("cleared away with its log lines, {}", moment(at))
}

/// Until when, for which attempt, and why.
fn waits(operation: &Operation) -> String {
    let Some(due) = operation.next_attempt_at else {
        return String::new();
    };
    let why = operation.waits_because.as_ref();
    let why = why.map_or_else(String::new, |p| format!(": {}", p.message));
    format!(
        "until {}, for attempt {}{why}",
        moment(due),
        operation.attempt
    )
}

fn table_of(steps: &[Step]) -> String {
    table(
        ["STEP", "STATE", "BEGUN", "TASK"],
        steps.iter().map(|step| {
            [
                step.name.clone(),
                step.state.clone(),
                moment(step.started_at),
                or_dash(step.upid.as_deref()),
            ]
        }),
        "no steps",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An empty list of steps alone would say that there were none.
    #[test]
    fn why_no_steps_are_shown_is_said() {
        let mut shown = json!({
            "id": "o", "kind": "deploy", "app_id": "a", "state": "succeeded", "percent": 100, "input": {},
            "requested_by": "admin", "cancel_requested": false, "created_at": "2026-01-01T00:00:00Z",
            "finished_at": "2026-01-01T00:01:00Z", "steps": [],
        });
        let text = |shown: &serde_json::Value| {
            let operation: Operation = serde_json::from_value(shown.clone()).unwrap();
            human(&operation)
        };
        assert!(!text(&shown).contains("cleared"), "{}", text(&shown));
        shown["cleared_at"] = json!("2026-04-01T00:00:00Z");
        let said = "cleared away with its log lines, 2026-04-01 00:00:00 UTC";
        assert!(text(&shown).contains(said), "{}", text(&shown));
    }
}
