//! Applies, what was rejected, and secrets without their values.

use std::collections::BTreeMap;

use proximity_api::applies::{Apply, ApplyChange, ApplyCounts};
use proximity_api::rejected::RejectedRevision;
use proximity_api::secrets::SecretEntry;
use proximity_domain::apply::ChangeState;
use proximity_store::applies::{ApplyChange as ChangeRecord, ApplyRecord};
use proximity_store::rejections::RejectedRevision as RejectedRow;
use proximity_store::secrets::SecretRecord;

use super::{moment, problem};

/// An apply; `changes` only where they were asked for.
pub(crate) fn apply(record: ApplyRecord, changes: Option<Vec<ChangeRecord>>) -> Apply {
    Apply {
        id: record.id.to_string(),
        plan_id: record.plan.to_string(),
        state: record.state.label().to_owned(),
        parallel: record.parallel,
        requested_by: record.asked_by,
        stopped_by: record.stopped_by,
        started_at: moment(record.started_at),
        ended_at: record.ended_at.map(moment),
        problem: record.why.as_ref().map(problem),
        counts: counts(&record.counts),
        changes: changes.map(|changes| changes.into_iter().map(change).collect()),
    }
}

fn counts(of: &BTreeMap<ChangeState, u64>) -> ApplyCounts {
    let many = |state: ChangeState| of.get(&state).copied().unwrap_or(0);
    ApplyCounts {
        waiting: many(ChangeState::Waiting),
        started: many(ChangeState::Started),
        done: many(ChangeState::Done),
        failed: many(ChangeState::Failed),
        held_up: many(ChangeState::HeldUp),
        not_started: many(ChangeState::NotStarted),
        quiet: many(ChangeState::Quiet),
    }
}

fn change(record: ChangeRecord) -> ApplyChange {
    let depends_on = record.depends_on.iter();
    ApplyChange {
        position: record.position,
        layer: record.layer.saturating_add(1),
        name: record.name.to_string(),
        app_id: record.app.map(|app| app.to_string()),
        act: record.act.label().to_owned(),
        depends_on: depends_on.map(ToString::to_string).collect(),
        state: record.state.label().to_owned(),
        operation_id: record.operation.map(|id| id.to_string()),
        problem: record.why.as_ref().map(problem),
        started_at: record.started_at.map(moment),
        ended_at: record.ended_at.map(moment),
    }
}

/// What was rejected.
pub(crate) fn rejected(row: RejectedRow) -> RejectedRevision {
    RejectedRevision {
        name: row.name.to_string(),
        rejected_at: moment(row.at),
        rejected_by: row.by,
        why: row.why,
    }
}

/// A secret, without its value.
pub(crate) fn secret(record: SecretRecord) -> SecretEntry {
    SecretEntry {
        name: record.name.to_string(),
        version: record.version,
        made_at: moment(record.made_at),
        changed_at: moment(record.changed_at),
        changed_by: record.changed_by,
    }
}
