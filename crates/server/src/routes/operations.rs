//! `/api/operations`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use proximity_api::operations::{Operation, OperationList, OperationQuery};
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::operation::OperationKind;
use proximity_engine::error::EngineError;
use proximity_store::Reader;
use proximity_store::records::{AppRecord, OperationRecord};
use proximity_store::views::OperationFilter;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Name, Query};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::apps::accepted;
use crate::routes::lookup;

const MOST: usize = 500;

/// `GET /api/operations`, newest first.
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
    let filter = OperationFilter {
        app,
        state: query.state,
        limit: u32::try_from(query.limit.unwrap_or(50).clamp(1, MOST)).unwrap_or(u32::MAX),
        before: None,
    };
    let mut operations = Vec::new();
    for record in reader.operations(filter).await? {
        let app = app_of(&reader, record.app).await?;
        if sees(&caller, app.as_ref()) {
            let hostname = app.map(|app| app.hostname.into());
            operations.push(convert::operation(record, hostname, None));
        }
    }
    Ok(Json(OperationList { operations }))
}

/// `GET /api/operations/{id}`, with its steps.
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

/// `POST /api/operations/{id}/retry`.
pub(crate) async fn retry(
    State(state): State<AppState>,
    caller: Caller,
    Name(id): Name,
) -> Result<Response, Refusal> {
    caller.require(Scope::Operate)?;
    let (record, hostname) = find(&state.reader(), &caller, &id).await?;
    if record.kind == OperationKind::Remove {
        // Repeating a removal removes: it needs what the removal itself needs.
        caller.require(Scope::Destroy)?;
    }
    let retried = state
        .engine()
        .retry_operation(caller.actor(), record.id)
        .await?;
    Ok(accepted(retried, hostname))
}

/// `POST /api/operations/{id}/abandon`.
pub(crate) async fn abandon(
    State(state): State<AppState>,
    caller: Caller,
    Name(id): Name,
) -> Result<Response, Refusal> {
    caller.require(Scope::Operate)?;
    let (record, hostname) = find(&state.reader(), &caller, &id).await?;
    let abandoned = state
        .engine()
        .abandon_operation(caller.actor(), record.id)
        .await?;
    Ok(accepted(abandoned, hostname))
}

/// `POST /api/operations/{id}/cancel`.
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    Name(id): Name,
) -> Result<Response, Refusal> {
    caller.require(Scope::Operate)?;
    let (record, hostname) = find(&state.reader(), &caller, &id).await?;
    let cancelled = state
        .engine()
        .cancel_operation(caller.actor(), record.id)
        .await?;
    Ok(accepted(cancelled, hostname))
}

async fn find(
    reader: &Reader,
    caller: &Caller,
    id: &str,
) -> Result<(OperationRecord, Option<String>), Refusal> {
    let none = || EngineError::NotFound {
        what: "operation",
        name: id.to_owned(),
    };
    let parsed: OperationId = id.parse().map_err(|_| none())?;
    let record = reader.operation(parsed).await?.ok_or_else(none)?;
    let app = app_of(reader, record.app).await?;
    if !sees(caller, app.as_ref()) {
        return Err(none().into());
    }
    Ok((record, app.map(|app| app.hostname.into())))
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
