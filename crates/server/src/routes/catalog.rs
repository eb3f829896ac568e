//! `/api/catalog/`.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use proximity_api::catalog::{CatalogEntry, CatalogList, CatalogQuery};
use proximity_domain::create::Refusal as Rule;
use proximity_domain::names::CatalogId;
use proximity_engine::error::EngineError;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Name, Query, search};
use crate::refusal::Refusal;
use crate::router::AppState;

/// List the catalog
#[utoipa::path(get, path = "/api/catalog/", tag = "catalog", operation_id = "list_catalog",
    params(CatalogQuery),
    responses((status = 200, description = "The entries.", body = CatalogList)),
    extensions(("x-codes" = json!(["invalid_value"]))))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<CatalogQuery>,
) -> Result<Json<CatalogList>, Refusal> {
    caller.require(Scope::Read)?;
    let query = CatalogQuery {
        q: search("q", query.q)?,
        ..query
    };
    let all = || state.engine().catalog().entries();
    let categories: BTreeSet<String> = all().map(|entry| entry.category.clone()).collect();
    let entries = all().map(convert::catalog_entry);
    Ok(Json(CatalogList {
        entries: entries.filter(|entry| matches(entry, &query)).collect(),
        categories: categories.into_iter().collect(),
    }))
}

fn matches(entry: &CatalogEntry, query: &CatalogQuery) -> bool {
    let of_category = query.category.as_ref().is_none_or(|c| *c == entry.category);
    let text = query.q.as_deref().unwrap_or_default().to_lowercase();
    let holds = |part: &String| part.to_lowercase().contains(&text);
    of_category
        && [&entry.id, &entry.name, &entry.summary, &entry.category]
            .into_iter()
            .any(holds)
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
