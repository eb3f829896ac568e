//! The beginning of an apply: one commit.

use std::collections::BTreeMap;

use proximity_domain::desired::{DesiredSpec, Documents};
use proximity_domain::ids::{AppId, ApplyId, PlanId};
use proximity_domain::names::Hostname;
use proximity_domain::plan::Plan;
use proximity_domain::time::Timestamp;

use crate::applies::{
    APPLIES_KEPT, ApplyRecord, NewApply, OpenChange, STARTED, begun, details, no_documents,
    no_plan, overlap, planned, standing, stands, started,
};
use crate::apply_rows::{existing, insert_apply, insert_change};
use crate::desired::{DesiredRecord, all, revise, want};
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event};
use crate::plans::{documents, plan};
use crate::records::Actor;
use crate::rejections::{anew, refuse_rejected, spec_hash_under, that_count};
use crate::removals;
use crate::request_keys::claim;
use crate::row::{Columns, damaged, each};
use crate::seal::Sealer;
use crate::sql::{Tx, query};

pub(crate) async fn start(
    tx: &mut Tx,
    sealer: &Sealer,
    apply: &NewApply,
    actor: &Actor,
    now: Timestamp,
) -> Result<ApplyRecord, StoreError> {
    let id = apply.id.to_string();
    if let Some(first) = claim(tx, &actor.account, apply.key.as_ref(), &id, now).await? {
        let first = first.parse().map_err(|_| damaged("resource", first))?;
        return existing(tx, first).await;
    }
    let (plan, documents) = to_apply(tx, sealer, apply.plan).await?;
    if let Some(refusal) = overlap(&open(tx).await?, &plan, &documents) {
        return Err(refusal);
    }
    if let Some(basis) = &apply.brake {
        let by_applies = removals::after(&mut *tx, basis.from).await?;
        removals::let_go(basis, by_applies, &plan)?;
    }
    if apply.unless_rejected {
        refuse(tx, sealer, (&plan, &documents)).await?;
    }
    query("UPDATE plans SET applied_at = $2 WHERE id = $1")
        .bind(apply.plan.to_string())
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
    let record = begun(apply, actor, now);
    insert_apply(tx, &record).await?;
    let changes = planned(apply.id, &plan, &documents);
    for kept in &changes {
        insert_change(tx, sealer, apply.id, kept).await?;
    }
    let act = Act::request(STARTED, &id, details(&record, &changes));
    add_audit(tx, actor, act, now).await?;
    add_event(tx, &started(&record, &changes), None, None, now).await?;
    keep_standing(tx, sealer, &record, (&plan, &documents)).await?;
    forget_old(tx, &record).await?;
    existing(tx, apply.id).await
}

/// Refuses what was rejected.
async fn refuse(
    tx: &mut Tx,
    sealer: &Sealer,
    (plan, documents): (&Plan, &Documents),
) -> Result<(), StoreError> {
    let rows = that_count(tx).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let anew = anew(documents, all(tx, sealer).await?);
    let spec_hash = |spec: Option<&DesiredSpec>| spec_hash_under(sealer, spec);
    refuse_rejected(rows, (plan, documents, &anew), &spec_hash)
}

/// A plan that is kept, with what its documents want, and was not applied.
async fn to_apply(
    tx: &mut Tx,
    sealer: &Sealer,
    id: PlanId,
) -> Result<(Plan, Documents), StoreError> {
    let row = query("SELECT * FROM plans WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    let row = row.ok_or_else(|| no_plan(id))?;
    let record = plan(&row)?;
    if record.applied_at.is_some() {
        let apply = query("SELECT id FROM applies WHERE plan_id = $1")
            .bind(id.to_string())
            .fetch_optional(tx)
            .await?;
        let apply = apply.map(|row| row.parsed("id")).transpose()?;
        return Err(StoreError::PlanApplied { plan: id, apply });
    }
    let documents = documents(sealer, id, &row)?.ok_or_else(|| no_documents(id))?;
    Ok((record.plan, documents))
}

/// The changes of all applies that are not over.
async fn open(tx: &mut Tx) -> Result<Vec<OpenChange>, StoreError> {
    let rows = query(
        "SELECT name, app_id, apply_id FROM apply_changes WHERE state IN ('waiting', 'started') \
         ORDER BY apply_id, position",
    )
    .fetch_all(tx)
    .await?;
    each(&rows, |row| {
        let (name, app) = (row.parsed("name")?, row.parsed_opt("app_id")?);
        Ok((name, app, row.parsed("apply_id")?))
    })
}

/// Records what is wanted of the apps that stay as they are.
async fn keep_standing(
    tx: &mut Tx,
    sealer: &Sealer,
    record: &ApplyRecord,
    (plan, documents): (&Plan, &Documents),
) -> Result<(), StoreError> {
    let before = all(tx, sealer).await?;
    let before: BTreeMap<Hostname, DesiredRecord> = before
        .into_iter()
        .map(|before| (before.name.clone(), before))
        .collect();
    let rows = query("SELECT id, hostname FROM apps WHERE archived_at IS NULL")
        .fetch_all(&mut *tx)
        .await?;
    let apps = rows.iter();
    let apps = apps.map(|row| Ok((row.parsed("hostname")?, row.parsed("id")?)));
    let apps: Result<BTreeMap<Hostname, AppId>, StoreError> = apps.collect();
    let apps = apps?;
    for (name, spec) in standing(plan, documents) {
        let before = before.get(name);
        let wanted = stands((name, spec), apps.get(name).copied(), before, record);
        match before {
            Some(before) => revise(tx, sealer, Some(before), wanted, record.started_at).await?,
            // Something may have been wanted of this name long ago, or of this app under another one.
            None => want(tx, sealer, wanted, record.started_at).await?,
        }
    }
    Ok(())
}

/// Of the applies of an account that are over, the newest stay.
async fn forget_old(tx: &mut Tx, record: &ApplyRecord) -> Result<(), StoreError> {
    let rows = query(
        "SELECT id FROM applies WHERE asked_by = $1 AND ended_at IS NOT NULL AND id NOT IN \
         (SELECT id FROM applies WHERE asked_by = $1 AND id <> $2 \
         ORDER BY started_at DESC, id DESC LIMIT $3)",
    )
    .bind(&record.asked_by)
    .bind(record.id.to_string())
    .bind(i64::from(APPLIES_KEPT - 1))
    .fetch_all(&mut *tx)
    .await?;
    for id in each(&rows, |row| row.parsed::<ApplyId>("id"))? {
        for gone in [
            "DELETE FROM apply_changes WHERE apply_id = $1",
            "DELETE FROM applies WHERE id = $1",
        ] {
            query(gone).bind(id.to_string()).execute(&mut *tx).await?;
        }
    }
    Ok(())
}
