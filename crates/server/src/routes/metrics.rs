//! `/metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use crate::auth::{Caller, Scope};
use crate::metrics::{self, Scrape};
use crate::refusal::Refusal;
use crate::router::AppState;

/// Show the figures of the running server
///
/// For Prometheus, which sends the token with `authorization: credentials_file`. Needs the scope `metrics`; with `read`
/// the apps of the token's account are counted alone, and what tells of everybody's is left out. The text is OpenMetrics.
#[utoipa::path(get, path = "/metrics", tag = "installation", operation_id = "show_metrics",
    responses((status = 200, description = "The figures.",
        content((String = "application/openmetrics-text")))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Response, Refusal> {
    let sees_only = sees_only(&caller)?;
    let feed = state.feed();
    let reconciler = state.engine().reconciler();
    let scrape = Scrape {
        sees_only,
        streams: feed.followers(),
        newest_event: feed.newest().await?,
        seen_whole: reconciler.seen_whole(),
        unmanaged: reconciler.unmanaged(),
    };
    let text = state.metrics().text(&state.reader(), &scrape).await?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// The account whose apps alone are counted; `None` = everybody's.
fn sees_only(caller: &Caller) -> Result<Option<&str>, Refusal> {
    if caller.may(Scope::Read) && !caller.may(Scope::Metrics) {
        return Ok(caller.sees_only());
    }
    caller.require(Scope::Metrics)?;
    Ok(None)
}
