//! `/api/apps/{id}/logs`.

use std::collections::VecDeque;

use axum::Json;
use axum::extract::State;
use proximity_api::logs::{LogPage, LogQuery};
use proximity_domain::ids::AppId;
use proximity_store::records::LogLine;
use proximity_store::{Reader, StoreError};

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Name, Query};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::lookup;

const MOST_LINES: usize = 1000;

/// Show what happened to an app
///
/// What comes after `after`, or else the newest lines, oldest first. The log of a removed app is there by its id.
#[utoipa::path(get, path = "/api/apps/{app}/logs", tag = "apps", operation_id = "list_log",
    params(("app" = String, Path, description = "Id or host name.", example = "web"), LogQuery),
    responses((status = 200, description = "The lines.", body = LogPage)),
    extensions(("x-codes" = json!(["app_not_found"]))))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Query(query): Query<LogQuery>,
) -> Result<Json<LogPage>, Refusal> {
    caller.require(Scope::Read)?;
    let reader = state.reader();
    let app = lookup::app_or_archived(&reader, &caller, &name).await?;
    let limit = query.limit.unwrap_or(50).clamp(1, MOST_LINES);
    let lines = match query.after {
        Some(after) => reader.log(app.id, after, to_u32(limit)).await?,
        None => newest(&reader, app.id, limit).await?,
    };
    let next_after = lines
        .last()
        .map_or(query.after.unwrap_or(0), |line| line.seq);
    Ok(Json(LogPage {
        lines: lines.into_iter().map(convert::log_line).collect(),
        next_after,
    }))
}

/// The last `limit` lines. The log is read through in pages; only the end is kept.
async fn newest(reader: &Reader, app: AppId, limit: usize) -> Result<Vec<LogLine>, StoreError> {
    let mut kept: VecDeque<LogLine> = VecDeque::new();
    loop {
        let after = kept.back().map_or(0, |line| line.seq);
        let page = reader.log(app, after, to_u32(MOST_LINES)).await?;
        let more = page.len() == MOST_LINES;
        kept.extend(page);
        kept.drain(..kept.len().saturating_sub(limit));
        if !more {
            return Ok(kept.into());
        }
    }
}

fn to_u32(lines: usize) -> u32 {
    u32::try_from(lines).unwrap_or(u32::MAX)
}
