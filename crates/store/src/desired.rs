//! What is wanted of each app since its change was done: every revision is kept, the newest counts.

use std::collections::BTreeMap;

use proximity_domain::desired::DesiredSpec;
use proximity_domain::event::EventKind;
use proximity_domain::ids::{AppId, ApplyId, PlanId};
use proximity_domain::names::{Hostname, SecretName};
use proximity_domain::time::Timestamp;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::add_event;
use crate::row::{Columns, damaged, each, to_json};
use crate::seal::{Place, Sealer};
use crate::sql::{Row, Sql, Tx, query};
use crate::store::Reader;

/// One revision of what is wanted of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredRecord {
    /// The app's name in the documents.
    pub name: Hostname,
    /// Counts the revisions of this name, from 1.
    pub revision: u64,
    /// The app it was about.
    pub app: Option<AppId>,
    /// How it is to be. `None`: with this revision nothing is wanted any more.
    pub spec: Option<DesiredSpec>,
    /// The secrets of the spec, with the version of each that was put in; 0 = not known which.
    pub secrets: BTreeMap<SecretName, i64>,
    /// By which apply; of a revision that a policy made, that of the revision before.
    pub apply: ApplyId,
    /// Of which plan, likewise.
    pub plan: PlanId,
    /// When.
    pub applied_at: Timestamp,
    /// By whom: an account; `system` of a revision that a policy made.
    pub applied_by: String,
}

/// What ties an app to others and to secrets, by what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredTies {
    /// The app.
    pub app: AppId,
    /// The apps it depends on.
    pub depends_on: Vec<Hostname>,
    /// Its secrets, as in [`DesiredRecord`].
    pub secrets: BTreeMap<SecretName, i64>,
}

const OF_NAME: &str = "SELECT * FROM desired WHERE name = $1 ORDER BY revision DESC LIMIT $2";
const ALL: &str = "SELECT d.* FROM desired d WHERE d.spec_sealed IS NOT NULL \
     AND d.revision = (SELECT MAX(n.revision) FROM desired n WHERE n.name = d.name) ORDER BY d.name";
const ALL_AT: &str = "SELECT d.* FROM desired d WHERE d.revision = \
     (SELECT MAX(n.revision) FROM desired n WHERE n.name = d.name AND n.applied_at <= $1) ORDER BY d.name";
/// What ties apps, by their ids; all of them, or those of which the given words say more.
macro_rules! ties {
    ($of:literal) => {
        concat!(
            "SELECT d.app_id, d.depends_on, d.secrets FROM desired d \
             WHERE d.spec_sealed IS NOT NULL AND d.app_id IS NOT NULL ",
            $of,
            "AND d.revision = (SELECT MAX(n.revision) FROM desired n WHERE n.name = d.name) \
             ORDER BY d.app_id, d.name"
        )
    };
}

const TIES: &str = ties!("");
// A list of apps is one argument, a JSON array, which each database takes apart in its own words.
const TIES_OF: Sql = Sql::each(
    ties!("AND d.app_id IN (SELECT value FROM json_each($1)) "),
    ties!("AND d.app_id IN (SELECT jsonb_array_elements_text($1::jsonb)) "),
);
const OTHERS: &str = "SELECT d.* FROM desired d WHERE d.app_id = $1 AND d.name <> $2 \
     AND d.spec_sealed IS NOT NULL \
     AND d.revision = (SELECT MAX(n.revision) FROM desired n WHERE n.name = d.name) ORDER BY d.name";

impl Reader {
    /// The newest revision of what is wanted of an app; also one that says that nothing is any more.
    ///
    /// # Errors
    /// The database's; [`StoreError::Damaged`] if it does not read back.
    pub async fn desired(&self, name: &Hostname) -> Result<Option<DesiredRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.newest_desired(name)));
        }
        self.read(async |tx| newest(tx, &self.shared.sealer, name).await)
            .await
    }

    /// All revisions of what is wanted of an app, oldest first.
    ///
    /// # Errors
    /// As [`Reader::desired`].
    pub async fn desired_revisions(
        &self,
        name: &Hostname,
    ) -> Result<Vec<DesiredRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.desired_revisions(name)));
        }
        let rows = query(OF_NAME).bind(name.as_str()).bind(i64::MAX);
        let rows = rows.fetch_all(self.named("desired_revisions")).await?;
        let mut all = each(&rows, |row| record(&self.shared.sealer, row))?;
        all.reverse();
        Ok(all)
    }

    /// What is wanted of each app of which something is, by name.
    ///
    /// # Errors
    /// As [`Reader::desired`].
    pub async fn all_desired(&self) -> Result<Vec<DesiredRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_desired()));
        }
        self.read(async |tx| all(tx, &self.shared.sealer).await)
            .await
    }

    /// The revision of each name that was the newest at that moment, by name; also one that says that nothing was wanted any more.
    ///
    /// # Errors
    /// As [`Reader::desired`].
    pub async fn desired_at(&self, at: Timestamp) -> Result<Vec<DesiredRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.desired_at(at)));
        }
        let rows = query(ALL_AT)
            .bind(at.0)
            .fetch_all(self.named("desired_at"))
            .await?;
        each(&rows, |row| record(&self.shared.sealer, row))
    }

    /// What ties the apps of which something is wanted, by their ids. No spec is opened for it.
    ///
    /// # Errors
    /// The database's.
    pub async fn desired_ties(&self) -> Result<Vec<DesiredTies>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.desired_ties()));
        }
        let rows = query(TIES).fetch_all(self.named("desired_ties")).await?;
        each(&rows, tied)
    }

    /// As [`Reader::desired_ties`], of these apps alone.
    ///
    /// # Errors
    /// The database's.
    pub async fn desired_ties_of(&self, apps: &[AppId]) -> Result<Vec<DesiredTies>, StoreError> {
        if let Some(model) = self.model() {
            let mut all = model.read(|state| state.desired_ties());
            all.retain(|ties| apps.contains(&ties.app));
            return Ok(all);
        }
        if apps.is_empty() {
            return Ok(Vec::new());
        }
        let apps: Vec<String> = apps.iter().map(ToString::to_string).collect();
        let rows = query(TIES_OF)
            .bind(to_json("apps", &apps)?)
            .fetch_all(self.named("desired_ties_of"))
            .await?;
        each(&rows, tied)
    }
}

fn tied(row: &Row) -> Result<DesiredTies, StoreError> {
    Ok(DesiredTies {
        app: row.parsed("app_id")?,
        depends_on: row.json("depends_on")?,
        secrets: row.json("secrets")?,
    })
}

/// The apps that one depends on.
pub(crate) fn needs(record: &DesiredRecord) -> Vec<Hostname> {
    let needs = record.spec.as_ref().map(DesiredSpec::depends_on);
    needs.unwrap_or_default()
}

/// The revision that follows `before` when this is wanted; its own number counts for nothing. `None`: it says nothing new.
pub(crate) fn revised(
    before: Option<&DesiredRecord>,
    wanted: DesiredRecord,
) -> Option<DesiredRecord> {
    let says_nothing_new = match before {
        None => wanted.spec.is_none(),
        Some(before) if before.spec.is_none() => wanted.spec.is_none(),
        Some(before) => {
            before.spec == wanted.spec
                && before.app == wanted.app
                && before.secrets == wanted.secrets
        }
    };
    let revision = before.map_or(0, |before| before.revision).saturating_add(1);
    (!says_nothing_new).then_some(DesiredRecord { revision, ..wanted })
}

/// What is told of a revision.
pub(crate) fn told(record: &DesiredRecord) -> NewEvent {
    NewEvent {
        kind: EventKind::DesiredChanged,
        body: json!({
            "app": record.app,
            "hostname": record.name,
            "revision": record.revision,
            "ended": record.spec.is_none(),
            "apply": record.apply,
            "plan": record.plan,
        }),
    }
}

/// That nothing is wanted any more of what `before` is about.
pub(crate) fn end(before: &DesiredRecord, by: &DesiredRecord) -> DesiredRecord {
    DesiredRecord {
        name: before.name.clone(),
        app: before.app,
        spec: None,
        secrets: BTreeMap::new(),
        ..by.clone()
    }
}

/// Records what is wanted of an app from now on, if it is another thing than before. Where the app had another name, nothing is wanted of
/// that one any more.
pub(crate) async fn want(
    tx: &mut Tx,
    sealer: &Sealer,
    wanted: DesiredRecord,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(app) = wanted.app.filter(|_| wanted.spec.is_some()) {
        let others = query(OTHERS)
            .bind(app.to_string())
            .bind(wanted.name.as_str())
            .fetch_all(&mut *tx)
            .await?;
        for before in each(&others, |row| record(sealer, row))? {
            let ended = end(&before, &wanted);
            revise(tx, sealer, Some(&before), ended, now).await?;
        }
    }
    let before = newest(tx, sealer, &wanted.name).await?;
    revise(tx, sealer, before.as_ref(), wanted, now).await
}

/// As [`want`], where it is known what was wanted before, and that the app had no other name.
pub(crate) async fn revise(
    tx: &mut Tx,
    sealer: &Sealer,
    before: Option<&DesiredRecord>,
    wanted: DesiredRecord,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(record) = revised(before, wanted) else {
        return Ok(());
    };
    let id = id_of(&record.name, record.revision);
    let spec = record.spec.as_ref();
    let spec = spec.map(|spec| sealed(sealer, place(&id), spec));
    query(
        "INSERT INTO desired (name, revision, app_id, spec_sealed, depends_on, secrets, apply_id, plan_id, \
         applied_at, applied_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(record.name.as_str())
    .bind(i64::try_from(record.revision).unwrap_or(i64::MAX))
    .bind(record.app.map(|app| app.to_string()))
    .bind(spec.transpose()?)
    .bind(to_json("depends_on", &needs(&record))?)
    .bind(to_json("secrets", &record.secrets)?)
    .bind(record.apply.to_string())
    .bind(record.plan.to_string())
    .bind(record.applied_at.0)
    .bind(&record.applied_by)
    .execute(&mut *tx)
    .await?;
    add_event(tx, &told(&record), record.app, None, now).await
}

/// What is wanted of each app.
pub(crate) async fn all(tx: &mut Tx, sealer: &Sealer) -> Result<Vec<DesiredRecord>, StoreError> {
    let rows = query(ALL).fetch_all(tx).await?;
    each(&rows, |row| record(sealer, row))
}

/// The newest revision of what is wanted of a name.
pub(crate) async fn newest(
    tx: &mut Tx,
    sealer: &Sealer,
    name: &Hostname,
) -> Result<Option<DesiredRecord>, StoreError> {
    let row = query(OF_NAME).bind(name.as_str()).bind(1_i64);
    let row = row.fetch_optional(tx).await?;
    row.map(|row| record(sealer, &row)).transpose()
}

/// A spec as it is stored.
pub(crate) fn sealed(
    sealer: &Sealer,
    place: Place<'_>,
    spec: &DesiredSpec,
) -> Result<String, StoreError> {
    sealer.seal(place, &to_json("spec", spec)?)
}

/// The spec that was stored.
pub(crate) fn unsealed(
    sealer: &Sealer,
    place: Place<'_>,
    sealed: &str,
) -> Result<DesiredSpec, StoreError> {
    let text = sealer.unseal(place, sealed)?;
    // What is in there must not get into an error.
    serde_json::from_str(text.expose_secret()).map_err(|_| damaged("spec_sealed", place.id))
}

fn id_of(name: &Hostname, revision: u64) -> String {
    format!("{name}/{revision}")
}

fn place(id: &str) -> Place<'_> {
    Place {
        table: "desired",
        id,
        column: "spec_sealed",
    }
}

fn record(sealer: &Sealer, row: &Row) -> Result<DesiredRecord, StoreError> {
    let (name, revision): (Hostname, u64) = (row.parsed("name")?, row.number("revision")?);
    let id = id_of(&name, revision);
    let spec = row.text_opt("spec_sealed")?;
    let spec = spec.map(|spec| unsealed(sealer, place(&id), &spec));
    Ok(DesiredRecord {
        name,
        revision,
        app: row.parsed_opt("app_id")?,
        spec: spec.transpose()?,
        secrets: row.json("secrets")?,
        apply: row.parsed("apply_id")?,
        plan: row.parsed("plan_id")?,
        applied_at: row.moment("applied_at")?,
        applied_by: row.text("applied_by")?,
    })
}
