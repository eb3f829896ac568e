//! What the end of an operation means for the app's status.

use proximity_domain::app::{Status, StatusEvent};
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::operation::{OperationState, UnwindCause};
use proximity_domain::recorded::RecordedGuest;
use proximity_store::effects::NewEvent;
use serde_json::json;

use crate::saga::{Cx, Look, StepError, StepResult};

/// The app's status after `event`, from what is recorded now.
pub(crate) async fn status_after(cx: &Cx, event: StatusEvent) -> StepResult<Status> {
    let app = cx.store().app(cx.app.id).await?;
    let status = app.map_or_else(|| cx.app.status.clone(), |a| a.status);
    status.next(event).map_err(|e| {
        StepError::Stuck(Failure::new(
            "illegal_transition",
            e.to_string(),
            "report this as a bug; the app was left as it is",
        ))
    })
}

/// `error`, with what made this operation unwind.
pub(crate) async fn failed_status(cx: &Cx) -> StepResult<Status> {
    let op = cx.store().operation(cx.op.id).await?;
    let why = match op.map(|o| o.state) {
        Some(OperationState::Unwinding {
            cause: UnwindCause::Failure { failure },
        }) => failure,
        Some(OperationState::Unwinding {
            cause: UnwindCause::Cancel,
        }) => Failure::new(
            "cancelled",
            format!("the {} was cancelled", cx.op.kind.label()),
            "retry it, or remove the app",
        ),
        Some(
            OperationState::Queued
            | OperationState::Running
            | OperationState::Succeeded
            | OperationState::Failed { .. }
            | OperationState::Cancelled
            | OperationState::Stuck { .. },
        )
        | None => Failure::new(
            "unknown",
            "the reason is not recorded",
            "look at the app's log",
        ),
    };
    status_after(cx, StatusEvent::Failed(why, cx.now())).await
}

/// What the guest shows now: running, stopped, or `error` when it is not there or not ours.
pub(crate) async fn observed_status(cx: &Cx) -> StepResult<Status> {
    let Some(guest) = cx.recorded().await? else {
        return failed_status(cx).await;
    };
    let unread = |e| unread(cx, &guest, e);
    match cx.look(&guest).await.map_err(unread)? {
        Look::Ours { .. } => {
            let event = if cx.is_running(&guest).await.map_err(unread)? {
                StatusEvent::BecameRunning
            } else {
                StatusEvent::BecameStopped
            };
            status_after(cx, event).await
        }
        Look::Absent | Look::BeingCreated | Look::Foreign(_) | Look::Stranger(_) => {
            failed_status(cx).await
        }
    }
}

/// The app's container cannot be read, so nobody can say what the app is now: the failure says how to go on.
fn unread(cx: &Cx, guest: &RecordedGuest, error: StepError) -> StepError {
    let failure = |f: Failure| Failure {
        message: format!(
            "the {} of {} turned back, and whether its container {} runs on node {} cannot be read ({})",
            cx.op.kind.label(),
            cx.app.hostname,
            guest.place().vmid,
            guest.place().node,
            f.message
        ),
        hint: format!(
            "bring node {} back, then retry this operation, and repeat the {} after that; nothing on a node that is \
             down is taken for gone",
            guest.place().node,
            cx.op.kind.label()
        ),
        ..f
    };
    match error {
        StepError::Transient(f) if f.code == "pve_node_unreachable" => {
            StepError::Transient(failure(f))
        }
        other => other,
    }
}

/// An event about the app.
pub(crate) fn event(cx: &Cx, kind: EventKind) -> NewEvent {
    NewEvent {
        kind,
        body: json!({
            "app": cx.app.id,
            "hostname": cx.app.hostname,
            "operation": cx.op.id,
        }),
    }
}
