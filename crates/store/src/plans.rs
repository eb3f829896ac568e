//! Plans as they were shown.

use proximity_domain::ids::PlanId;
use proximity_domain::plan::{Act as PlannedAct, Plan};
use proximity_domain::time::Timestamp;
use serde_json::{Value, json};

use crate::error::StoreError;
use crate::journal::{Act, add_audit};
use crate::records::Actor;
use crate::row::{Columns, to_json};
use crate::sql::{Row, query};
use crate::store::{Reader, Store};

/// Plans of each account that are kept: the newest.
pub const PLANS_KEPT: u32 = 100;

/// A plan that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRecord {
    /// Row id, drawn by the caller.
    pub id: PlanId,
    /// When.
    pub made_at: Timestamp,
    /// By whom: an account.
    pub made_by: String,
    /// What it says.
    pub plan: Plan,
}

/// What the audit says of a plan.
pub(crate) fn details(record: &PlanRecord) -> Value {
    let plan = &record.plan;
    let changes = plan.changes.iter();
    let changes = changes.filter(|change| change.act != PlannedAct::NoOp);
    json!({
        "changes": changes.count(),
        "digest": plan.digest,
        "basis": plan.basis,
    })
}

/// By which name the making of a plan is audited.
pub(crate) const MADE: &str = "plan.make";

impl Store {
    /// Keeps a plan, and of those its account made before the newest, [`PLANS_KEPT`] in all. Those of other accounts stay.
    ///
    /// # Errors
    /// The database's; also if there is one with this id.
    pub async fn keep_plan(&self, record: &PlanRecord, actor: &Actor) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.keep_plan(record, actor));
        }
        self.write(async |tx| {
            let (id, plan) = (record.id.to_string(), &record.plan);
            let kept = query(
                "INSERT INTO plans (id, made_at, made_by, digest, basis, plan) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
            )
            .bind(&id)
            .bind(record.made_at.0)
            .bind(&record.made_by)
            .bind(&plan.digest)
            .bind(&plan.basis)
            .bind(to_json("plan", plan)?)
            .execute(&mut *tx)
            .await?;
            if kept.rows_affected() == 0 {
                return Err(exists(record.id));
            }
            // A clock that was set back makes it old at once, and it stays all the same.
            query(
                "DELETE FROM plans WHERE made_by = $3 AND id <> $1 AND id NOT IN \
                 (SELECT id FROM plans WHERE made_by = $3 AND id <> $1 \
                 ORDER BY made_at DESC, id DESC LIMIT $2)",
            )
            .bind(&id)
            .bind(i64::from(PLANS_KEPT - 1))
            .bind(&record.made_by)
            .execute(&mut *tx)
            .await?;
            let act = Act::request(MADE, &id, details(record));
            add_audit(tx, actor, act, record.made_at).await
        })
        .await
    }
}

impl Reader {
    /// A plan that is kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn plan(&self, id: PlanId) -> Result<Option<PlanRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.plan(id)));
        }
        let row = query("SELECT * FROM plans WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.named("plan"))
            .await?;
        row.as_ref().map(plan).transpose()
    }
}

pub(crate) fn exists(id: PlanId) -> StoreError {
    StoreError::Exists {
        what: "plan",
        id: id.to_string(),
    }
}

fn plan(row: &Row) -> Result<PlanRecord, StoreError> {
    Ok(PlanRecord {
        id: row.parsed("id")?,
        made_at: row.moment("made_at")?,
        made_by: row.text("made_by")?,
        plan: row.json("plan")?,
    })
}
