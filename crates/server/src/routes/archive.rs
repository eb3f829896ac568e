//! `/api/archive`.

use axum::Json;
use axum::extract::State;
use proximity_api::archive::{AppHistory, ArchiveList, ArchiveQuery, ArchivedApp};
use proximity_api::error::{ErrorBody, ErrorKind};
use proximity_domain::ids::AppId;
use proximity_store::Reader;
use proximity_store::views::{ArchiveFilter, ArchivedApp as Archived, OperationFilter};

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Name, Query, cursor, limit};
use crate::refusal::Refusal;
use crate::router::AppState;

const MOST: u32 = 200;
/// Calls that are shown of an app.
const CALLS: u32 = 200;
/// Apps of one host name that are told apart in a refusal.
const NAMESAKES: u32 = 20;

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
        hostname: None,
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
///
/// With its containers, what was asked for and what was sent to Proxmox VE; its log and its events are read by its id as before,
/// as far as `retention` keeps them. A host name is enough where one app in the archive had it; of several the refusal names the ids.
#[utoipa::path(get, path = "/api/archive/{app}", tag = "apps", operation_id = "show_archived",
    params(("app" = String, Path, description = "Id or host name.", example = "0197a1b2-5555-7000-8000-000000000001")),
    responses((status = 200, description = "The app as it was.", body = ArchivedApp)),
    extensions(("x-codes" = json!(["app_not_found", "name_ambiguous"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<ArchivedApp>, Refusal> {
    caller.require(Scope::Read)?;
    let found = match name.parse::<AppId>() {
        Ok(id) => by_id(&state.reader(), &caller, id).await?,
        Err(_) => by_hostname(&state.reader(), &caller, &name).await?,
    };
    let found = found.ok_or_else(|| Refusal::no_archived(&name))?;
    let id = found.record.id;
    let mut app = convert::archived_app(found);
    app.history = Some(history(&state.reader(), id, &app.hostname).await?);
    Ok(Json(app))
}

async fn by_id(reader: &Reader, caller: &Caller, id: AppId) -> Result<Option<Archived>, Refusal> {
    let found = reader.archived_app(id).await?;
    let owner = caller.sees_only();
    Ok(found.filter(|app| owner.is_none_or(|owner| owner == app.record.owner)))
}

/// The only one that the caller may see of those that had this host name.
async fn by_hostname(
    reader: &Reader,
    caller: &Caller,
    name: &str,
) -> Result<Option<Archived>, Refusal> {
    let filter = ArchiveFilter {
        owner: caller.sees_only().map(ToOwned::to_owned),
        hostname: Some(name.to_owned()),
        // One more than are told of says whether those are all.
        limit: NAMESAKES + 1,
        ..ArchiveFilter::default()
    };
    let mut found = reader.archived_apps(filter).await?;
    if found.len() > 1 {
        return Err(namesakes(name, &found));
    }
    Ok(found.pop())
}

/// Several had the name, those archived last first: each with its id, and when it was archived.
fn namesakes(name: &str, found: &[Archived]) -> Refusal {
    let most = NAMESAKES as usize;
    let message = if found.len() > most {
        format!("more than {most} archived apps were named {name}, of which these were the last")
    } else {
        format!("{} archived apps were named {name}", found.len())
    };
    let hint = "show one by its id: proximity archive show ID";
    let mut body = ErrorBody::new("name_ambiguous", message, hint);
    for app in found.iter().take(most) {
        let (id, at) = (app.record.id, convert::moment(app.archived_at));
        let (status, node) = (app.record.status.label().label(), &app.record.node);
        let was = format!("archived {at}, {status}, on {node}");
        body = body.field(id.to_string(), was);
    }
    Refusal::new(ErrorKind::Conflict, body)
}

async fn history(reader: &Reader, id: AppId, hostname: &str) -> Result<AppHistory, Refusal> {
    let mut containers = Vec::new();
    for past in reader.past_guests(id).await? {
        let host = reader.host(past.place.host).await?;
        let label = host.map(|host| host.label.into());
        containers.push(convert::past_container(past, label));
    }
    let filter = OperationFilter {
        app: Some(id),
        ..OperationFilter::default()
    };
    let operations = reader.operations(filter).await?.into_iter();
    let named = |operation| convert::operation(operation, Some(hostname.to_owned()), None);
    let calls = reader.mutations_of_app(id, CALLS).await?;
    Ok(AppHistory {
        containers,
        operations: operations.map(named).collect(),
        calls: calls.into_iter().map(convert::sent_call).collect(),
    })
}
