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
        "account" => ("not_found", "list them with: proximity accounts list"),
        "session" => ("not_found", "list them with: proximity sessions list"),
        "apply" => ("not_found", "list them with: proximity applies list"),
        "stack" => (
            "not_found",
            "list those that there are with: proximity stack list; apps get theirs from documents that are applied",
        ),
        "rejected content of" => (
            "not_found",
            "list what was rejected with: proximity rejected",
        ),
        "prepared template" => ("not_found", "list them with: proximity templates list"),
        "root password that was not shown yet, of app" => (
            "not_found",
            "root of the node sets another one: pct exec VMID -- passwd; proximity show APP tells the number",
        ),
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

/// Of a source that is not read; what was done about it is with the failure.
pub(super) fn source_row(code: &str) -> ErrorRow {
    use ErrorKind as K;
    let (code, kind) = match code {
        "git_missing" => ("git_missing", K::Unavailable),
        "branch_not_found" => ("branch_not_found", K::NotFound),
        "documents_not_found" => ("documents_not_found", K::NotFound),
        "source_too_large" => ("source_too_large", K::Invalid),
        "commit_unsigned" => ("commit_unsigned", K::Conflict),
        _ => ("source_unreachable", K::Upstream),
    };
    row(code, kind, "")
}
