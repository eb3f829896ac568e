//! Content of apps that nothing applies by itself: a person rejected it, or it came to nothing when it was applied without one.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::desired::{DesiredSpec, Documents};
use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_domain::names::Hostname;
use proximity_domain::plan::Plan;
use proximity_domain::source::said_anew;
use proximity_domain::time::Timestamp;
use serde_json::{Value, json};

use crate::apply_changes::SpecHash;
use crate::desired::DesiredRecord;
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event, shown};
use crate::plans::PLANS_KEPT;
use crate::records::Actor;
use crate::row::{Columns, each, to_json};
use crate::seal::Sealer;
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

/// One content of a name.
const OF_CONTENT: &str = "SELECT * FROM rejected_revisions WHERE name = $1 AND spec_hash = $2";
/// By which names it is audited.
pub(crate) const REJECTED: &str = "revision.reject";
pub(crate) const FORGOTTEN: &str = "revision.unreject";

impl Store {
    /// Rejects content of apps in one commit, and tells of each: nothing applies it by itself from now on. What was rejected already stays
    /// as it is, whoever did; other content of the same name that the same has rejected before goes, and that of others stays. Gives those
    /// that are rejected anew.
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
                let before = of_content(tx, &one.name, &one.spec_hash).await?;
                let Some(row) = rejected(before.as_ref(), one, by, now) else {
                    continue;
                };
                replace(tx, &row).await?;
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

    /// Forgets that content of this name was rejected: it is applied again by whatever wants it. `spec_hash` is the one content that is
    /// meant; `None` = all. Gives the one that was rejected last.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if none is.
    pub async fn unreject_revision(
        &self,
        name: &Hostname,
        spec_hash: Option<&str>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<RejectedRevision, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.unreject_revision(name, spec_hash, actor, now));
        }
        self.write(async |tx| {
            let mut last = None;
            for row in in_force(tx, name).await? {
                if spec_hash.is_some_and(|meant| meant != row.spec_hash) {
                    continue;
                }
                forget(tx, name, &row.spec_hash, now).await?;
                let act = Act::request(FORGOTTEN, name.as_str(), details(&row));
                add_audit(tx, actor, act, now).await?;
                last = Some(row);
            }
            let last = last.ok_or_else(|| none(name))?;
            Ok(RejectedRevision {
                forgotten_at: Some(now),
                ..last
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
        spec_hash_under(&self.shared.sealer, spec)
    }

    /// All that was rejected, by name and content; also what counts no more.
    ///
    /// # Errors
    /// The database's.
    pub async fn rejected_revisions(&self) -> Result<Vec<RejectedRevision>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_rejected()));
        }
        let rows = query("SELECT * FROM rejected_revisions ORDER BY name, spec_hash")
            .fetch_all(self.named("rejected_revisions"))
            .await?;
        each(&rows, revision)
    }

    /// Whether this content was rejected; also where that counts no more.
    ///
    /// # Errors
    /// The database's.
    pub async fn rejected_revision(
        &self,
        name: &Hostname,
        spec_hash: &str,
    ) -> Result<Option<RejectedRevision>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.rejected_content(name, spec_hash)));
        }
        let row = query(OF_CONTENT)
            .bind(name.as_str())
            .bind(spec_hash)
            .fetch_optional(self.named("rejected_revision"))
            .await?;
        row.as_ref().map(revision).transpose()
    }
}

/// What [`Reader::spec_hash`] gives, under this key.
pub(crate) fn spec_hash_under(
    sealer: &Sealer,
    spec: Option<&DesiredSpec>,
) -> Result<String, StoreError> {
    let text = spec.map(|spec| to_json("spec", spec)).transpose()?;
    let text = text.unwrap_or_default();
    Ok(sealer.fingerprint(&["wanted".as_bytes(), text.as_bytes()]))
}

/// What is applied: a plan, its documents, and the apps of which these say something anew, be it that the plan changes them or not.
pub type Judged<'a> = (&'a Plan, &'a Documents, &'a BTreeSet<Hostname>);

/// Those of `rows` that stand for just what these documents want of apps that the plan changes, in the order of its changes, and then of the
/// others of which they say something anew; one of each. Of an app that no document names what they want is that it is to go.
///
/// # Errors
/// [`StoreError::Damaged`] if a spec cannot be written as text.
pub fn rejected_of(
    rows: impl IntoIterator<Item = RejectedRevision>,
    (plan, documents, anew): Judged<'_>,
    spec_hash: impl Fn(Option<&DesiredSpec>) -> Result<String, StoreError>,
) -> Result<Vec<RejectedRevision>, StoreError> {
    let rows = rows.into_iter().filter(RejectedRevision::is_in_force);
    let mut of_name: BTreeMap<Hostname, Vec<RejectedRevision>> = BTreeMap::new();
    for row in rows {
        of_name.entry(row.name.clone()).or_default().push(row);
    }
    let changes = plan.changes.iter().filter(|change| !change.is_quiet());
    let changed: Vec<&Hostname> = changes.map(|change| &change.name).collect();
    let among: BTreeSet<&Hostname> = changed.iter().copied().collect();
    let also = anew.iter().filter(|name| !among.contains(name));
    let mut rejected = Vec::new();
    for name in changed.into_iter().chain(also) {
        let Some(rows) = of_name.get(name) else {
            continue;
        };
        let wanted = spec_hash(documents.get(name))?;
        rejected.extend(rows.iter().find(|row| row.holds_back(&wanted)).cloned());
    }
    Ok(rejected)
}

/// Apps of which documents say otherwise than was applied last, by what is wanted of all by then.
pub(crate) fn anew(documents: &Documents, newest: Vec<DesiredRecord>) -> BTreeSet<Hostname> {
    let applied = newest.into_iter().filter(|one| one.app.is_some());
    let applied = applied.filter_map(|one| Some((one.name, one.spec?)));
    said_anew(documents, &applied.collect())
}

/// That nothing of this was rejected.
///
/// # Errors
/// [`StoreError::Rejected`] with all of it that was; those of [`rejected_of`].
pub(crate) fn refuse_rejected(
    rows: impl IntoIterator<Item = RejectedRevision>,
    what: Judged<'_>,
    spec_hash: &SpecHash<'_>,
) -> Result<(), StoreError> {
    let rejected = rejected_of(rows, what, spec_hash)?;
    match rejected.is_empty() {
        true => Ok(()),
        false => Err(StoreError::Rejected { rejected }),
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

/// That this content was rejected counts no more.
pub(crate) async fn forget(
    tx: &mut Tx,
    name: &Hostname,
    spec_hash: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(
        "UPDATE rejected_revisions SET forgotten_at = $3 \
         WHERE name = $1 AND spec_hash = $2 AND forgotten_at IS NULL",
    )
    .bind(name.as_str())
    .bind(spec_hash)
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(())
}

async fn of_content(
    tx: &mut Tx,
    name: &Hostname,
    spec_hash: &str,
) -> Result<Option<RejectedRevision>, StoreError> {
    let row = query(OF_CONTENT)
        .bind(name.as_str())
        .bind(spec_hash)
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(revision).transpose()
}

/// All that counts, by name and content.
pub(crate) async fn that_count(tx: &mut Tx) -> Result<Vec<RejectedRevision>, StoreError> {
    let rows = query(
        "SELECT * FROM rejected_revisions WHERE forgotten_at IS NULL \
         ORDER BY name, spec_hash LIMIT $1",
    )
    .bind(i64::from(REJECTED_KEPT))
    .fetch_all(tx)
    .await?;
    each(&rows, revision)
}

/// What counts of a name, the newest last.
async fn in_force(tx: &mut Tx, name: &Hostname) -> Result<Vec<RejectedRevision>, StoreError> {
    let rows = query(
        "SELECT * FROM rejected_revisions WHERE name = $1 AND forgotten_at IS NULL \
         ORDER BY rejected_at, spec_hash",
    )
    .bind(name.as_str())
    .fetch_all(tx)
    .await?;
    each(&rows, revision)
}

/// Other content of its name that the same has rejected goes.
async fn replace(tx: &mut Tx, row: &RejectedRevision) -> Result<(), StoreError> {
    query(
        "DELETE FROM rejected_revisions WHERE name = $1 AND rejected_by = $2 AND spec_hash <> $3",
    )
    .bind(row.name.as_str())
    .bind(&row.by)
    .bind(&row.spec_hash)
    .execute(tx)
    .await?;
    Ok(())
}

async fn put(tx: &mut Tx, row: &RejectedRevision) -> Result<(), StoreError> {
    query(
        "INSERT INTO rejected_revisions (name, spec_hash, rejected_at, rejected_by, why, forgotten_at) \
         VALUES ($1, $2, $3, $4, $5, NULL) ON CONFLICT (name, spec_hash) DO UPDATE SET \
         rejected_at = excluded.rejected_at, rejected_by = excluded.rejected_by, \
         why = excluded.why, forgotten_at = NULL",
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
            "DELETE FROM rejected_revisions WHERE forgotten_at IS NOT NULL AND (name, spec_hash) NOT IN \
             (SELECT name, spec_hash FROM rejected_revisions WHERE forgotten_at IS NOT NULL \
             ORDER BY forgotten_at DESC, name DESC, spec_hash DESC LIMIT $1)",
            FORGOTTEN_KEPT,
        ),
        (
            "DELETE FROM rejected_revisions WHERE forgotten_at IS NULL AND (name, spec_hash) NOT IN \
             (SELECT name, spec_hash FROM rejected_revisions WHERE forgotten_at IS NULL \
             ORDER BY rejected_at DESC, name DESC, spec_hash DESC LIMIT $1)",
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
