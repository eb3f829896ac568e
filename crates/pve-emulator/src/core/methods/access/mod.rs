//! `/access`: who there is, who may do what, and logging in.

pub(super) mod acl;
pub(super) mod domains;
pub(super) mod groups;
pub(super) mod permissions;
pub(super) mod roles;
pub(super) mod tfa;
pub(super) mod ticket;
pub(super) mod tokens;
pub(super) mod users;

use super::super::access::is_user_name;
use super::super::call::Call;
use super::super::error::ApiError;
use super::super::rights::bad_user_name;

/// The user the call names, in the form of a user name.
fn user_name(call: &Call<'_>) -> Result<String, ApiError> {
    let name = call.text("userid").unwrap_or_default();
    if is_user_name(&name) {
        Ok(name)
    } else {
        Err(bad_user_name(&name))
    }
}

/// The user the call names, who must be there.
fn existing_user(call: &Call<'_>) -> Result<String, ApiError> {
    let name = user_name(call)?;
    if call.world.accounts.users.contains_key(&name) {
        Ok(name)
    } else {
        Err(ApiError::died(format!("no such user ('{name}')")))
    }
}

/// What a failed change of accounts says.
fn failed(what: &str, text: impl AsRef<str>) -> ApiError {
    ApiError::died(format!("{what} failed: {}", text.as_ref()))
}
