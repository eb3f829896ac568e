//! Operations and their steps.

use proximity_api::apps::Problem;
use proximity_api::operations::{Operation, Step};
use proximity_domain::operation::{OperationState, UnwindCause};
use proximity_domain::saga::StepRecord;
use proximity_store::records::OperationRecord;

use super::{moment, problem};

/// An operation; `steps` only where they were asked for.
pub(crate) fn operation(
    record: OperationRecord,
    hostname: Option<String>,
    steps: Option<Vec<StepRecord>>,
) -> Operation {
    Operation {
        id: record.id.to_string(),
        kind: record.kind.label().to_owned(),
        app_id: record.app.to_string(),
        hostname,
        state: record.state.label().to_owned(),
        problem: why(&record.state),
        percent: record.percent,
        input: record.input,
        requested_by: record.requested_by,
        request_id: record.request_id,
        retry_of: record.retry_of.map(|id| id.to_string()),
        cancel_requested: record.cancel_requested,
        attempt: record.attempt,
        next_attempt_at: record.wait.as_ref().map(|wait| moment(wait.due_at)),
        waits_because: record.wait.as_ref().map(|wait| problem(&wait.because)),
        created_at: moment(record.created_at),
        finished_at: record.finished_at.map(moment),
        cleared_at: record.cleared_at.map(moment),
        steps: steps.map(|steps| steps.into_iter().map(step).collect()),
    }
}

fn why(state: &OperationState) -> Option<Problem> {
    match state {
        OperationState::Failed { failure }
        | OperationState::Stuck { failure, .. }
        | OperationState::Unwinding {
            cause: UnwindCause::Failure { failure },
        } => Some(problem(failure)),
        OperationState::Unwinding {
            cause: UnwindCause::Cancel,
        }
        | OperationState::Cancelled => Some(Problem {
            code: "cancelled".to_owned(),
            message: "the operation was cancelled".to_owned(),
            hint: "what it had begun is undone; nothing needs to be done".to_owned(),
            step: None,
        }),
        OperationState::Queued | OperationState::Running | OperationState::Succeeded => None,
    }
}

/// One step.
fn step(record: StepRecord) -> Step {
    Step {
        index: record.index,
        name: record.name,
        state: record.state.label().to_owned(),
        upid: record.upid,
        problem: record.failure.as_ref().map(problem),
        started_at: moment(record.started_at),
        changed_at: moment(record.changed_at),
    }
}
