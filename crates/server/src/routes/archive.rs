//! `/api/archive`.

use axum::Json;
use axum::extract::State;
use proximity_api::archive::{ArchiveList, ArchiveQuery, ArchivedApp};
use proximity_domain::ids::AppId;
use proximity_store::views::ArchiveFilter;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Name, Query, cursor, limit};
use crate::refusal::Refusal;
use crate::router::AppState;

const MOST: u32 = 200;

/// List archived apps
///
/// Apps that were removed, or whose container was proven absent; archived last first, a page at a time.
#[utoipa::path(get, path = "/api/archive", tag = "apps", operation_id = "list_archive",
    params(ArchiveQuery),
    responses((status = 200, description = "One page.", body = ArchiveList)),
    extensions(("x-codes" = json!(["invalid_value"]))))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ArchiveQuery>,
) -> Result<Json<ArchiveList>, Refusal> {
    caller.require(Scope::Read)?;
    let most = limit(query.limit, ArchiveFilter::DEFAULT_LIMIT, MOST)?;
    let filter = ArchiveFilter {
        owner: caller.sees_only().map(ToOwned::to_owned),
        before: cursor(query.after.as_deref())?,
        // One more than asked for tells whether there is a next page.
        limit: most + 1,
    };
    let mut found = state.reader().archived_apps(filter).await?;
    let is_last = found.len() <= most as usize;
    found.truncate(most as usize);
    let last = found.last().map(|app| app.record.id.to_string());
    Ok(Json(ArchiveList {
        next: last.filter(|_| !is_last),
        apps: found.into_iter().map(convert::archived_app).collect(),
    }))
}

/// Show an archived app
#[utoipa::path(get, path = "/api/archive/{app}", tag = "apps", operation_id = "show_archived",
    params(("app" = String, Path, description = "Id.", example = "0197a1b2-5555-7000-8000-000000000001")),
    responses((status = 200, description = "The app as it was.", body = ArchivedApp)),
    extensions(("x-codes" = json!(["app_not_found"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<ArchivedApp>, Refusal> {
    caller.require(Scope::Read)?;
    let none = || Refusal::no_app(&name);
    let id: AppId = name.parse().map_err(|_| none())?;
    let found = state.reader().archived_app(id).await?.ok_or_else(none)?;
    let owner = caller.sees_only();
    if owner.is_some_and(|owner| owner != found.record.owner) {
        return Err(none());
    }
    Ok(Json(convert::archived_app(found)))
}
