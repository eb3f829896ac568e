//! The stable codes: what each means and which kind it is.

use super::kind::{ErrorKind, ExitCode};

/// One stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The code, snake_case.
    pub code: &'static str,
    /// Its kind.
    pub kind: ErrorKind,
    /// When it is given, for the reference.
    pub when: &'static str,
}

impl Code {
    /// Exit code of a command that ends with it.
    ///
    /// The kind decides; only the codes of an app's health have an exit code of their own.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self.code {
            "health_check_failed" => ExitCode::HealthFailed,
            "cancelled" => ExitCode::Cancelled,
            _ => self.kind.exit_code(),
        }
    }
}

/// The row of this code.
#[must_use]
pub fn lookup(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|row| row.code == code)
}

const fn row(code: &'static str, kind: ErrorKind, when: &'static str) -> Code {
    Code { code, kind, when }
}

/// All codes, by part of the program, then by name.
pub const CODES: &[Code] = &[
    // The API itself.
    row("bad_json", ErrorKind::Malformed, "The body is not JSON."),
    row(
        "bad_field",
        ErrorKind::Malformed,
        "A field of the body has the wrong type or is missing.",
    ),
    row(
        "unknown_field",
        ErrorKind::Malformed,
        "The body has a field the request does not know.",
    ),
    row(
        "bad_query",
        ErrorKind::Malformed,
        "The part of the URL after the question mark is wrong.",
    ),
    row(
        "bad_header",
        ErrorKind::Malformed,
        "A header of the request is wrong.",
    ),
    row(
        "unauthorized",
        ErrorKind::Unauthorized,
        "No token was sent, or one that is not known.",
    ),
    row(
        "forbidden",
        ErrorKind::Forbidden,
        "The token is known, but lacks the scope.",
    ),
    row(
        "no_such_path",
        ErrorKind::NotFound,
        "The API has no such path.",
    ),
    row(
        "method_not_allowed",
        ErrorKind::MethodNotAllowed,
        "The path does not take this method.",
    ),
    row(
        "body_too_large",
        ErrorKind::TooLarge,
        "The body is larger than 1 MiB.",
    ),
    row(
        "not_json",
        ErrorKind::MediaType,
        "The body does not say that it is application/json.",
    ),
    row(
        "timeout",
        ErrorKind::Timeout,
        "The request took longer than 60 s.",
    ),
    row(
        "internal",
        ErrorKind::Internal,
        "A fault of the program; the log has the request's id.",
    ),
    // Apps and operations.
    row(
        "app_not_found",
        ErrorKind::NotFound,
        "No app has this id or host name.",
    ),
    row(
        "operation_not_found",
        ErrorKind::NotFound,
        "No operation has this id.",
    ),
    row(
        "not_found",
        ErrorKind::NotFound,
        "What was asked for is not there.",
    ),
    row(
        "invalid_value",
        ErrorKind::Invalid,
        "A value breaks its rule; `fields` names it.",
    ),
    row(
        "hostname_taken",
        ErrorKind::Conflict,
        "Another live app has this host name.",
    ),
    row(
        "catalog_unknown",
        ErrorKind::NotFound,
        "The catalog has no such entry.",
    ),
    row(
        "memory_too_little",
        ErrorKind::Invalid,
        "Less memory than the app needs was asked for.",
    ),
    row(
        "memory_above_node",
        ErrorKind::Resources,
        "More memory than any online node has was asked for.",
    ),
    row(
        "cores_above_node",
        ErrorKind::Resources,
        "More cores than any online node has were asked for.",
    ),
    row(
        "out_of_range",
        ErrorKind::Invalid,
        "A figure is outside of what Proxmox VE takes.",
    ),
    row(
        "no_node_online",
        ErrorKind::Resources,
        "No node of the host is online.",
    ),
    row(
        "template_missing",
        ErrorKind::Resources,
        "The template is on no online node that fits.",
    ),
    row(
        "ports_exhausted",
        ErrorKind::Resources,
        "No port of the range is free.",
    ),
    row(
        "not_in_state",
        ErrorKind::Conflict,
        "The app's or operation's state does not allow it.",
    ),
    row(
        "confirmation_needed",
        ErrorKind::Invalid,
        "A removal was asked for without confirmation.",
    ),
    row(
        "busy",
        ErrorKind::Busy,
        "Another operation works on the app.",
    ),
    row(
        "lease_lost",
        ErrorKind::Busy,
        "Another process took the operation over.",
    ),
    row("exists", ErrorKind::Conflict, "The name is taken."),
    row(
        "cancelled",
        ErrorKind::Conflict,
        "The operation was cancelled.",
    ),
    row(
        "health_check_failed",
        ErrorKind::Upstream,
        "The app did not answer as its health check wants.",
    ),
    // Hosts and Proxmox VE.
    row(
        "host_not_found",
        ErrorKind::NotFound,
        "No host entry has this id or label.",
    ),
    row(
        "no_host",
        ErrorKind::NotFound,
        "There is no host entry yet.",
    ),
    row(
        "host_ambiguous",
        ErrorKind::Invalid,
        "There are several host entries and none was named.",
    ),
    row(
        "host_in_use",
        ErrorKind::Conflict,
        "The host entry still has apps.",
    ),
    row(
        "cluster_known",
        ErrorKind::Conflict,
        "The cluster is there under another label.",
    ),
    row(
        "pve_unsupported",
        ErrorKind::Conflict,
        "This version of Proxmox VE is not supported.",
    ),
    row(
        "token_too_narrow",
        ErrorKind::Forbidden,
        "The API token lacks privileges in Proxmox VE.",
    ),
    // The installation.
    row(
        "database_too_new",
        ErrorKind::Internal,
        "A newer version of the program wrote the database.",
    ),
    row(
        "database_error",
        ErrorKind::Internal,
        "The database cannot be read or written.",
    ),
    row(
        "key_file",
        ErrorKind::Internal,
        "The key file is missing, of another database, or open to others.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let mut seen = std::collections::BTreeSet::new();
        for row in CODES {
            assert!(seen.insert(row.code), "{} is there twice", row.code);
            let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(row.code.chars().all(snake), "{}", row.code);
            assert!(
                row.when.ends_with('.'),
                "{}: one sentence, please",
                row.code
            );
        }
    }

    #[test]
    fn an_unhealthy_app_has_an_exit_code_of_its_own() {
        let health = lookup("health_check_failed").map(Code::exit_code);
        assert_eq!(health, Some(ExitCode::HealthFailed));
        assert_eq!(lookup("busy").map(Code::exit_code), Some(ExitCode::Busy));
        assert_eq!(lookup("no_such_code"), None);
    }
}
