//! `/api/setup`: the other end of a set-up link.

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use proximity_api::accounts::{Account, SetUp};
use proximity_api::error::{ErrorBody, ErrorKind};
use proximity_domain::access::UserName;
use proximity_domain::session::wrong_with_password;
use proximity_engine::error::EngineError;
use proximity_store::StoreError;
use secrecy::{ExposeSecret, SecretString};

use crate::auth::token_hash;
use crate::convert;
use crate::extract::{Body, invalid};
use crate::layers::request_id;
use crate::refusal::Refusal;
use crate::router::AppState;

/// Set a password by a link
///
/// Public: whoever has the link has the account. It is good once, and all sessions of the account end; signing in comes after it. A password
/// that is not taken uses nothing up.
#[utoipa::path(post, path = "/api/setup", tag = "accounts", operation_id = "set_up",
    security(()),
    request_body = SetUp,
    responses((status = 200, description = "The account, with its password.", body = Account)),
    extensions(("x-codes" = json!(["link_not_good", "invalid_value", "disk_full", "database_unavailable", "database_error"]))))]
pub(crate) async fn set_up(
    State(state): State<AppState>,
    headers: HeaderMap,
    Body(body): Body<SetUp>,
) -> Result<Json<Account>, Refusal> {
    let link = token_hash(body.token.into_inner().expose_secret());
    let now = state.clock().now();
    let account = state.reader().account_of_link(&link, now).await?;
    let account = account.ok_or_else(not_good)?;
    let hash = new_hash(&state, &account.name, body.password.into_inner()).await?;
    let request = request_id(&headers);
    let engine = state.engine();
    match engine.set_up(&link, &hash, request.as_deref()).await {
        Ok(account) => Ok(Json(convert::account(account))),
        // Somebody else used it meanwhile.
        Err(EngineError::Store(StoreError::NotFound { .. })) => Err(not_good()),
        Err(error) => Err(error.into()),
    }
}

/// What is kept of a new password, if it is taken.
pub(super) async fn new_hash(
    state: &AppState,
    name: &UserName,
    password: SecretString,
) -> Result<String, Refusal> {
    if let Some(wrong) = wrong_with_password(name, password.expose_secret()) {
        return Err(invalid("password", wrong.to_owned()));
    }
    state.passwords().hash(password, state.new_salt()).await
}

fn not_good() -> Refusal {
    Refusal::new(
        ErrorKind::NotFound,
        ErrorBody::new(
            "link_not_good",
            "this link was used or replaced, or is too old",
            "ask an admin for a new one: proximity accounts link NAME",
        ),
    )
}
