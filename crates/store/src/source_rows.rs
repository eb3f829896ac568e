//! Rows of sources.

use proximity_domain::ids::SourceId;
use proximity_domain::names::SourceName;
use proximity_domain::source::{Sight, SourcePolicy, SourceState};
use secrecy::ExposeSecret;

use crate::error::StoreError;
use crate::row::{Columns, to_json};
use crate::seal::{Place, Sealer};
use crate::sources::{SourceRecord, SourceSecrets, no_source};
use crate::sql::{Row, Tx, query};

pub(crate) async fn insert(
    tx: &mut Tx,
    sealer: &Sealer,
    record: &SourceRecord,
    secrets: &SourceSecrets,
) -> Result<(), StoreError> {
    let id = record.id.to_string();
    let credential = secrets.credential.as_ref();
    let credential = credential
        .map(|secret| sealer.seal(place(&id, CREDENTIAL), secret.expose_secret()))
        .transpose()?;
    query(
        "INSERT INTO sources (id, name, url, branch, path, every_s, policy, prune, signers, owner, hook_sealed, \
         credential_sealed, made_at, made_by, state, problems, failures, due_at, nudges) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
    )
    .bind(&id)
    .bind(record.name.as_str())
    .bind(record.url.as_str())
    .bind(record.branch.as_str())
    .bind(record.path.as_ref().map(|path| path.as_str().to_owned()))
    .bind(i64::from(record.every_s))
    .bind(record.policy.label())
    .bind(i64::from(record.prune))
    .bind(record.signers.clone())
    .bind(record.owner.clone())
    .bind(sealer.seal(place(&id, HOOK), secrets.hook.expose_secret())?)
    .bind(credential)
    .bind(record.made_at.0)
    .bind(&record.made_by)
    .bind(record.sight.state.label())
    .bind(to_json("problems", &record.sight.problems)?)
    .bind(i64::from(record.sight.failures))
    .bind(record.sight.due_at.0)
    .bind(record.nudges)
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes what is known of a source.
pub(crate) async fn write_sight(tx: &mut Tx, record: &SourceRecord) -> Result<(), StoreError> {
    let sight = &record.sight;
    let why = sight.why.as_ref();
    let why = why.map(|why| to_json("why", why)).transpose()?;
    query(
        "UPDATE sources SET state = $2, commit_id = $3, applied_commit = $4, plan_id = $5, apply_id = $6, why = $7, \
         problems = $8, failures = $9, looked_at = $10, due_at = $11 WHERE id = $1",
    )
    .bind(record.id.to_string())
    .bind(sight.state.label())
    .bind(sight.commit.as_ref().map(ToString::to_string))
    .bind(sight.applied.as_ref().map(ToString::to_string))
    .bind(sight.plan.map(|id| id.to_string()))
    .bind(sight.apply.map(|id| id.to_string()))
    .bind(why)
    .bind(to_json("problems", &sight.problems)?)
    .bind(i64::from(sight.failures))
    .bind(sight.looked_at.map(|at| at.0))
    .bind(sight.due_at.0)
    .execute(tx)
    .await?;
    Ok(())
}

pub(crate) async fn by_name(tx: &mut Tx, name: &SourceName) -> Result<SourceRecord, StoreError> {
    let row = query("SELECT * FROM sources WHERE name = $1").bind(name.as_str());
    let row = row.fetch_optional(tx).await?;
    source(&row.ok_or_else(|| no_source(name))?)
}

pub(crate) async fn by_id(tx: &mut Tx, id: SourceId) -> Result<SourceRecord, StoreError> {
    let row = query("SELECT * FROM sources WHERE id = $1").bind(id.to_string());
    let row = row.fetch_optional(tx).await?;
    source(&row.ok_or_else(|| no_source(id))?)
}

const HOOK: &str = "hook_sealed";
const CREDENTIAL: &str = "credential_sealed";

fn place<'a>(id: &'a str, column: &'static str) -> Place<'a> {
    Place {
        table: "sources",
        id,
        column,
    }
}

/// The secrets of a row.
pub(crate) fn opened(sealer: &Sealer, row: &Row) -> Result<SourceSecrets, StoreError> {
    let id = row.text("id")?;
    let credential = row.text_opt(CREDENTIAL)?;
    Ok(SourceSecrets {
        hook: sealer.unseal(place(&id, HOOK), &row.text(HOOK)?)?,
        credential: credential
            .map(|sealed| sealer.unseal(place(&id, CREDENTIAL), &sealed))
            .transpose()?,
    })
}

/// A source without its secrets.
pub(crate) fn source(row: &Row) -> Result<SourceRecord, StoreError> {
    Ok(SourceRecord {
        id: row.parsed("id")?,
        name: row.parsed("name")?,
        url: row.parsed("url")?,
        branch: row.parsed("branch")?,
        path: row.parsed_opt("path")?,
        every_s: row.number("every_s")?,
        policy: row.label("policy", SourcePolicy::parse)?,
        prune: row.int("prune")? != 0,
        signers: row.text_opt("signers")?,
        owner: row.text_opt("owner")?,
        has_credential: row.text_opt(CREDENTIAL)?.is_some(),
        made_at: row.moment("made_at")?,
        made_by: row.text("made_by")?,
        sight: Sight {
            state: row.label("state", SourceState::parse)?,
            commit: row.parsed_opt("commit_id")?,
            applied: row.parsed_opt("applied_commit")?,
            plan: row.parsed_opt("plan_id")?,
            apply: row.parsed_opt("apply_id")?,
            why: row.json_opt("why")?,
            problems: row.json("problems")?,
            failures: row.number("failures")?,
            looked_at: row.moment_opt("looked_at")?,
            due_at: row.moment("due_at")?,
        },
        nudges: row.int("nudges")?,
    })
}
