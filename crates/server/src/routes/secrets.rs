//! `/api/secrets`. They are everybody's, so all of it needs the scope `hosts`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use proximity_api::secrets::{SecretEntry, SecretList, SetSecret};
use proximity_domain::names::SecretName;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name, invalid};
use crate::refusal::Refusal;
use crate::router::AppState;

/// List secrets
///
/// Their names, and when they were given a value; no value is ever told.
#[utoipa::path(get, path = "/api/secrets", tag = "apps", operation_id = "list_secrets",
    responses((status = 200, description = "The secrets.", body = SecretList)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<SecretList>, Refusal> {
    caller.require(Scope::Hosts)?;
    let secrets = state.reader().secrets().await?.into_iter();
    Ok(Json(SecretList {
        secrets: secrets.map(convert::secret).collect(),
    }))
}

/// Give a secret its value
///
/// Documents name it as `{secret: NAME}`. It is sealed, and never told again. Apps that have it keep the value they have, until a plan
/// of their documents is applied.
#[utoipa::path(put, path = "/api/secrets/{secret}", tag = "apps", operation_id = "set_secret",
    params(("secret" = String, Path, description = "Its name.", example = "db-password")),
    request_body = SetSecret,
    responses((status = 200, description = "As recorded, without its value.", body = SecretEntry)),
    extensions(("x-codes" = json!(["invalid_value"]))))]
pub(crate) async fn set(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
    Body(body): Body<SetSecret>,
) -> Result<Json<SecretEntry>, Refusal> {
    caller.require(Scope::Hosts)?;
    let (name, value) = (named(&name)?, body.value.into_inner());
    let engine = state.engine();
    let set = engine.set_secret(caller.actor(), &name, &value).await?;
    Ok(Json(convert::secret(set)))
}

/// Remove a secret
///
/// Refused while what was applied last of an app names it.
#[utoipa::path(delete, path = "/api/secrets/{secret}", tag = "apps", operation_id = "remove_secret",
    params(("secret" = String, Path, description = "Its name.", example = "db-password")),
    responses((status = 204, description = "Removed.")),
    extensions(("x-codes" = json!(["invalid_value", "secret_not_found", "secret_in_use"]))))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<StatusCode, Refusal> {
    caller.require(Scope::Hosts)?;
    let name = named(&name)?;
    state.engine().remove_secret(caller.actor(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn named(name: &str) -> Result<SecretName, Refusal> {
    name.parse().map_err(|e| invalid("secret", format!("{e}")))
}
