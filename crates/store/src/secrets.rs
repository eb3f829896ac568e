//! Secrets by name: what settings of apps stand for. Values are sealed, and only one method gives them back.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::names::SecretName;
use proximity_domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::error::StoreError;
use crate::journal::{Act, add_audit};
use crate::records::Actor;
use crate::row::{Columns, each};
use crate::seal::{Place, Sealer};
use crate::sql::{Row, Tx, query};
use crate::store::{Reader, Store};

/// What may be told of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRecord {
    /// Its name.
    pub name: SecretName,
    /// When it was set first.
    pub made_at: Timestamp,
    /// When it got the value that it has.
    pub changed_at: Timestamp,
    /// By whom: an account.
    pub changed_by: String,
    /// Counts its values, from 1.
    pub version: i64,
}

/// By which names what people do to secrets is audited.
pub(crate) const SET: &str = "secret.set";
pub(crate) const REMOVED: &str = "secret.remove";

impl Store {
    /// Makes a secret, or gives one that is there another value. The same value again is no new version.
    ///
    /// # Errors
    /// The database's; [`StoreError::Damaged`] if the value that is there does not open.
    pub async fn set_secret(
        &self,
        name: &SecretName,
        value: &SecretString,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<SecretRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.set_secret(name, value, actor, now)));
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| {
            let row = by_name(tx, name).await?;
            let before = row.as_ref().map(|row| opened(sealer, row)).transpose()?;
            let before = before.as_ref().map(|(record, value)| (record, value));
            let record = set(before, name, value, actor, now);
            query(
                "INSERT INTO secrets (name, value_sealed, made_at, changed_at, changed_by, version) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO UPDATE SET \
                 value_sealed = excluded.value_sealed, changed_at = excluded.changed_at, \
                 changed_by = excluded.changed_by, version = excluded.version",
            )
            .bind(name.as_str())
            .bind(sealer.seal(place(name.as_str()), value.expose_secret())?)
            .bind(record.made_at.0)
            .bind(record.changed_at.0)
            .bind(&record.changed_by)
            .bind(record.version)
            .execute(&mut *tx)
            .await?;
            let details = json!({ "version": record.version });
            add_audit(tx, actor, Act::request(SET, name.as_str(), details), now).await?;
            Ok(record)
        })
        .await
    }

    /// Forgets a secret.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::SecretInUse`] while what is wanted of an app that is there names it, or a change that is
    /// not over does.
    pub async fn remove_secret(
        &self,
        name: &SecretName,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.remove_secret(name, actor, now));
        }
        self.write(async |tx| {
            if by_name(tx, name).await?.is_none() {
                return Err(no_secret(name));
            }
            let apps = users(tx, name).await?;
            if !apps.is_empty() {
                return Err(in_use(name, apps));
            }
            query("DELETE FROM secrets WHERE name = $1")
                .bind(name.as_str())
                .execute(&mut *tx)
                .await?;
            let act = Act::request(REMOVED, name.as_str(), json!({}));
            add_audit(tx, actor, act, now).await
        })
        .await
    }
}

impl Reader {
    /// All secrets by name, without their values.
    ///
    /// # Errors
    /// The database's.
    pub async fn secrets(&self) -> Result<Vec<SecretRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_secrets()));
        }
        let rows = query(
            "SELECT name, made_at, changed_at, changed_by, version FROM secrets ORDER BY name",
        )
        .fetch_all(self.named("secrets"))
        .await?;
        each(&rows, secret)
    }

    /// The value of a secret.
    ///
    /// # Errors
    /// The database's; [`StoreError::Damaged`] if it does not open.
    pub async fn secret_value(
        &self,
        name: &SecretName,
    ) -> Result<Option<SecretString>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.secret_value(name)));
        }
        let row = query("SELECT * FROM secrets WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(self.named("secret_value"))
            .await?;
        let opened = row
            .map(|row| opened(&self.shared.sealer, &row))
            .transpose()?;
        Ok(opened.map(|(_, value)| value))
    }
}

/// What is recorded of a secret once it has this value.
pub(crate) fn set(
    before: Option<(&SecretRecord, &SecretString)>,
    name: &SecretName,
    value: &SecretString,
    actor: &Actor,
    now: Timestamp,
) -> SecretRecord {
    match before {
        Some((record, old)) if old.expose_secret() == value.expose_secret() => record.clone(),
        before => SecretRecord {
            name: name.clone(),
            made_at: before.map_or(now, |(record, _)| record.made_at),
            changed_at: now,
            changed_by: actor.account.clone(),
            version: before.map_or(0, |(record, _)| record.version) + 1,
        },
    }
}

/// The version of each secret that there is.
pub(crate) async fn versions(tx: &mut Tx) -> Result<BTreeMap<SecretName, i64>, StoreError> {
    let rows = query("SELECT name, version FROM secrets")
        .fetch_all(tx)
        .await?;
    let versions = rows.iter();
    let versions = versions.map(|row| Ok((row.parsed("name")?, row.int("version")?)));
    versions.collect()
}

/// Names of the apps that need the secret, or are to get it. Of one that was removed by hand something is wanted still, and nobody has it.
async fn users(tx: &mut Tx, name: &SecretName) -> Result<Vec<String>, StoreError> {
    let rows = query(
        "SELECT d.name, d.secrets FROM desired d WHERE d.spec_sealed IS NOT NULL AND d.secrets <> '{}' \
         AND d.revision = (SELECT MAX(n.revision) FROM desired n WHERE n.name = d.name) \
         AND (d.app_id IS NULL OR EXISTS \
         (SELECT 1 FROM apps a WHERE a.id = d.app_id AND a.archived_at IS NULL)) \
         UNION SELECT c.name, c.secrets FROM apply_changes c \
         WHERE c.state IN ('waiting', 'started') AND c.secrets <> '{}'",
    )
    .fetch_all(tx)
    .await?;
    let mut apps = BTreeSet::new();
    for row in &rows {
        let secrets: BTreeMap<SecretName, i64> = row.json("secrets")?;
        if secrets.contains_key(name) {
            apps.insert(row.text("name")?);
        }
    }
    Ok(apps.into_iter().collect())
}

pub(crate) fn no_secret(name: &SecretName) -> StoreError {
    let id = name.to_string();
    StoreError::NotFound { what: "secret", id }
}

pub(crate) fn in_use(name: &SecretName, apps: Vec<String>) -> StoreError {
    let secret = name.to_string();
    StoreError::SecretInUse { secret, apps }
}

async fn by_name(tx: &mut Tx, name: &SecretName) -> Result<Option<Row>, StoreError> {
    let found = query("SELECT * FROM secrets WHERE name = $1").bind(name.as_str());
    found.fetch_optional(tx).await
}

fn place(name: &str) -> Place<'_> {
    Place {
        table: "secrets",
        id: name,
        column: "value_sealed",
    }
}

fn opened(sealer: &Sealer, row: &Row) -> Result<(SecretRecord, SecretString), StoreError> {
    let name = row.text("name")?;
    let value = sealer.unseal(place(&name), &row.text("value_sealed")?)?;
    Ok((secret(row)?, value))
}

fn secret(row: &Row) -> Result<SecretRecord, StoreError> {
    Ok(SecretRecord {
        name: row.parsed("name")?,
        made_at: row.moment("made_at")?,
        changed_at: row.moment("changed_at")?,
        changed_by: row.text("changed_by")?,
        version: row.int("version")?,
    })
}
