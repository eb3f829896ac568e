//! `/api/proxmox/hosts/{host}/helper`.

use axum::Json;
use axum::extract::State;
use proximity_api::helper::{HelperReport, InstallHelper, RemoveHelper};

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::hosts::on_its_own_thread;

/// Put the helper on a host's nodes
///
/// The program, and a key of its own that leads to nothing else; then containers are reached by it alone. The entry goes over when
/// the helper has answered on every node that was meant. An entry without SSH gets it by this. May be sent again at any point.
#[utoipa::path(put, path = "/api/proxmox/hosts/{host}/helper", tag = "hosts", operation_id = "install_helper",
    params(("host" = String, Path, description = "Id or label.", example = "home")),
    request_body = InstallHelper,
    responses((status = 200, description = "What was done, or would be. Nodes that are down are in it as unfinished.", body = HelperReport)),
    extensions(("x-codes" = json!(["host_not_found", "invalid_value", "helper_not_shipped", "helper_other_machine", "state_changed", "ssh_no_pct", "ssh_host_key_mismatch", "ssh_unreachable", "host_unusable", "no_randomness", "no_quorum", "view_incomplete", "@cluster"]))))]
pub(crate) async fn install(
    State(state): State<AppState>,
    caller: Caller,
    Name(host): Name,
    Body(body): Body<InstallHelper>,
) -> Result<Json<HelperReport>, Refusal> {
    caller.require(Scope::Hosts)?;
    let request = convert::install_helper(body);
    let (engine, actor) = (state.engine().clone(), caller.actor().clone());
    let work = async move || engine.install_helper(&actor, &host, request).await;
    let report = on_its_own_thread(work).await?.map_err(Refusal::from)?;
    Ok(Json(convert::helper_report(report)))
}

/// Take the helper away from a host's nodes
///
/// Its key and its program; the host entry has no guest access then. What the helper noted of its work stays on the nodes. May be
/// sent again at any point.
#[utoipa::path(post, path = "/api/proxmox/hosts/{host}/helper/removal", tag = "hosts", operation_id = "remove_helper",
    params(("host" = String, Path, description = "Id or label.", example = "home")),
    request_body = RemoveHelper,
    responses((status = 200, description = "What was done, or would be. Nodes that are down are in it as unfinished.", body = HelperReport)),
    extensions(("x-codes" = json!(["host_not_found", "invalid_value", "no_guest_access", "ssh_no_pct", "ssh_host_key_mismatch", "host_unusable"]))))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Name(host): Name,
    Body(body): Body<RemoveHelper>,
) -> Result<Json<HelperReport>, Refusal> {
    caller.require(Scope::Hosts)?;
    let request = convert::remove_helper(body);
    let (engine, actor) = (state.engine().clone(), caller.actor().clone());
    let work = async move || engine.remove_helper(&actor, &host, request).await;
    let report = on_its_own_thread(work).await?.map_err(Refusal::from)?;
    Ok(Json(convert::helper_report(report)))
}
