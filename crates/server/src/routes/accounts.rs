//! `/api/accounts`. All of it needs the right on accounts, which admins have.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use proximity_api::accounts::{Account, AccountList, AddAccount, ChangeAccount, SetUpLink};
use proximity_domain::access::{Role, UserName};

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name, invalid};
use crate::refusal::Refusal;
use crate::router::AppState;

/// List accounts
///
/// Who may sign in, with which role, and who has no password yet.
#[utoipa::path(get, path = "/api/accounts", tag = "accounts", operation_id = "list_accounts",
    responses((status = 200, description = "The accounts.", body = AccountList)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<AccountList>, Refusal> {
    caller.require(Scope::Accounts)?;
    let accounts = state.reader().accounts().await?.into_iter();
    Ok(Json(AccountList {
        accounts: accounts.map(convert::account).collect(),
    }))
}

/// Add an account
///
/// It has no password yet: whoever has the link that is told here, this once, sets one within a day.
#[utoipa::path(post, path = "/api/accounts", tag = "accounts", operation_id = "add_account",
    request_body = AddAccount,
    responses((status = 201, description = "Recorded.", body = SetUpLink)),
    extensions(("x-codes" = json!(["invalid_value", "exists", "not_in_state"]))))]
pub(crate) async fn add(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<AddAccount>,
) -> Result<(StatusCode, Json<SetUpLink>), Refusal> {
    caller.require(Scope::Accounts)?;
    let (name, role) = (named("name", &body.name)?, role(&body.role)?);
    let engine = state.engine();
    let given = engine.add_account(caller.actor(), &name, role).await?;
    Ok((StatusCode::CREATED, Json(convert::set_up_link(given))))
}

/// Give an account another role
///
/// It counts from the next request on, of sessions that are there too. One admin has to stay.
#[utoipa::path(patch, path = "/api/accounts/{account}", tag = "accounts", operation_id = "change_account",
    params(("account" = String, Path, description = "Its name.", example = "ann")),
    request_body = ChangeAccount,
    responses((status = 200, description = "As recorded.", body = Account)),
    extensions(("x-codes" = json!(["invalid_value", "not_found", "not_in_state"]))))]
pub(crate) async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<ChangeAccount>,
) -> Result<Json<Account>, Refusal> {
    caller.require(Scope::Accounts)?;
    let (name, role) = (named("account", &name)?, role(&body.role)?);
    let engine = state.engine();
    let changed = engine.set_role(caller.actor(), &name, role).await?;
    Ok(Json(convert::account(changed)))
}

/// Remove an account
///
/// Its sessions end at once; its tokens and apps stay. One admin has to stay.
#[utoipa::path(delete, path = "/api/accounts/{account}", tag = "accounts", operation_id = "remove_account",
    params(("account" = String, Path, description = "Its name.", example = "ann")),
    responses((status = 204, description = "Removed.")),
    extensions(("x-codes" = json!(["invalid_value", "not_found", "not_in_state"]))))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<StatusCode, Refusal> {
    caller.require(Scope::Accounts)?;
    let name = named("account", &name)?;
    let engine = state.engine();
    engine.remove_account(caller.actor(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give an account a new set-up link
///
/// For who has forgotten the password, or let the first link grow too old. Password and sessions stay as they are until it is used; then
/// all sessions end. It takes the place of a link that was given before.
#[utoipa::path(post, path = "/api/accounts/{account}/link", tag = "accounts", operation_id = "give_link",
    params(("account" = String, Path, description = "Its name.", example = "ann")),
    responses((status = 200, description = "The link; it is told this once.", body = SetUpLink)),
    extensions(("x-codes" = json!(["invalid_value", "not_found"]))))]
pub(crate) async fn give_link(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<SetUpLink>, Refusal> {
    caller.require(Scope::Accounts)?;
    let name = named("account", &name)?;
    let given = state.engine().give_link(caller.actor(), &name).await?;
    Ok(Json(convert::set_up_link(given)))
}

fn named(field: &str, name: &str) -> Result<UserName, Refusal> {
    name.parse().map_err(|e| invalid(field, format!("{e}")))
}

fn role(label: &str) -> Result<Role, Refusal> {
    Role::parse(label).ok_or_else(|| {
        let labels = Role::ALL.map(Role::label).join(", ");
        invalid("role", format!("{label:?} is no role; there are {labels}"))
    })
}
