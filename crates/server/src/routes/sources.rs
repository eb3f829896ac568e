//! `/api/sources`. They are everybody's, so all of it needs the scope `hosts`; a nudge needs a signature instead.

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use proximity_api::plans::Plan;
use proximity_api::secret::Secret;
use proximity_api::sources::{AddSource, AddedSource, Source, SourceList};
use proximity_domain::names::SourceName;
use proximity_domain::source::SourcePolicy;
use proximity_engine::commands::{self, SourceCredential};
use proximity_engine::error::EngineError;
use proximity_engine::sources::HookSignature;
use secrecy::ExposeSecret;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name, invalid, unreadable};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::hosts::on_its_own_thread;

/// Add a source
///
/// A branch of a repository whose documents are planned, and by policy applied, whenever it changes. Without a person nothing is replaced,
/// and nothing ends that the source does not prune. The secret that nudges are signed with is told this once.
#[utoipa::path(post, path = "/api/sources", tag = "apps", operation_id = "add_source",
    request_body = AddSource,
    responses((status = 201, description = "Recorded; it is looked at at once.", body = AddedSource, headers(("location" = String, description = "Where to follow it: `/api/sources/{name}`.")))),
    extensions(("x-codes" = json!(["invalid_value", "exists", "not_in_state"]))))]
pub(crate) async fn add(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<AddSource>,
) -> Result<Response, Refusal> {
    caller.require(Scope::Hosts)?;
    let policy = policy(body.policy.as_deref())?;
    // It acts in the caller's name from now on: with no more rights than theirs.
    if policy == SourcePolicy::Apply {
        caller.require(Scope::Operate)?;
    }
    if body.prune {
        caller.require(Scope::Destroy)?;
    }
    let request = commands::AddSource {
        policy,
        credential: credential(
            body.token.as_ref(),
            body.ssh_key.as_ref(),
            body.known_hosts.as_deref(),
        )?,
        name: body.name,
        url: body.url,
        branch: body.branch,
        path: body.path,
        every_s: body.every_s,
        prune: body.prune,
        signers: body.signers,
        owner: caller.changes_only().map(str::to_owned),
    };
    let engine = state.engine();
    let (added, hook) = engine.add_source(caller.actor(), request).await?;
    let location = [(LOCATION, format!("/api/sources/{}", added.name))];
    let body = Json(AddedSource {
        source: convert::source(added),
        hook_secret: hook.expose_secret().to_owned(),
    });
    Ok((StatusCode::CREATED, location, body).into_response())
}

/// List sources
///
/// With where each stands.
#[utoipa::path(get, path = "/api/sources", tag = "apps", operation_id = "list_sources",
    responses((status = 200, description = "The sources.", body = SourceList)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<SourceList>, Refusal> {
    caller.require(Scope::Hosts)?;
    let sources = state.reader().sources().await?.into_iter();
    Ok(Json(SourceList {
        sources: sources.map(convert::source).collect(),
    }))
}

/// Show a source
///
/// With what is wrong with its documents, by file, line and column.
#[utoipa::path(get, path = "/api/sources/{source}", tag = "apps", operation_id = "show_source",
    params(("source" = String, Path, description = "Its name.", example = "home")),
    responses((status = 200, description = "The source.", body = Source)),
    extensions(("x-codes" = json!(["invalid_value", "source_not_found"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<Source>, Refusal> {
    caller.require(Scope::Hosts)?;
    let found = state.reader().source(&named(&name)?).await?;
    let found = found.ok_or(EngineError::NotFound {
        what: "source",
        name,
    })?;
    Ok(Json(convert::source(found)))
}

/// Remove a source
///
/// What was applied of it stays.
#[utoipa::path(delete, path = "/api/sources/{source}", tag = "apps", operation_id = "remove_source",
    params(("source" = String, Path, description = "Its name.", example = "home")),
    responses((status = 204, description = "Removed.")),
    extensions(("x-codes" = json!(["invalid_value", "source_not_found"]))))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<StatusCode, Refusal> {
    caller.require(Scope::Hosts)?;
    let name = named(&name)?;
    state.engine().remove_source(caller.actor(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Look at a source now
///
/// It is looked at as soon as a look may follow the one before, and what was done with its commit is done anew. For a source that applies
/// that needs the right to operate besides.
#[utoipa::path(post, path = "/api/sources/{source}/sync", tag = "apps", operation_id = "sync_source",
    params(("source" = String, Path, description = "Its name.", example = "home")),
    responses((status = 202, description = "Recorded; the look follows.", body = Source)),
    extensions(("x-codes" = json!(["invalid_value", "source_not_found"]))))]
pub(crate) async fn ask(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<(StatusCode, Json<Source>), Refusal> {
    caller.require(Scope::Hosts)?;
    let name = named(&name)?;
    let source = state.reader().source(&name).await?;
    // What somebody stopped is begun again by it.
    if source.is_some_and(|source| source.policy == SourcePolicy::Apply) {
        caller.require(Scope::Operate)?;
    }
    let asked = state.engine().ask_source(&name).await?;
    Ok((StatusCode::ACCEPTED, Json(convert::source(asked))))
}

/// Plan what a source says
///
/// What its newest commit would change, were it applied now. The repository and the clusters are read; nothing is kept or changed. Who sees
/// the apps of one account alone is told of no others.
#[utoipa::path(post, path = "/api/sources/{source}/plan", tag = "apps", operation_id = "plan_source",
    params(("source" = String, Path, description = "Its name.", example = "home")),
    responses((status = 200, description = "The plan; it is not kept.", body = Plan)),
    extensions(("x-codes" = json!(["invalid_value", "source_not_found", "no_host", "manifest_invalid", "git_missing", "source_unreachable", "branch_not_found", "documents_not_found", "source_too_large", "commit_unsigned"]))))]
pub(crate) async fn preview(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<Plan>, Refusal> {
    caller.require(Scope::Hosts)?;
    let (engine, name) = (state.engine().clone(), named(&name)?);
    let sees_only = caller.sees_only().map(str::to_owned);
    let preview = async move || engine.preview_source(&name, sees_only.as_deref()).await;
    let record = on_its_own_thread(preview).await??;
    Ok(Json(convert::plan(record, false)))
}

/// A body that is signed, and never read.
pub(crate) struct SignedBody(Bytes);

impl<S: Send + Sync> FromRequest<S> for SignedBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let body = Bytes::from_request(request, state).await;
        body.map(Self)
            .map_err(|rejection| unreadable(rejection.status()))
    }
}

/// Nudge a source
///
/// Public: whoever signs the body with the source's secret says that there may be something new. Nothing else is taken from it, and looks
/// keep their distance however often it is said. The signature is `X-Hub-Signature-256` (`sha256=` and the HMAC-SHA256 of the body), or
/// `Proximity-Signature` (`v1=` and that of `Proximity-Timestamp`, a point and the body), which holds for five minutes.
#[utoipa::path(post, path = "/api/sources/{source}/hook", tag = "apps", operation_id = "nudge_source",
    params(("source" = String, Path, description = "Its name.", example = "home")),
    security(()),
    responses((status = 202, description = "It is looked at soon.")),
    extensions(("x-codes" = json!(["hook_refused", "bad_json", "body_too_large", "disk_full", "database_unavailable", "database_error"]))))]
pub(crate) async fn nudge(
    State(state): State<AppState>,
    Name(name): Name,
    headers: HeaderMap,
    SignedBody(body): SignedBody,
) -> Result<StatusCode, Refusal> {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let signature = HookSignature {
        hub: header("x-hub-signature-256"),
        own: header("proximity-signature"),
        moment: header("proximity-timestamp"),
    };
    let engine = state.engine();
    engine.nudge_source(&name, &signature, &body).await?;
    Ok(StatusCode::ACCEPTED)
}

fn policy(label: Option<&str>) -> Result<SourcePolicy, Refusal> {
    match label {
        None => Ok(SourcePolicy::Plan),
        Some(label) => SourcePolicy::parse(label)
            .ok_or_else(|| invalid("policy", "it is neither plan nor apply".to_owned())),
    }
}

/// What a repository is read with.
pub(super) fn credential(
    token: Option<&Secret>,
    ssh_key: Option<&Secret>,
    known_hosts: Option<&str>,
) -> Result<Option<SourceCredential>, Refusal> {
    let refused = |field, why: &str| Err(invalid(field, why.to_owned()));
    match (token, ssh_key, known_hosts) {
        (None, None, None) => Ok(None),
        (Some(token), None, None) => Ok(Some(SourceCredential::Token(token.clone().into_inner()))),
        (None, Some(key), Some(known_hosts)) => Ok(Some(SourceCredential::SshKey {
            key: key.clone().into_inner(),
            known_hosts: known_hosts.to_owned(),
        })),
        (Some(_), _, _) => refused("token", "a source has a token or a key"),
        (None, Some(_), None) => refused("known_hosts", "a key is sent to a known host alone"),
        (None, None, Some(_)) => refused("known_hosts", "it goes with a key"),
    }
}

pub(super) fn named(name: &str) -> Result<SourceName, Refusal> {
    name.parse().map_err(|e| invalid("source", format!("{e}")))
}
