//! A request the gateway understood, or could not understand, and did not do.

use serde::{Deserialize, Serialize};

/// A refused request. Nothing was changed by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For people.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Why a request was refused; stable labels in snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalCode {
    /// The request's protocol version is not spoken here.
    UnsupportedVersion,
    /// No request of that name.
    UnknownOp,
    /// Not JSON, a field missing, unknown or of the wrong kind.
    BadRequest,
    /// The line is longer than the limit.
    LineTooLong,
    /// The caller is neither the gateway's own user nor root.
    Forbidden,
    /// Too many control connections are open.
    TooManyClients,
    /// The gateway has seen a newer generation of this app's route, or another one of the same.
    StaleGeneration,
    /// Another route, or the route's own other port, listens there.
    PortConflict,
    /// The target is a port the gateway itself listens on.
    TargetIsGateway,
    /// The table is full.
    TooManyRoutes,
    /// The route file could not be written; the change was not made.
    RouteFile,
    /// The gateway is ending.
    ShuttingDown,
    /// A code a newer gateway sent and this version does not know.
    #[serde(other)]
    Unknown,
}

impl std::fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UnsupportedVersion => "unsupported_version",
            Self::UnknownOp => "unknown_op",
            Self::BadRequest => "bad_request",
            Self::LineTooLong => "line_too_long",
            Self::Forbidden => "forbidden",
            Self::TooManyClients => "too_many_clients",
            Self::StaleGeneration => "stale_generation",
            Self::PortConflict => "port_conflict",
            Self::TargetIsGateway => "target_is_gateway",
            Self::TooManyRoutes => "too_many_routes",
            Self::RouteFile => "route_file",
            Self::ShuttingDown => "shutting_down",
            Self::Unknown => "unknown",
        })
    }
}
