//! What every request goes through: an id, a log line, a time limit, a net for panics, safe headers.

use std::any::Any;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue};
use proximity_api::error::{ErrorBody, ErrorKind};
use proximity_domain::ids::{AppId, OperationId};
use tracing::{Instrument, field};

use crate::extract::internal;
use crate::metrics;
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::traces::RequestEnd;

/// Longest time a request may take.
const LONGEST_REQUEST: Duration = Duration::from_secs(60);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Which trace a request is a part of, as the W3C has it.
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Registered with a slash at the end.
const COLLECTIONS: [&str; 2] = ["/api/apps/", "/api/catalog/"];

/// On every answer: nothing may be run, framed, guessed or kept.
const SAFE_HEADERS: [(&str, &str); 5] = [
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

/// Gives the request an id (the client's, if it sent a decent one), logs how it ended, and adds the headers.
pub(crate) async fn observe(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = sent_id(&request).unwrap_or_else(|| state.new_request_id());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let span = tracing::info_span!("request", request_id = id.to_str().unwrap_or_default());
    let traces = state.traces();
    if let Some(traces) = traces {
        let parent = request.headers().get(TRACE_PARENT);
        (traces.begun)(&span, parent.and_then(|parent| parent.to_str().ok()));
    }
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let begun = state.clock().monotonic();
    let mut answer = next.run(request).instrument(span.clone()).await;
    let ms = state.clock().monotonic().since_ms(begun);
    let status = answer.status().as_u16();
    let route = matched.as_ref().map_or("none", MatchedPath::as_str);
    state.metrics().request(route, method.as_str(), status, ms);
    let about = answer.extensions_mut().remove::<About>();
    let app = about.as_ref().map(|about| field::display(about.app));
    let operation = about.as_ref().and_then(|about| about.operation);
    if let Some(traces) = traces {
        let end = RequestEnd {
            method: metrics::method(method.as_str()),
            route,
            status,
            operation,
        };
        (traces.answered)(&span, &end);
    }
    let operation = operation.map(field::display);
    span.in_scope(|| {
        // Reading is most of the traffic (who follows an operation polls) and changes nothing.
        if method.is_safe() && status < 500 {
            tracing::debug!(%method, path, status, ms, app, operation, "answered");
        } else {
            tracing::info!(%method, path, status, ms, app, operation, "answered");
        }
    });
    answer.headers_mut().insert(REQUEST_ID, id);
    for (name, value) in SAFE_HEADERS {
        let (name, value) = (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        // A page that says itself what it may do is left as it is.
        answer.headers_mut().entry(name).or_insert(value);
    }
    answer
}

/// What a request asked for: goes with the answer as far as the log line that tells of it.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// The app it is about.
    pub(crate) app: AppId,
    /// The operation it asked for, or found.
    pub(crate) operation: Option<OperationId>,
}

/// The id of a request that has gone through [`observe`].
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    Some(id.to_owned())
}

fn sent_id(request: &Request) -> Option<HeaderValue> {
    let value = request.headers().get(REQUEST_ID)?;
    let text = value.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    ((1..=64).contains(&text.len()) && text.bytes().all(plain)).then(|| value.clone())
}

/// A slash at the end makes no difference: a path without it becomes the one that is registered.
pub(crate) fn without_last_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path().trim_end_matches('/');
    let path = COLLECTIONS
        .iter()
        .copied()
        .find(|collection| collection.trim_end_matches('/') == path)
        .unwrap_or(path);
    if path.is_empty() || path == uri.path() {
        return request;
    }
    let text = uri
        .query()
        .map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    // A part of a URI that was parsed already.
    if let Ok(shorter) = text.parse() {
        *request.uri_mut() = shorter;
    }
    request
}

/// Ends a request that takes too long.
pub(crate) async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(LONGEST_REQUEST, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => Refusal::new(
            ErrorKind::Timeout,
            ErrorBody::new(
                "timeout",
                "the request took longer than 60 s and was ended",
                "what it asked for may still have happened: look before you repeat it",
            ),
        )
        .into_response(),
    }
}

/// The answer to a request whose code panicked.
#[allow(clippy::needless_pass_by_value)] // the signature is the layer's
pub(crate) fn after_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(panic = text, "a request panicked");
    Refusal::new(ErrorKind::Internal, internal()).into_response()
}

/// The answer on a path the API does not have.
pub(crate) async fn no_such_path(request: Request) -> Refusal {
    let path = request.uri().path();
    Refusal::new(
        ErrorKind::NotFound,
        ErrorBody::new(
            "no_such_path",
            format!("the API has no path {path}"),
            "check the path; all of them begin with /api/",
        ),
    )
}

/// The answer to a method the path does not take. The header `allow` says which it does.
pub(crate) async fn method_not_allowed(request: Request) -> Refusal {
    let (method, path) = (request.method(), request.uri().path());
    Refusal::new(
        ErrorKind::MethodNotAllowed,
        ErrorBody::new(
            "method_not_allowed",
            format!("{path} does not take {method}"),
            "use a method from the answer's header `allow`",
        ),
    )
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::handler::Handler;
    use axum::middleware::from_fn;
    use http_body_util::BodyExt;
    use proximity_api::error::ErrorEnvelope;
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    /// What a request is answered that goes through the time limit and the net for panics.
    async fn answer<T: 'static>(handler: impl Handler<T, ()>) -> (u16, String) {
        let router = Router::new()
            .fallback(handler)
            .layer(CatchPanicLayer::custom(after_panic))
            .layer(from_fn(limit_time));
        let answer = router.oneshot(Request::new(Body::empty())).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let told: ErrorEnvelope = serde_json::from_slice(&body).unwrap();
        (status, told.error.code)
    }

    #[allow(clippy::panic)] // this is what it is for
    async fn panics() {
        panic!("a secret")
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_hangs_is_ended_after_a_minute() {
        let begun = tokio::time::Instant::now();
        let hangs = std::future::pending::<()>;
        assert_eq!(answer(hangs).await, (504, "timeout".to_owned()));
        assert_eq!(begun.elapsed().as_secs(), 60);
    }

    #[tokio::test]
    async fn a_request_that_panics_is_told_of_a_mistake_of_ours() {
        assert_eq!(answer(panics).await, (500, "internal".to_owned()));
    }
}
