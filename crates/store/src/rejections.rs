//! Content of apps that nothing applies by itself: a person rejected it, or it came to nothing when it was applied without one.

use proximity_domain::desired::DesiredSpec;
use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_domain::names::Hostname;
use proximity_domain::time::Timestamp;
use serde_json::{Value, json};

use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event, shown};
use crate::plans::PLANS_KEPT;
use crate::records::Actor;
use crate::row::{Columns, each, to_json};
use crate::sql::{Row, Tx, query};
use crate::store::{Reader, Store};

/// Rows that are forgotten and are kept: the newest, as many as plans of an account.
pub const FORGOTTEN_KEPT: u32 = PLANS_KEPT;
/// Rows that count, at most: the newest.
pub const REJECTED_KEPT: u32 = 10_000;

/// Content of one app that is to be rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRejection {
    /// The app's name in the documents; there need not be such an app.
    pub name: Hostname,
    /// What stands for the content ([`Reader::spec_hash`]).
    pub spec_hash: String,
    /// Why, a sentence, if one was given.
    pub why: Option<String>,
}

/// Content of one app that was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRevision {
    /// The app's name in the documents.
    pub name: Hostname,
    /// What stands for the content.
    pub spec_hash: String,
    /// When.
    pub at: Timestamp,
    /// By whom: an account, `source NAME` or `policy revert`.
    pub by: String,
    /// Why, a sentence, if one was given.
    pub why: Option<String>,
    /// Since when it counts no more.
    pub forgotten_at: Option<Timestamp>,
}

impl RejectedRevision {
    /// Whether it counts.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        self.forgotten_at.is_none()
    }

    /// Whether this content is not applied by itself.
    #[must_use]
    pub fn holds_back(&self, spec_hash: &str) -> bool {
        self.is_in_force() && self.spec_hash == spec_hash
    }
}

/// By which names it is audited.
pub(crate) const REJECTED: &str = "revision.reject";
pub(crate) const FORGOTTEN: &str = "revision.unreject";

impl Store {
    /// Rejects content of apps in one commit, and tells of each: nothing applies it by itself from now on. What was rejected already stays as
    /// it is, and other content of the same name counts no more. Gives those that are rejected anew.
    ///
    /// # Errors
    /// The database's.
    pub async fn reject_revisions(
        &self,
        new: &[NewRejection],
        by: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Vec<RejectedRevision>, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.reject_revisions(new, by, actor, now)));
        }
        self.write(async |tx| {
            let mut anew = Vec::new();
            for one in new {
                let before = by_name(tx, &one.name).await?;
                let Some(row) = rejected(before.as_ref(), one, by, now) else {
                    continue;
                };
                put(tx, &row).await?;
                let app = live(tx, &row.name).await?;
                add_event(tx, &told(&row, app), app, None, now).await?;
                let act = Act::request(REJECTED, row.name.as_str(), details(&row));
                add_audit(tx, actor, act, now).await?;
                anew.push(row);
            }
            clear(tx).await?;
            Ok(anew)
        })
        .await
    }

    /// Forgets that content of this name was rejected: it is applied again by whatever wants it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if none is.
    pub async fn unreject_revision(
        &self,
        name: &Hostname,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<RejectedRevision, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.unreject_revision(name, actor, now));
        }
        self.write(async |tx| {
            let before = by_name(tx, name).await?;
            let before = before.filter(RejectedRevision::is_in_force);
            let before = before.ok_or_else(|| none(name))?;
            forget(tx, name, now).await?;
            let act = Act::request(FORGOTTEN, name.as_str(), details(&before));
            add_audit(tx, actor, act, now).await?;
            Ok(RejectedRevision {
                forgotten_at: Some(now),
                ..before
            })
        })
        .await
    }
}

impl Reader {
    /// Stands for what is wanted of an app, to tell it from anything else; `None` = nothing is. A spec may hold what is private, so this is
    /// no plain hash that guesses could be held against.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it cannot be written as text.
    pub fn spec_hash(&self, spec: Option<&DesiredSpec>) -> Result<String, StoreError> {
        let text = spec.map(|spec| to_json("spec", spec)).transpose()?;
        let text = text.unwrap_or_default();
        Ok(self.fingerprint(&["wanted".as_bytes(), text.as_bytes()]))
    }

    /// What was rejected last of each name, by name; also what counts no more.
    ///
    /// # Errors
    /// The database's.
    pub async fn rejected_revisions(&self) -> Result<Vec<RejectedRevision>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_rejected()));
        }
        let rows = query("SELECT * FROM rejected_revisions ORDER BY name")
            .fetch_all(self.named("rejected_revisions"))
            .await?;
        each(&rows, revision)
    }
}

/// What is recorded; `None`: just that is rejected already.
pub(crate) fn rejected(
    before: Option<&RejectedRevision>,
    new: &NewRejection,
    by: &str,
    now: Timestamp,
) -> Option<RejectedRevision> {
    if before.is_some_and(|before| before.holds_back(&new.spec_hash)) {
        return None;
    }
    Some(RejectedRevision {
        name: new.name.clone(),
        spec_hash: new.spec_hash.clone(),
        at: now,
        by: by.to_owned(),
        why: new.why.as_deref().map(shown),
        forgotten_at: None,
    })
}

/// What is told of it.
pub(crate) fn told(row: &RejectedRevision, app: Option<AppId>) -> NewEvent {
    NewEvent {
        kind: EventKind::RevisionRejected,
        body: json!({
            "app": app,
            "hostname": row.name,
            "by": row.by,
            "why": row.why,
        }),
    }
}

/// What the audit says of it.
pub(crate) fn details(row: &RejectedRevision) -> Value {
    json!({ "by": row.by, "why": row.why })
}

pub(crate) fn none(name: &Hostname) -> StoreError {
    StoreError::NotFound {
        what: "rejected content of",
        id: name.to_string(),
    }
}

/// Whatever was rejected of this name counts no more.
pub(crate) async fn forget(tx: &mut Tx, name: &Hostname, now: Timestamp) -> Result<(), StoreError> {
    query(
        "UPDATE rejected_revisions SET forgotten_at = $2 WHERE name = $1 AND forgotten_at IS NULL",
    )
    .bind(name.as_str())
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(())
}

async fn by_name(tx: &mut Tx, name: &Hostname) -> Result<Option<RejectedRevision>, StoreError> {
    let row = query("SELECT * FROM rejected_revisions WHERE name = $1").bind(name.as_str());
    let row = row.fetch_optional(tx).await?;
    row.as_ref().map(revision).transpose()
}

async fn put(tx: &mut Tx, row: &RejectedRevision) -> Result<(), StoreError> {
    query(
        "INSERT INTO rejected_revisions (name, spec_hash, rejected_at, rejected_by, why, forgotten_at) \
         VALUES ($1, $2, $3, $4, $5, NULL) ON CONFLICT (name) DO UPDATE SET \
         spec_hash = excluded.spec_hash, rejected_at = excluded.rejected_at, \
         rejected_by = excluded.rejected_by, why = excluded.why, forgotten_at = NULL",
    )
    .bind(row.name.as_str())
    .bind(&row.spec_hash)
    .bind(row.at.0)
    .bind(&row.by)
    .bind(row.why.as_deref())
    .execute(tx)
    .await?;
    Ok(())
}

/// The app that has this name now.
async fn live(tx: &mut Tx, name: &Hostname) -> Result<Option<AppId>, StoreError> {
    let row = query("SELECT id FROM apps WHERE hostname = $1 AND archived_at IS NULL")
        .bind(name.as_str())
        .fetch_optional(tx)
        .await?;
    row.map(|row| row.parsed("id")).transpose()
}

/// Of those that count and of those that do not the newest stay.
async fn clear(tx: &mut Tx) -> Result<(), StoreError> {
    for (text, kept) in [
        (
            "DELETE FROM rejected_revisions WHERE forgotten_at IS NOT NULL AND name NOT IN \
             (SELECT name FROM rejected_revisions WHERE forgotten_at IS NOT NULL \
             ORDER BY forgotten_at DESC, name DESC LIMIT $1)",
            FORGOTTEN_KEPT,
        ),
        (
            "DELETE FROM rejected_revisions WHERE forgotten_at IS NULL AND name NOT IN \
             (SELECT name FROM rejected_revisions WHERE forgotten_at IS NULL \
             ORDER BY rejected_at DESC, name DESC LIMIT $1)",
            REJECTED_KEPT,
        ),
    ] {
        query(text).bind(i64::from(kept)).execute(&mut *tx).await?;
    }
    Ok(())
}

fn revision(row: &Row) -> Result<RejectedRevision, StoreError> {
    Ok(RejectedRevision {
        name: row.parsed("name")?,
        spec_hash: row.text("spec_hash")?,
        at: row.moment("rejected_at")?,
        by: row.text("rejected_by")?,
        why: row.text_opt("why")?,
        forgotten_at: row.moment_opt("forgotten_at")?,
    })
}
