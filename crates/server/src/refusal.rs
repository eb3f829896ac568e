//! A request that is refused: kind and body, and the answer made from them.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use proximity_api::error::{ErrorBody, ErrorEnvelope, ErrorKind};
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

    /// No app with this id or host name, or none the caller may see.
    pub(crate) fn no_app(app: &str) -> Self {
        EngineError::NotFound {
            what: "app",
            name: app.to_owned(),
        }
        .into()
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
        EngineKind::Internal => ErrorKind::Internal,
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        let kind = kind(error.kind());
        if kind == ErrorKind::Internal {
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
