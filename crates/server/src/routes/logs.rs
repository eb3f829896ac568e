//! `/api/apps/{id}/logs`.

use axum::Json;
use axum::extract::State;
use proximity_api::logs::{LogPage, LogQuery};

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Name, Query, limit};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::lookup;

const MOST_LINES: u32 = 1000;

/// Show what happened to an app
///
/// What comes after `after`, or else the newest lines, oldest first. The log of a removed app is there by its id.
#[utoipa::path(get, path = "/api/apps/{app}/logs", tag = "apps", operation_id = "list_log",
    params(("app" = String, Path, description = "Id or host name.", example = "web"), LogQuery),
    responses((status = 200, description = "The lines.", body = LogPage)),
    extensions(("x-codes" = json!(["app_not_found", "invalid_value"]))))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Query(query): Query<LogQuery>,
) -> Result<Json<LogPage>, Refusal> {
    caller.require(Scope::Read)?;
    let reader = state.reader();
    let app = lookup::app_or_archived(&reader, &caller, &name).await?;
    let limit = limit(query.limit, 50, MOST_LINES)?;
    let lines = match query.after {
        Some(after) => reader.log(app.id, after, limit).await?,
        None => reader.log_tail(app.id, limit).await?,
    };
    let next_after = lines
        .last()
        .map_or(query.after.unwrap_or(0), |line| line.seq);
    Ok(Json(LogPage {
        lines: lines.into_iter().map(convert::log_line).collect(),
        next_after,
    }))
}
