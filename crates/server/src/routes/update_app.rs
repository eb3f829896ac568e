//! `PATCH /api/apps/{app}` and its preview: a change of an app in place.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use proximity_api::apps::{UpdateApp, UpdatePreview};
use proximity_api::operations::Operation;
use proximity_domain::create::ResourceRequest;
use proximity_domain::ids::OperationId;
use proximity_engine::commands;
use proximity_store::records::RequestKey;

use super::apps::{accepted, accepted_before};
use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name, invalid};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::lookup;
use crate::routes::once::{IdempotencyKey, Once, once, unless_made};

/// The longest digest of Proxmox VE's schema.
const LONGEST_DIGEST: usize = 64;

/// Show what a change would do
///
/// What of memory, cores, disk and settings is not as it is wanted, and by which calls it would be. Nothing is changed by asking.
#[utoipa::path(post, path = "/api/apps/{app}/preview", tag = "apps", operation_id = "preview_update",
    params(("app" = String, Path, description = "Id or host name.", example = "web")),
    request_body = UpdateApp,
    responses((status = 200, description = "What would be done.", body = UpdatePreview)),
    extensions(("x-codes" = json!(["app_not_found", "not_found", "host_not_found", "catalog_unknown", "entry_unpinned", "invalid_value", "setting_invalid", "memory_too_little", "out_of_range", "adopted_app", "app_stopped", "needs_replacement", "preview_outdated", "not_in_state", "identity_conflict", "no_guest_access", "view_incomplete", "@cluster"]))))]
pub(crate) async fn preview(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<UpdateApp>,
) -> Result<Json<UpdatePreview>, Refusal> {
    caller.require(Scope::Operate)?;
    let app = lookup::own_app(&state.reader(), &caller, Scope::Operate, &name).await?;
    let request = request(body, None)?;
    let id = app.id.to_string();
    let preview = state.engine().preview_update(&id, &request).await?;
    Ok(Json(convert::update_preview(preview)))
}

/// Change an app
///
/// Memory and cores, the size of its disk, settings: in its container, which goes on running. A disk that has grown stays as large whatever comes of the rest.
#[utoipa::path(patch, path = "/api/apps/{app}", tag = "apps", operation_id = "update_app",
    params(("app" = String, Path, description = "Id or host name.", example = "web"), IdempotencyKey),
    request_body = UpdateApp,
    responses((status = 202, description = "Recorded; the work follows.", body = Operation, headers(("location" = String, description = "Where to follow it: `/api/operations/{id}`.")))),
    extensions(("x-codes" = json!(["app_not_found", "not_found", "operation_not_found", "host_not_found", "catalog_unknown", "entry_unpinned", "invalid_value", "setting_invalid", "memory_too_little", "out_of_range", "adopted_app", "app_stopped", "needs_replacement", "preview_outdated", "confirmation_needed", "not_in_state", "identity_conflict", "no_guest_access", "view_incomplete", "busy", "queue_full", "idempotency_conflict", "@cluster"]))))]
pub(crate) async fn update(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    headers: HeaderMap,
    Body(body): Body<UpdateApp>,
) -> Result<Response, Refusal> {
    caller.require(Scope::Operate)?;
    let what = format!("update_app {name}");
    let key = match once::<OperationId>(&state, &caller, &headers, &what, &body).await? {
        Once::New(key) => key,
        Once::Before(id) => return accepted_before(&state, &caller, id).await,
    };
    let app = lookup::own_app(&state.reader(), &caller, Scope::Operate, &name).await?;
    let request = request(body, key.clone())?;
    let (engine, id) = (state.engine(), app.id.to_string());
    match engine.update_app(caller.actor(), &id, request).await {
        Ok(operation) => Ok(accepted(operation, Some(app.hostname.into()))),
        Err(e) => {
            let id = unless_made(&state, &caller, key.as_ref(), e).await?;
            accepted_before(&state, &caller, id).await
        }
    }
}

fn request(body: UpdateApp, key: Option<RequestKey>) -> Result<commands::UpdateApp, Refusal> {
    if let Some(digest) = &body.digest
        && (digest.is_empty() || digest.len() > LONGEST_DIGEST)
    {
        let wrong = "it is none that a preview shows";
        return Err(invalid("digest", wrong.to_owned()));
    }
    Ok(commands::UpdateApp {
        resources: ResourceRequest {
            memory_mib: body.resources.memory,
            cores: body.resources.cores,
            disk_gib: body.resources.disk,
        },
        settings: body.settings,
        newest_entry: body.newest_entry,
        allow_unpinned: body.allow_unpinned,
        digest: body.digest,
        confirm: body.confirm,
        key,
    })
}
