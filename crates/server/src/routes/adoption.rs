//! `/api/apps/discover`, `/api/apps/adopt`, `/api/apps/{app}/adoption`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use proximity_api::adoption::{
    AdoptApp, AdoptApps, Adoption, Adoptions, DiscoverQuery, Discovery, DriftReport, ExposeApp,
    ExposedApp, RefusedAdoption,
};
use proximity_api::apps::App;
use proximity_domain::ids::AppId;
use proximity_engine::commands::{self, AdoptContainer, Deadline};
use proximity_engine::error::EngineError;
use proximity_store::exposure::Exposure;
use proximity_store::records::{AppRecord, RequestKey};

use super::apps::{recorded, recorded_before, shown};
use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name, Query, invalid};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::lookup;
use crate::routes::once::{IdempotencyKey, Once, once, unless_made};

/// Containers of one batch, at most.
const MOST: usize = 100;

/// List containers that can be adopted
///
/// Every container that no app has, of every cluster or of the one that is named. Nothing is written by asking.
#[utoipa::path(get, path = "/api/apps/discover", tag = "apps", operation_id = "discover_containers",
    params(DiscoverQuery),
    responses((status = 200, description = "The containers as listed now.", body = Discovery)),
    extensions(("x-codes" = json!(["host_not_found", "no_host", "@cluster"]))))]
pub(crate) async fn discover(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<DiscoverQuery>,
) -> Result<Json<Discovery>, Refusal> {
    may_take(&caller, Scope::Read)?;
    let found = state.engine().discover(query.host.as_deref()).await?;
    Ok(Json(convert::discovery(found)))
}

/// Adopt a container
///
/// The answer is the app as recorded; the work, which only reads, is its operation's. The container is not touched.
#[utoipa::path(post, path = "/api/apps/adopt", tag = "apps", operation_id = "adopt_app",
    params(IdempotencyKey),
    request_body = AdoptApp,
    responses((status = 202, description = "Recorded; the work follows.", body = App, headers(("location" = String, description = "Where to follow it: `/api/operations/{id}`.")))),
    extensions(("x-codes" = json!(["invalid_value", "no_host", "host_not_found", "not_found", "already_managed", "guest_marked", "not_adoptable", "hostname_taken", "exists", "queue_full", "idempotency_conflict", "ports_exhausted", "no_quorum", "view_incomplete", "@cluster"]))))]
pub(crate) async fn adopt(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Body(body): Body<AdoptApp>,
) -> Result<Response, Refusal> {
    may_take(&caller, Scope::Operate)?;
    let key = match once::<AppId>(&state, &caller, &headers, "adopt_app", &body).await? {
        Once::New(key) => key,
        Once::Before(id) => return recorded_before(&state, &caller, id).await,
    };
    let deadline = Deadline::of_request();
    match one(&state, &caller, body, key.clone(), deadline).await {
        Ok(record) => recorded(&state, record).await,
        Err(e) => {
            let id = unless_made(&state, &caller, key.as_ref(), e).await?;
            recorded_before(&state, &caller, id).await
        }
    }
}

/// Adopt several containers
///
/// Each by itself, with an operation of its own; one that is refused keeps none of the others back.
#[utoipa::path(post, path = "/api/apps/adopt/batch", tag = "apps", operation_id = "adopt_apps",
    request_body = AdoptApps,
    responses((status = 202, description = "What was recorded, and what was refused.", body = Adoptions)),
    extensions(("x-codes" = json!(["invalid_value"]))))]
pub(crate) async fn adopt_all(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<AdoptApps>,
) -> Result<Response, Refusal> {
    may_take(&caller, Scope::Operate)?;
    let count = body.containers.len();
    if !(1..=MOST).contains(&count) {
        let wrong = format!("{count} containers were named; 1 to {MOST} can be");
        return Err(invalid("containers", wrong));
    }
    let mut answer = Adoptions {
        accepted: Vec::new(),
        refused: Vec::new(),
    };
    // They share the time of this request: one that hangs must not take the word from those before it.
    let deadline = Deadline::of_request();
    for container in body.containers {
        let (host, vmid) = (container.host.clone(), container.vmid);
        match one(&state, &caller, container, None, deadline).await {
            Ok(record) => answer.accepted.push(shown(&state.reader(), record).await?),
            Err(e) => answer.refused.push(RefusedAdoption {
                host,
                vmid,
                error: Refusal::from(e).body,
            }),
        }
    }
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// A container that no app has is everybody's: who sees the apps of one account alone needs the right on hosts besides.
fn may_take(caller: &Caller, scope: Scope) -> Result<(), Refusal> {
    caller.require(scope)?;
    let own_alone = match scope == Scope::Read {
        true => caller.sees_only(),
        false => caller.changes_only(),
    };
    match own_alone {
        None => Ok(()),
        Some(_) => caller.require(Scope::Hosts),
    }
}

async fn one(
    state: &AppState,
    caller: &Caller,
    body: AdoptApp,
    key: Option<RequestKey>,
    deadline: Deadline,
) -> Result<AppRecord, EngineError> {
    let request = AdoptContainer {
        host: body.host,
        node: body.node_name,
        vmid: body.vmid,
        suggested_type: body.suggested_type,
        port: body.port_to_expose,
        probe: body.probe,
        key,
    };
    let engine = state.engine();
    engine.adopt_by(caller.actor(), request, deadline).await
}

/// Show what was read at an app's adoption
///
/// Of a live app, or of an archived one by its id.
#[utoipa::path(get, path = "/api/apps/{app}/adoption", tag = "apps", operation_id = "show_adoption",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    responses((status = 200, description = "The record.", body = Adoption)),
    extensions(("x-codes" = json!(["app_not_found", "not_found"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<Adoption>, Refusal> {
    caller.require(Scope::Read)?;
    let reader = state.reader();
    let app = lookup::app_or_archived(&reader, &caller, &name).await?;
    let record = reader.adoption(app.id).await?;
    let record = record.ok_or_else(|| EngineError::NotFound {
        what: "adoption record of",
        name: app.hostname.to_string(),
    })?;
    Ok(Json(convert::adoption(record)))
}

/// Show what somebody changed about an app's container
///
/// As it is now, against what was applied last and what documents want of it; an adopted one's configuration key by key against the day
/// of its adoption too. Nothing is changed by asking.
#[utoipa::path(get, path = "/api/apps/{app}/drift", tag = "apps", operation_id = "show_drift",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    responses((status = 200, description = "What differs.", body = DriftReport)),
    extensions(("x-codes" = json!(["app_not_found", "not_found", "host_not_found", "identity_conflict", "@cluster"]))))]
pub(crate) async fn drift(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<DriftReport>, Refusal> {
    caller.require(Scope::Read)?;
    let app = lookup::app(&state.reader(), &caller, &name).await?;
    let view = state.engine().drift(&app.id.to_string()).await?;
    Ok(Json(convert::drift(view)))
}

/// Expose an adopted app, or lead any app under a host name
///
/// The gateway listens on an adopted app's reserved ports and leads to the container's own address. With `host_name`, where the ingress
/// is Caddy's, people reach the app under that as well, also one that was deployed. The container is not touched.
#[utoipa::path(post, path = "/api/apps/{app}/expose", tag = "apps", operation_id = "expose_app",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    request_body = ExposeApp,
    responses((status = 200, description = "As recorded, and as the gateway says.", body = ExposedApp)),
    extensions(("x-codes" = json!(["app_not_found", "invalid_value", "not_in_state", "busy", "exists"]))))]
pub(crate) async fn expose(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<ExposeApp>,
) -> Result<Json<ExposedApp>, Refusal> {
    caller.require(Scope::Operate)?;
    let site = convert::site(body.host_name.as_deref(), body.certificate.as_ref())?;
    let Some(site) = site else {
        return set_exposure(&state, &caller, &name, Exposure::Open(body.port)).await;
    };
    let app = lookup::own_app(&state.reader(), &caller, Scope::Operate, &name).await?;
    let (engine, id) = (state.engine(), app.id.to_string());
    let done = engine.lead_by_name(caller.actor(), &id, body.port, site);
    exposed(&state, done.await?).await
}

/// End the exposure of an adopted app, and the host name of any
///
/// The gateway listens on an adopted app's ports no more; they stay reserved. An app that was deployed keeps its ports and loses its
/// host name.
#[utoipa::path(delete, path = "/api/apps/{app}/expose", tag = "apps", operation_id = "unexpose_app",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    responses((status = 200, description = "As recorded, and as the gateway says.", body = ExposedApp)),
    extensions(("x-codes" = json!(["app_not_found", "not_in_state", "busy"]))))]
pub(crate) async fn unexpose(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<ExposedApp>, Refusal> {
    set_exposure(&state, &caller, &name, Exposure::Closed).await
}

async fn set_exposure(
    state: &AppState,
    caller: &Caller,
    name: &str,
    exposure: Exposure,
) -> Result<Json<ExposedApp>, Refusal> {
    caller.require(Scope::Operate)?;
    let app = lookup::own_app(&state.reader(), caller, Scope::Operate, name).await?;
    let engine = state.engine();
    let done = engine
        .expose(caller.actor(), &app.id.to_string(), exposure)
        .await?;
    exposed(state, done).await
}

async fn exposed(
    state: &AppState,
    done: commands::ExposedApp,
) -> Result<Json<ExposedApp>, Refusal> {
    Ok(Json(ExposedApp {
        exposed: done.app.exposed,
        app: shown(&state.reader(), done.app).await?,
        target: done.target.map(|target| target.to_string()),
        listening: done.listening,
        trouble: done.trouble,
    }))
}
