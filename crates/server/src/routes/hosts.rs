//! `/api/proxmox/hosts`.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use proximity_api::error::ErrorKind;
use proximity_api::hosts::{AddHost, ChangeHost, Host, HostList, HostProbe, SetSsh};
use proximity_domain::ids::HostId;
use proximity_engine::commands;
use proximity_engine::error::EngineError;
use proximity_store::records::HostRecord;
use tokio::runtime::Handle;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name, Names, internal};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::lookup;
use crate::routes::once::{IdempotencyKey, Once, once, unless_made};

/// List host entries
#[utoipa::path(get, path = "/api/proxmox/hosts", tag = "hosts", operation_id = "list_hosts",
    responses((status = 200, description = "The entries, by label.", body = HostList)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<HostList>, Refusal> {
    caller.require(Scope::Read)?;
    let hosts = state.reader().hosts().await?;
    let hosts = hosts.into_iter().map(convert::host).collect();
    Ok(Json(HostList { hosts }))
}

/// Show a host entry
#[utoipa::path(get, path = "/api/proxmox/hosts/{host}", tag = "hosts", operation_id = "show_host",
    params(("host" = String, Path, description = "Id or label.", example = "home")),
    responses((status = 200, description = "The entry.", body = Host)),
    extensions(("x-codes" = json!(["host_not_found"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<Host>, Refusal> {
    caller.require(Scope::Read)?;
    let record = lookup::host(&state.reader(), &name).await?;
    Ok(Json(convert::host(record)))
}

/// Look at a cluster or node
///
/// Says what adding it would store; nothing is stored.
#[utoipa::path(post, path = "/api/proxmox/hosts/probe", tag = "hosts", operation_id = "probe_host",
    request_body = AddHost,
    responses((status = 200, description = "What was found.", body = HostProbe)),
    extensions(("x-codes" = json!(["invalid_value", "exists", "cluster_known", "pve_unsupported", "token_too_narrow", "@host"]))))]
pub(crate) async fn probe(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<AddHost>,
) -> Result<Json<HostProbe>, Refusal> {
    caller.require(Scope::Hosts)?;
    let request = convert::add_host(body);
    let engine = state.engine().clone();
    let probe = to_its_end(async move || engine.probe_host(&request).await).await?;
    Ok(Json(convert::host_probe(probe)))
}

/// Add a host entry
///
/// One entry is one cluster; a node of its own is a cluster of one.
#[utoipa::path(post, path = "/api/proxmox/hosts", tag = "hosts", operation_id = "add_host",
    params(IdempotencyKey),
    request_body = AddHost,
    responses((status = 201, description = "The entry as stored.", body = Host)),
    extensions(("x-codes" = json!(["invalid_value", "exists", "idempotency_conflict", "host_not_found", "cluster_known", "pve_unsupported", "token_too_narrow", "@host"]))))]
pub(crate) async fn add(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Body(body): Body<AddHost>,
) -> Result<(StatusCode, Json<Host>), Refusal> {
    caller.require(Scope::Hosts)?;
    let key = match once::<HostId>(&state, &caller, &headers, "add_host", &body).await? {
        Once::New(key) => key,
        Once::Before(id) => return Ok(created(stored(&state, id).await?)),
    };
    let request = convert::add_host(body);
    let engine = state.engine().clone();
    let (actor, again) = (caller.actor().clone(), key.clone());
    let added = async move || engine.add_host_once(&actor, request, key).await;
    match to_its_end(added).await {
        Ok(record) => Ok(created(record)),
        Err(refusal) => {
            let id = unless_made(&state, &caller, again.as_ref(), refusal).await?;
            Ok(created(stored(&state, id).await?))
        }
    }
}

async fn stored(state: &AppState, id: HostId) -> Result<HostRecord, Refusal> {
    lookup::host(&state.reader(), &id.to_string()).await
}

fn created(record: HostRecord) -> (StatusCode, Json<Host>) {
    (StatusCode::CREATED, Json(convert::host(record)))
}

/// Change a host entry
///
/// What is left out stays. Containers that exist stay where they are, and keep their numbers.
#[utoipa::path(patch, path = "/api/proxmox/hosts/{host}", tag = "hosts", operation_id = "change_host",
    params(("host" = String, Path, description = "Id or label.", example = "home")),
    request_body = ChangeHost,
    responses((status = 200, description = "The entry as stored.", body = Host)),
    extensions(("x-codes" = json!(["host_not_found", "invalid_value"]))))]
pub(crate) async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<ChangeHost>,
) -> Result<Json<Host>, Refusal> {
    caller.require(Scope::Hosts)?;
    let request = commands::ChangeHost {
        vmids: body.vmids,
        excluded_nodes: body.excluded_nodes,
        fetch_templates: body.fetch_templates,
        lan: body.lan,
    };
    let engine = state.engine();
    let record = engine.change_host(caller.actor(), &name, request).await?;
    Ok(Json(convert::host(record)))
}

/// Forget a node
///
/// The node has left its cluster for good: it is no longer expected in listings, and what was on it may be taken for gone. Refused
/// while containers are recorded on it that no other node has.
#[utoipa::path(delete, path = "/api/proxmox/hosts/{host}/nodes/{node}", tag = "hosts", operation_id = "forget_node",
    params(("host" = String, Path, description = "Id or label.", example = "home"),
        ("node" = String, Path, description = "Name of the node.", example = "pve3")),
    responses((status = 200, description = "The entry without it.", body = Host)),
    extensions(("x-codes" = json!(["host_not_found", "not_found", "node_in_use", "@cluster"]))))]
pub(crate) async fn forget_node(
    State(state): State<AppState>,
    caller: Caller,
    Names(host, node): Names,
) -> Result<Json<Host>, Refusal> {
    caller.require(Scope::Hosts)?;
    let engine = state.engine();
    let record = engine.forget_node(caller.actor(), &host, &node).await?;
    Ok(Json(convert::host(record)))
}

/// Let Proximity into a node's containers
///
/// For a node that joined its cluster later, was off when the host was added, or has a new host key. The account and the key
/// are those of the entry; the login is tried, and nothing is stored if it fails. With `dry_run` the answer tells what would be
/// stored, so that somebody can compare the host key with the node's.
#[utoipa::path(put, path = "/api/proxmox/hosts/{host}/nodes/{node}/ssh", tag = "hosts", operation_id = "set_host_ssh",
    params(("host" = String, Path, description = "Id or label.", example = "home"),
        ("node" = String, Path, description = "Name of the node.", example = "pve3")),
    request_body = SetSsh,
    responses((status = 200, description = "The entry as stored, or as it would be.", body = Host)),
    extensions(("x-codes" = json!(["host_not_found", "invalid_value", "no_guest_access", "ssh_unreachable", "ssh_host_key_mismatch", "ssh_no_pct", "no_quorum", "view_incomplete", "@cluster"]))))]
pub(crate) async fn set_ssh(
    State(state): State<AppState>,
    caller: Caller,
    Names(host, node): Names,
    Body(body): Body<SetSsh>,
) -> Result<Json<Host>, Refusal> {
    caller.require(Scope::Hosts)?;
    let entry = commands::SshEntry {
        address: body.address,
        host_key: body.host_key,
        dry_run: body.dry_run,
    };
    let (engine, actor) = (state.engine().clone(), caller.actor().clone());
    let set = async move || engine.set_host_ssh(&actor, &host, &node, entry).await;
    let record = on_its_own_thread(set).await?.map_err(Refusal::from)?;
    Ok(Json(convert::host(record)))
}

/// Runs the work to its end, also when the client goes away: a host is added whole or not at all.
///
/// The work is made and driven on a thread of its own, because it borrows in ways that the compiler cannot
/// prove to be `Send`.
pub(super) async fn to_its_end<T, W>(work: W) -> Result<T, Refusal>
where
    T: Send + 'static,
    W: AsyncFnOnce() -> Result<T, EngineError> + Send + 'static,
{
    on_its_own_thread(work)
        .await?
        .map_err(Refusal::of_named_host)
}

/// Makes and drives the work on a thread of its own, to its end.
pub(crate) async fn on_its_own_thread<T, W>(work: W) -> Result<Result<T, EngineError>, Refusal>
where
    T: Send + 'static,
    W: AsyncFnOnce() -> Result<T, EngineError> + Send + 'static,
{
    let runtime = Handle::current();
    let ended = tokio::task::spawn_blocking(move || runtime.block_on(work())).await;
    match ended {
        Ok(result) => Ok(result),
        Err(panicked) => {
            tracing::error!(error = %panicked, "looking at a host panicked");
            Err(Refusal::new(ErrorKind::Internal, internal()))
        }
    }
}

/// Remove a host entry
///
/// Refused while apps are on it. Nothing on the host is changed.
#[utoipa::path(delete, path = "/api/proxmox/hosts/{host}", tag = "hosts", operation_id = "remove_host",
    params(("host" = String, Path, description = "Id or label.", example = "home")),
    responses((status = 204, description = "Removed.")),
    extensions(("x-codes" = json!(["host_not_found", "host_in_use"]))))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<StatusCode, Refusal> {
    caller.require(Scope::Hosts)?;
    state.engine().remove_host(caller.actor(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
