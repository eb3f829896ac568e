//! `GET /api/apps/{app}/addresses`: where an app's containers were seen on the network.

use axum::Json;
use axum::extract::State;
use proximity_api::addresses::AppAddresses;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::Name;
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::lookup;

/// Show where an app is on the network
///
/// The network devices of its containers with their MACs and addresses, as they were read last: of each running container in turn, and nothing is asked of Proxmox VE now.
#[utoipa::path(get, path = "/api/apps/{app}/addresses", tag = "apps", operation_id = "list_app_addresses",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    responses((status = 200, description = "As seen last.", body = AppAddresses)),
    extensions(("x-codes" = json!(["app_not_found"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<AppAddresses>, Refusal> {
    caller.require(Scope::Read)?;
    let app = lookup::app(&state.reader(), &caller, &name).await?;
    let view = state.engine().addresses(&app.id.to_string()).await?;
    Ok(Json(convert::addresses(view)))
}
