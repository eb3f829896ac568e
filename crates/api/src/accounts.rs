//! `/api/accounts`, `/api/sessions` and `/api/session`: who may sign in, who is signed in, and signing in itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::labels::AccountRole;
use crate::secret::Secret;

/// Body of `POST /api/session`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Name of the account.
    pub account: String,
    /// Its password.
    #[schema(value_type = String, format = Password, write_only, max_length = 512)]
    pub password: Secret,
}

/// Who is behind the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CurrentSession {
    /// Name of the account.
    pub account: String,
    /// Its role; absent for a token, which has scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AccountRole>)]
    pub role: Option<String>,
    /// The scopes of a token; empty for who signed in.
    pub scopes: Vec<String>,
    /// Id of the session; absent for a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// What changes that come by the session's cookie send as `X-CSRF-Token`; absent for a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<String>,
    /// When the session ends if nobody uses it any more; absent for a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

/// Body of `PUT /api/session/password`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password until now.
    #[schema(value_type = String, format = Password, write_only, max_length = 512)]
    pub current: Secret,
    /// The password from now on.
    #[schema(value_type = String, format = Password, write_only, min_length = 12, max_length = 512)]
    pub password: Secret,
}

/// Body of `POST /api/setup`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    /// What the link ends in.
    #[schema(value_type = String, format = Password, write_only, max_length = 512)]
    pub token: Secret,
    /// The password from now on.
    #[schema(value_type = String, format = Password, write_only, min_length = 12, max_length = 512)]
    pub password: Secret,
}

/// An account, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Its name; apps are this name's.
    pub name: String,
    /// What it may do.
    #[schema(value_type = AccountRole)]
    pub role: String,
    /// When its password was set; absent as long as it has none, and nobody can sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_at: Option<Timestamp>,
    /// Until when a link is good that sets its password; absent if there is none, or it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_until: Option<Timestamp>,
    /// When it was added.
    pub made_at: Timestamp,
    /// By which account.
    pub made_by: String,
}

/// Answer of `GET /api/accounts`, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountList {
    /// All accounts.
    pub accounts: Vec<Account>,
}

/// Body of `POST /api/accounts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddAccount {
    /// Its name: 1 to 32 lower-case letters, digits, `-`, `_` and `.`, a letter first.
    pub name: String,
    /// What it may do.
    #[schema(value_type = AccountRole)]
    pub role: String,
}

/// Body of `PATCH /api/accounts/{account}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeAccount {
    /// What it may do from now on.
    #[schema(value_type = AccountRole)]
    pub role: String,
}

/// An account, and what sets its password once. It is told this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetUpLink {
    /// The account.
    pub account: Account,
    /// For `POST /api/setup`; a link carries it behind its `#`, which no browser sends.
    pub token: String,
    /// Until when it is good.
    pub until: Timestamp,
}

/// A session of somebody who signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Whose.
    pub account: String,
    /// Where it was begun from, as the server saw it: behind a proxy, the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When it began.
    pub begun_at: Timestamp,
    /// When it was used last, to some minutes.
    pub seen_at: Timestamp,
    /// When it ends if nobody uses it any more.
    pub ends_at: Timestamp,
    /// The request came by it.
    pub current: bool,
}

/// Answer of `GET /api/sessions`, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionList {
    /// The sessions that are not over.
    pub sessions: Vec<Session>,
}
