//! `/api/catalog/`, and reading it again.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use proximity_api::catalog::{CatalogEntry, CatalogList, CatalogQuery, CatalogReload};
use proximity_domain::create::Refusal as Rule;
use proximity_domain::names::CatalogId;
use proximity_engine::catalog::Offered;
use proximity_engine::error::EngineError;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Name, Query, search};
use crate::refusal::Refusal;
use crate::router::AppState;

/// List the catalog
///
/// With counts over the whole of it, and with what is left out because something is wrong with it.
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
    let text = search("q", query.q)?.unwrap_or_default();
    let catalog = state.engine().catalog();
    let categories: BTreeSet<String> = catalog
        .entries()
        .map(|entry| entry.category.clone())
        .collect();
    let matches = |one: &&Offered| {
        let (category, source) = (&one.entry.category, one.origin.label());
        query.category.as_ref().is_none_or(|c| c == category)
            && query.source.as_ref().is_none_or(|s| *s == source)
    };
    let found = catalog.search(&text).into_iter().filter(matches);
    Ok(Json(CatalogList {
        entries: found.map(convert::catalog_entry).collect(),
        categories: categories.into_iter().collect(),
        stats: convert::catalog_stats(catalog.stats()),
        problems: convert::catalog_problems(catalog.problems()),
    }))
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
    let catalog = state.engine().catalog();
    let found = catalog.offered(&id);
    found
        .map(|offered| Json(convert::catalog_entry(offered)))
        .ok_or_else(|| EngineError::Refused(Rule::UnknownCatalogId(id)).into())
}

/// Read the catalog again
///
/// The folders that the configuration names, and what was taken of repositories; nothing is fetched. What is wrong is left out and told, and
/// the rest is used from then on. Apps go on with the entries that they were made from.
#[utoipa::path(post, path = "/api/catalog-reload", tag = "catalog", operation_id = "reload_catalog",
    responses((status = 200, description = "Read.", body = CatalogReload)))]
pub(crate) async fn reload(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<CatalogReload>, Refusal> {
    caller.require(Scope::Hosts)?;
    let catalog = state.engine().reload_catalog().await?;
    Ok(Json(CatalogReload {
        stats: convert::catalog_stats(catalog.stats()),
        problems: convert::catalog_problems(catalog.problems()),
    }))
}
