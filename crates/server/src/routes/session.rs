//! `/api/session`: signing in and out, and who one is.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::header::{RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use proximity_api::accounts::{ChangePassword, CurrentSession, SignIn};
use proximity_api::error::{ErrorBody, ErrorKind};
use proximity_domain::access::UserName;
use proximity_domain::session::LONGEST_PASSWORD_BYTES;
use proximity_engine::commands::BegunSession;
use proximity_engine::error::EngineError;
use proximity_store::StoreError;
use proximity_store::accounts::AccountRecord;
use secrecy::{ExposeSecret, SecretString};

use super::setup::new_hash;
use crate::auth::{self, Caller};
use crate::convert;
use crate::cookies;
use crate::extract::{Body, invalid};
use crate::layers::request_id;
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::sign_ins::Peer;

/// Whose password is looked at where a name can be nobody's, so that it takes as long.
const NOBODY: &str = "nobody";

/// Sign in
///
/// Public. The answer sets the cookie of a new session: `__Host-proximity`, with `Secure`, `HttpOnly` and `SameSite=Strict`; over plain HTTP
/// under the name `localhost` it is `proximity-localhost`, without `Secure`. A session that the request came with ends. Whether there is no
/// such account or its password is another one is not told.
#[utoipa::path(post, path = "/api/session", tag = "accounts", operation_id = "sign_in",
    security(()),
    request_body = SignIn,
    responses((status = 200, description = "Signed in.", body = CurrentSession, headers(("set-cookie" = String, description = "The cookie of the session.")))),
    extensions(("x-codes" = json!(["sign_in_refused", "too_many_sign_ins", "https_needed", "csrf_refused", "invalid_value", "disk_full", "database_unavailable", "database_error"]))))]
pub(crate) async fn sign_in(
    State(state): State<AppState>,
    peer: Peer,
    headers: HeaderMap,
    Body(body): Body<SignIn>,
) -> Result<Response, Refusal> {
    let kind = cookies::kind(&headers)?;
    let password = not_too_long("password", body.password.into_inner())?;
    if let Err(wait_ms) = tries(&state, &body.account, peer) {
        return Ok(too_many(wait_ms));
    }
    let Some(account) = by_password(&state, &body.account, password).await? else {
        tracing::warn!(
            address = peer.0.map(tracing::field::display),
            "a sign-in was refused"
        );
        return Err(refused());
    };
    state.sign_ins().succeeded(&body.account);
    // The browser of somebody who signs in goes on with nothing that it had before.
    end_sent(&state, &headers).await?;
    let begun = begin(&state, &account, peer.0, &headers).await?;
    let cookie = cookies::set(kind, &begun.secret);
    let body = signed_in(&state, &begun.secret).await?;
    Ok(([(SET_COOKIE, cookie)], Json(body)).into_response())
}

/// Show who asks
///
/// The account, and what it may do. Of a session the token is told that changes by its cookie need.
#[utoipa::path(get, path = "/api/session", tag = "accounts", operation_id = "show_session",
    responses((status = 200, description = "Who asks.", body = CurrentSession)))]
pub(crate) async fn show(caller: Caller, headers: HeaderMap) -> Json<CurrentSession> {
    let secret = cookies::sent(&headers);
    Json(convert::current_session(&caller, secret.as_ref()))
}

/// Sign out
///
/// The session ends, and the answer takes its cookie away.
#[utoipa::path(delete, path = "/api/session", tag = "accounts", operation_id = "sign_out",
    responses((status = 204, description = "Signed out.", headers(("set-cookie" = String, description = "Takes the cookie away.")))),
    extensions(("x-codes" = json!(["not_found"]))))]
pub(crate) async fn sign_out(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Response, Refusal> {
    let id = caller.session()?.id;
    state.engine().end_session(caller.actor(), id).await?;
    let cleared = cookies::cleared().map(|cookie| (SET_COOKIE, cookie));
    Ok((StatusCode::NO_CONTENT, AppendHeaders(cleared)).into_response())
}

/// Change the own password
///
/// All other sessions of the account end, and so does a set-up link that it may have.
#[utoipa::path(put, path = "/api/session/password", tag = "accounts", operation_id = "change_password",
    request_body = ChangePassword,
    responses((status = 204, description = "Changed.")),
    extensions(("x-codes" = json!(["sign_in_refused", "too_many_sign_ins", "invalid_value", "not_found"]))))]
pub(crate) async fn change_password(
    State(state): State<AppState>,
    caller: Caller,
    peer: Peer,
    Body(body): Body<ChangePassword>,
) -> Result<Response, Refusal> {
    let session = caller.session()?;
    let current = not_too_long("current", body.current.into_inner())?;
    let name = session.account.as_str();
    // Whoever found an open browser may guess as little as anybody else.
    if let Err(wait_ms) = tries(&state, name, peer) {
        return Ok(too_many(wait_ms));
    }
    let account = by_password(&state, name, current).await?;
    let account = account.ok_or_else(refused)?;
    state.sign_ins().succeeded(name);
    let hash = new_hash(&state, &account.name, body.password.into_inner()).await?;
    let (engine, actor) = (state.engine(), caller.actor());
    let set = engine.set_password(actor, &account.name, &hash, session.id);
    set.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Counts a try, or says for how long to wait, milliseconds.
fn tries(state: &AppState, account: &str, peer: Peer) -> Result<(), u64> {
    let now = state.clock().monotonic();
    state.sign_ins().tries(account, peer, now)
}

fn too_many(wait_ms: u64) -> Response {
    let seconds = wait_ms.div_ceil(1_000);
    let refusal = Refusal::new(
        ErrorKind::TooMany,
        ErrorBody::new(
            "too_many_sign_ins",
            "this account, or this address, was tried too often",
            format!("wait {seconds} s and try again"),
        ),
    );
    ([(RETRY_AFTER, seconds.to_string())], refusal).into_response()
}

/// The account, if it has this password. One hash is made, and the same is read, whatever the name is.
async fn by_password(
    state: &AppState,
    name: &str,
    password: SecretString,
) -> Result<Option<AccountRecord>, Refusal> {
    let asked = name.parse::<UserName>();
    let is_name = asked.is_ok();
    let asked = asked.or_else(|_| NOBODY.parse::<UserName>());
    let asked = asked.map_err(|_| refused())?;
    let reader = state.reader();
    let account = reader.account(&asked).await?.filter(|_| is_name);
    let kept = reader.account_password(&asked).await?.filter(|_| is_name);
    let fits = state.passwords().fits(password, kept.as_deref()).await?;
    Ok(account.filter(|_| fits))
}

async fn begin(
    state: &AppState,
    account: &AccountRecord,
    address: Option<IpAddr>,
    headers: &HeaderMap,
) -> Result<BegunSession, Refusal> {
    let request = request_id(headers);
    let engine = state.engine();
    let begun = engine.begin_session(account, address, request.as_deref());
    match begun.await {
        Ok(begun) => Ok(begun),
        // It was removed, or its password changed, since it was looked at.
        Err(EngineError::Store(
            StoreError::NotFound { .. } | StoreError::IllegalTransition { .. },
        )) => Err(refused()),
        Err(error) => Err(error.into()),
    }
}

/// Ends the session that a request comes with, if it comes with one.
async fn end_sent(state: &AppState, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(secret) = cookies::sent(headers) else {
        return Ok(());
    };
    let Some(found) = auth::session(state, &secret).await? else {
        return Ok(());
    };
    let caller = Caller::signed_in(found);
    let id = caller.session()?.id;
    match state.engine().end_session(caller.actor(), id).await {
        Ok(()) | Err(EngineError::Store(StoreError::NotFound { .. })) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn signed_in(state: &AppState, secret: &SecretString) -> Result<CurrentSession, Refusal> {
    let found = auth::session(state, secret).await?;
    let caller = Caller::signed_in(found.ok_or_else(refused)?);
    Ok(convert::current_session(&caller, Some(secret)))
}

fn not_too_long(field: &str, password: SecretString) -> Result<SecretString, Refusal> {
    let bytes = password.expose_secret().len();
    if bytes <= LONGEST_PASSWORD_BYTES {
        return Ok(password);
    }
    let wrong = format!("it has more than {LONGEST_PASSWORD_BYTES} bytes");
    Err(invalid(field, wrong))
}

fn refused() -> Refusal {
    Refusal::new(
        ErrorKind::Unauthorized,
        ErrorBody::new(
            "sign_in_refused",
            "there is no such account, or its password is another one",
            "check both; an admin gives a new set-up link with: proximity accounts link NAME",
        ),
    )
}
