//! `/api/apps/{app}/desired`, `/api/apps/{app}/rollback` and `/api/rollback`: what was wanted before, and going back to it.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use proximity_api::plans::Plan;
use proximity_api::rollback::{DesiredHistory, DesiredQuery, RollbackAll, RollbackApp};
use proximity_domain::rollback::Target;
use proximity_domain::time::Timestamp;
use proximity_engine::commands;
use proximity_store::plans::PlanRecord;

use super::lookup;
use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name, Query, cursor, invalid, limit};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::hosts::on_its_own_thread;

/// Most revisions of one page.
const MOST: u32 = 200;

/// Show what was wanted of an app
///
/// Every revision of what documents wanted under its name, newest first: since when, by whom, by which apply. Secrets are named and never told.
#[utoipa::path(get, path = "/api/apps/{app}/desired", tag = "apps", operation_id = "app_desired",
    params(("app" = String, Path, description = "Id or host name.", example = "web"), DesiredQuery),
    responses((status = 200, description = "One page.", body = DesiredHistory)),
    extensions(("x-codes" = json!(["app_not_found", "invalid_value"]))))]
pub(crate) async fn desired(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Query(query): Query<DesiredQuery>,
) -> Result<Json<DesiredHistory>, Refusal> {
    caller.require(Scope::Read)?;
    let most = limit(query.limit, 50, MOST)? as usize;
    let before: Option<u64> = cursor(query.after.as_deref())?;
    let reader = state.reader();
    let app = lookup::app(&reader, &caller, &name).await?;
    let all = reader.desired_revisions(&app.hostname).await?.into_iter();
    let older = all
        .rev()
        .filter(|one| before.is_none_or(|before| one.revision < before))
        // An app of this name may have been another account's: what was wanted of that is not told.
        .filter(|one| caller.sees_only().is_none() || one.app == Some(app.id));
    let mut found: Vec<_> = older.take(most + 1).collect();
    let is_last = found.len() <= most;
    found.truncate(most);
    let last = found.last().map(|last| last.revision.to_string());
    let revisions = found.into_iter();
    Ok(Json(DesiredHistory {
        app_id: app.id.to_string(),
        name: app.hostname.into(),
        revisions: revisions
            .map(|one| convert::desired_revision(one, app.id))
            .collect(),
        next: last.filter(|_| !is_last),
    }))
}

/// Plan to go back
///
/// A plan whose document is what was wanted of the app before, or what was observed of its container; `POST /api/applies` carries it out, which
/// makes a new revision. Configuration moves and nothing else: what the container holds stays, no disk is made smaller, and no
/// snapshot of Proxmox VE is gone back to. What does not come back, and what is lost, is in `rollback`.
#[utoipa::path(post, path = "/api/apps/{app}/rollback", tag = "apps", operation_id = "rollback_app",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    request_body = RollbackApp,
    responses((status = 201, description = "The plan; it is kept.", body = Plan),
        (status = 200, description = "The plan; it is a passing one, and not kept.", body = Plan)),
    extensions(("x-codes" = json!(["app_not_found", "not_found", "rollback_impossible", "manifest_invalid", "invalid_value", "no_host"]))))]
pub(crate) async fn app(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<RollbackApp>,
) -> Result<(StatusCode, Json<Plan>), Refusal> {
    caller.require(Scope::Operate)?;
    let to = target(&body)?;
    let reader = state.reader();
    let app = lookup::own_app(&reader, &caller, Scope::Operate, &name).await?;
    if let (Target::Revision(number), Some(_)) = (to, caller.changes_only()) {
        let all = reader.desired_revisions(&app.hostname).await?;
        let meant = all.iter().find(|one| one.revision == number);
        if meant.is_some_and(|one| one.app != Some(app.id)) {
            return Err(invalid(
                "revision",
                "that was wanted of an earlier app of this name".to_owned(),
            ));
        }
    }
    let request = commands::RollbackApp {
        app: app.id,
        to,
        owner: caller.changes_only().map(str::to_owned),
        passing: body.passing,
    };
    let (engine, actor) = (state.engine().clone(), caller.actor().clone());
    let plan = async move || engine.rollback_app(&actor, request).await;
    Ok(planned(on_its_own_thread(plan).await??, body.passing))
}

/// Plan to go back with all apps
///
/// As for one app, to what was wanted of all of them at a moment. Apps of which nothing was wanted then stay as they are; with `prune`
/// those that were made since are removed, which applying it has to be agreed to. Apps that ended since do not come back.
#[utoipa::path(post, path = "/api/rollback", tag = "apps", operation_id = "rollback_all",
    request_body = RollbackAll,
    responses((status = 201, description = "The plan; it is kept.", body = Plan),
        (status = 200, description = "The plan; it is a passing one, and not kept.", body = Plan)),
    extensions(("x-codes" = json!(["rollback_impossible", "manifest_invalid", "invalid_value", "no_host"]))))]
pub(crate) async fn all(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<RollbackAll>,
) -> Result<(StatusCode, Json<Plan>), Refusal> {
    caller.require(Scope::Operate)?;
    let request = commands::RollbackAll {
        at: Timestamp(body.time.as_millisecond()),
        prune: body.prune,
        owner: caller.changes_only().map(str::to_owned),
        passing: body.passing,
    };
    let (engine, actor) = (state.engine().clone(), caller.actor().clone());
    let plan = async move || engine.rollback_all(&actor, request).await;
    Ok(planned(on_its_own_thread(plan).await??, body.passing))
}

fn planned(record: PlanRecord, passing: bool) -> (StatusCode, Json<Plan>) {
    let status = match passing {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    (status, Json(convert::plan(record, !passing)))
}

/// The one that is named.
fn target(body: &RollbackApp) -> Result<Target, Refusal> {
    let time = body.time.map(|time| Timestamp(time.as_millisecond()));
    match (body.revision, time, body.snapshot) {
        (Some(revision), None, None) => Ok(Target::Revision(revision)),
        (None, Some(time), None) => Ok(Target::Moment(time)),
        (None, None, Some(snapshot)) => Ok(Target::Snapshot(snapshot)),
        _ => Err(invalid(
            "revision",
            "exactly one of revision, time and snapshot says what is gone back to".to_owned(),
        )),
    }
}
