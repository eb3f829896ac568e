//! `/api/apps/{app}/guard`: whether the drift of an adopted app is told.

use axum::Json;
use axum::extract::State;
use proximity_api::adoption::Guarding;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::Name;
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::lookup;

/// Guard an adopted app
///
/// When its container's configuration differs from the day of its adoption, that is told once, and its end too. Nothing is read for it besides what is read anyway, in turn.
#[utoipa::path(post, path = "/api/apps/{app}/guard", tag = "apps", operation_id = "guard_app",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    responses((status = 200, description = "As recorded.", body = Guarding)),
    extensions(("x-codes" = json!(["app_not_found", "not_in_state"]))))]
pub(crate) async fn guard(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<Guarding>, Refusal> {
    set(&state, &caller, &name, true).await
}

/// End the guard of an adopted app
///
/// Its drift is told no more; it can still be asked for.
#[utoipa::path(delete, path = "/api/apps/{app}/guard", tag = "apps", operation_id = "unguard_app",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    responses((status = 200, description = "As recorded.", body = Guarding)),
    extensions(("x-codes" = json!(["app_not_found", "not_in_state"]))))]
pub(crate) async fn unguard(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<Guarding>, Refusal> {
    set(&state, &caller, &name, false).await
}

async fn set(
    state: &AppState,
    caller: &Caller,
    name: &str,
    on: bool,
) -> Result<Json<Guarding>, Refusal> {
    caller.require(Scope::Operate)?;
    let app = lookup::own_app(&state.reader(), caller, Scope::Operate, name).await?;
    let id = app.id.to_string();
    let view = state.engine().guard(caller.actor(), &id, on).await?;
    Ok(Json(convert::guarding(view)))
}
