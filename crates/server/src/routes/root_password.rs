//! `/api/apps/{app}/root-password`.

use axum::Json;
use axum::extract::State;
use proximity_api::apps::RootPassword;
use secrecy::ExposeSecret;

use crate::auth::{Caller, Scope};
use crate::extract::Name;
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::lookup;

/// Show root's password
///
/// Once: it is forgotten with the answer, and that is audited. It is there for an app that was deployed with `root_password`.
#[utoipa::path(post, path = "/api/apps/{app}/root-password", tag = "apps", operation_id = "show_root_password",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    responses((status = 200, description = "The password.", body = RootPassword)),
    extensions(("x-codes" = json!(["app_not_found", "not_found", "not_in_state", "busy"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<RootPassword>, Refusal> {
    caller.require(Scope::Operate)?;
    let app = lookup::own_app(&state.reader(), &caller, Scope::Operate, &name).await?;
    let id = app.id.to_string();
    let password = state
        .engine()
        .show_root_password(caller.actor(), &id)
        .await?;
    Ok(Json(RootPassword {
        app_id: id,
        hostname: app.hostname.into(),
        password: password.expose_secret().to_owned(),
    }))
}
