//! `/api/catalog-sources`. What they have is carried out in containers, so all of it needs the scope `hosts`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use proximity_api::catalog_sources::{
    AddCatalogSource, CatalogDiff, CatalogSource, CatalogSourceList, TakeCatalogSource,
};
use proximity_domain::names::CommitId;
use proximity_engine::commands::AddEntrySource;

use super::sources::{credential, named};
use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name, invalid};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::hosts::on_its_own_thread;

/// Add a repository with entries
///
/// Nothing of it is in the catalog before a commit is taken.
#[utoipa::path(post, path = "/api/catalog-sources", tag = "catalog", operation_id = "add_catalog_source",
    request_body = AddCatalogSource,
    responses((status = 201, description = "Recorded; nothing was read.", body = CatalogSource)),
    extensions(("x-codes" = json!(["invalid_value", "exists", "not_in_state"]))))]
pub(crate) async fn add(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<AddCatalogSource>,
) -> Result<(StatusCode, Json<CatalogSource>), Refusal> {
    caller.require(Scope::Hosts)?;
    let request = AddEntrySource {
        credential: credential(
            body.token.as_ref(),
            body.ssh_key.as_ref(),
            body.known_hosts.as_deref(),
        )?,
        name: body.name,
        url: body.url,
        branch: body.branch,
        path: body.path,
        signers: body.signers,
    };
    let engine = state.engine();
    let added = engine.add_entry_source(caller.actor(), request).await?;
    Ok((StatusCode::CREATED, Json(convert::catalog_source(added))))
}

/// List repositories with entries
///
/// With the commit that was taken of each.
#[utoipa::path(get, path = "/api/catalog-sources", tag = "catalog", operation_id = "list_catalog_sources",
    responses((status = 200, description = "The repositories.", body = CatalogSourceList)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<CatalogSourceList>, Refusal> {
    caller.require(Scope::Hosts)?;
    let sources = state.reader().entry_sources().await?.into_iter();
    Ok(Json(CatalogSourceList {
        sources: sources.map(convert::catalog_source).collect(),
    }))
}

/// Remove a repository with entries
///
/// Its entries leave the catalog. Apps that were made from one go on with what it said.
#[utoipa::path(delete, path = "/api/catalog-sources/{source}", tag = "catalog", operation_id = "remove_catalog_source",
    params(("source" = String, Path, description = "Its name.", example = "team")),
    responses((status = 204, description = "Removed.")),
    extensions(("x-codes" = json!(["invalid_value", "source_not_found"]))))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<StatusCode, Refusal> {
    caller.require(Scope::Hosts)?;
    let (engine, name) = (state.engine(), named(&name)?);
    engine.remove_entry_source(caller.actor(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Show what a repository has that is new
///
/// What taking the newest commit of its branch would change in the catalog, entry by entry and field by field. The repository is read; nothing
/// is kept or changed.
#[utoipa::path(post, path = "/api/catalog-sources/{source}/diff", tag = "catalog", operation_id = "diff_catalog_source",
    params(("source" = String, Path, description = "Its name.", example = "team")),
    responses((status = 200, description = "What would change.", body = CatalogDiff)),
    extensions(("x-codes" = json!(["invalid_value", "source_not_found", "git_missing", "source_unreachable", "branch_not_found", "documents_not_found", "source_too_large", "commit_unsigned"]))))]
pub(crate) async fn diff(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<CatalogDiff>, Refusal> {
    caller.require(Scope::Hosts)?;
    let (engine, name) = (state.engine().clone(), named(&name)?);
    let looking = async move || engine.entry_update(&name).await;
    let update = on_its_own_thread(looking).await??;
    Ok(Json(convert::catalog_diff(update)))
}

/// Take a commit of a repository
///
/// The entries of that commit are those of the catalog from now on. It has to be the newest one of the branch still: nothing is taken that was
/// not shown.
#[utoipa::path(post, path = "/api/catalog-sources/{source}/take", tag = "catalog", operation_id = "take_catalog_source",
    params(("source" = String, Path, description = "Its name.", example = "team")),
    request_body = TakeCatalogSource,
    responses((status = 200, description = "Taken, and what it changed.", body = CatalogDiff)),
    extensions(("x-codes" = json!(["invalid_value", "source_not_found", "not_in_state", "git_missing", "source_unreachable", "branch_not_found", "documents_not_found", "source_too_large", "commit_unsigned"]))))]
pub(crate) async fn take(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<TakeCatalogSource>,
) -> Result<Json<CatalogDiff>, Refusal> {
    caller.require(Scope::Hosts)?;
    let (engine, name) = (state.engine().clone(), named(&name)?);
    let commit = body.commit.parse::<CommitId>();
    let commit = commit.map_err(|e| invalid("commit", format!("{e}")))?;
    let actor = caller.actor().clone();
    let taking = async move || engine.take_entries(&actor, &name, &commit).await;
    let update = on_its_own_thread(taking).await??;
    Ok(Json(convert::catalog_diff(update)))
}
