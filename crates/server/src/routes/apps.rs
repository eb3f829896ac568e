//! `/api/apps/`.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use proximity_api::apps::{
    ActionName, ActionRequest, App, AppList, AppQuery, CreateApp, Preflight, RemovalPlan,
    RemovalQuery,
};
use proximity_api::operations::Operation;
use proximity_domain::app::StatusLabel;
use proximity_domain::create::ResourceRequest;
use proximity_domain::ids::{AppId, HostId, OperationId};
use proximity_domain::made_with::MOST_APART;
use proximity_domain::operation::OperationKind;
use proximity_engine::commands::{self, Action};
use proximity_store::Reader;
use proximity_store::records::{AppRecord, OperationRecord, RequestKey};
use proximity_store::views::AppFilter;
use proximity_store::views::OperationFilter;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name, Query, cursor, invalid, limit, search};
use crate::layers::About;
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::once::{IdempotencyKey, Once, once, unless_made};
use crate::routes::{lookup, operations};

const MOST: u32 = 200;

/// List apps
///
/// Newest first, a page at a time.
#[utoipa::path(get, path = "/api/apps/", tag = "apps", operation_id = "list_apps",
    params(AppQuery),
    responses((status = 200, description = "One page.", body = AppList)),
    extensions(("x-codes" = json!(["invalid_value"]))))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<AppQuery>,
) -> Result<Json<AppList>, Refusal> {
    caller.require(Scope::Read)?;
    let reader = state.reader();
    let filter = filter(query, &caller)?;
    let limit = filter.per_page;
    // One more than asked for tells whether there is a next page.
    let one_more = AppFilter {
        per_page: limit + 1,
        ..filter
    };
    let (mut records, total) = reader.apps(one_more).await?;
    let is_last = records.len() <= limit as usize;
    records.truncate(limit as usize);
    let last = records.last().map(|app| app.id.to_string());
    let next = last.filter(|_| !is_last);
    let labels: HashMap<HostId, String> = reader
        .hosts()
        .await?
        .into_iter()
        .map(|host| (host.id, host.label.into()))
        .collect();
    let ids: Vec<AppId> = records.iter().map(|app| app.id).collect();
    let guests = reader.guests_of_apps(&ids).await?;
    let app = |record: AppRecord| {
        let label = labels.get(&record.host).map_or("", String::as_str);
        let guests = guests.get(&record.id).map_or(&[][..], Vec::as_slice);
        let newer_entry = newer_entry(&state, &record);
        App {
            newer_entry,
            ..convert::app(record, label, guests)
        }
    };
    let apps = records.into_iter().map(app).collect();
    Ok(Json(AppList { apps, total, next }))
}

fn filter(query: AppQuery, caller: &Caller) -> Result<AppFilter, Refusal> {
    let status = query
        .status
        .map(|text| {
            StatusLabel::parse(&text).ok_or_else(|| {
                let labels = StatusLabel::ALL.map(StatusLabel::label).join(", ");
                invalid(
                    "status",
                    format!("{text:?} is no status; there are {labels}"),
                )
            })
        })
        .transpose()?;
    Ok(AppFilter {
        status,
        search: search("search", query.search)?,
        owner: caller.sees_only().map(str::to_owned),
        after: cursor(query.after.as_deref())?,
        page: 1,
        per_page: limit(query.limit, 50, MOST)?,
    })
}

/// Deploy an app
///
/// The answer is the app as recorded; the work is its operation's.
#[utoipa::path(post, path = "/api/apps/", tag = "apps", operation_id = "create_app",
    params(IdempotencyKey),
    request_body = CreateApp,
    responses((status = 202, description = "Recorded; the work follows.", body = App, headers(("location" = String, description = "Where to follow it: `/api/operations/{id}`.")))),
    extensions(("x-codes" = json!(["invalid_value", "setting_invalid", "memory_too_little", "out_of_range", "catalog_unknown", "entry_unpinned", "app_not_found", "no_host", "host_not_found", "not_found", "hostname_taken", "exists", "busy", "queue_full", "idempotency_conflict", "memory_above_node", "memory_short", "nodes_excluded", "nodes_without_ssh", "no_node_fits", "storage_missing", "storage_full", "bridge_missing", "cores_above_node", "no_node_online", "template_missing", "pve_too_old", "address_taken", "ports_exhausted", "no_guest_access", "no_quorum", "view_incomplete", "@cluster"]))))]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Body(body): Body<CreateApp>,
) -> Result<Response, Refusal> {
    caller.require(Scope::Operate)?;
    let key = match once::<AppId>(&state, &caller, &headers, "create_app", &body).await? {
        Once::New(key) => key,
        Once::Before(id) => return recorded_before(&state, &caller, id).await,
    };
    let request = wanted(&state, &caller, body, key.clone()).await?;
    match state.engine().create_app(caller.actor(), request).await {
        Ok(record) => recorded(&state, record).await,
        Err(e) => {
            let id = unless_made(&state, &caller, key.as_ref(), e).await?;
            recorded_before(&state, &caller, id).await
        }
    }
}

/// Look before a deploy
///
/// What a deploy of this body would find, in numbers: each node with what it has and lacks, ports, the template, rights, name servers.
/// Nothing is made and nothing is promised; a deploy looks anew.
#[utoipa::path(post, path = "/api/apps/preflight", tag = "apps", operation_id = "preflight_app",
    request_body = CreateApp,
    responses((status = 200, description = "What was found.", body = Preflight)),
    extensions(("x-codes" = json!(["invalid_value", "setting_invalid", "memory_too_little", "out_of_range", "catalog_unknown", "entry_unpinned", "app_not_found", "no_host", "host_not_found", "not_found"]))))]
pub(crate) async fn preflight(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<CreateApp>,
) -> Result<Json<Preflight>, Refusal> {
    caller.require(Scope::Operate)?;
    let request = wanted(&state, &caller, body, None).await?;
    let found = state.engine().preflight(request).await?;
    Ok(Json(convert::preflight(found)))
}

async fn wanted(
    state: &AppState,
    caller: &Caller,
    body: CreateApp,
    key: Option<RequestKey>,
) -> Result<commands::CreateApp, Refusal> {
    if body.apart_from.len() > MOST_APART {
        return Err(invalid(
            "apart_from",
            format!("names {MOST_APART} apps at most"),
        ));
    }
    let mut apart_from = Vec::new();
    for name in &body.apart_from {
        apart_from.push(lookup::app(&state.reader(), caller, name).await?.hostname);
    }
    let site = convert::site(body.host_name.as_deref(), body.certificate.as_ref())?;
    let wish = body.network.map(convert::network).unwrap_or_default();
    let network = wish
        .check()
        .map_err(|e| invalid(&format!("network.{}", e.field), e.to_string()))?;
    Ok(commands::CreateApp {
        catalog_id: body.catalog_id,
        hostname: body.hostname,
        resources: ResourceRequest {
            memory_mib: body.config.memory,
            cores: body.config.cores,
            disk_gib: body.config.disk,
        },
        environment: body.environment,
        allow_unpinned: body.allow_unpinned,
        host: body.host,
        node: body.node,
        network,
        apart_from,
        root_keys: body.root_keys,
        root_password: body.root_password,
        sees_only: caller.sees_only().map(str::to_owned),
        site,
        key,
    })
}

/// As [`recorded`], for an app that the same request has made before; it may be removed by now.
pub(crate) async fn recorded_before(
    state: &AppState,
    caller: &Caller,
    id: AppId,
) -> Result<Response, Refusal> {
    let record = lookup::app_or_archived(&state.reader(), caller, &id.to_string()).await?;
    recorded(state, record).await
}

/// 202 with the app, and where to follow its operation as long as it has one.
pub(crate) async fn recorded(state: &AppState, record: AppRecord) -> Result<Response, Refusal> {
    let operation = match record.operation {
        Some(live) => Some(live),
        // It is done already; the newest operation is the one to look at.
        None => newest_operation(&state.reader(), record.id)
            .await?
            .map(|operation| operation.id),
    };
    let location = operation.map(|id| format!("/api/operations/{id}"));
    let about = About {
        app: record.id,
        operation,
    };
    let app = shown(&state.reader(), record).await?;
    let location = [(LOCATION, location.unwrap_or_default())];
    Ok((StatusCode::ACCEPTED, location, Extension(about), Json(app)).into_response())
}

async fn newest_operation(reader: &Reader, app: AppId) -> Result<Option<OperationRecord>, Refusal> {
    let filter = OperationFilter {
        app: Some(app),
        limit: 1,
        ..OperationFilter::default()
    };
    Ok(reader.operations(filter).await?.pop())
}

/// Show an app
#[utoipa::path(get, path = "/api/apps/{app}", tag = "apps", operation_id = "show_app",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    responses((status = 200, description = "The app.", body = App)),
    extensions(("x-codes" = json!(["app_not_found"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<App>, Refusal> {
    caller.require(Scope::Read)?;
    let reader = state.reader();
    let record = lookup::app(&reader, &caller, &name).await?;
    let newer_entry = newer_entry(&state, &record);
    let app = shown(&reader, record).await?;
    Ok(Json(App { newer_entry, ..app }))
}

/// The version that the catalog has in place of what an app was made from.
fn newer_entry(state: &AppState, record: &AppRecord) -> Option<String> {
    let offered = state.engine().newer_entry(record)?;
    Some(offered.entry.version.clone())
}

pub(crate) async fn shown(reader: &Reader, record: AppRecord) -> Result<App, Refusal> {
    let guests = reader.recorded_guests(record.id).await?;
    let label = reader
        .host(record.host)
        .await?
        .map_or_else(String::new, |host| host.label.into());
    Ok(convert::app(record, &label, &guests))
}

/// Act on an app
///
/// Start, stop, restart or delete it, or repeat its failed operation. Deleting needs the scope `destroy`.
#[utoipa::path(post, path = "/api/apps/{app}/action", tag = "apps", operation_id = "act_on_app",
    params(("app" = String, Path, description = "Id or host name.", example = "web"), IdempotencyKey),
    request_body = ActionRequest,
    responses((status = 202, description = "Recorded; the work follows.", body = Operation, headers(("location" = String, description = "Where to follow it: `/api/operations/{id}`.")))),
    extensions(("x-codes" = json!(["invalid_value", "app_not_found", "operation_not_found", "not_in_state", "not_repeated", "identity_conflict", "confirmation_needed", "busy", "queue_full", "idempotency_conflict"]))))]
pub(crate) async fn act(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    headers: HeaderMap,
    Body(body): Body<ActionRequest>,
) -> Result<Response, Refusal> {
    caller.require(scope(body.action))?;
    if body.purge && body.action != ActionName::Delete {
        return Err(invalid("purge", "only a removal purges".to_owned()));
    }
    // Before the app is looked up: once it is removed nothing has its name, and the answer is still the first one's.
    let what = format!("act_on_app {name}");
    let key = match once::<OperationId>(&state, &caller, &headers, &what, &body).await? {
        Once::New(key) => key,
        Once::Before(id) => return accepted_before(&state, &caller, id).await,
    };
    let app = lookup::app_or_archived(&state.reader(), &caller, &name).await?;
    lookup::is_own(&caller, scope(body.action), &app)?;
    let action = action(body, &app, caller.role().is_some());
    if action == Action::Retry {
        let last = newest_operation(&state.reader(), app.id).await?;
        if last.is_some_and(|op| removes(op.kind)) {
            // Repeating a removal removes: it needs what the removal itself needs.
            caller.require(Scope::Destroy)?;
        }
    }
    let asked = state
        .engine()
        .act_once(caller.actor(), &app.id.to_string(), action, key.clone())
        .await;
    match asked {
        Ok(operation) => Ok(accepted(operation, Some(app.hostname.into()))),
        Err(e) => {
            let id = unless_made(&state, &caller, key.as_ref(), e).await?;
            accepted_before(&state, &caller, id).await
        }
    }
}

/// Accept the state of an app in error
///
/// Its container is identified, and the power that it is read to have becomes the app's status. Nothing is changed on the cluster.
#[utoipa::path(post, path = "/api/apps/{app}/resolve", tag = "apps", operation_id = "resolve_app",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    responses((status = 200, description = "The app as it is now.", body = App)),
    extensions(("x-codes" = json!(["app_not_found", "not_in_state", "busy", "@cluster"]))))]
pub(crate) async fn resolve(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<App>, Refusal> {
    caller.require(Scope::Operate)?;
    let reader = state.reader();
    let app = lookup::own_app(&reader, &caller, Scope::Operate, &name).await?;
    let id = app.id.to_string();
    let resolved = state.engine().resolve(caller.actor(), &id).await?;
    shown(&reader, resolved).await.map(Json)
}

/// Whether it ends an app, so that a token needs `destroy` to repeat it.
pub(crate) fn removes(kind: OperationKind) -> bool {
    match kind {
        OperationKind::Remove | OperationKind::Forget => true,
        OperationKind::Deploy
        | OperationKind::Start
        | OperationKind::Stop
        | OperationKind::Restart
        | OperationKind::Adopt
        | OperationKind::RestoreKeys
        | OperationKind::Update => false,
    }
}

/// What a token needs for it.
fn scope(action: ActionName) -> Scope {
    match action {
        ActionName::Delete => Scope::Destroy,
        ActionName::Start | ActionName::Stop | ActionName::Restart | ActionName::Retry => {
            Scope::Operate
        }
    }
}

fn action(body: ActionRequest, app: &AppRecord, signed_in: bool) -> Action {
    let force = body.force;
    match body.action {
        ActionName::Start => Action::Start,
        ActionName::Stop => Action::Stop { force },
        ActionName::Restart => Action::Restart { force },
        ActionName::Retry => Action::Retry,
        ActionName::Delete => Action::Delete {
            // A token with the scope `destroy` is a confirmation in itself; a name that is sent must fit. People who signed in type it.
            confirm: body
                .confirm
                .or_else(|| (!signed_in).then(|| app.hostname.to_string())),
            force_stop: force,
            purge: body.purge,
        },
    }
}

/// 202 with the operation and where to follow it.
pub(crate) fn accepted(record: OperationRecord, hostname: Option<String>) -> Response {
    let location = format!("/api/operations/{}", record.id);
    let about = About {
        app: record.app,
        operation: Some(record.id),
    };
    let body: Operation = convert::operation(record, hostname, None);
    let location = [(LOCATION, location)];
    (StatusCode::ACCEPTED, location, Extension(about), Json(body)).into_response()
}

/// As [`accepted`], for an operation that the same request has made before.
pub(crate) async fn accepted_before(
    state: &AppState,
    caller: &Caller,
    id: OperationId,
) -> Result<Response, Refusal> {
    let (record, hostname) = operations::find(&state.reader(), caller, &id.to_string()).await?;
    Ok(accepted(record, hostname))
}

/// Show what a removal would do
///
/// Nothing is changed by asking.
#[utoipa::path(get, path = "/api/apps/{app}/removal", tag = "apps", operation_id = "plan_removal",
    params(("app" = String, Path, description = "Id or host name.", example = "web"), RemovalQuery),
    responses((status = 200, description = "The plan.", body = RemovalPlan)),
    extensions(("x-codes" = json!(["invalid_value", "app_not_found", "host_not_found", "@cluster"]))))]
pub(crate) async fn removal(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Query(query): Query<RemovalQuery>,
) -> Result<Json<RemovalPlan>, Refusal> {
    caller.require(Scope::Read)?;
    let app = lookup::app(&state.reader(), &caller, &name).await?;
    let id = app.id.to_string();
    let plan = state
        .engine()
        .plan_remove(&id, query.purge.unwrap_or(false))
        .await?;
    Ok(Json(convert::removal_plan(plan)))
}
