//! `/api/ports`.

use axum::Json;
use axum::extract::State;
use proximity_api::ports::{FreePorts, FreedPorts, PortList, PortQuery};

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Query};
use crate::refusal::Refusal;
use crate::router::AppState;

/// List ports
///
/// Those in use, those that rest, and how many are free; with `port`, also whether that one could be given out now.
#[utoipa::path(get, path = "/api/ports", tag = "apps", operation_id = "list_ports",
    params(PortQuery),
    responses((status = 200, description = "The ports now.", body = PortList)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PortQuery>,
) -> Result<Json<PortList>, Refusal> {
    caller.require(Scope::Read)?;
    let report = state.engine().ports(query.port).await?;
    Ok(Json(convert::port_list(report, caller.sees_only())))
}

/// Free resting ports
///
/// Ends the rest of ports of orphans, so that they may be given out at once. Ports that rest belong to no account, so
/// this needs the scope `hosts`.
#[utoipa::path(post, path = "/api/ports/free", tag = "apps", operation_id = "free_ports",
    request_body = FreePorts,
    responses((status = 200, description = "Ports that may be given out from now on.", body = FreedPorts)),
    extensions(("x-codes" = json!(["not_found"]))))]
pub(crate) async fn free(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<FreePorts>,
) -> Result<Json<FreedPorts>, Refusal> {
    caller.require(Scope::Hosts)?;
    let engine = state.engine();
    let freed = engine.end_port_rest(caller.actor(), body.port).await?;
    Ok(Json(FreedPorts { freed }))
}
