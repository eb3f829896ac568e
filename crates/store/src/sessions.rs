//! Who is signed in: of what the browser has, only the hash is kept.

use proximity_domain::access::{Role, UserName};
use proximity_domain::ids::SessionId;
use proximity_domain::session::{IDLE_MS, LONGEST_MS, MOST_SESSIONS};
use proximity_domain::time::Timestamp;
use serde_json::{Value, json};

use crate::accounts::{by_name, themselves};
use crate::error::StoreError;
use crate::journal::{Act, add_audit};
use crate::records::Actor;
use crate::row::{Columns, damaged, each};
use crate::sql::{Row, Tx, query};
use crate::store::{Reader, Store};

/// A session that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Row id, drawn by the caller.
    pub id: SessionId,
    /// Whose.
    pub account: UserName,
    /// When the password was set that was looked at: a session does not begin by one that was changed meanwhile.
    pub password_at: Option<Timestamp>,
    /// SHA-256 of what the browser has.
    pub secret_sha256: [u8; 32],
    /// Where the request came from, if that is known.
    pub address: Option<String>,
}

/// A session, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Row id.
    pub id: SessionId,
    /// Whose.
    pub account: UserName,
    /// Where it was begun from, if that is known.
    pub address: Option<String>,
    /// When it began.
    pub begun_at: Timestamp,
    /// When it was used last, to some minutes.
    pub seen_at: Timestamp,
}

/// Who is behind a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The session; it may be over.
    pub session: SessionRecord,
    /// The role of its account as it is now.
    pub role: Role,
    /// SHA-256 of what the browser has.
    pub secret_sha256: [u8; 32],
}

/// By which names what becomes of sessions is audited.
pub(crate) const BEGUN: &str = "session.begin";
pub(crate) const ENDED: &str = "session.end";

impl Store {
    /// Begins a session. Those that are over go, and the oldest of the account if it has as many as may be.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such account; [`StoreError::IllegalTransition`] if its password is another one by now;
    /// [`StoreError::Exists`] for an id or secret that is there already.
    pub async fn begin_session(
        &self,
        new: &NewSession,
        request: Option<&str>,
        now: Timestamp,
    ) -> Result<SessionRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.begin_session(new, request, now));
        }
        self.write(async |tx| {
            let account = by_name(tx, &new.account).await?;
            is_by_password(new, account.password_at)?;
            make_room(tx, &new.account, now).await?;
            let record = recorded(new, now);
            let id = new.id.to_string();
            let added = query(
                "INSERT INTO sessions (id, account, secret_sha256, address, begun_at, seen_at) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            )
            .bind(&id)
            .bind(new.account.as_str())
            .bind(hex::encode(new.secret_sha256))
            .bind(&new.address)
            .bind(now.0)
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
            if added.rows_affected() == 0 {
                return Err(taken(new.id));
            }
            let act = Act::request(BEGUN, &id, begun(new));
            add_audit(tx, &themselves(&new.account, request), act, now).await?;
            Ok(record)
        })
        .await
    }

    /// Writes down that a session is used.
    ///
    /// # Errors
    /// The database's; none if it ended meanwhile.
    pub async fn note_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| {
                state.note_session(id, now);
                Ok(())
            });
        }
        self.write(async |tx| {
            query("UPDATE sessions SET seen_at = $2 WHERE id = $1")
                .bind(id.to_string())
                .bind(now.0)
                .execute(tx)
                .await?;
            Ok(())
        })
        .await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn end_session(
        &self,
        id: SessionId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.end_session(id, actor, now));
        }
        self.write(async |tx| {
            let row = query("SELECT * FROM sessions WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(&mut *tx)
                .await?;
            let record = session(&row.ok_or_else(|| no_session(id))?)?;
            query("DELETE FROM sessions WHERE id = $1")
                .bind(id.to_string())
                .execute(&mut *tx)
                .await?;
            let target = id.to_string();
            let act = Act::request(ENDED, &target, ended(&record));
            add_audit(tx, actor, act, now).await
        })
        .await
    }
}

impl Reader {
    /// Who is behind what has this SHA-256. Whether the session is over, the caller judges.
    ///
    /// # Errors
    /// The database's.
    pub async fn signed_in(&self, sha256: &[u8; 32]) -> Result<Option<SignedIn>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.signed_in(sha256)));
        }
        let row = query(
            "SELECT s.id, s.account, s.secret_sha256, s.address, s.begun_at, s.seen_at, a.role \
             FROM sessions s JOIN accounts a ON a.name = s.account WHERE s.secret_sha256 = $1",
        )
        .bind(hex::encode(sha256))
        .fetch_optional(self.named("signed_in"))
        .await?;
        row.as_ref().map(signed_in).transpose()
    }

    /// The sessions of an account, or of all (`None`), those that are over included until another one begins. The newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn sessions(
        &self,
        account: Option<&UserName>,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.sessions_of(account)));
        }
        let newest = match account {
            Some(account) => query(
                "SELECT * FROM sessions WHERE account = $1 \
                 ORDER BY begun_at DESC, id DESC LIMIT 1000",
            )
            .bind(account.as_str()),
            None => query("SELECT * FROM sessions ORDER BY begun_at DESC, id DESC LIMIT 10000"),
        };
        each(&newest.fetch_all(self.named("sessions")).await?, session)
    }
}

/// Takes out what is over, and the oldest of the account where one more would be too many.
async fn make_room(tx: &mut Tx, account: &UserName, now: Timestamp) -> Result<(), StoreError> {
    let (idle, begun) = over_before(now);
    query("DELETE FROM sessions WHERE seen_at <= $1 OR begun_at <= $2")
        .bind(idle.0)
        .bind(begun.0)
        .execute(&mut *tx)
        .await?;
    let rows = query("SELECT * FROM sessions WHERE account = $1 ORDER BY begun_at, id")
        .bind(account.as_str())
        .fetch_all(&mut *tx)
        .await?;
    let there = each(&rows, session)?;
    for oldest in too_many(&there) {
        query("DELETE FROM sessions WHERE id = $1")
            .bind(oldest.id.to_string())
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

fn session(row: &Row) -> Result<SessionRecord, StoreError> {
    Ok(SessionRecord {
        id: row.parsed("id")?,
        account: row.parsed("account")?,
        address: row.text_opt("address")?,
        begun_at: row.moment("begun_at")?,
        seen_at: row.moment("seen_at")?,
    })
}

fn signed_in(row: &Row) -> Result<SignedIn, StoreError> {
    let mut secret_sha256 = [0; 32];
    hex::decode_to_slice(row.text("secret_sha256")?, &mut secret_sha256)
        .map_err(|e| damaged("secret_sha256", e.to_string()))?;
    Ok(SignedIn {
        session: session(row)?,
        role: row.label("role", Role::parse)?,
        secret_sha256,
    })
}

/// Whether the password that was looked at is the account's still.
pub(crate) fn is_by_password(
    new: &NewSession,
    password_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    if new.password_at.is_some() && new.password_at == password_at {
        return Ok(());
    }
    let what = format!("the password of {} is another one by now", new.account);
    Err(StoreError::IllegalTransition { what })
}

/// Sessions are over that were used last, or began, at these moments or before.
pub(crate) fn over_before(now: Timestamp) -> (Timestamp, Timestamp) {
    let before = |ms: i64| Timestamp(now.0.saturating_sub(ms));
    (before(IDLE_MS), before(LONGEST_MS))
}

/// Of the sessions of an account, the oldest first, those that have to go before one more begins.
pub(crate) fn too_many(there: &[SessionRecord]) -> &[SessionRecord] {
    let beyond = (there.len() + 1).saturating_sub(MOST_SESSIONS);
    there.get(..beyond).unwrap_or_default()
}

pub(crate) fn recorded(new: &NewSession, now: Timestamp) -> SessionRecord {
    SessionRecord {
        id: new.id,
        account: new.account.clone(),
        address: new.address.clone(),
        begun_at: now,
        seen_at: now,
    }
}

/// What the audit says of one that begins.
pub(crate) fn begun(new: &NewSession) -> Value {
    json!({ "account": new.account, "address": new.address })
}

/// What the audit says of one that ends.
pub(crate) fn ended(record: &SessionRecord) -> Value {
    json!({ "account": record.account, "begun_at": record.begun_at.0 })
}

pub(crate) fn taken(id: SessionId) -> StoreError {
    let id = id.to_string();
    StoreError::Exists {
        what: "session",
        id,
    }
}

pub(crate) fn no_session(id: SessionId) -> StoreError {
    let id = id.to_string();
    StoreError::NotFound {
        what: "session",
        id,
    }
}
