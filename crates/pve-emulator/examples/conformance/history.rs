//! Whether a scenario's world needs a past: tasks that ended before the first step.

use serde_json::{Value, json};

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

/// A task that a fixture says has ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    pub node: String,
    kind: String,
    id: String,
    token: bool,
}

impl Wanted {
    /// From the recorded UPID, or where there is none from the fields of its row.
    pub fn of(entry: &Value) -> Result<Self, String> {
        let literal = entry["ref_literal"].as_str().unwrap_or_default();
        let parts: Vec<&str> = literal.split(':').collect();
        if let ["UPID", node, _, _, _, kind, id, user, ..] = parts.as_slice() {
            return Ok(Self {
                node: (*node).to_owned(),
                kind: (*kind).to_owned(),
                id: (*id).to_owned(),
                token: user.contains('!'),
            });
        }
        let text = |key: &str| match &entry[key] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let (Some(node), Some(kind)) = (text("node"), text("type")) else {
            return Err(format!("set-up: a task without node and type: {entry}"));
        };
        Ok(Self {
            node,
            kind,
            id: text("id").or_else(|| text("vmid")).unwrap_or_default(),
            token: !entry["tokenid"].is_null(),
        })
    }

    /// Whether a row of a list of tasks is such a one.
    pub fn is(&self, row: &Value) -> bool {
        row["type"] == self.kind.as_str()
            && row["id"] == self.id.as_str()
            && row["tokenid"].is_string() == self.token
    }

    /// Who calls.
    pub fn by(&self) -> Option<&'static str> {
        self.token.then_some("root-token")
    }

    /// Calls that leave such a task and nothing else.
    pub fn calls(&self, scenario: &Scenario) -> Result<Vec<(&'static str, String, Value)>, String> {
        let base = format!("/nodes/{}/lxc", self.node);
        let guest = format!("{base}/{}", self.id);
        let power = |verb: &str| ("POST", format!("{guest}/status/{verb}"), json!({}));
        let guests = scenario.list("guests").iter();
        let own = guests
            .filter(|guest| {
                guest["vmid"].is_u64() && guest["vmid"].as_u64() == self.id.parse().ok()
            })
            .find(|guest| guest["running"] != true && guest["template"] != true);
        Ok(match (self.kind.as_str(), own) {
            ("vzcreate" | "vzdestroy", None) => {
                let template = &scenario.fixture["guest_defaults"]["config"]["ostemplate"];
                let form = json!({"vmid": self.id, "ostemplate": template, "rootfs": "local:1"});
                vec![("POST", base, form), ("DELETE", guest.clone(), json!({}))]
            }
            ("vzstart" | "vzstop", Some(_)) => vec![power("start"), power("stop")],
            ("vzshutdown", Some(_)) => vec![power("start"), power("shutdown")],
            (kind, _) => {
                let id = &self.id;
                return Err(format!("set-up: a task {kind} of {id} cannot be made"));
            }
        })
    }
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

    fn scenario(guests: Value) -> Scenario {
        Scenario {
            document: json!({}),
            fixture: json!({"guests": guests}),
            volatile: Vec::new(),
        }
    }

    #[test]
    fn a_task_of_the_past_is_known_by_its_literal_and_made_without_a_trace() {
        let literal = "UPID:a:000007F4:00072BBD:6B001EEF:vzstop:101:root@pam!gold:";
        let wanted = Wanted::of(&json!({"ref_literal": literal})).unwrap();
        let fields = json!({"node": "a", "type": "vzstop", "vmid": 101, "tokenid": "gold"});
        assert_eq!(wanted, Wanted::of(&fields).unwrap());
        assert!(wanted.is(&json!({"type": "vzstop", "id": "101", "tokenid": "gold"})));
        assert!(!wanted.is(&json!({"type": "vzstop", "id": "101"})));
        let stopped = scenario(json!([{"vmid": 101}]));
        let paths: Vec<String> = wanted
            .calls(&stopped)
            .unwrap()
            .into_iter()
            .map(|c| c.1)
            .collect();
        let power = |verb| format!("/nodes/a/lxc/101/status/{verb}");
        assert_eq!(paths, [power("start"), power("stop")]);
        let running = scenario(json!([{"vmid": 101, "running": true}]));
        assert!(wanted.calls(&running).is_err(), "its state would change");
        assert!(Wanted::of(&json!({"type": "vzstop"})).is_err());
    }

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
