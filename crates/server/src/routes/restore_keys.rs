//! `/api/apps/{app}/drift/restore`: keys of an adopted container's configuration, back to the day of its adoption.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use proximity_api::adoption::{RestoreKeys, RestorePreview, RestoreQuery};
use proximity_api::operations::Operation;
use proximity_domain::ids::OperationId;
use proximity_engine::commands::{self, wanted};

use super::apps::{accepted, accepted_before};
use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name, Query, invalid};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::lookup;
use crate::routes::once::{IdempotencyKey, Once, once, unless_made};

/// Keys of one request, at most: no container has as many.
const MOST: usize = 200;
/// The longest digest of Proxmox VE's schema.
const LONGEST_DIGEST: usize = 64;

/// Show what a restore of keys would do
///
/// Which keys of the container's configuration would be brought back to the day of its adoption, by which call, and which would not. Nothing is changed by asking.
#[utoipa::path(get, path = "/api/apps/{app}/drift/restore", tag = "apps", operation_id = "preview_restore",
    params(("app" = String, Path, description = "Id or host name.", example = "web"), RestoreQuery),
    responses((status = 200, description = "What would be done.", body = RestorePreview)),
    extensions(("x-codes" = json!(["app_not_found", "not_found", "host_not_found", "invalid_value", "identity_conflict", "@cluster"]))))]
pub(crate) async fn preview(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Query(query): Query<RestoreQuery>,
) -> Result<Json<RestorePreview>, Refusal> {
    caller.require(Scope::Read)?;
    let app = lookup::app(&state.reader(), &caller, &name).await?;
    let keys: Option<Vec<String>> = query.keys.map(|keys| {
        let keys = keys.split(',').map(str::trim);
        keys.map(str::to_owned).collect()
    });
    if let Some(keys) = &keys {
        check(keys)?;
    }
    let wanted = wanted(keys);
    let id = app.id.to_string();
    let preview = state.engine().preview_restore(&id, &wanted).await?;
    Ok(Json(convert::restore_preview(preview)))
}

/// Restore keys
///
/// Brings the keys named, those that the preview showed, back to the day of the container's adoption: if the configuration has changed since, nothing is done.
#[utoipa::path(post, path = "/api/apps/{app}/drift/restore", tag = "apps", operation_id = "restore_keys",
    params(("app" = String, Path, description = "Id or host name.", example = "web"), IdempotencyKey),
    request_body = RestoreKeys,
    responses((status = 202, description = "Recorded; the work follows.", body = Operation, headers(("location" = String, description = "Where to follow it: `/api/operations/{id}`.")))),
    extensions(("x-codes" = json!(["app_not_found", "not_found", "operation_not_found", "host_not_found", "invalid_value", "preview_outdated", "not_restorable", "not_in_state", "identity_conflict", "busy", "queue_full", "idempotency_conflict", "@cluster"]))))]
pub(crate) async fn restore(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    headers: HeaderMap,
    Body(body): Body<RestoreKeys>,
) -> Result<Response, Refusal> {
    caller.require(Scope::Operate)?;
    let what = format!("restore_keys {name}");
    let key = match once::<OperationId>(&state, &caller, &headers, &what, &body).await? {
        Once::New(key) => key,
        Once::Before(id) => return accepted_before(&state, &caller, id).await,
    };
    let app = lookup::own_app(&state.reader(), &caller, Scope::Operate, &name).await?;
    if body.digest.is_empty() || body.digest.len() > LONGEST_DIGEST {
        let wrong = "it is none that a preview shows";
        return Err(invalid("digest", wrong.to_owned()));
    }
    check(&body.keys)?;
    let request = commands::RestoreKeys {
        keys: body.keys.into_iter().collect(),
        digest: body.digest,
        key: key.clone(),
    };
    let (engine, id) = (state.engine(), app.id.to_string());
    match engine.restore_keys(caller.actor(), &id, request).await {
        Ok(operation) => Ok(accepted(operation, Some(app.hostname.into()))),
        Err(e) => {
            let id = unless_made(&state, &caller, key.as_ref(), e).await?;
            accepted_before(&state, &caller, id).await
        }
    }
}

/// Keys that a person named: some, and none that is empty.
fn check(keys: &[String]) -> Result<(), Refusal> {
    let count = keys.len();
    if !(1..=MOST).contains(&count) {
        let wrong = format!("{count} keys were named; 1 to {MOST} can be");
        return Err(invalid("keys", wrong));
    }
    if keys.iter().any(String::is_empty) {
        return Err(invalid("keys", "one of them is empty".to_owned()));
    }
    Ok(())
}
