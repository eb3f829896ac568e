//! One change of accounts in PVE: what it says, and how it is made.

use std::collections::BTreeSet;
use std::fmt;

use proximity_domain::accounts::{AccountMark, OwnPool, OwnRole, OwnToken, OwnUser};
use proximity_domain::names::{AccountName, ApiTokenName, PoolName, RoleName};
use proximity_pve::accounts::{AccountClient, GrantTo};
use proximity_pve::error::Error as PveError;
use secrecy::SecretString;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands::hosts) enum Step {
    CreatePool(PoolName),
    CreateRole(RoleName, BTreeSet<String>),
    ChangeRole(OwnRole, BTreeSet<String>),
    CreateUser(AccountName),
    EnableUser(OwnUser),
    /// Its secret is not known, or it has more rights or less time than it should: it is made anew.
    ReplaceToken(OwnToken),
    CreateToken(ApiTokenName),
    Grant(GrantTo),
    Revoke(GrantTo),
    DeleteToken(OwnToken),
    DeleteUser(OwnUser),
    DeleteRole(OwnRole),
    DeletePool(OwnPool),
}

fn words(privileges: &BTreeSet<String>) -> String {
    let names: Vec<&str> = privileges.iter().map(String::as_str).collect();
    names.join(" ")
}

/// Who has or gets a grant, e.g. `USER and its token`.
fn holders(grant: &GrantTo) -> String {
    match (&grant.user, &grant.token) {
        (Some(user), Some(_)) => format!("{user} and its token"),
        (Some(user), None) => user.to_string(),
        (None, Some(token)) => token.to_string(),
        (None, None) => "nobody".to_owned(),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreatePool(pool) => write!(f, "create pool {pool}"),
            Self::CreateRole(role, privileges) => {
                write!(f, "create role {role}: {}", words(privileges))
            }
            Self::ChangeRole(role, privileges) => {
                write!(f, "change role {} to: {}", role.name(), words(privileges))
            }
            Self::CreateUser(user) => write!(f, "create user {user}, without a password"),
            Self::EnableUser(user) => write!(f, "switch user {} on", user.name()),
            Self::ReplaceToken(token) => {
                write!(f, "replace token {}, which cannot be used", token.name())
            }
            Self::CreateToken(token) => write!(f, "create token {token}"),
            Self::Grant(grant) => {
                let who = holders(grant);
                write!(f, "grant {} on {} to {who}", grant.role, grant.path)
            }
            Self::Revoke(grant) => {
                let who = holders(grant);
                write!(f, "take {} on {} from {who}", grant.role, grant.path)
            }
            Self::DeleteToken(token) => write!(f, "delete token {}", token.name()),
            Self::DeleteUser(user) => write!(f, "delete user {}", user.name()),
            Self::DeleteRole(role) => write!(f, "delete role {}", role.name()),
            Self::DeletePool(pool) => write!(f, "delete pool {}, which is empty", pool.name()),
        }
    }
}

/// The secret of a token that was made.
pub(super) type NewSecret = (ApiTokenName, SecretString);

impl Step {
    /// Makes the change, once.
    ///
    /// # Errors
    /// PVE's.
    pub(super) async fn act(
        self,
        client: &AccountClient,
        mark: AccountMark,
    ) -> Result<Option<NewSecret>, PveError> {
        match self {
            Self::CreatePool(pool) => client.create_pool(&pool, mark).await?,
            Self::CreateRole(role, privileges) => client.create_role(&role, &privileges).await?,
            Self::ChangeRole(role, privileges) => client.change_role(&role, &privileges).await?,
            Self::CreateUser(user) => client.create_user(&user, mark).await?,
            Self::EnableUser(user) => client.enable_user(&user).await?,
            Self::ReplaceToken(token) => {
                let name = token.name().clone();
                client.delete_token(token).await?;
                let secret = client.create_token(&name, mark).await?;
                return Ok(Some((name, secret)));
            }
            Self::CreateToken(token) => {
                let secret = client.create_token(&token, mark).await?;
                return Ok(Some((token, secret)));
            }
            Self::Grant(grant) => client.grant(&grant).await?,
            Self::Revoke(grant) => client.revoke(&grant).await?,
            Self::DeleteToken(token) => client.delete_token(token).await?,
            Self::DeleteUser(user) => client.delete_user(user).await?,
            Self::DeleteRole(role) => client.delete_role(role).await?,
            Self::DeletePool(pool) => client.delete_pool(pool).await?,
        }
        Ok(None)
    }
}
