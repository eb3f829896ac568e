//! `/api/apps/{app}/reidentify`.

use axum::Json;
use axum::extract::State;
use proximity_api::identity::{Reidentification, ReidentifyApp};
use proximity_engine::commands::Reidentify;

use super::lookup;
use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name};
use crate::refusal::Refusal;
use crate::router::AppState;

/// Re-identify an app's container
///
/// Shows what of its identity is not as recorded and which tasks of Proxmox VE may explain it, and accepts that if it is confirmed.
/// Only one changed factor is accepted, never a lost mark. Nothing is changed on the cluster. From then on the container can be
/// destroyed by a removal of the app, so it needs the scope `destroy`, and to look `read`.
#[utoipa::path(post, path = "/api/apps/{app}/reidentify", tag = "apps", operation_id = "reidentify_app",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    request_body = ReidentifyApp,
    responses((status = 200, description = "The evidence, and whether it was accepted.", body = Reidentification)),
    extensions(("x-codes" = json!(["invalid_value", "app_not_found", "not_found", "host_not_found", "not_in_state", "busy", "confirmation_needed", "identity_conflict", "state_changed", "@cluster"]))))]
pub(crate) async fn reidentify(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<ReidentifyApp>,
) -> Result<Json<Reidentification>, Refusal> {
    let said = if body.dry_run {
        caller.require(Scope::Read)?;
        Reidentify::Show
    } else {
        caller.require(Scope::Destroy)?;
        Reidentify::Accept {
            confirm: body.confirm,
            digest: body.digest,
        }
    };
    let app = match body.dry_run {
        true => lookup::app(&state.reader(), &caller, &name).await?,
        false => lookup::own_app(&state.reader(), &caller, Scope::Destroy, &name).await?,
    };
    let id = app.id.to_string();
    let shown = state
        .engine()
        .reidentify(caller.actor(), &id, &said)
        .await?;
    Ok(Json(convert::reidentification(shown)))
}
