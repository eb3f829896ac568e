//! Kinds of errors: what they mean for HTTP and for a command's exit code.

use http::StatusCode;

/// How a command ends. One table for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExitCode {
    /// As asked.
    Ok,
    /// Something failed that no other code names.
    Error,
    /// The command or the request is not understood.
    Usage,
    /// Configuration is wrong or missing, or the thing asked for is not there.
    ConfigOrNotFound,
    /// Not enough memory, cores, ports, storage or templates.
    Resources,
    /// Somebody else is at it.
    Busy,
    /// A plan has changes; only where that was asked for.
    Changes,
    /// The app did not become healthy.
    HealthFailed,
    /// Doctor found something that should be otherwise, and nothing worse.
    Warnings,
    /// Doctor found something that does not work, or could not look at something.
    Faults,
    /// Cancelled, or there was nothing to do.
    Cancelled,
}

impl ExitCode {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::Error,
        Self::Usage,
        Self::ConfigOrNotFound,
        Self::Resources,
        Self::Busy,
        Self::Changes,
        Self::HealthFailed,
        Self::Warnings,
        Self::Faults,
        Self::Cancelled,
    ];

    /// The number the process ends with.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::ConfigOrNotFound => 3,
            Self::Resources => 4,
            Self::Busy => 5,
            Self::Changes => 6,
            Self::HealthFailed => 10,
            Self::Warnings => 13,
            Self::Faults => 14,
            Self::Cancelled => 20,
        }
    }

    /// What it means, for the reference.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done as asked",
            Self::Error => "an error no other code names",
            Self::Usage => "the command line or the request is wrong",
            Self::ConfigOrNotFound => {
                "the configuration is wrong or missing, or what was asked for is not there"
            }
            Self::Resources => {
                "not enough memory, cores, storage or ports, or a template is missing"
            }
            Self::Busy => "locked or busy: somebody else is at it",
            Self::Changes => "the plan has changes (`--detailed-exitcode` alone)",
            Self::HealthFailed => "the app did not become healthy",
            Self::Warnings => "doctor warns, and found nothing worse",
            Self::Faults => "doctor found a fault, or could not look at something",
            Self::Cancelled => "cancelled, or nothing to do",
        }
    }
}

/// What kind of error it is. Each kind has an HTTP status of its own, so that the status alone tells the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The request is not JSON, or not of the documented shape.
    Malformed,
    /// Nothing was sent by which we know who asks.
    Unauthorized,
    /// Who asks may not.
    Forbidden,
    /// It is not there.
    NotFound,
    /// The path takes other methods.
    MethodNotAllowed,
    /// It clashes with what is there.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// The body is not `application/json`.
    MediaType,
    /// A value breaks a rule; `fields` says which.
    Invalid,
    /// Another operation is at it.
    Busy,
    /// Too many requests at once.
    TooMany,
    /// A fault of ours.
    Internal,
    /// PVE or a node said no, or something we did not expect.
    Upstream,
    /// It is starting, stopping, or a part it needs does not answer.
    Unavailable,
    /// It took too long.
    Timeout,
    /// Not enough of something, or no place that fits.
    Resources,
}

impl ErrorKind {
    /// All of them, by status.
    pub const ALL: [Self; 16] = [
        Self::Malformed,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::TooLarge,
        Self::MediaType,
        Self::Invalid,
        Self::Busy,
        Self::TooMany,
        Self::Internal,
        Self::Upstream,
        Self::Unavailable,
        Self::Timeout,
        Self::Resources,
    ];

    /// HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy => StatusCode::LOCKED,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Upstream => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Resources => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    /// Exit code of a command that ends with it.
    #[must_use]
    pub const fn exit_code(self) -> ExitCode {
        match self {
            Self::Malformed | Self::TooLarge | Self::MediaType | Self::Invalid => ExitCode::Usage,
            Self::Unauthorized | Self::Forbidden | Self::NotFound => ExitCode::ConfigOrNotFound,
            Self::Resources => ExitCode::Resources,
            Self::Busy | Self::TooMany => ExitCode::Busy,
            Self::MethodNotAllowed
            | Self::Conflict
            | Self::Internal
            | Self::Upstream
            | Self::Unavailable
            | Self::Timeout => ExitCode::Error,
        }
    }

    /// Stable label, for the reference.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not found",
            Self::MethodNotAllowed => "method not allowed",
            Self::Conflict => "conflict",
            Self::TooLarge => "too large",
            Self::MediaType => "media type",
            Self::Invalid => "invalid",
            Self::Busy => "busy",
            Self::TooMany => "too many",
            Self::Internal => "internal",
            Self::Upstream => "upstream",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Resources => "resources",
        }
    }

    /// The kind with this HTTP status.
    #[must_use]
    pub fn from_status(status: u16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.status().as_u16() == status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_alone_tells_the_kind() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_status(kind.status().as_u16()), Some(kind));
        }
        assert_eq!(ErrorKind::from_status(200), None);
    }

    #[test]
    fn no_error_ends_with_success() {
        for kind in ErrorKind::ALL {
            assert_ne!(kind.exit_code(), ExitCode::Ok, "{}", kind.label());
        }
    }

    #[test]
    fn exit_codes_are_told_apart_by_their_numbers() {
        let numbers: std::collections::BTreeSet<u8> =
            ExitCode::ALL.into_iter().map(ExitCode::number).collect();
        assert_eq!(numbers.len(), ExitCode::ALL.len());
    }
}
