//! `/api/proxmox/nodes`.

use axum::Json;
use axum::extract::State;
use proximity_api::nodes::{NodeList, NodeQuery};

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::Query;
use crate::refusal::Refusal;
use crate::router::AppState;

/// List nodes
///
/// Asks every cluster, or the one that is named, for this answer.
#[utoipa::path(get, path = "/api/proxmox/nodes", tag = "hosts", operation_id = "list_nodes",
    params(NodeQuery),
    responses((status = 200, description = "The nodes as they are now.", body = NodeList)),
    extensions(("x-codes" = json!(["host_not_found", "no_host", "no_quorum", "view_incomplete", "@cluster"]))))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<NodeQuery>,
) -> Result<Json<NodeList>, Refusal> {
    caller.require(Scope::Read)?;
    let view = state.engine().nodes(query.host.as_deref()).await?;
    Ok(Json(convert::node_list(view)))
}
