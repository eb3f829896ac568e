//! Errors on the wire, and the one table that gives each kind its HTTP status and exit code.

mod codes;
mod kind;
mod reference;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use codes::{CODES, Code, lookup};
pub use kind::{ErrorKind, ExitCode};
pub use reference::reference_markdown;

/// Every answer of the API that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorEnvelope {
    /// The error.
    pub error: ErrorBody,
}

/// An error for programs (code, fields) and for people (message, hint).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// Stable, snake_case; listed in docs/reference/errors.md.
    pub code: String,
    /// What happened and why, one sentence.
    pub message: String,
    /// What to do next, one sentence.
    pub hint: String,
    /// Fields of the request that are wrong, with what is wrong; may be empty.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

impl ErrorBody {
    /// An error without fields.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            hint: hint.into(),
            fields: BTreeMap::new(),
        }
    }

    /// The same error, naming a field that is wrong.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, wrong: impl Into<String>) -> Self {
        self.fields.insert(name.into(), wrong.into());
        self
    }

    /// The exit code a command ends with when this error came with the HTTP status `status`.
    #[must_use]
    pub fn exit_code(&self, status: u16) -> ExitCode {
        lookup(&self.code)
            .map(|code| code.exit)
            .or_else(|| ErrorKind::from_status(status).map(ErrorKind::exit_code))
            .unwrap_or(ExitCode::Error)
    }
}
