//! Who may sign in: roles, hashes of passwords, and links by which a password is set.

use proximity_domain::access::{Holder, MOST_ACCOUNTS, Role, UserName, ends_last_admin};
use proximity_domain::ids::SessionId;
use proximity_domain::time::Timestamp;
use serde_json::json;

use crate::error::StoreError;
use crate::journal::{Act, add_audit};
use crate::records::Actor;
use crate::row::{Columns, each};
use crate::sessions::no_session;
use crate::sql::{Row, Tx, query};
use crate::store::{Reader, Store};

/// An account, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// Its name.
    pub name: UserName,
    /// Its role.
    pub role: Role,
    /// When its password was set; `None` = it has none, and nobody can sign in.
    pub password_at: Option<Timestamp>,
    /// Until when the link that sets a password is good; `None` = there is none, or it was used.
    pub link_until: Option<Timestamp>,
    /// When it was added.
    pub made_at: Timestamp,
    /// By whom.
    pub made_by: String,
}

/// A link by which a password is set, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLink {
    /// SHA-256 of its secret part.
    pub sha256: [u8; 32],
    /// Until when it is good.
    pub until: Timestamp,
}

/// By which names what is done to accounts is audited.
pub(crate) const ADDED: &str = "account.add";
pub(crate) const ROLE: &str = "account.role";
pub(crate) const REMOVED: &str = "account.remove";
pub(crate) const LINKED: &str = "account.link";
pub(crate) const SET_UP: &str = "account.set_up";
pub(crate) const PASSWORD: &str = "account.password";

impl Store {
    /// Records an account without a password, and the link that sets one.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is one of this name; [`StoreError::IllegalTransition`] if there are as many as may be.
    pub async fn add_account(
        &self,
        name: &UserName,
        role: Role,
        link: &NewLink,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AccountRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.add_account(name, role, link, actor, now));
        }
        self.write(async |tx| {
            may_add(&all(tx).await?, name)?;
            let record = recorded(name, role, link, actor, now);
            query(
                "INSERT INTO accounts (name, role, link_sha256, link_until, made_at, made_by) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(name.as_str())
            .bind(role.label())
            .bind(hex::encode(link.sha256))
            .bind(link.until.0)
            .bind(now.0)
            .bind(&record.made_by)
            .execute(&mut *tx)
            .await?;
            let details = json!({ "role": role.label() });
            let act = Act::request(ADDED, name.as_str(), details);
            add_audit(tx, actor, act, now).await?;
            Ok(record)
        })
        .await
    }

    /// Gives an account another role, from the next request of its sessions on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::IllegalTransition`] if no admin would be left.
    pub async fn set_role(
        &self,
        name: &UserName,
        role: Role,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AccountRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.set_role(name, role, actor, now));
        }
        self.write(async |tx| {
            let before = may_become(&all(tx).await?, name, Some(role))?;
            query("UPDATE accounts SET role = $2 WHERE name = $1")
                .bind(name.as_str())
                .bind(role.label())
                .execute(&mut *tx)
                .await?;
            let details = json!({ "from": before.role.label(), "to": role.label() });
            let act = Act::request(ROLE, name.as_str(), details);
            add_audit(tx, actor, act, now).await?;
            Ok(AccountRecord { role, ..before })
        })
        .await
    }

    /// Forgets an account with its sessions. Its apps stay, and are still its name's.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::IllegalTransition`] if no admin would be left.
    pub async fn remove_account(
        &self,
        name: &UserName,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.remove_account(name, actor, now));
        }
        self.write(async |tx| {
            may_become(&all(tx).await?, name, None)?;
            end_sessions(tx, name, None).await?;
            query("DELETE FROM accounts WHERE name = $1")
                .bind(name.as_str())
                .execute(&mut *tx)
                .await?;
            let act = Act::request(REMOVED, name.as_str(), json!({}));
            add_audit(tx, actor, act, now).await
        })
        .await
    }

    /// Gives an account a new link in place of the one it had. Its password and sessions stay until the link is used.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn give_link(
        &self,
        name: &UserName,
        link: &NewLink,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AccountRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.give_link(name, link, actor, now));
        }
        self.write(async |tx| {
            let before = by_name(tx, name).await?;
            query("UPDATE accounts SET link_sha256 = $2, link_until = $3 WHERE name = $1")
                .bind(name.as_str())
                .bind(hex::encode(link.sha256))
                .bind(link.until.0)
                .execute(&mut *tx)
                .await?;
            let act = Act::request(LINKED, name.as_str(), json!({ "until": link.until.0 }));
            add_audit(tx, actor, act, now).await?;
            Ok(AccountRecord {
                link_until: Some(link.until),
                ..before
            })
        })
        .await
    }

    /// Uses a link up: its account has this password from now on, and all of its sessions end. `request` is the id of the request that
    /// brought it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a link that was used or replaced, or is not good any more.
    pub async fn use_link(
        &self,
        sha256: &[u8; 32],
        password: &str,
        request: Option<&str>,
        now: Timestamp,
    ) -> Result<AccountRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.use_link(sha256, password, request, now));
        }
        self.write(async |tx| {
            let row = query("SELECT * FROM accounts WHERE link_sha256 = $1")
                .bind(hex::encode(sha256))
                .fetch_optional(&mut *tx)
                .await?;
            let before = row.as_ref().map(account).transpose()?;
            let before = before.filter(|one| has_good_link(one, now));
            let before = before.ok_or_else(no_link)?;
            put_password(tx, &before.name, password, now).await?;
            end_sessions(tx, &before.name, None).await?;
            let act = Act::request(SET_UP, before.name.as_str(), json!({}));
            add_audit(tx, &themselves(&before.name, request), act, now).await?;
            Ok(with_password(before, now))
        })
        .await
    }

    /// Changes the password of an account. Its sessions end but for `keep`, by which it is asked for, and so does its link.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also where `keep` ended meanwhile: whoever ended it, or used a link, has the account.
    pub async fn set_password(
        &self,
        name: &UserName,
        password: &str,
        keep: Option<SessionId>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AccountRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.set_password(name, password, keep, actor, now));
        }
        self.write(async |tx| {
            let before = by_name(tx, name).await?;
            if let Some(keep) = keep {
                goes_on(tx, name, keep).await?;
            }
            put_password(tx, name, password, now).await?;
            end_sessions(tx, name, keep).await?;
            let act = Act::request(PASSWORD, name.as_str(), json!({}));
            add_audit(tx, actor, act, now).await?;
            Ok(with_password(before, now))
        })
        .await
    }
}

impl Reader {
    /// All accounts by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn accounts(&self) -> Result<Vec<AccountRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_accounts()));
        }
        let rows = query("SELECT * FROM accounts ORDER BY name LIMIT 1000")
            .fetch_all(self.named("accounts"))
            .await?;
        sorted(&rows)
    }

    /// The account of this name.
    ///
    /// # Errors
    /// The database's.
    pub async fn account(&self, name: &UserName) -> Result<Option<AccountRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.account(name)));
        }
        let row = query("SELECT * FROM accounts WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(self.named("account"))
            .await?;
        row.as_ref().map(account).transpose()
    }

    /// The hash of an account's password, as it was given; none if it has no password, or there is no such account.
    ///
    /// # Errors
    /// The database's.
    pub async fn account_password(&self, name: &UserName) -> Result<Option<String>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.account_password(name)));
        }
        let row = query("SELECT password FROM accounts WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(self.named("account_password"))
            .await?;
        match row {
            Some(row) => row.text_opt("password"),
            None => Ok(None),
        }
    }

    /// The account whose link has this SHA-256, if the link is good still.
    ///
    /// # Errors
    /// The database's.
    pub async fn account_of_link(
        &self,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<AccountRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.account_of_link(sha256, now)));
        }
        let row = query("SELECT * FROM accounts WHERE link_sha256 = $1")
            .bind(hex::encode(sha256))
            .fetch_optional(self.named("account_of_link"))
            .await?;
        let found = row.as_ref().map(account).transpose()?;
        Ok(found.filter(|one| has_good_link(one, now)))
    }
}

async fn all(tx: &mut Tx) -> Result<Vec<AccountRecord>, StoreError> {
    let rows = query("SELECT * FROM accounts ORDER BY name").fetch_all(tx);
    sorted(&rows.await?)
}

/// What a database takes for the order of texts is its own.
fn sorted(rows: &[Row]) -> Result<Vec<AccountRecord>, StoreError> {
    let mut accounts = each(rows, account)?;
    accounts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(accounts)
}

/// The account of this name, to change it.
pub(crate) async fn by_name(tx: &mut Tx, name: &UserName) -> Result<AccountRecord, StoreError> {
    let row = query("SELECT * FROM accounts WHERE name = $1").bind(name.as_str());
    let row = row.fetch_optional(tx).await?;
    account(&row.ok_or_else(|| no_account(name))?)
}

async fn put_password(
    tx: &mut Tx,
    name: &UserName,
    password: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(
        "UPDATE accounts SET password = $2, password_at = $3, link_sha256 = NULL, link_until = NULL \
         WHERE name = $1",
    )
    .bind(name.as_str())
    .bind(password)
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// Refuses unless this is a session of the account still.
async fn goes_on(tx: &mut Tx, name: &UserName, id: SessionId) -> Result<(), StoreError> {
    let found = query("SELECT id FROM sessions WHERE account = $1 AND id = $2")
        .bind(name.as_str())
        .bind(id.to_string())
        .fetch_optional(tx)
        .await?;
    found.map(|_| ()).ok_or_else(|| no_session(id))
}

async fn end_sessions(
    tx: &mut Tx,
    name: &UserName,
    keep: Option<SessionId>,
) -> Result<(), StoreError> {
    let keep = keep.map(|id| id.to_string()).unwrap_or_default();
    query("DELETE FROM sessions WHERE account = $1 AND id <> $2")
        .bind(name.as_str())
        .bind(keep)
        .execute(tx)
        .await?;
    Ok(())
}

fn account(row: &Row) -> Result<AccountRecord, StoreError> {
    Ok(AccountRecord {
        name: row.parsed("name")?,
        role: row.label("role", Role::parse)?,
        password_at: row.moment_opt("password_at")?,
        link_until: row.moment_opt("link_until")?,
        made_at: row.moment("made_at")?,
        made_by: row.text("made_by")?,
    })
}

/// Whether an account may come beside these.
pub(crate) fn may_add(there: &[AccountRecord], name: &UserName) -> Result<(), StoreError> {
    if there.iter().any(|one| one.name == *name) {
        let id = name.to_string();
        return Err(StoreError::Exists {
            what: "account",
            id,
        });
    }
    if there.len() >= MOST_ACCOUNTS {
        let what = format!("there are {MOST_ACCOUNTS} accounts already, and no more may be");
        return Err(StoreError::IllegalTransition { what });
    }
    Ok(())
}

/// What is recorded of a new one.
pub(crate) fn recorded(
    name: &UserName,
    role: Role,
    link: &NewLink,
    actor: &Actor,
    now: Timestamp,
) -> AccountRecord {
    AccountRecord {
        name: name.clone(),
        role,
        password_at: None,
        link_until: Some(link.until),
        made_at: now,
        made_by: actor.account.clone(),
    }
}

/// The account, if it may get this role, or be removed (`None`).
pub(crate) fn may_become(
    there: &[AccountRecord],
    name: &UserName,
    role: Option<Role>,
) -> Result<AccountRecord, StoreError> {
    let found = there.iter().find(|one| one.name == *name);
    let found = found.ok_or_else(|| no_account(name))?;
    let holders = there.iter().map(|one| Holder {
        name: one.name.clone(),
        role: one.role,
        can_sign_in: one.password_at.is_some(),
    });
    if ends_last_admin(&holders.collect::<Vec<_>>(), name, role) {
        let what = format!("{name} is the last admin, and one has to stay");
        return Err(StoreError::IllegalTransition { what });
    }
    Ok(found.clone())
}

/// Whether the link of an account is good.
pub(crate) fn has_good_link(record: &AccountRecord, now: Timestamp) -> bool {
    record.link_until.is_some_and(|until| now < until)
}

/// The account once its password is set.
pub(crate) fn with_password(before: AccountRecord, now: Timestamp) -> AccountRecord {
    AccountRecord {
        password_at: Some(now),
        link_until: None,
        ..before
    }
}

/// Whoever holds the account, without having signed in.
pub(crate) fn themselves(name: &UserName, request: Option<&str>) -> Actor {
    Actor {
        account: name.to_string(),
        token: None,
        request: request.map(str::to_owned),
    }
}

pub(crate) fn no_account(name: &UserName) -> StoreError {
    let id = name.to_string();
    StoreError::NotFound {
        what: "account",
        id,
    }
}

/// Which of these it is, is told to nobody.
pub(crate) fn no_link() -> StoreError {
    let id = "that is good: it was used, replaced, or is too old".to_owned();
    StoreError::NotFound {
        what: "set-up link",
        id,
    }
}
