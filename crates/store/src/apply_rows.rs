//! Rows of applies and of their changes.

use std::collections::BTreeMap;

use proximity_domain::apply::{ApplyState, ChangeState};
use proximity_domain::ids::{ApplyId, Epoch};
use proximity_domain::plan::Act;

use crate::applies::{ApplyChange, ApplyRecord, KeptChange, no_apply};
use crate::desired::{sealed, unsealed};
use crate::error::StoreError;
use crate::journal::MAX_ROWS;
use crate::records::Lease;
use crate::row::{Columns, each, to_json};
use crate::seal::{Place, Sealer};
use crate::sql::{Row, Tx, query};

/// The apply with this id and its counts, seen from inside a transaction.
pub(crate) async fn existing(tx: &mut Tx, id: ApplyId) -> Result<ApplyRecord, StoreError> {
    counted(tx, id).await?.ok_or_else(|| no_apply(id))
}

/// The same, if there is one.
pub(crate) async fn counted(tx: &mut Tx, id: ApplyId) -> Result<Option<ApplyRecord>, StoreError> {
    let row = query("SELECT * FROM applies WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    match row {
        Some(row) => with_counts(tx, apply(&row)?).await.map(Some),
        None => Ok(None),
    }
}

/// The newest ones of an account, or of all.
pub(crate) async fn listed(
    tx: &mut Tx,
    account: Option<&str>,
    limit: u32,
) -> Result<Vec<ApplyRecord>, StoreError> {
    let rows = query(
        "SELECT * FROM applies WHERE ($1 IS NULL OR asked_by = $1) \
         ORDER BY started_at DESC, id DESC LIMIT $2",
    )
    .bind(account)
    .bind(i64::from(limit.min(MAX_ROWS)))
    .fetch_all(&mut *tx)
    .await?;
    let mut all = Vec::with_capacity(rows.len());
    for record in each(&rows, apply)? {
        all.push(with_counts(tx, record).await?);
    }
    Ok(all)
}

/// The record with how many of its changes there are in each state.
pub(crate) async fn with_counts(
    tx: &mut Tx,
    record: ApplyRecord,
) -> Result<ApplyRecord, StoreError> {
    let rows = query(
        "SELECT state, COUNT(*) AS count FROM apply_changes WHERE apply_id = $1 GROUP BY state",
    )
    .bind(record.id.to_string())
    .fetch_all(tx)
    .await?;
    let counts = rows.iter();
    let counts = counts.map(|row| {
        let state = row.label("state", ChangeState::parse)?;
        Ok((state, row.number("count")?))
    });
    let counts: Result<BTreeMap<ChangeState, u64>, StoreError> = counts.collect();
    Ok(ApplyRecord {
        counts: counts?,
        ..record
    })
}

/// The changes of an apply, in order.
pub(crate) async fn of_apply(tx: &mut Tx, id: ApplyId) -> Result<Vec<ApplyChange>, StoreError> {
    let rows = query("SELECT * FROM apply_changes WHERE apply_id = $1 ORDER BY position")
        .bind(id.to_string())
        .fetch_all(tx)
        .await?;
    each(&rows, change)
}

/// Records a new apply.
pub(crate) async fn insert_apply(tx: &mut Tx, record: &ApplyRecord) -> Result<(), StoreError> {
    let id = record.id.to_string();
    let added = query(
        "INSERT INTO applies (id, plan_id, asked_by, token_id, state, parallel, epoch, started_at) \
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7) ON CONFLICT DO NOTHING",
    )
    .bind(&id)
    .bind(record.plan.to_string())
    .bind(&record.asked_by)
    .bind(record.token.map(|token| token.to_string()))
    .bind(record.state.label())
    .bind(i64::from(record.parallel))
    .bind(record.started_at.0)
    .execute(tx)
    .await?;
    match added.rows_affected() {
        0 => Err(StoreError::Exists { what: "apply", id }),
        _ => Ok(()),
    }
}

/// Records a change of a new apply.
pub(crate) async fn insert_change(
    tx: &mut Tx,
    sealer: &Sealer,
    apply: ApplyId,
    kept: &KeptChange,
) -> Result<(), StoreError> {
    let change = &kept.change;
    let id = id_of(apply, change.position);
    let spec = kept.spec.as_ref();
    let spec = spec.map(|spec| sealed(sealer, place(&id), spec));
    query(
        "INSERT INTO apply_changes (apply_id, position, name, layer, depends_on, act, app_id, request_key, \
         spec_sealed, secrets, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(apply.to_string())
    .bind(i64::from(change.position))
    .bind(change.name.as_str())
    .bind(i64::from(change.layer))
    .bind(to_json("depends_on", &change.depends_on)?)
    .bind(change.act.label())
    .bind(change.app.map(|app| app.to_string()))
    .bind(&change.request_key)
    .bind(spec.transpose()?)
    .bind(to_json("secrets", &kept.secrets)?)
    .bind(change.state.label())
    .execute(tx)
    .await?;
    Ok(())
}

fn id_of(apply: ApplyId, position: u32) -> String {
    format!("{apply}/{position}")
}

fn place(id: &str) -> Place<'_> {
    Place {
        table: "apply_changes",
        id,
        column: "spec_sealed",
    }
}

/// An apply without its counts.
pub(crate) fn apply(row: &Row) -> Result<ApplyRecord, StoreError> {
    Ok(ApplyRecord {
        id: row.parsed("id")?,
        plan: row.parsed("plan_id")?,
        asked_by: row.text("asked_by")?,
        token: row.parsed_opt("token_id")?,
        state: row.label("state", ApplyState::parse)?,
        parallel: row.number("parallel")?,
        stopped_by: row.text_opt("stopped_by")?,
        epoch: Epoch(row.int("epoch")?),
        lease: lease(row)?,
        started_at: row.moment("started_at")?,
        ended_at: row.moment_opt("ended_at")?,
        why: row.json_opt("why")?,
        counts: BTreeMap::new(),
    })
}

/// Who holds an apply.
pub(crate) fn lease(row: &Row) -> Result<Option<Lease>, StoreError> {
    let holder = row.parsed_opt("lease_holder")?;
    let until = row.moment_opt("lease_until")?;
    let lease_ms = row.int_opt("lease_ms")?;
    let all = holder.zip(until).zip(lease_ms);
    Ok(all.map(|((holder, until), lease_ms)| Lease {
        holder,
        until,
        lease_ms,
    }))
}

pub(crate) fn change(row: &Row) -> Result<ApplyChange, StoreError> {
    Ok(ApplyChange {
        position: row.number("position")?,
        name: row.parsed("name")?,
        layer: row.number("layer")?,
        depends_on: row.json("depends_on")?,
        act: row.label("act", act)?,
        app: row.parsed_opt("app_id")?,
        request_key: row.text("request_key")?,
        operation: row.parsed_opt("operation_id")?,
        state: row.label("state", ChangeState::parse)?,
        why: row.json_opt("why")?,
        started_at: row.moment_opt("started_at")?,
        ended_at: row.moment_opt("ended_at")?,
    })
}

/// A change with what is kept beside it.
pub(crate) fn kept(sealer: &Sealer, apply: ApplyId, row: &Row) -> Result<KeptChange, StoreError> {
    let change = change(row)?;
    let id = id_of(apply, change.position);
    let spec = row.text_opt("spec_sealed")?;
    let spec = spec.map(|spec| unsealed(sealer, place(&id), &spec));
    Ok(KeptChange {
        change,
        spec: spec.transpose()?,
        secrets: row.json("secrets")?,
    })
}

fn act(label: &str) -> Option<Act> {
    Act::ALL.into_iter().find(|act| act.label() == label)
}
