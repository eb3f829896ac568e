//! A request that is refused: kind and body, and the answer made from them.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use proximity_api::error::{ErrorBody, ErrorEnvelope, ErrorKind, lookup};
use proximity_engine::error::{EngineError, ErrorKind as EngineKind};
use proximity_store::StoreError;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: ErrorKind,
    pub(crate) body: ErrorBody,
}

impl Refusal {
    pub(crate) fn new(kind: ErrorKind, body: ErrorBody) -> Self {
        Self { kind, body }
    }

    /// The host that a request names does not do what is needed of it: that is the request's mistake, not a
    /// failure of a cluster of ours.
    pub(crate) fn of_named_host(error: EngineError) -> Self {
        let is_outside = error.kind() == EngineKind::Upstream;
        let mut refusal = Self::from(error);
        if is_outside {
            refusal.kind = ErrorKind::Invalid;
        }
        refusal
    }

    /// No operation with this id, or none the caller may see.
    pub(crate) fn no_operation(id: &str) -> Self {
        EngineError::NotFound {
            what: "operation",
            name: id.to_owned(),
        }
        .into()
    }

    /// No app with this id or host name, or none the caller may see.
    pub(crate) fn no_app(app: &str) -> Self {
        EngineError::NotFound {
            what: "app",
            name: app.to_owned(),
        }
        .into()
    }

    /// The archive has no app with this id or host name, or none the caller may see.
    pub(crate) fn no_archived(app: &str) -> Self {
        let body = ErrorBody::new(
            "app_not_found",
            format!("there is no archived app {app}"),
            "list the archive with: proximity archive list",
        );
        Self::new(ErrorKind::NotFound, body)
    }
}

/// The engine's kinds as the API's.
pub(crate) fn kind(kind: EngineKind) -> ErrorKind {
    match kind {
        EngineKind::NotFound => ErrorKind::NotFound,
        EngineKind::Invalid => ErrorKind::Invalid,
        EngineKind::Conflict => ErrorKind::Conflict,
        EngineKind::Busy => ErrorKind::Busy,
        EngineKind::Resources => ErrorKind::Resources,
        EngineKind::Upstream => ErrorKind::Upstream,
        EngineKind::Forbidden => ErrorKind::Forbidden,
        EngineKind::Unavailable => ErrorKind::Unavailable,
        EngineKind::Internal => ErrorKind::Internal,
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        // The table of codes is what clients are told; it knows more kinds than the engine.
        let kind = lookup(error.code()).map_or(kind(error.kind()), |row| row.kind);
        let trouble = matches!(&error, EngineError::Store(e) if e.trouble().is_some());
        if kind == ErrorKind::Internal || trouble {
            tracing::error!(code = error.code(), error = %error, "the request failed inside");
        }
        let mut body = ErrorBody::new(error.code(), error.to_string(), error.hint());
        body.fields = error.fields();
        Self { kind, body }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        EngineError::from(error).into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let body = ErrorEnvelope { error: self.body };
        // A struct of strings always serialises; the empty body would still carry the status.
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut answer = (status, text).into_response();
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.kind == ErrorKind::Unauthorized {
            answer
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;
