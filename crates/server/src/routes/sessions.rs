//! `/api/sessions`: who is signed in.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use proximity_api::accounts::SessionList;
use proximity_domain::access::UserName;
use proximity_domain::ids::SessionId;
use proximity_domain::session::is_over;
use proximity_engine::error::EngineError;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::Name;
use crate::refusal::Refusal;
use crate::router::AppState;

/// List sessions
///
/// The newest first: those of all accounts for who has the right on accounts, else those of the own.
#[utoipa::path(get, path = "/api/sessions", tag = "accounts", operation_id = "list_sessions",
    responses((status = 200, description = "The sessions.", body = SessionList)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<SessionList>, Refusal> {
    let session = caller.session().ok();
    let account = match caller.may(Scope::Accounts) {
        true => None,
        false => Some(own(&caller)?),
    };
    let (now, current) = (state.clock().now(), session.map(|session| session.id));
    let all = state.reader().sessions(account).await?.into_iter();
    let sessions = all
        .filter(|one| !is_over(one.begun_at, one.seen_at, now))
        .map(|one| convert::session(one, current));
    Ok(Json(SessionList {
        sessions: sessions.collect(),
    }))
}

/// End a session
///
/// Of the own account, or of any with the right on accounts. What comes by its cookie is refused from now on.
#[utoipa::path(delete, path = "/api/sessions/{session}", tag = "accounts", operation_id = "end_session",
    params(("session" = String, Path, description = "Its id.", example = "018f0000-0000-7000-8000-000000000001")),
    responses((status = 204, description = "Ended.")),
    extensions(("x-codes" = json!(["not_found"]))))]
pub(crate) async fn end(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<StatusCode, Refusal> {
    let none = || EngineError::NotFound {
        what: "session",
        name: name.clone(),
    };
    let account = match caller.may(Scope::Accounts) {
        true => None,
        false => Some(own(&caller)?),
    };
    let id: SessionId = name.parse().map_err(|_| none())?;
    let seen = state.reader().sessions(account).await?;
    if seen.iter().all(|one| one.id != id) {
        return Err(none().into());
    }
    state.engine().end_session(caller.actor(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The account of who signed in; a token without the right on accounts has nothing of its own here.
fn own(caller: &Caller) -> Result<&UserName, Refusal> {
    match caller.session() {
        Ok(session) => Ok(&session.account),
        Err(_) => Err(caller.lacks(Scope::Accounts)),
    }
}
