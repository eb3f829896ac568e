//! Whether a scenario's world needs a past: tasks that ended before the first step.

use serde_json::Value;

use crate::compare::Comparison;
use crate::scenario::Scenario;

/// A list of tasks whose length depends on history has rows in the recording, and nothing that the
/// fixture makes starts a task: without a past there would be no row of ours to compare.
pub fn is_needed(scenario: &Scenario) -> bool {
    let makes_none = ["guests", "backups", "tasks"]
        .iter()
        .all(|key| scenario.list(key).is_empty());
    makes_none && lists_tasks(scenario.steps(), &scenario.volatile)
}

fn lists_tasks(steps: &[Value], volatile: &[String]) -> bool {
    let comparison = Comparison::new(volatile);
    steps.iter().enumerate().any(|(at, step)| {
        let place = format!("/steps/{at}/response/body/data");
        let row = &step["response"]["body"]["data"][0];
        comparison.is_volatile(&place, "#len") && row["upid"].is_string()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_recorded_list_of_earlier_tasks_asks_for_a_past() {
        let list = |row: Value| [json!({"response": {"body": {"data": [row]}}})];
        let volatile = ["/steps/0/response/body/data#len".to_owned()];
        let (task, sample) = (json!({"upid": "UPID:a"}), json!({"time": 1}));
        assert!(lists_tasks(&list(task.clone()), &volatile));
        assert!(!lists_tasks(&list(task), &[]));
        assert!(!lists_tasks(&list(sample), &volatile));
    }
}
