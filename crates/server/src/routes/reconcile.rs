//! `/api/reconcile` and `/api/janitor`.

use axum::Json;
use axum::extract::State;
use proximity_api::reconcile::{JanitorReport, Reconcile, ReconcileReport, RunJanitor};
use proximity_engine::error::EngineError;
use proximity_engine::reconcile::Pass;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::Body;
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::hosts::on_its_own_thread;

/// Hold the record against the clusters
///
/// One pass, now: each cluster is looked at, what moved is followed, and apps whose container is proven absent are archived. Nothing
/// is changed on a cluster. It is about everybody's apps, so it needs the scope `hosts`, and to confirm how many containers are
/// missing the scope `destroy` too.
#[utoipa::path(post, path = "/api/reconcile", tag = "apps", operation_id = "reconcile",
    request_body = Reconcile,
    responses((status = 200, description = "What was found.", body = ReconcileReport)),
    extensions(("x-codes" = json!(["invalid_value"]))))]
pub(crate) async fn run(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<Reconcile>,
) -> Result<Json<ReconcileReport>, Refusal> {
    caller.require(Scope::Hosts)?;
    let pass = match (body.dry_run, body.confirm_missing) {
        (true, None) => Pass::Dry,
        (false, None) => Pass::Work,
        (false, Some(missing)) => {
            caller.require(Scope::Destroy)?;
            let actor = caller.actor().clone();
            Pass::Confirmed { missing, actor }
        }
        (true, Some(_)) => {
            return Err(EngineError::Invalid {
                field: "confirm_missing".to_owned(),
                message: "a dry run confirms nothing".to_owned(),
            }
            .into());
        }
    };
    let engine = state.engine().clone();
    // It outlives its request: what a person confirmed is done to its end, and put on record with the person.
    let work = async move || engine.reconciler().pass(&pass).await;
    let report = on_its_own_thread(work).await??;
    Ok(Json(convert::reconcile_report(report)))
}

/// Look for apps that are stuck
///
/// Apps that have been on their way for too long with nobody at work are marked *error*; nothing else is done. It is about
/// everybody's apps, so it needs the scope `hosts`.
#[utoipa::path(post, path = "/api/janitor", tag = "apps", operation_id = "run_janitor",
    request_body = RunJanitor,
    responses((status = 200, description = "What was found.", body = JanitorReport)))]
pub(crate) async fn janitor(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<RunJanitor>,
) -> Result<Json<JanitorReport>, Refusal> {
    caller.require(Scope::Hosts)?;
    let engine = state.engine().clone();
    let report = engine.janitor().pass(body.dry_run).await?;
    Ok(Json(convert::janitor_report(report)))
}
