//! Compares steps that were sent at the same time: what came of them, in whatever order.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde_json::Value;

use crate::compare::{Comparison, steady};
use crate::server::Answer;

/// What came of a call, without what varies in it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    status: u64,
    reason: String,
    message: String,
    /// All `Connection` headers in order.
    connection: Vec<String>,
    /// Of what type the data is, and whether it is a task.
    data: &'static str,
}

fn outcome(status: u64, reason: &str, connection: Vec<String>, body: &Value) -> Outcome {
    let data = match &body["data"] {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(text) if text.starts_with("UPID:") => "task",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    Outcome {
        status,
        reason: steady(reason),
        message: steady(body["message"].as_str().unwrap_or_default()),
        connection,
        data,
    }
}

/// Differences between which outcomes occur, and how often each.
pub fn compare_outcomes(steps: &[Value], answers: &[Answer]) -> Vec<String> {
    let recorded = steps.iter().map(|step| {
        let response = &step["response"];
        let status = response["status"].as_u64().unwrap_or_default();
        let reason = response["reason"].as_str().unwrap_or_default();
        let connection = response["headers"]["connection"]
            .as_array()
            .into_iter()
            .flatten();
        let connection = connection
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        outcome(status, reason, connection, &response["body"])
    });
    let ours = answers.iter().map(|answer| {
        let status = answer.status.unwrap_or_default().into();
        outcome(
            status,
            &answer.reason,
            answer.connection.clone(),
            &answer.value(),
        )
    });
    differ("sent together", &counted(recorded), &counted(ours))
}

/// How a task ended: what is compared of its status.
pub fn end_of(status: &Value) -> Value {
    let parts = ["exitstatus", "type", "id", "user", "tokenid"];
    parts.iter().map(|key| status[*key].clone()).collect()
}

/// Differences between how the tasks ended: each answer that has a task in the recording has one here.
pub fn compare_ends(
    volatile: &[String],
    at: usize,
    steps: &[Value],
    ours: &[Value],
) -> Vec<String> {
    let comparison = Comparison::new(volatile);
    let mut recorded = Vec::new();
    let mut any = false;
    for (index, step) in steps.iter().enumerate() {
        if step["task"].is_object() {
            any |= comparison.is_volatile(&format!("/steps/{}/task/exitstatus", at + index), "");
            recorded.push(end_of(&step["task"]));
        }
    }
    let what = "tasks sent together";
    if any {
        // Which of ours belongs to the end that varies is not known.
        return differ(what, &recorded.len(), &ours.len());
    }
    let text = |end: &Value| end.to_string();
    let recorded = counted(recorded.iter().map(text));
    differ(what, &recorded, &counted(ours.iter().map(text)))
}

fn counted<T: Ord>(list: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for element in list {
        *counts.entry(element).or_default() += 1;
    }
    counts
}

fn differ<T: PartialEq + Debug>(what: &str, recorded: &T, ours: &T) -> Vec<String> {
    if recorded == ours {
        return Vec::new();
    }
    vec![format!("{what}: recorded {recorded:?}, ours {ours:?}")]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, reason: &str) -> Answer {
        let body = json!({"data": null, "message": format!("{reason}\n")});
        Answer {
            status: Some(status),
            reason: reason.to_owned(),
            content_type: None,
            connection: Vec::new(),
            took_ms: 0,
            body: body.to_string().into_bytes(),
        }
    }

    fn step(status: u16, reason: &str, end: Option<&str>) -> Value {
        let message = format!("{reason}\n");
        json!({
            "response": {"status": status, "reason": reason, "body": {"message": message}},
            "task": end.map(|end| json!({"exitstatus": end})),
        })
    }

    #[test]
    fn the_same_outcomes_in_another_order_are_alike_and_nothing_else() {
        let steps = [
            step(500, "is there", None),
            step(500, "is there", None),
            step(200, "OK", Some("OK")),
        ];
        let (made, there) = (|| answer(200, "OK"), || answer(500, "is there"));
        assert_eq!(
            compare_outcomes(&steps, &[made(), there(), there()]),
            [""; 0]
        );
        for other in [
            [made(), made(), there()],
            [there(), there(), there()],
            [made(), there(), answer(500, "no quorum")],
            [made(), there(), answer(403, "is there")],
            [
                made(),
                there(),
                Answer {
                    connection: vec!["close".into()],
                    ..there()
                },
            ],
            [
                made(),
                there(),
                Answer {
                    body: b"{\"data\":1,\"message\":\"is there\\n\"}".to_vec(),
                    ..there()
                },
            ],
        ] {
            assert_eq!(compare_outcomes(&steps, &other).len(), 1);
        }
    }

    #[test]
    fn as_many_tasks_have_to_end_and_in_the_same_way() {
        let steps = [step(500, "is there", None), step(200, "OK", Some("OK"))];
        let ends = |ours: &[Value]| compare_ends(&[], 3, &steps, ours).len();
        let end = |exit: &str| end_of(&json!({"exitstatus": exit}));
        assert_eq!(ends(&[end("OK")]), 0);
        assert_eq!(ends(&[]), 1, "200, but no task");
        assert_eq!(ends(&[end("OK"), end("OK")]), 1);
        assert_eq!(ends(&[end("got no lock")]), 1);
        let other = end_of(&json!({"exitstatus": "OK", "type": "vzstop"}));
        assert_eq!(ends(&[other]), 1, "a task of another kind");
        assert_eq!(ends(&[Value::Null]), 1, "a task that could not be awaited");
        let volatile = ["/steps/4/task/exitstatus".to_owned()];
        assert_eq!(compare_ends(&volatile, 3, &steps, &[json!("x")]), [""; 0]);
        assert_eq!(compare_ends(&volatile, 3, &steps, &[]).len(), 1);
    }
}
