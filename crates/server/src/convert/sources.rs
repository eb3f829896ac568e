//! Sources without their secrets.

use proximity_api::sources::{Source, SourceProblem};
use proximity_store::sources::SourceRecord;

use super::{moment, problem};

/// A source.
pub(crate) fn source(record: SourceRecord) -> Source {
    let sight = record.sight;
    let problems = sight.problems.into_iter();
    let problems = problems.map(|one| SourceProblem {
        place: one.place,
        message: one.message,
    });
    Source {
        name: record.name.to_string(),
        url: record.url.to_string(),
        branch: record.branch.to_string(),
        path: record.path.map(String::from),
        every_s: record.every_s,
        policy: record.policy.label().to_owned(),
        prune: record.prune,
        signed: record.signers.is_some(),
        has_credential: record.has_credential,
        made_at: moment(record.made_at),
        made_by: record.made_by,
        state: sight.state.label().to_owned(),
        commit: sight.commit.map(String::from),
        applied_commit: sight.applied.map(String::from),
        plan_id: sight.plan.map(|id| id.to_string()),
        apply_id: sight.apply.map(|id| id.to_string()),
        problem: sight.why.as_ref().map(problem),
        problems: problems.collect(),
        failures: sight.failures,
        looked_at: sight.looked_at.map(moment),
        due_at: moment(sight.due_at),
    }
}
