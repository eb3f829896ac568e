//! What the store refuses, and trouble with it: the part of the table of errors that is about it.

use proximity_store::Trouble;
use proximity_store::error::StoreError;

use crate::error::{ADDRESS_HINT, ErrorKind, ErrorRow, row};

/// What helps when no port is left to give out. Ending a rest would be no help where none rests.
pub(crate) fn ports_hint(some_rest: bool) -> &'static str {
    match some_rest {
        false => "widen the range in the configuration, or remove an app",
        true => {
            "end the rest of ports with: proximity ports free --now; or widen the range in the configuration, or remove an app"
        }
    }
}

/// The row of an error of the store.
pub(crate) fn store_row(error: &StoreError) -> ErrorRow {
    use ErrorKind as K;
    match error {
        StoreError::LeaseLost { .. } => row(
            "lease_lost",
            K::Busy,
            "another process took the operation over; look at it again",
        ),
        StoreError::ApplyLost { .. }
        | StoreError::PlanApplied { .. }
        | StoreError::ApplyOverlaps { .. }
        | StoreError::BrakeStops { .. }
        | StoreError::Rejected { .. }
        | StoreError::SecretInUse { .. } => apply_row(error),
        StoreError::HostnameTaken { .. } => row(
            "hostname_taken",
            K::Conflict,
            "choose another host name, or remove the app that has it",
        ),
        StoreError::PortsExhausted { resting, .. } => row(
            "ports_exhausted",
            K::Resources,
            ports_hint(!resting.is_empty()),
        ),
        StoreError::Busy { .. } => row("busy", K::Busy, ""),
        StoreError::QueueFull { .. } => row(
            "queue_full",
            K::Busy,
            "wait until some of them are done: proximity operations list",
        ),
        StoreError::IllegalTransition { .. } => row(
            "not_in_state",
            K::Conflict,
            "look at it again; its state has changed",
        ),
        StoreError::NotFound { what, .. } => row(
            match *what {
                "app" => "app_not_found",
                "operation" => "operation_not_found",
                "host" => "host_not_found",
                "secret" => "secret_not_found",
                "source" => "source_not_found",
                _ => "not_found",
            },
            K::NotFound,
            "list what there is with: proximity apps, proximity hosts list or proximity operations list",
        ),
        StoreError::KeyReused { .. } => row(
            "idempotency_conflict",
            K::Conflict,
            "send a new key with a new request, and the old one only with the very same request",
        ),
        StoreError::Exists {
            what: "address", ..
        } => row("address_taken", K::Conflict, ADDRESS_HINT),
        StoreError::Exists { .. } => row("exists", K::Conflict, "choose another name"),
        StoreError::HostInUse { .. } => row(
            "host_in_use",
            K::Conflict,
            "remove its apps first: proximity apps --host LABEL",
        ),
        StoreError::TooNew { .. } | StoreError::Key { .. } => opening_row(error),
        StoreError::Damaged { .. } | StoreError::Database(_) | StoreError::File { .. } => {
            trouble_row(error.trouble())
        }
    }
}

/// What applies and secrets are refused for.
fn apply_row(error: &StoreError) -> ErrorRow {
    use ErrorKind as K;
    match error {
        StoreError::ApplyLost { .. } => row(
            "lease_lost",
            K::Busy,
            "another process took the apply over, or it is over; look at it again",
        ),
        StoreError::PlanApplied { .. } => row(
            "plan_applied",
            K::Conflict,
            "plan again: what is as wanted by now is no change any more",
        ),
        StoreError::ApplyOverlaps { .. } => row(
            "apply_overlaps",
            K::Busy,
            "wait until that apply is over, or stop it; then plan again",
        ),
        StoreError::BrakeStops { .. } => row(
            "brake_not_released",
            K::Invalid,
            "look at each of them; if all are to end, apply with --confirm-removed N, N being how many it ends",
        ),
        StoreError::Rejected { .. } => row(
            "source_waits",
            K::Conflict,
            "apply it all the same with: proximity apply PLAN; or let it be applied by itself again with: proximity unreject APP",
        ),
        _ => row(
            "secret_in_use",
            K::Conflict,
            "apply documents of these apps that do not name it, or that leave them out with --prune",
        ),
    }
}

/// Why a database is not opened.
fn opening_row(error: &StoreError) -> ErrorRow {
    use ErrorKind as K;
    match error {
        StoreError::TooNew { .. } => row(
            "database_too_new",
            K::Internal,
            "use the newer program again, or restore the copy made before its first start",
        ),
        _ => row(
            "key_file",
            K::Internal,
            "put the right key file back, readable by its owner only",
        ),
    }
}

/// Trouble with the database itself.
fn trouble_row(trouble: Option<Trouble>) -> ErrorRow {
    use ErrorKind as K;
    match trouble {
        Some(Trouble::Full) => row(
            "disk_full",
            K::Resources,
            "free space where the data directory is; work goes on by itself, nothing has to be started again",
        ),
        Some(Trouble::Passing) => row(
            "database_unavailable",
            K::Unavailable,
            "look whether it was done before asking again (the same Idempotency-Key is safe), and check the disk of \
             the data directory",
        ),
        Some(Trouble::Lasting) | None => row(
            "database_error",
            K::Internal,
            "look at the server's log; check the disk and the permissions of the data directory",
        ),
    }
}
