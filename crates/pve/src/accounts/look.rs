//! What there is: read as it stands in PVE's `user.cfg` and `domains.cfg`.

use std::collections::BTreeSet;
use std::sync::Arc;

use proximity_domain::names::{AccountName, ApiTokenName, RoleName};
use serde::Deserialize;

use super::AccountClient;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::lenient;
use crate::read::ReadClient;
use crate::transport::https::{Credentials, EndpointConfig, HttpsTransport};

/// A role. PVE's own (`PVE…`, `Administrator`, `NoAccess`) are there too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRow {
    /// Its id.
    pub id: String,
    /// Its privileges.
    pub privileges: BTreeSet<String>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// `USER@REALM`.
    pub id: String,
    /// What somebody wrote about it.
    pub comment: Option<String>,
    /// It is switched on.
    pub enabled: bool,
    /// From when on it counts no more, seconds since 1970; 0 = never.
    pub expires_s: u64,
    /// Its API tokens.
    pub tokens: Vec<TokenRow>,
}

/// An API token of a user. Its secret is shown by nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TokenRow {
    /// The part of its id after the user's, e.g. `proximity`.
    #[serde(rename = "tokenid")]
    pub name: String,
    /// What somebody wrote about it.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub comment: Option<String>,
    /// It has only the rights that were granted to itself, of those its user has.
    #[serde(rename = "privsep", default, deserialize_with = "lenient::flag")]
    pub separated: bool,
    /// From when on it counts no more, seconds since 1970; 0 = never.
    #[serde(rename = "expire", default, deserialize_with = "lenient::u64")]
    pub expires_s: u64,
}

/// Who holds a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// A user, `USER@REALM`.
    User(String),
    /// A token, `USER@REALM!NAME`.
    Token(String),
    /// A group.
    Group(String),
}

impl Holder {
    /// Whether it is this user.
    #[must_use]
    pub fn is_user(&self, user: &AccountName) -> bool {
        matches!(self, Self::User(id) if id == user.as_str())
    }

    /// Whether it is this token.
    #[must_use]
    pub fn is_token(&self, token: &ApiTokenName) -> bool {
        matches!(self, Self::Token(id) if id == token.as_str())
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => write!(f, "user {id}"),
            Self::Token(id) => write!(f, "token {id}"),
            Self::Group(id) => write!(f, "group {id}"),
        }
    }
}

/// One entry of the access control list: a role on a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// e.g. `/pool/proximity`.
    pub path: String,
    /// Who holds it.
    pub holder: Holder,
    /// The role's id.
    pub role: String,
    /// It holds below the path too.
    pub propagates: bool,
}

#[derive(Deserialize)]
struct RealmWire {
    realm: String,
}

#[derive(Deserialize)]
struct RoleWire {
    roleid: String,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    privs: Option<String>,
}

#[derive(Deserialize)]
struct UserWire {
    userid: String,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    comment: Option<String>,
    #[serde(default, deserialize_with = "lenient::flag")]
    enable: bool,
    #[serde(default, deserialize_with = "lenient::u64")]
    expire: u64,
    #[serde(default)]
    tokens: Option<Vec<TokenRow>>,
}

#[derive(Deserialize)]
struct GrantWire {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    ugid: String,
    roleid: String,
    #[serde(default, deserialize_with = "lenient::flag")]
    propagate: bool,
}

impl RoleWire {
    fn row(self) -> RoleRow {
        let listed = self.privs.unwrap_or_default();
        let names = listed.split(|c: char| c == ',' || c.is_whitespace());
        RoleRow {
            id: self.roleid,
            privileges: names
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }
}

impl UserWire {
    fn row(self) -> UserRow {
        let mut tokens = self.tokens.unwrap_or_default();
        tokens.sort_by(|a, b| a.name.cmp(&b.name));
        UserRow {
            id: self.userid,
            comment: self.comment,
            enabled: self.enable,
            expires_s: self.expire,
            tokens,
        }
    }
}

impl GrantWire {
    /// A holder of a kind that came later is nobody of ours.
    fn row(self) -> Option<Grant> {
        let holder = match self.kind.as_str() {
            "user" => Holder::User(self.ugid),
            "token" => Holder::Token(self.ugid),
            "group" => Holder::Group(self.ugid),
            _ => return None,
        };
        Some(Grant {
            path: self.path,
            holder,
            role: self.roleid,
            propagates: self.propagate,
        })
    }
}

impl ReadClient {
    /// All roles, sorted. Everybody may read them.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn roles(&self) -> Result<Vec<RoleRow>> {
        let wire: Vec<RoleWire> = self.get(Call::quick(&["access", "roles"])).await?;
        let mut rows: Vec<RoleRow> = wire.into_iter().map(RoleWire::row).collect();
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(rows)
    }

    /// All users with their tokens, sorted, as far as who asks may see them (`User.Modify` or `Sys.Audit` on
    /// `/access/groups`); itself always.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn users(&self) -> Result<Vec<UserRow>> {
        let call = Call::quick(&["access", "users"]).with_flag("full", true);
        let wire: Vec<UserWire> = self.get(call).await?;
        let mut rows: Vec<UserRow> = wire.into_iter().map(UserWire::row).collect();
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(rows)
    }

    /// The access control list, sorted, as far as who asks may change it; whole with `Sys.Audit` on `/access`.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn grants(&self) -> Result<Vec<Grant>> {
        let wire: Vec<GrantWire> = self.get(Call::quick(&["access", "acl"])).await?;
        let mut rows: Vec<Grant> = wire.into_iter().filter_map(GrantWire::row).collect();
        rows.sort();
        Ok(rows)
    }
}

impl AccountClient {
    /// As [`ReadClient::roles`].
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn roles(&self) -> Result<Vec<RoleRow>> {
        self.read().roles().await
    }

    /// One role's privileges.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] with `role '…' does not exist`.
    pub async fn role(&self, role: &RoleName) -> Result<BTreeSet<String>> {
        let call = Call::quick(&["access", "roles", role.as_str()]);
        let held: crate::access::Privileges = self.read().get(call).await?;
        Ok(held.iter().map(str::to_owned).collect())
    }

    /// As [`ReadClient::users`].
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn users(&self) -> Result<Vec<UserRow>> {
        self.read().users().await
    }

    /// One user's tokens, sorted.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] with `no such user`.
    pub async fn tokens(&self, user: &AccountName) -> Result<Vec<TokenRow>> {
        let call = Call::quick(&["access", "users", user.as_str(), "token"]);
        let mut rows: Vec<TokenRow> = self.read().get(call).await?;
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows)
    }

    /// As [`ReadClient::grants`].
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn grants(&self) -> Result<Vec<Grant>> {
        self.read().grants().await
    }
}

/// The realms users log in by, sorted: `pam`, `pve` and others. PVE tells everybody, so nobody logs in for it.
///
/// # Errors
/// See [`crate::Error`].
pub async fn realms(endpoint: EndpointConfig) -> Result<Vec<String>> {
    let call = Call::quick(&["access", "domains"]);
    let transport = HttpsTransport::new(vec![endpoint], Credentials::Nobody);
    let transport = transport.map_err(|e| Error::NotSent {
        call: call.name(),
        why: e.to_string(),
    })?;
    realms_by(&ReadClient::new(Arc::new(transport))).await
}

/// The same by any client.
pub(crate) async fn realms_by(read: &ReadClient) -> Result<Vec<String>> {
    let rows: Vec<RealmWire> = read.get(Call::quick(&["access", "domains"])).await?;
    let mut names: Vec<String> = rows.into_iter().map(|row| row.realm).collect();
    names.sort_unstable();
    Ok(names)
}
