//! `/api/applies`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use proximity_api::applies::{Apply, ApplyList, ApplyQuery, StartApply};
use proximity_domain::apply::Consent;
use proximity_domain::desired::Documents;
use proximity_domain::ids::{ApplyId, PlanId};
use proximity_engine::commands;
use proximity_engine::error::EngineError;
use proximity_store::applies::ApplyRecord;
use proximity_store::plans::PlanRecord;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name, Query, cursor, limit};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::hosts::on_its_own_thread;
use crate::routes::once::{IdempotencyKey, Once, once, unless_made};

/// Most applies of one page.
const MOST: u32 = 200;
/// So many are looked through for a page: as many as the store gives at once.
const MOST_READ: u32 = 1_000;

/// Apply a plan
///
/// It is made anew from its documents and refused where that is another one by now, where something is in its way, or where what it
/// takes away was not agreed to. Then its changes are made in the order of what depends on what, several at the same time; one that
/// fails holds up what depends on it, and nothing else. A plan is applied once.
#[utoipa::path(post, path = "/api/applies", tag = "apps", operation_id = "start_apply",
    params(IdempotencyKey),
    request_body = StartApply,
    responses((status = 202, description = "Recorded; the work follows.", body = Apply, headers(("location" = String, description = "Where to follow it: `/api/applies/{id}`.")))),
    extensions(("x-codes" = json!(["not_found", "invalid_value", "manifest_invalid", "no_host", "plan_applied", "plan_outdated", "plan_obstructed", "plan_unsupported", "prune_not_allowed", "brake_not_released", "destroy_not_confirmed", "apply_overlaps", "exists", "idempotency_conflict"]))))]
pub(crate) async fn start(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Body(body): Body<StartApply>,
) -> Result<Response, Refusal> {
    caller.require(Scope::Operate)?;
    let key = match once::<ApplyId>(&state, &caller, &headers, "start_apply", &body).await? {
        Once::New(key) => key,
        Once::Before(id) => return recorded_before(&state, &caller, id).await,
    };
    let plan = may_apply(&state, &caller, &body.plan_id).await?;
    let request = commands::StartApply {
        plan,
        consent: Consent {
            prune: body.prune,
            confirm_removed: body.confirm_removed,
            confirm_destroyed: body.confirm_destroyed,
        },
        parallel: body.parallel,
        owner: caller.changes_only().map(str::to_owned),
        key: key.clone(),
    };
    let (engine, actor) = (state.engine().clone(), caller.actor().clone());
    let start = async move || engine.start_apply(&actor, request).await;
    match on_its_own_thread(start).await? {
        Ok(record) => recorded(&state, record).await,
        Err(e) => {
            let id = unless_made(&state, &caller, key.as_ref(), e).await?;
            recorded_before(&state, &caller, id).await
        }
    }
}

/// List applies
///
/// Newest first, without their changes. The newest hundred of each account are kept, and all that have not ended.
#[utoipa::path(get, path = "/api/applies", tag = "apps", operation_id = "list_applies",
    params(ApplyQuery),
    responses((status = 200, description = "The applies.", body = ApplyList)),
    extensions(("x-codes" = json!(["invalid_value"]))))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ApplyQuery>,
) -> Result<Json<ApplyList>, Refusal> {
    caller.require(Scope::Read)?;
    let most = limit(query.limit, 50, MOST)?;
    let after: Option<ApplyId> = cursor(query.after.as_deref())?;
    let mut records = state
        .reader()
        .applies(caller.sees_only(), MOST_READ)
        .await?;
    if let Some(after) = after {
        let before = records.iter().position(|record| record.id == after);
        // One that is not kept any more was among the oldest: nothing is behind it.
        let begins = before.map_or(records.len(), |at| at + 1);
        records.drain(..begins);
    }
    let is_last = records.len() <= most as usize;
    records.truncate(most as usize);
    let last = records.last().map(|record| record.id.to_string());
    let applies = records.into_iter();
    Ok(Json(ApplyList {
        applies: applies.map(|one| convert::apply(one, None)).collect(),
        next: last.filter(|_| !is_last),
    }))
}

/// Show an apply
///
/// With each of its changes: where it stands, the operation that is at work on it, and why it failed or was not begun.
#[utoipa::path(get, path = "/api/applies/{apply}", tag = "apps", operation_id = "show_apply",
    params(("apply" = String, Path, description = "Id.", example = "018f0000-0000-7000-8000-000000000001")),
    responses((status = 200, description = "The apply.", body = Apply)),
    extensions(("x-codes" = json!(["not_found"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<Apply>, Refusal> {
    caller.require(Scope::Read)?;
    let record = find(&state, &caller, &name).await?;
    shown(&state, record).await.map(Json)
}

/// Stop an apply
///
/// Nothing more is begun; what was begun goes to its end. Asked for again it changes nothing.
#[utoipa::path(post, path = "/api/applies/{apply}/stop", tag = "apps", operation_id = "stop_apply",
    params(("apply" = String, Path, description = "Id.", example = "018f0000-0000-7000-8000-000000000001")),
    responses((status = 202, description = "Recorded; what was begun goes to its end.", body = Apply, headers(("location" = String, description = "Where to follow it: `/api/applies/{id}`.")))),
    extensions(("x-codes" = json!(["not_found", "not_in_state"]))))]
pub(crate) async fn stop(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Response, Refusal> {
    caller.require(Scope::Operate)?;
    let record = find(&state, &caller, &name).await?;
    if caller
        .changes_only()
        .is_some_and(|account| account != record.asked_by)
    {
        return Err(caller.not_own(&record.asked_by));
    }
    let engine = state.engine();
    let stopped = engine.stop_apply(caller.actor(), record.id).await?;
    recorded(&state, stopped).await
}

/// The plan, if the caller may carry it out: removals need what a removal needs, and containers and secrets that are everybody's the
/// right on hosts.
async fn may_apply(state: &AppState, caller: &Caller, plan: &str) -> Result<PlanId, Refusal> {
    let reader = state.reader();
    let found = match plan.parse::<PlanId>() {
        Ok(id) => reader.plan(id).await?,
        Err(_) => None,
    };
    let is_own = |record: &PlanRecord| {
        caller
            .changes_only()
            .is_none_or(|account| account == record.made_by)
    };
    let record = found.filter(is_own).ok_or_else(|| EngineError::NotFound {
        what: "plan",
        name: plan.to_owned(),
    })?;
    if record.plan.removed() > 0 {
        caller.require(Scope::Destroy)?;
    }
    if !caller.may(Scope::Hosts)
        && let Some(documents) = reader.plan_documents(record.id).await?
        && is_about_everybody(state, caller, &documents).await?
    {
        return Err(caller.lacks(Scope::Hosts));
    }
    Ok(record.id)
}

/// Its documents name secrets, which are the installation's, or a container that no app of the account has.
async fn is_about_everybody(
    state: &AppState,
    caller: &Caller,
    documents: &Documents,
) -> Result<bool, Refusal> {
    if !documents.secrets().is_empty() {
        return Ok(true);
    }
    let request = commands::MakePlan {
        documents: documents.manifests(),
        owner: caller.changes_only().map(str::to_owned),
        ..commands::MakePlan::default()
    };
    Ok(state.engine().plan_names_strangers(&request).await?)
}

/// The apply with this id, if the caller may see it.
async fn find(state: &AppState, caller: &Caller, name: &str) -> Result<ApplyRecord, Refusal> {
    let found = match name.parse::<ApplyId>() {
        Ok(id) => state.reader().apply(id).await?,
        Err(_) => None,
    };
    let is_seen = |record: &ApplyRecord| {
        caller
            .sees_only()
            .is_none_or(|account| account == record.asked_by)
    };
    let found = found.filter(is_seen);
    found.ok_or_else(|| {
        let name = name.to_owned();
        EngineError::NotFound {
            what: "apply",
            name,
        }
        .into()
    })
}

async fn shown(state: &AppState, record: ApplyRecord) -> Result<Apply, Refusal> {
    let changes = state.reader().apply_changes(record.id).await?;
    Ok(convert::apply(record, Some(changes)))
}

async fn recorded_before(
    state: &AppState,
    caller: &Caller,
    id: ApplyId,
) -> Result<Response, Refusal> {
    let record = find(state, caller, &id.to_string()).await?;
    recorded(state, record).await
}

async fn recorded(state: &AppState, record: ApplyRecord) -> Result<Response, Refusal> {
    let location = [(LOCATION, format!("/api/applies/{}", record.id))];
    let body = Json(shown(state, record).await?);
    Ok((StatusCode::ACCEPTED, location, body).into_response())
}
