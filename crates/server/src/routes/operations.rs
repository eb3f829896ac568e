//! `/api/operations`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use proximity_api::operations::{Operation, OperationList, OperationQuery};
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::operation::OperationKind;
use proximity_store::Reader;
use proximity_store::records::{AppRecord, OperationRecord};
use proximity_store::views::OperationFilter;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Name, Query, cursor, invalid, limit, search};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::apps::{accepted, accepted_before};
use crate::routes::lookup;
use crate::routes::once::{IdempotencyKey, Once, once, unless_made};

const MOST: u32 = 499;

/// The states an operation can be in, by label.
pub(crate) const STATES: [&str; 7] = [
    "queued",
    "running",
    "unwinding",
    "succeeded",
    "failed",
    "cancelled",
    "stuck",
];

/// List operations
///
/// Newest first.
#[utoipa::path(get, path = "/api/operations", tag = "operations", operation_id = "list_operations",
    params(OperationQuery),
    responses((status = 200, description = "The operations.", body = OperationList)),
    extensions(("x-codes" = json!(["app_not_found", "invalid_value"]))))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<OperationQuery>,
) -> Result<Json<OperationList>, Refusal> {
    caller.require(Scope::Read)?;
    let reader = state.reader();
    let app = match &query.app {
        Some(name) => Some(lookup::app_or_archived(&reader, &caller, name).await?.id),
        None => None,
    };
    let most = limit(query.limit, 50, MOST)?;
    let filter = OperationFilter {
        app,
        state: query.state.map(|state| known(&state)).transpose()?,
        kind: query.kind.map(|kind| known_kind(&kind)).transpose()?,
        search: search("search", query.search)?,
        owner: caller.sees_only().map(str::to_owned),
        before: cursor(query.after.as_deref())?,
        // One more than asked for tells whether there is a next page.
        limit: most + 1,
    };
    let mut records = reader.operations(filter).await?;
    let is_last = records.len() <= most as usize;
    records.truncate(most as usize);
    let last = records.last().map(|record| record.id.to_string());
    let next = last.filter(|_| !is_last);
    let mut operations = Vec::with_capacity(records.len());
    for record in records {
        let app = app_of(&reader, record.app).await?;
        let hostname = app.map(|app| app.hostname.into());
        operations.push(convert::operation(record, hostname, None));
    }
    Ok(Json(OperationList { operations, next }))
}

fn known(state: &str) -> Result<String, Refusal> {
    if STATES.contains(&state) {
        return Ok(state.to_owned());
    }
    let labels = STATES.join(", ");
    Err(invalid(
        "state",
        format!("{state:?} is no state; there are {labels}"),
    ))
}

fn known_kind(kind: &str) -> Result<OperationKind, Refusal> {
    OperationKind::parse(kind).ok_or_else(|| {
        let labels = OperationKind::ALL.map(OperationKind::label).join(", ");
        invalid("kind", format!("{kind:?} is no kind; there are {labels}"))
    })
}

/// Show an operation
///
/// With its steps.
#[utoipa::path(get, path = "/api/operations/{id}", tag = "operations", operation_id = "show_operation",
    params(("id" = String, Path, description = "Id of the operation.", example = "018f0000-0000-7000-8000-000000000001")),
    responses((status = 200, description = "The operation.", body = Operation)),
    extensions(("x-codes" = json!(["operation_not_found"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(id): Name,
) -> Result<Json<Operation>, Refusal> {
    caller.require(Scope::Read)?;
    let reader = state.reader();
    let (record, hostname) = find(&reader, &caller, &id).await?;
    let steps = reader.steps(record.id).await?;
    Ok(Json(convert::operation(record, hostname, Some(steps))))
}

/// Repeat an operation
///
/// A stuck one goes on after its last finished step; a failed one begins anew. Repeating a removal needs the scope `destroy`.
#[utoipa::path(post, path = "/api/operations/{id}/retry", tag = "operations", operation_id = "retry_operation",
    params(("id" = String, Path, description = "Id of the operation.", example = "018f0000-0000-7000-8000-000000000001"), IdempotencyKey),
    responses((status = 202, description = "Recorded; the work follows.", body = Operation, headers(("location" = String, description = "Where to follow it: `/api/operations/{id}`.")))),
    extensions(("x-codes" = json!(["operation_not_found", "app_not_found", "not_in_state", "not_repeated", "busy", "queue_full", "idempotency_conflict"]))))]
pub(crate) async fn retry(
    State(state): State<AppState>,
    caller: Caller,
    Name(id): Name,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    caller.require(Scope::Operate)?;
    let (record, hostname) = find_own(&state.reader(), &caller, &id).await?;
    if super::apps::removes(record.kind) {
        // Repeating a removal removes: it needs what the removal itself needs.
        caller.require(Scope::Destroy)?;
    }
    let what = format!("retry_operation {}", record.id);
    let key = match once::<OperationId>(&state, &caller, &headers, &what, &()).await? {
        Once::New(key) => key,
        Once::Before(id) => return accepted_before(&state, &caller, id).await,
    };
    let retried = state
        .engine()
        .retry_operation_once(caller.actor(), record.id, key.clone())
        .await;
    match retried {
        Ok(retried) => Ok(accepted(retried, hostname)),
        Err(e) => {
            let id = unless_made(&state, &caller, key.as_ref(), e).await?;
            accepted_before(&state, &caller, id).await
        }
    }
}

/// Give a stuck operation up
///
/// Nothing more is done: it ends as failed, its app is in error (but for a restore of keys), and what it left stays recorded and reserved.
#[utoipa::path(post, path = "/api/operations/{id}/abandon", tag = "operations", operation_id = "abandon_operation",
    params(("id" = String, Path, description = "Id of the operation.", example = "018f0000-0000-7000-8000-000000000001")),
    responses((status = 202, description = "Given up; no work follows.", body = Operation, headers(("location" = String, description = "The operation: `/api/operations/{id}`.")))),
    extensions(("x-codes" = json!(["operation_not_found", "app_not_found", "not_in_state"]))))]
pub(crate) async fn abandon(
    State(state): State<AppState>,
    caller: Caller,
    Name(id): Name,
) -> Result<Response, Refusal> {
    caller.require(Scope::Operate)?;
    let (record, hostname) = find_own(&state.reader(), &caller, &id).await?;
    let abandoned = state
        .engine()
        .abandon_operation(caller.actor(), record.id)
        .await?;
    Ok(accepted(abandoned, hostname))
}

/// Cancel an operation
///
/// It turns back as soon as that is safe: at once while it waits, else when the call or the task in PVE that is under way
/// has ended. What it began is undone. Once a restart starts its container again, and in the last step of a deploy or a
/// start, it is too late: then the operation goes on to its end.
#[utoipa::path(post, path = "/api/operations/{id}/cancel", tag = "operations", operation_id = "cancel_operation",
    params(("id" = String, Path, description = "Id of the operation.", example = "018f0000-0000-7000-8000-000000000001")),
    responses((status = 202, description = "Recorded; the work follows.", body = Operation, headers(("location" = String, description = "Where to follow it: `/api/operations/{id}`.")))),
    extensions(("x-codes" = json!(["operation_not_found", "app_not_found", "not_in_state"]))))]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    Name(id): Name,
) -> Result<Response, Refusal> {
    caller.require(Scope::Operate)?;
    let (record, hostname) = find_own(&state.reader(), &caller, &id).await?;
    let cancelled = state
        .engine()
        .cancel_operation(caller.actor(), record.id)
        .await?;
    Ok(accepted(cancelled, hostname))
}

pub(crate) async fn find(
    reader: &Reader,
    caller: &Caller,
    id: &str,
) -> Result<(OperationRecord, Option<String>), Refusal> {
    let none = || Refusal::no_operation(id);
    let parsed: OperationId = id.parse().map_err(|_| none())?;
    let record = reader.operation(parsed).await?.ok_or_else(none)?;
    let app = app_of(reader, record.app).await?;
    if !sees(caller, app.as_ref()) {
        return Err(none());
    }
    Ok((record, app.map(|app| app.hostname.into())))
}

/// As [`find`], for a decision about it: its app has to be the caller's to change.
async fn find_own(
    reader: &Reader,
    caller: &Caller,
    id: &str,
) -> Result<(OperationRecord, Option<String>), Refusal> {
    let (record, hostname) = find(reader, caller, id).await?;
    match app_of(reader, record.app).await? {
        Some(app) => lookup::is_own(caller, Scope::Operate, &app)?,
        // Whose it was is not known: it is left to who changes those of all.
        None if caller.changes_only().is_some() => return Err(Refusal::no_operation(id)),
        None => {}
    }
    Ok((record, hostname))
}

/// The app of an operation, removed or not.
async fn app_of(reader: &Reader, id: AppId) -> Result<Option<AppRecord>, Refusal> {
    if let Some(live) = reader.app(id).await? {
        return Ok(Some(live));
    }
    Ok(reader
        .archived_app(id)
        .await?
        .map(|archived| archived.record))
}

fn sees(caller: &Caller, app: Option<&AppRecord>) -> bool {
    match caller.sees_only() {
        None => true,
        Some(account) => app.is_some_and(|app| app.owner == account),
    }
}
