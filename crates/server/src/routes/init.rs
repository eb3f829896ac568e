//! `/api/proxmox/hosts/init` and `/api/proxmox/hosts/{host}/uninit`.

use axum::Json;
use axum::extract::State;
use proximity_api::init::{InitDone, InitHost, InitPlan, PlanUninit, UninitHost, UninitPlan};
use proximity_engine::commands;
use proximity_engine::error::EngineError;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::hosts::to_its_end;
use crate::routes::lookup;

/// Look at what setting a host up would do
///
/// A person logs in once, by password and code or by a ticket; neither is kept. Nothing is changed. While nobody vouches for
/// the host's certificate, nobody logs in either: the answer has the fingerprint, to be compared and sent along.
#[utoipa::path(post, path = "/api/proxmox/hosts/init/plan", tag = "hosts", operation_id = "plan_init",
    request_body = InitHost,
    responses((status = 200, description = "What was found, and what would be done.", body = InitPlan)),
    extensions(("x-codes" = json!(["invalid_value", "exists", "cluster_known", "pve_unsupported", "token_too_narrow", "@host", "@person"]))))]
pub(crate) async fn plan_init(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<InitHost>,
) -> Result<Json<InitPlan>, Refusal> {
    caller.require(Scope::Hosts)?;
    let request = convert::init_host(body);
    let engine = state.engine().clone();
    let plan = to_its_end(async move || engine.plan_init(&request).await).await?;
    Ok(Json(convert::init_plan(plan)))
}

/// Set a host up
///
/// Makes pool, roles, and for each token a user and the token, each with the least rights; then records the host with them.
/// Whatever is as it should be is left alone, so that a request that was cut off is sent again. It goes on to its end, also
/// when the client goes away.
#[utoipa::path(post, path = "/api/proxmox/hosts/init", tag = "hosts", operation_id = "init_host",
    request_body = InitHost,
    responses((status = 200, description = "The entry as stored, and what was done.", body = InitDone)),
    extensions(("x-codes" = json!(["invalid_value", "exists", "cluster_known", "pve_unsupported", "token_too_narrow", "@host", "@person"]))))]
pub(crate) async fn init(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<InitHost>,
) -> Result<Json<InitDone>, Refusal> {
    caller.require(Scope::Hosts)?;
    let request = convert::init_host(body);
    let (engine, actor) = (state.engine().clone(), caller.actor().clone());
    let done = to_its_end(async move || engine.init_host(&actor, &request).await).await?;
    Ok(Json(convert::init_done(done)))
}

/// Look at what giving a host up would do
///
/// Refused while apps are on it. Nothing is changed.
#[utoipa::path(post, path = "/api/proxmox/hosts/{host}/uninit/plan", tag = "hosts", operation_id = "plan_uninit",
    params(("host" = String, Path, description = "Id or label.", example = "home")),
    request_body = PlanUninit,
    responses((status = 200, description = "What would go, and what would stay.", body = UninitPlan)),
    extensions(("x-codes" = json!(["host_not_found", "host_in_use", "invalid_value", "host_unusable", "no_quorum", "view_incomplete", "@host", "@person"]))))]
pub(crate) async fn plan_uninit(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<PlanUninit>,
) -> Result<Json<UninitPlan>, Refusal> {
    caller.require(Scope::Hosts)?;
    let request = commands::UninitHost {
        host: name,
        login: convert::person(body.login),
    };
    let engine = state.engine().clone();
    let plan = to_its_end(async move || engine.plan_uninit(&request).await).await?;
    Ok(Json(convert::uninit_plan(plan)))
}

/// Give a host up
///
/// Takes away what was made on it for us, as far as nobody else has put anything on that, and removes the entry. Refused while
/// apps are on it.
#[utoipa::path(post, path = "/api/proxmox/hosts/{host}/uninit", tag = "hosts", operation_id = "uninit_host",
    params(("host" = String, Path, description = "Id or label.", example = "home")),
    request_body = UninitHost,
    responses((status = 200, description = "What went, and what stays.", body = UninitPlan)),
    extensions(("x-codes" = json!(["host_not_found", "host_in_use", "invalid_value", "host_unusable", "no_quorum", "view_incomplete", "@host", "@person"]))))]
pub(crate) async fn uninit(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<UninitHost>,
) -> Result<Json<UninitPlan>, Refusal> {
    caller.require(Scope::Hosts)?;
    let host = lookup::host(&state.reader(), &name).await?;
    if body.confirm != host.label.as_str() {
        return Err(not_confirmed(host.label.as_str()).into());
    }
    let request = commands::UninitHost {
        host: host.id.to_string(),
        login: convert::person(body.login),
    };
    let (engine, actor) = (state.engine().clone(), caller.actor().clone());
    let done = to_its_end(async move || engine.uninit_host(&actor, &request).await).await?;
    Ok(Json(convert::uninit_plan(done)))
}

fn not_confirmed(label: &str) -> EngineError {
    EngineError::Invalid {
        field: "confirm".to_owned(),
        message: format!("giving host {label} up needs its label as confirmation"),
    }
}
