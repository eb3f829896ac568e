//! `/api/resources`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use proximity_api::error::{ErrorBody, ErrorKind};
use proximity_api::resources::{
    AtQuery, DiffQuery, HistoryQuery, Resource, ResourceAt, ResourceDiff, ResourceHistory,
    ResourceList, ResourceQuery,
};
use proximity_domain::ids::HostId;
use proximity_domain::resource::{ResourceKind, Snapshot};
use proximity_domain::time::Timestamp;
use proximity_store::Reader;
use proximity_store::resources::{ResourceFilter, ResourceRecord};

use super::lookup;
use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Name, Query, cursor, invalid, limit, search};
use crate::refusal::Refusal;
use crate::router::AppState;

const MOST: u32 = 500;

/// List resources
///
/// Nodes, storages, virtual machines, containers and tasks of the clusters, as they were observed last; a page at a time. They are
/// recorded and not managed. They are everybody's, so this needs the scope `hosts`.
#[utoipa::path(get, path = "/api/resources", tag = "hosts", operation_id = "list_resources",
    params(ResourceQuery),
    responses((status = 200, description = "One page.", body = ResourceList)),
    extensions(("x-codes" = json!(["host_not_found", "invalid_value"]))))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ResourceQuery>,
) -> Result<Json<ResourceList>, Refusal> {
    caller.require(Scope::Hosts)?;
    let reader = state.reader();
    let most = limit(query.limit, ResourceFilter::DEFAULT_LIMIT, MOST)?;
    let host = match &query.host {
        Some(name) => Some(lookup::host(&reader, name).await?.id),
        None => None,
    };
    let filter = ResourceFilter {
        host,
        kind: kind(query.kind.as_deref())?,
        status: search("status", query.status)?,
        named: search("name", query.name)?,
        gone: query.gone.unwrap_or(false),
        after: cursor(query.after.as_deref())?,
        // One more than asked for tells whether there is a next page.
        limit: most + 1,
    };
    let mut found = reader.resources(&filter).await?;
    let is_last = found.len() <= most as usize;
    found.truncate(most as usize);
    let last = found.last().map(|last| last.id.to_string());
    let labels = labels(&reader).await?;
    let shown = |record: ResourceRecord| {
        let label = labels.get(&record.host).cloned().unwrap_or_default();
        convert::resource(record, label, None)
    };
    Ok(Json(ResourceList {
        next: last.filter(|_| !is_last),
        total: reader.resource_count(&filter).await?,
        resources: found.into_iter().map(shown).collect(),
    }))
}

/// Show a resource
///
/// With its whole state, as it was observed last. It needs the scope `hosts`.
#[utoipa::path(get, path = "/api/resources/{resource}", tag = "hosts", operation_id = "show_resource",
    params(("resource" = String, Path, description = "Id.", example = "4f1c2d3e-0000-8000-8000-000000000001")),
    responses((status = 200, description = "The resource.", body = Resource)),
    extensions(("x-codes" = json!(["resource_not_found"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<Resource>, Refusal> {
    caller.require(Scope::Hosts)?;
    let reader = state.reader();
    let record = found(&reader, &name).await?;
    let newest = reader.snapshots(record.id, None, 1).await?;
    let state = newest.first().map(|newest| &newest.state);
    let label = label(&reader, record.host).await?;
    Ok(Json(convert::resource(record, label, state)))
}

/// Show what became of a resource
///
/// Each change of it, newest first, with the fields that differ; as far as `retention` keeps snapshots. It needs the scope `hosts`.
#[utoipa::path(get, path = "/api/resources/{resource}/history", tag = "hosts", operation_id = "resource_history",
    params(("resource" = String, Path, description = "Id.", example = "4f1c2d3e-0000-8000-8000-000000000001"), HistoryQuery),
    responses((status = 200, description = "One page.", body = ResourceHistory)),
    extensions(("x-codes" = json!(["resource_not_found", "invalid_value"]))))]
pub(crate) async fn history(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<ResourceHistory>, Refusal> {
    caller.require(Scope::Hosts)?;
    let reader = state.reader();
    let most = limit(query.limit, ResourceFilter::DEFAULT_LIMIT, MOST)?;
    let before = cursor(query.after.as_deref())?;
    let record = found(&reader, &name).await?;
    // One more: it tells whether there is a next page, and what the last one of this page changed.
    let found = reader.snapshots(record.id, before, most + 1).await?;
    let page = found.iter().take(most as usize);
    let entries = page
        .zip(1_usize..)
        .map(|(snapshot, next)| convert::snapshot_entry(snapshot, found.get(next)));
    let snapshots: Vec<_> = entries.collect();
    let last = snapshots.last().map(|last| last.seq.to_string());
    let label = label(&reader, record.host).await?;
    Ok(Json(ResourceHistory {
        resource: convert::resource(record, label, None),
        next: last.filter(|_| found.len() > most as usize),
        snapshots,
    }))
}

/// Show what a resource was at a moment
///
/// The state that was the newest one then, as far as `retention` keeps snapshots. It needs the scope `hosts`.
#[utoipa::path(get, path = "/api/resources/{resource}/at", tag = "hosts", operation_id = "resource_at",
    params(("resource" = String, Path, description = "Id.", example = "4f1c2d3e-0000-8000-8000-000000000001"), AtQuery),
    responses((status = 200, description = "The state at that moment.", body = ResourceAt)),
    extensions(("x-codes" = json!(["resource_not_found"]))))]
pub(crate) async fn at(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Query(query): Query<AtQuery>,
) -> Result<Json<ResourceAt>, Refusal> {
    caller.require(Scope::Hosts)?;
    let reader = state.reader();
    let record = found(&reader, &name).await?;
    let snapshot = snapshot_at(&reader, &record, query.time).await?;
    let label = label(&reader, record.host).await?;
    Ok(Json(ResourceAt {
        resource: convert::resource(record, label, None),
        snapshot: convert::snapshot_place(&snapshot),
        state: snapshot.told().fields().clone(),
    }))
}

/// Compare a resource at two moments
///
/// Field by field; the second moment is now unless it is given. It needs the scope `hosts`.
#[utoipa::path(get, path = "/api/resources/{resource}/diff", tag = "hosts", operation_id = "resource_diff",
    params(("resource" = String, Path, description = "Id.", example = "4f1c2d3e-0000-8000-8000-000000000001"), DiffQuery),
    responses((status = 200, description = "What differs.", body = ResourceDiff)),
    extensions(("x-codes" = json!(["resource_not_found"]))))]
pub(crate) async fn diff(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Query(query): Query<DiffQuery>,
) -> Result<Json<ResourceDiff>, Refusal> {
    caller.require(Scope::Hosts)?;
    let reader = state.reader();
    let record = found(&reader, &name).await?;
    let from = snapshot_at(&reader, &record, query.from).await?;
    let to = query.to.unwrap_or(jiff::Timestamp::MAX);
    let to = snapshot_at(&reader, &record, to).await?;
    let label = label(&reader, record.host).await?;
    Ok(Json(ResourceDiff {
        resource: convert::resource(record, label, None),
        changes: convert::changed_fields(&from, &to),
        from: convert::snapshot_place(&from),
        to: convert::snapshot_place(&to),
    }))
}

fn kind(asked: Option<&str>) -> Result<Option<ResourceKind>, Refusal> {
    let Some(label) = asked else { return Ok(None) };
    match ResourceKind::parse(label) {
        Some(kind) => Ok(Some(kind)),
        None => {
            let known = ResourceKind::ALL.map(ResourceKind::label).join(", ");
            let message = format!("{label:?} is none of {known}");
            Err(invalid("kind", message))
        }
    }
}

async fn found(reader: &Reader, name: &str) -> Result<ResourceRecord, Refusal> {
    let found = match name.parse() {
        Ok(id) => reader.resource(id).await?,
        Err(_) => None,
    };
    found.ok_or_else(|| not_found(format!("there is no resource {name}")))
}

async fn snapshot_at(
    reader: &Reader,
    record: &ResourceRecord,
    at: jiff::Timestamp,
) -> Result<Snapshot, Refusal> {
    let moment = Timestamp(at.as_millisecond());
    let found = reader.snapshot_at(record.id, moment).await?;
    found.ok_or_else(|| {
        let key = &record.key;
        let since = convert::moment(record.first_seen_at);
        not_found(format!(
            "what {key} was at {at} is not known: it was recorded first at {since}, or that is no longer kept"
        ))
    })
}

fn not_found(message: String) -> Refusal {
    let hint = "list resources with: proximity snapshots list; what is kept of one: proximity history RESOURCE";
    let body = ErrorBody::new("resource_not_found", message, hint);
    Refusal::new(ErrorKind::NotFound, body)
}

async fn labels(reader: &Reader) -> Result<BTreeMap<HostId, String>, Refusal> {
    let hosts = reader.hosts().await?.into_iter();
    Ok(hosts.map(|host| (host.id, host.label.into())).collect())
}

/// Resources go with their host entry: one that was just removed has none.
async fn label(reader: &Reader, host: HostId) -> Result<String, Refusal> {
    let host = reader.host(host).await?;
    Ok(host.map(|host| host.label.into()).unwrap_or_default())
}
