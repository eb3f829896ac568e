//! `/api/stacks`.

use axum::Json;
use axum::extract::State;
use proximity_api::stacks::{Stack, StackActionRequest, StackList, StackRun};

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name};
use crate::refusal::Refusal;
use crate::router::AppState;

/// List stacks
///
/// The stacks that apps belong to, by what was applied last.
#[utoipa::path(get, path = "/api/stacks", tag = "stacks", operation_id = "list_stacks",
    responses((status = 200, description = "All of them.", body = StackList)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<StackList>, Refusal> {
    caller.require(Scope::Read)?;
    let stacks = state.engine().stacks(caller.sees_only()).await?;
    let stacks = stacks.into_iter().map(convert::stack).collect();
    Ok(Json(StackList { stacks }))
}

/// Show a stack
#[utoipa::path(get, path = "/api/stacks/{stack}", tag = "stacks", operation_id = "show_stack",
    params(("stack" = String, Path, description = "Its name.", example = "shop")),
    responses((status = 200, description = "The stack.", body = Stack)),
    extensions(("x-codes" = json!(["not_found"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<Stack>, Refusal> {
    caller.require(Scope::Read)?;
    let stack = state.engine().stack(&name, caller.sees_only()).await?;
    Ok(Json(convert::stack(stack)))
}

/// Act on a stack
///
/// Brings a run as far as it comes now: begins an operation for each app that waits for no other any more, four at the same time at most, and
/// says how far all of them are. Asked again with the `run` of the answer, it goes on. After a failure nothing more is begun.
#[utoipa::path(post, path = "/api/stacks/{stack}/action", tag = "stacks", operation_id = "act_on_stack",
    params(("stack" = String, Path, description = "Its name.", example = "shop")),
    request_body = StackActionRequest,
    responses((status = 200, description = "How far the run is.", body = StackRun)),
    extensions(("x-codes" = json!(["not_found", "invalid_value"]))))]
pub(crate) async fn act(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<StackActionRequest>,
) -> Result<Json<StackRun>, Refusal> {
    caller.require(Scope::Operate)?;
    let request = convert::stack_request(body, caller.changes_only());
    let (engine, actor) = (state.engine(), caller.actor());
    let run = engine.act_on_stack(actor, &name, request).await?;
    Ok(Json(convert::stack_run(run)))
}
