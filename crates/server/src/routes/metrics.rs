//! `/metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use crate::auth::{Caller, Scope};
use crate::metrics;
use crate::refusal::Refusal;
use crate::router::AppState;

/// Show the figures of the running server
///
/// For Prometheus, which sends the token with `authorization: credentials_file`. Needs the scope `read`. The text is
/// OpenMetrics.
#[utoipa::path(get, path = "/metrics", tag = "installation", operation_id = "show_metrics",
    responses((status = 200, description = "The figures.",
        content((String = "application/openmetrics-text")))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Response, Refusal> {
    caller.require(Scope::Read)?;
    let feed = state.feed();
    let newest = feed.newest().await?;
    let reader = state.reader();
    let reconciler = state.engine().reconciler();
    state.metrics().seen_whole(reconciler.seen_whole());
    state.metrics().unmanaged(reconciler.unmanaged());
    let text = state
        .metrics()
        .text(&reader, feed.followers(), newest)
        .await?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}
