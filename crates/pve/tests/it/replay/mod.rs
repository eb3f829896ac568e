//! Recorded exchanges of copies, snapshots, backups, pools, templates and usage: what is asked is made of the recorded
//! parameters, and both request and answer are held against the recording.

mod changes;
mod reads;

use proximity_pve::Client;
use proximity_pve::transport::Request;
use serde_json::Value;

use crate::recordings::{Outcome, Step};

/// How much of a recorded request the typed call says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// All of it: each recorded parameter was sent with its value.
    All,
    /// Only where: the types do not let the recorded parameters be given, for they are wrong, missing, or not offered.
    Place,
}

/// Sends the typed call of a step, if one of these belongs to it.
pub(crate) async fn replay(
    step: &Step,
    segments: &[&str],
    client: &Client,
) -> Option<(&'static str, Outcome, Asked)> {
    if step.method == "GET" {
        return reads::replay(step, segments, client.read()).await;
    }
    changes::replay(step, segments, client).await
}

/// The request must go where the recorded one went, with the same parameters.
pub(crate) fn compare(step: &Step, asked: Asked, sent: &Request) {
    let id = &step.id;
    let place: Vec<String> = sent
        .path
        .split('/')
        .skip(1)
        .map(|part| part.replace("%3A", ":").replace("%2F", "/"))
        .collect();
    assert_eq!(place, step.segments, "{id}");
    if asked == Asked::Place {
        return;
    }
    for (name, value) in &step.given {
        let found = sent.params.iter().find(|(known, _)| known == name);
        assert_eq!(found.map(|(_, v)| v), Some(value), "{id}: {name}");
    }
}

/// What the recorded answer says a good result is, in the form the replays give it; `None`: the number of its rows.
pub(crate) fn expected(call: &str, data: &Value) -> Option<Value> {
    let rows = || data.as_array().cloned().unwrap_or_default();
    Some(match call {
        "clone" | "snapshot" | "rollback" | "delete snapshot" | "back up" | "delete backup"
        | "restore" | "restore over" | "grow" | "move" => data.clone(),
        "make template" | "describe snapshot" | "describe backup" | "protect backup"
        | "create pool" | "add to pool" | "remove from pool" | "delete pool" => Value::Null,
        "snapshots" => Value::from(rows().len() - 1),
        "snapshot config" => data["hostname"].clone(),
        "feature" => Value::from(data["hasFeature"] == 1),
        "volume" => data["size"].clone(),
        "pool" => {
            let members = data[0]["members"].as_array().cloned().unwrap_or_default();
            let mut numbers: Vec<u64> = members.iter().filter_map(|m| m["vmid"].as_u64()).collect();
            numbers.sort_unstable();
            Value::from(numbers)
        }
        _ => return None,
    })
}
