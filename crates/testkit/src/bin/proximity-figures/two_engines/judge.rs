//! What is stale and what is doubled: read from the record and from the emulator's journal.

use std::collections::BTreeMap;

use proximity_domain::ids::OperationId;
use proximity_pve_emulator::shell::Entry;
use proximity_store::Store;
use serde::Serialize;

/// What is wrong after one round.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Wrong {
    /// Rows written by the engine that went on after the other had taken over.
    pub(super) stale_writes: usize,
    /// Calls of the lower epoch that arrived after the take-over.
    pub(super) stale_calls: usize,
    /// Accepted calls of one kind beyond the first, and guests without an app.
    pub(super) duplicates: usize,
    /// In words.
    pub(super) notes: Vec<String>,
}

/// A change that arrived for an operation: `User-Agent: proximity/… (operation ID; epoch N)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) at_ms: u64,
    pub(super) epoch: i64,
    pub(super) call: String,
    pub(super) accepted: bool,
}

/// The changes of this operation, in the order they arrived. One that names no operation is an error: it was not sent
/// under a warrant, and nothing could be judged.
pub(super) fn changes(entries: &[Entry], operation: OperationId) -> Result<Vec<Change>, String> {
    let mut all = Vec::new();
    for entry in entries.iter().filter(|e| e.mutating) {
        let agent = entry.agent.as_deref().unwrap_or_default();
        let Some((id, epoch)) = reference(agent) else {
            return Err(format!(
                "{} {} came without a reference",
                entry.method, entry.path
            ));
        };
        if id == operation.to_string() {
            all.push(Change {
                at_ms: entry.at_ms,
                epoch,
                call: format!("{} {}", entry.method, entry.path),
                accepted: entry.status.is_some_and(|s| s < 300),
            });
        }
    }
    Ok(all)
}

fn reference(agent: &str) -> Option<(&str, i64)> {
    let (_, inside) = agent.split_once("(operation ")?;
    let (id, rest) = inside.strip_suffix(')')?.split_once("; epoch ")?;
    Some((id, rest.parse().ok()?))
}

/// `taken_over`: epoch of the successor and a moment (Unix ms) at which its claim was on record already.
pub(super) fn judge_calls(changes: &[Change], taken_over: &[(i64, u64)], wrong: &mut Wrong) {
    for change in changes {
        let late = taken_over
            .iter()
            .any(|(epoch, since)| change.epoch < *epoch && change.at_ms > *since);
        if late {
            wrong.stale_calls += 1;
            wrong.notes.push(format!("stale: {change:?}"));
        }
    }
    let mut accepted: BTreeMap<&str, usize> = BTreeMap::new();
    for change in changes.iter().filter(|c| c.accepted) {
        *accepted.entry(&change.call).or_default() += 1;
    }
    // Lifting protection and putting it back are the same call; everything else happens once.
    for (call, times) in accepted {
        if times > 1 && !call.starts_with("PUT ") {
            wrong.duplicates += times - 1;
            wrong.notes.push(format!("{times} times: {call}"));
        }
    }
}

/// How many rows tell of an operation: audit, events, log lines, with the highest epoch of each mutation's predecessor.
pub(super) async fn rows(store: &Store, operation: OperationId) -> Result<Rows, String> {
    let mut rows = Rows::default();
    let (mut after, mut highest) = (0, 0);
    loop {
        let page = store.audit(1_000, after).await.map_err(|e| e.to_string())?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for row in page.iter().filter(|r| r.operation == Some(operation)) {
            rows.count += 1;
            if let Some(epoch) = row.epoch {
                rows.fallen += usize::from(epoch.0 < highest);
                highest = highest.max(epoch.0);
            }
        }
    }
    let op = store
        .operation(operation)
        .await
        .map_err(|e| e.to_string())?;
    let steps = store.steps(operation).await.map_err(|e| e.to_string())?;
    rows.state = format!("{op:?} {steps:?}");
    Ok(rows)
}

/// What the record says of an operation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) count: usize,
    /// Mutations recorded after one of a higher epoch.
    pub(super) fallen: usize,
    /// The operation's row and its steps, whole.
    pub(super) state: String,
}
