//! Rows of the table that one variant of the error has several of.

use proximity_domain::apply::Refusal;

use super::{ErrorKind, ErrorRow, row};

/// Of what is not there.
pub(super) fn not_found_row(what: &str) -> ErrorRow {
    let (code, hint) = match what {
        "app" => ("app_not_found", LIST_HINT),
        "operation" => ("operation_not_found", LIST_HINT),
        "host" => ("host_not_found", LIST_HINT),
        "secret" => (
            "secret_not_found",
            "give it a value with: proximity secrets set NAME; those that there are: proximity secrets list",
        ),
        "plan" | "plan with documents" => ("not_found", "plan again with: proximity plan PATH"),
        "revision" | "snapshot" => (
            "not_found",
            "list those that there are with: proximity history APP",
        ),
        "source" => ("source_not_found", "list them with: proximity sources list"),
        "apply" => ("not_found", "list them with: proximity applies list"),
        _ => ("not_found", LIST_HINT),
    };
    row(code, ErrorKind::NotFound, hint)
}

const LIST_HINT: &str =
    "list what there is with: proximity apps, proximity hosts list or proximity operations list";

/// A person's word is wrong, or what is there.
pub(super) fn not_applied_row(refusal: &Refusal) -> ErrorRow {
    let kind = match refusal {
        Refusal::Outdated | Refusal::Obstructed { .. } | Refusal::Unsupported { .. } => {
            ErrorKind::Conflict
        }
        Refusal::PruneNotAllowed { .. }
        | Refusal::BrakeStops { .. }
        | Refusal::DestroyNotConfirmed { .. } => ErrorKind::Invalid,
    };
    row(refusal.code(), kind, "")
}
