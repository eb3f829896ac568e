//! `/api/proxmox/hosts/{host}/nodes/{node}/loss`.

use axum::Json;
use axum::extract::State;
use proximity_api::node_loss::{GiveUpNode, NodeLoss};
use proximity_engine::commands::GiveUp;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Names};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::hosts::on_its_own_thread;

/// Give a node up with its containers
///
/// For a node that has left its cluster, or is off for good: what is recorded on it can neither be removed nor proven absent, for
/// nobody can ask it. Shows what would become of each app there; with the number of those that are lost, typed by a person, ends
/// their records, and forgets the node if it has left. Nothing is sent to the cluster that changes anything. Refused while
/// anybody reaches the node. A node that is off may come back, and its containers with it: they are nobody's then, and those that
/// Proximity made cannot be adopted but are to be removed there by hand. Counted by the mass brake. It is about everybody's apps, so it needs the scope `hosts`, and to
/// confirm the number the scope `destroy` too.
#[utoipa::path(post, path = "/api/proxmox/hosts/{host}/nodes/{node}/loss", tag = "hosts", operation_id = "give_up_node",
    params(("host" = String, Path, description = "Id or label.", example = "home"),
        ("node" = String, Path, description = "Name of the node.", example = "pve3")),
    request_body = GiveUpNode,
    responses((status = 200, description = "What becomes of each app, and whether it was done.", body = NodeLoss)),
    extensions(("x-codes" = json!(["host_not_found", "not_found", "invalid_value", "node_in_use", "state_changed", "view_incomplete", "@cluster"]))))]
pub(crate) async fn give_up(
    State(state): State<AppState>,
    caller: Caller,
    Names(host, node): Names,
    Body(body): Body<GiveUpNode>,
) -> Result<Json<NodeLoss>, Refusal> {
    caller.require(Scope::Hosts)?;
    let said = match body.confirm_lost {
        None => GiveUp::Show,
        Some(apps) => {
            caller.require(Scope::Destroy)?;
            GiveUp::Lost(apps)
        }
    };
    let (engine, actor) = (state.engine().clone(), caller.actor().clone());
    // It outlives its request: what a person confirmed is done to its end.
    let work = async move || engine.give_up_node(&actor, &host, &node, said).await;
    let loss = on_its_own_thread(work).await?.map_err(Refusal::from)?;
    Ok(Json(convert::node_loss(loss)))
}
