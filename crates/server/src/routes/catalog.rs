//! `/api/catalog/`.

use axum::Json;
use axum::extract::State;
use proximity_api::catalog::{CatalogEntry, CatalogList};
use proximity_domain::create::Refusal as Rule;
use proximity_domain::names::CatalogId;
use proximity_engine::error::EngineError;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::Name;
use crate::refusal::Refusal;
use crate::router::AppState;

/// List the catalog
#[utoipa::path(get, path = "/api/catalog/", tag = "catalog", operation_id = "list_catalog",
    responses((status = 200, description = "The entries.", body = CatalogList)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<CatalogList>, Refusal> {
    caller.require(Scope::Read)?;
    let entries = state.engine().catalog().entries();
    let entries = entries.map(convert::catalog_entry).collect();
    Ok(Json(CatalogList { entries }))
}

/// Show an entry of the catalog
#[utoipa::path(get, path = "/api/catalog/{entry}", tag = "catalog", operation_id = "show_catalog_entry",
    params(("entry" = String, Path, description = "Id of the entry.", example = "nginx")),
    responses((status = 200, description = "The entry.", body = CatalogEntry)),
    extensions(("x-codes" = json!(["invalid_value", "catalog_unknown"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<CatalogEntry>, Refusal> {
    caller.require(Scope::Read)?;
    let id: CatalogId = name.parse().map_err(|error| EngineError::Invalid {
        field: "catalog_id".to_owned(),
        message: format!("{error}"),
    })?;
    let found = state
        .engine()
        .catalog()
        .get(&id)
        .map(convert::catalog_entry);
    found
        .map(Json)
        .ok_or_else(|| EngineError::Refused(Rule::UnknownCatalogId(id)).into())
}
