//! `/api/stats`.

use axum::Json;
use axum::extract::State;
use proximity_api::stats::Stats;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::refusal::Refusal;
use crate::router::AppState;

/// Count the apps
///
/// Live ones that the caller may see, by kind, status, node and type; and how far adoption has come.
#[utoipa::path(get, path = "/api/stats", tag = "apps", operation_id = "show_stats",
    responses((status = 200, description = "The numbers.", body = Stats)))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Stats>, Refusal> {
    caller.require(Scope::Read)?;
    let counts = state.reader().app_counts(caller.sees_only()).await?;
    let mut stats = convert::stats(counts);
    if caller.sees_only().is_none() {
        stats.adoption.unmanaged = state.engine().reconciler().unmanaged();
    }
    Ok(Json(stats))
}
