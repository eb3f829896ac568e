//! `/api/plans/{plan}/reject` and `/api/rejected`: what is wanted of apps and is applied by nothing but a person.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use proximity_api::rejected::{RejectPlan, RejectedList};
use proximity_domain::ids::PlanId;
use proximity_domain::names::Hostname;
use proximity_engine::commands;
use proximity_engine::error::EngineError;
use proximity_store::plans::PlanRecord;
use proximity_store::rejections::RejectedRevision;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name, invalid};
use crate::refusal::Refusal;
use crate::router::AppState;

/// Reject what a plan wants
///
/// No source and no policy applies that by itself from now on: of all apps that the plan changes, or of one of them. That an app is to go may be
/// rejected too. It is of this very content: as soon as documents want something else of the app it holds nothing back. A person may apply it all
/// the same, and a plan says that it was rejected; an apply that is done forgets it. Of names that are no app of the account it needs the right on
/// hosts.
#[utoipa::path(post, path = "/api/plans/{plan}/reject", tag = "apps", operation_id = "reject_plan",
    params(("plan" = String, Path, description = "Id.", example = "018f0000-0000-7000-8000-000000000001")),
    request_body = RejectPlan,
    responses((status = 200, description = "What is rejected of these apps, also where it was before.", body = RejectedList)),
    extensions(("x-codes" = json!(["not_found", "invalid_value"]))))]
pub(crate) async fn reject(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<RejectPlan>,
) -> Result<Json<RejectedList>, Refusal> {
    caller.require(Scope::Operate)?;
    let app = body.app.as_deref().map(named).transpose()?;
    let plan = find(&state, &caller, &name).await?;
    for change in &plan.plan.changes {
        let is_meant = app.as_ref().is_none_or(|app| *app == change.name);
        if is_meant && !is_about_own(&state, &caller, &change.name).await? {
            return Err(caller.lacks(Scope::Hosts));
        }
    }
    let request = commands::RejectPlan {
        plan: plan.id,
        app,
        why: body.why,
    };
    let rejected = state.engine().reject_plan(caller.actor(), request).await?;
    Ok(Json(listed(rejected)))
}

/// List what was rejected
///
/// By name, with by whom, when and why. Who sees the apps of one account alone, and has no right on hosts, sees what is about those.
#[utoipa::path(get, path = "/api/rejected", tag = "apps", operation_id = "list_rejected",
    responses((status = 200, description = "What is rejected now.", body = RejectedList)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<RejectedList>, Refusal> {
    caller.require(Scope::Read)?;
    let mut seen = Vec::new();
    for row in state.reader().rejected_revisions().await? {
        if row.is_in_force() && is_seen(&state, &caller, &row.name).await? {
            seen.push(row);
        }
    }
    Ok(Json(listed(seen)))
}

/// Forget what was rejected
///
/// What is wanted of the app is applied again by whatever wants it: a policy looks within half a minute, a source when it is due.
#[utoipa::path(delete, path = "/api/rejected/{name}", tag = "apps", operation_id = "unreject",
    params(("name" = String, Path, description = "The app's name in the documents.", example = "web")),
    responses((status = 204, description = "Forgotten.")),
    extensions(("x-codes" = json!(["invalid_value", "not_found"]))))]
pub(crate) async fn unreject(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<StatusCode, Refusal> {
    caller.require(Scope::Operate)?;
    let name = named(&name)?;
    if !is_about_own(&state, &caller, &name).await? {
        return Err(EngineError::NotFound {
            what: "rejected content of",
            name: name.to_string(),
        }
        .into());
    }
    state.engine().unreject(caller.actor(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the caller may see what is wanted under this name.
async fn is_seen(state: &AppState, caller: &Caller, name: &Hostname) -> Result<bool, Refusal> {
    is_of(state, caller, caller.sees_only(), name).await
}

/// Whether the caller may decide what is wanted under this name.
async fn is_about_own(state: &AppState, caller: &Caller, name: &Hostname) -> Result<bool, Refusal> {
    is_of(state, caller, caller.changes_only(), name).await
}

async fn is_of(
    state: &AppState,
    caller: &Caller,
    account: Option<&str>,
    name: &Hostname,
) -> Result<bool, Refusal> {
    let Some(account) = account.filter(|_| !caller.may(Scope::Hosts)) else {
        return Ok(true);
    };
    let app = state.reader().app_by_hostname(name.as_str()).await?;
    Ok(app.is_some_and(|app| app.owner == account))
}

/// The plan, if the caller may see it.
async fn find(state: &AppState, caller: &Caller, name: &str) -> Result<PlanRecord, Refusal> {
    let found = match name.parse::<PlanId>() {
        Ok(id) => state.reader().plan(id).await?,
        Err(_) => None,
    };
    let is_seen = |record: &PlanRecord| {
        caller
            .sees_only()
            .is_none_or(|account| account == record.made_by)
    };
    let found = found.filter(is_seen);
    found.ok_or_else(|| {
        let name = name.to_owned();
        EngineError::NotFound { what: "plan", name }.into()
    })
}

fn listed(rows: Vec<RejectedRevision>) -> RejectedList {
    RejectedList {
        rejected: rows.into_iter().map(convert::rejected).collect(),
    }
}

fn named(name: &str) -> Result<Hostname, Refusal> {
    name.parse().map_err(|e| invalid("app", format!("{e}")))
}
