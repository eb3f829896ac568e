//! `/api/accounts`, `/api/sessions`: who may sign in, and who is signed in. Secrets are drawn here, given out once, and kept as hashes.

use std::net::IpAddr;

use proximity_domain::access::{Role, UserName};
use proximity_domain::ids::SessionId;
use proximity_domain::session::LINK_MS;
use proximity_domain::time::Timestamp;
use proximity_store::accounts::{AccountRecord, NewLink};
use proximity_store::records::Actor;
use proximity_store::sessions::{NewSession, SessionRecord};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::engine::Engine;
use crate::error::EngineError;

/// Who is the first account, if nobody says otherwise.
const FIRST: &str = "admin";
/// By these scanners for leaked secrets find what was given out.
const LINK_PREFIX: &str = "pxl_";
const SESSION_PREFIX: &str = "pxs_";

/// An account and the link that sets its password. The secret is given out this once.
#[derive(Debug, Clone)]
pub struct GivenLink {
    /// The account.
    pub account: AccountRecord,
    /// What the link proves itself with.
    pub secret: SecretString,
    /// Until when it is good.
    pub until: Timestamp,
}

/// A session that began. The secret is given out this once.
#[derive(Debug, Clone)]
pub struct BegunSession {
    /// The session.
    pub session: SessionRecord,
    /// What the browser proves itself with.
    pub secret: SecretString,
}

impl Engine {
    /// Adds an account that has no password yet, and gives the link that sets one.
    ///
    /// # Errors
    /// The name is taken, or there are as many accounts as may be.
    pub async fn add_account(
        &self,
        actor: &Actor,
        name: &UserName,
        role: Role,
    ) -> Result<GivenLink, EngineError> {
        let (secret, link, now) = self.new_link();
        let store = self.store();
        let account = store.add_account(name, role, &link, actor, now).await?;
        Ok(given(account, secret, &link))
    }

    /// Gives an account a new link in place of one that it may have. Until it is used all stays as it is.
    ///
    /// # Errors
    /// There is no such account.
    pub async fn give_link(
        &self,
        actor: &Actor,
        name: &UserName,
    ) -> Result<GivenLink, EngineError> {
        let (secret, link, now) = self.new_link();
        let account = self.store().give_link(name, &link, actor, now).await?;
        Ok(given(account, secret, &link))
    }

    /// The link of the first admin, where nobody can sign in yet: an account is added if there is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn first_link(&self, actor: &Actor) -> Result<Option<GivenLink>, EngineError> {
        let all = self.store().accounts().await?;
        if all.iter().any(|one| one.password_at.is_some()) {
            return Ok(None);
        }
        let admin = all.into_iter().find(|one| one.role == Role::Admin);
        match (admin, FIRST.parse::<UserName>()) {
            (Some(admin), _) => self.give_link(actor, &admin.name).await.map(Some),
            (None, Ok(first)) => {
                let added = self.add_account(actor, &first, Role::Admin).await;
                added.map(Some)
            }
            (None, Err(_)) => Ok(None),
        }
    }

    /// Gives an account another role, which counts from the next request on.
    ///
    /// # Errors
    /// There is no such account, or no admin would be left.
    pub async fn set_role(
        &self,
        actor: &Actor,
        name: &UserName,
        role: Role,
    ) -> Result<AccountRecord, EngineError> {
        Ok(self.store().set_role(name, role, actor, self.now()).await?)
    }

    /// Forgets an account, and ends its sessions. Its apps stay its name's.
    ///
    /// # Errors
    /// There is no such account, or no admin would be left.
    pub async fn remove_account(&self, actor: &Actor, name: &UserName) -> Result<(), EngineError> {
        Ok(self.store().remove_account(name, actor, self.now()).await?)
    }

    /// Uses a link up: `hash` is the account's password from now on.
    ///
    /// # Errors
    /// The link is not good (any more).
    pub async fn set_up(
        &self,
        link: &[u8; 32],
        hash: &str,
        request: Option<&str>,
    ) -> Result<AccountRecord, EngineError> {
        let now = self.now();
        Ok(self.store().use_link(link, hash, request, now).await?)
    }

    /// Changes a password; `keep` alone of the account's sessions goes on.
    ///
    /// # Errors
    /// There is no such account, or `keep` ended meanwhile.
    pub async fn set_password(
        &self,
        actor: &Actor,
        name: &UserName,
        hash: &str,
        keep: SessionId,
    ) -> Result<AccountRecord, EngineError> {
        let (store, now) = (self.store(), self.now());
        let set = store.set_password(name, hash, Some(keep), actor, now);
        Ok(set.await?)
    }

    /// Begins a session of an account whose password was just looked at.
    ///
    /// # Errors
    /// The account is gone, or its password is another one by now.
    pub async fn begin_session(
        &self,
        account: &AccountRecord,
        address: Option<IpAddr>,
        request: Option<&str>,
    ) -> Result<BegunSession, EngineError> {
        let secret = self.draw(SESSION_PREFIX);
        let new = NewSession {
            id: SessionId(self.inner.parts.ids.uuid()),
            account: account.name.clone(),
            password_at: account.password_at,
            secret_sha256: hashed(&secret),
            address: address.map(|address| address.to_string()),
        };
        let begun = self.store().begin_session(&new, request, self.now());
        let session = begun.await?;
        Ok(BegunSession { session, secret })
    }

    /// Writes down that a session is used.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_session(&self, id: SessionId) -> Result<(), EngineError> {
        Ok(self.store().note_session(id, self.now()).await?)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// There is no such session (any more).
    pub async fn end_session(&self, actor: &Actor, id: SessionId) -> Result<(), EngineError> {
        Ok(self.store().end_session(id, actor, self.now()).await?)
    }

    fn new_link(&self) -> (SecretString, NewLink, Timestamp) {
        let (secret, now) = (self.draw(LINK_PREFIX), self.now());
        let link = NewLink {
            sha256: hashed(&secret),
            until: Timestamp(now.0.saturating_add(LINK_MS)),
        };
        (secret, link, now)
    }

    /// 256 random bits.
    fn draw(&self, prefix: &str) -> SecretString {
        let ids = &self.inner.parts.ids;
        let (one, two) = (ids.nonce(), ids.nonce());
        SecretString::from(format!("{prefix}{one:032x}{two:032x}"))
    }
}

fn hashed(secret: &SecretString) -> [u8; 32] {
    Sha256::digest(secret.expose_secret().as_bytes()).into()
}

fn given(account: AccountRecord, secret: SecretString, link: &NewLink) -> GivenLink {
    GivenLink {
        account,
        secret,
        until: link.until,
    }
}
