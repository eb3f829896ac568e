//! `/api/templates`: what containers are cloned from.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use proximity_api::templates::{DropTemplate, PreparedTemplateList};
use proximity_domain::ids::PreparedId;
use proximity_engine::error::EngineError;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Name, Query};
use crate::refusal::Refusal;
use crate::router::AppState;

/// List prepared templates
///
/// Templates of Proxmox VE that were made of what is deployed again and again (`engine.template_cache`), with what hangs on each.
#[utoipa::path(get, path = "/api/templates", tag = "hosts", operation_id = "list_templates",
    responses((status = 200, description = "All that are not gone.", body = PreparedTemplateList)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<PreparedTemplateList>, Refusal> {
    caller.require(Scope::Hosts)?;
    let templates = state.engine().templates().await?.into_iter();
    Ok(Json(PreparedTemplateList {
        templates: templates.map(convert::template).collect(),
    }))
}

/// Drop a prepared template
///
/// Nothing is made of it any more, and it is destroyed as soon as nothing hangs on it. Of one whose destroy failed it is tried again. With
/// `forget` only its record goes, where its number has what is not provably ours.
#[utoipa::path(delete, path = "/api/templates/{template}", tag = "hosts", operation_id = "drop_template",
    params(("template" = String, Path, description = "Id.", example = "018f0000-0000-7000-8000-000000000001"), DropTemplate),
    responses((status = 204, description = "It leaves, or is forgotten.")),
    extensions(("x-codes" = json!(["not_found", "invalid_value", "@cluster"]))))]
pub(crate) async fn drop(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Query(query): Query<DropTemplate>,
) -> Result<StatusCode, Refusal> {
    caller.require(Scope::Hosts)?;
    let id = name.parse::<PreparedId>();
    let id = id.map_err(|_| EngineError::NotFound {
        what: "prepared template",
        name,
    })?;
    let engine = state.engine();
    let dropped = engine.drop_template(caller.actor(), id, query.forget);
    dropped.await?;
    Ok(StatusCode::NO_CONTENT)
}
