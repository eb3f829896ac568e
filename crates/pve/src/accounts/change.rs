//! What is changed. Every change needs quorum, without which PVE takes 10 s to say so.

use std::collections::BTreeSet;

use proximity_domain::accounts::{AccountMark, OwnPool, OwnRole, OwnToken, OwnUser};
use proximity_domain::names::{AccountName, ApiTokenName, PoolName, RoleName};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::AccountClient;
use crate::call::Call;
use crate::error::Result;

/// What PVE says of a new token: its secret, this once.
#[derive(Deserialize)]
struct Made {
    value: String,
}

/// A role on a path, for a user and its token together: a privilege-separated token has what both have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantTo {
    /// e.g. `/pool/proximity`.
    pub path: String,
    /// The role.
    pub role: RoleName,
    /// The user, if it gets or has the grant.
    pub user: Option<AccountName>,
    /// The token, if it gets or has the grant.
    pub token: Option<ApiTokenName>,
    /// It holds below the path too.
    pub propagates: bool,
}

impl GrantTo {
    fn call(&self) -> Call {
        Call::put(&["access", "acl"])
            .with("path", &self.path)
            .with("roles", &self.role)
            .with_some("users", self.user.as_ref())
            .with_some("tokens", self.token.as_ref())
            .with_flag("propagate", self.propagates)
    }
}

/// The user and the name in a token's id.
fn parts(token: &ApiTokenName) -> (&str, &str) {
    // The type's rule: there is one.
    token
        .as_str()
        .rsplit_once('!')
        .unwrap_or((token.as_str(), ""))
}

fn token_call(new: fn(&[&str]) -> Call, token: &ApiTokenName) -> Call {
    let (user, name) = parts(token);
    new(&["access", "users", user, "token", name])
}

fn list(privileges: &BTreeSet<String>) -> String {
    let names: Vec<&str> = privileges.iter().map(String::as_str).collect();
    names.join(" ")
}

impl AccountClient {
    /// Makes a role (`Sys.Modify` on `/access`).
    ///
    /// # Errors
    /// [`crate::Error::Refused`] with `role '…' already exists`.
    pub async fn create_role(&self, role: &RoleName, privileges: &BTreeSet<String>) -> Result<()> {
        let call = Call::post(&["access", "roles"])
            .with("roleid", role)
            .with("privs", list(privileges));
        self.client.change(call).await
    }

    /// Gives a role of ours these privileges and no others.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] with `role '…' does not exist`.
    pub async fn change_role(&self, role: &OwnRole, privileges: &BTreeSet<String>) -> Result<()> {
        let call = Call::put(&["access", "roles", role.name().as_str()])
            .with("privs", list(privileges))
            .with_flag("append", false);
        self.client.change(call).await
    }

    /// Deletes a role of ours. PVE leaves grants of it behind, without effect.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] with `role '…' does not exist`.
    pub async fn delete_role(&self, role: OwnRole) -> Result<()> {
        let call = Call::delete(&["access", "roles", role.name().as_str()]);
        self.client.change(call).await
    }

    /// Makes a user without a password, which nobody can log in as, with our mark.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] with `user '…' already exists`.
    pub async fn create_user(&self, user: &AccountName, mark: AccountMark) -> Result<()> {
        let call = Call::post(&["access", "users"])
            .with("userid", user)
            .with("comment", mark);
        self.client.change(call).await
    }

    /// Switches a user of ours on, for good.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] with `no such user`.
    pub async fn enable_user(&self, user: &OwnUser) -> Result<()> {
        let call = Call::put(&["access", "users", user.name().as_str()])
            .with_flag("enable", true)
            .with("expire", 0);
        self.client.change(call).await
    }

    /// Deletes a user of ours, and with it all its tokens and grants.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] with `no such user`.
    pub async fn delete_user(&self, user: OwnUser) -> Result<()> {
        let call = Call::delete(&["access", "users", user.name().as_str()]);
        self.client.change(call).await
    }

    /// Makes a privilege-separated token that does not expire, with our mark. This is the only time its secret is shown.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] with `Token already exists.`
    pub async fn create_token(
        &self,
        token: &ApiTokenName,
        mark: AccountMark,
    ) -> Result<SecretString> {
        let call = token_call(Call::post, token)
            .with_flag("privsep", true)
            .with("comment", mark);
        let made: Made = self.client.change(call).await?;
        Ok(made.value.into())
    }

    /// Deletes a token of ours: from then on PVE answers it 401.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] with `no such token`.
    pub async fn delete_token(&self, token: OwnToken) -> Result<()> {
        self.client
            .change::<IgnoredAny>(token_call(Call::delete, token.name()))
            .await
            .map(drop)
    }

    /// Grants a role on a path. What is granted already stays as it is.
    ///
    /// # Errors
    /// [`crate::Error::Refused`], e.g. with `role '…' does not exist`.
    pub async fn grant(&self, grant: &GrantTo) -> Result<()> {
        self.client.change(grant.call()).await
    }

    /// Takes a grant back.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn revoke(&self, grant: &GrantTo) -> Result<()> {
        self.client
            .change(grant.call().with_flag("delete", true))
            .await
    }

    /// Makes a pool with our mark.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] with `pool '…' already exists`.
    pub async fn create_pool(&self, pool: &PoolName, mark: AccountMark) -> Result<()> {
        self.client.create_pool(pool, &mark.to_string()).await
    }

    /// Deletes an empty pool of ours.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] with `pool '…' is not empty`.
    pub async fn delete_pool(&self, pool: OwnPool) -> Result<()> {
        self.client.delete_pool(pool.name()).await
    }
}
