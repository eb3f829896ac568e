//! Plans as they were shown.

use proximity_domain::desired::Documents;
use proximity_domain::ids::PlanId;
use proximity_domain::plan::{Act as PlannedAct, Plan};
use proximity_domain::time::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::error::StoreError;
use crate::journal::{Act, add_audit};
use crate::records::Actor;
use crate::row::{Columns, damaged, to_json};
use crate::seal::{Place, Sealer};
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
    /// When it was applied; each is once at most.
    pub applied_at: Option<Timestamp>,
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
    /// Keeps a plan with what its documents want, and of those its account made before the newest, [`PLANS_KEPT`] in all. Those of other
    /// accounts stay, and those that are being applied.
    ///
    /// # Errors
    /// The database's; also if there is one with this id.
    pub async fn keep_plan(
        &self,
        record: &PlanRecord,
        documents: &Documents,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.keep_plan(record, documents, actor));
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| {
            let (id, plan) = (record.id.to_string(), &record.plan);
            let kept = query(
                "INSERT INTO plans (id, made_at, made_by, digest, basis, plan, applied_at, documents_sealed) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING",
            )
            .bind(&id)
            .bind(record.made_at.0)
            .bind(&record.made_by)
            .bind(&plan.digest)
            .bind(&plan.basis)
            .bind(to_json("plan", plan)?)
            .bind(record.applied_at.map(|at| at.0))
            .bind(sealer.seal(place(&id), &to_json("documents", documents)?)?)
            .execute(&mut *tx)
            .await?;
            if kept.rows_affected() == 0 {
                return Err(exists(record.id));
            }
            // A clock that was set back makes it old at once, and it stays all the same.
            query(
                "DELETE FROM plans WHERE made_by = $3 AND id <> $1 AND id NOT IN \
                 (SELECT id FROM plans WHERE made_by = $3 AND id <> $1 \
                 ORDER BY made_at DESC, id DESC LIMIT $2) \
                 AND id NOT IN (SELECT plan_id FROM applies WHERE ended_at IS NULL)",
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

    /// What the documents of a plan want. `None`: it is not kept, or was kept by an older program, which kept no documents.
    ///
    /// # Errors
    /// The database's; [`StoreError::Damaged`] if they do not read back.
    pub async fn plan_documents(&self, id: PlanId) -> Result<Option<Documents>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.plan_documents(id)));
        }
        let row = query("SELECT documents_sealed FROM plans WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.named("plan_documents"))
            .await?;
        let sealer = &self.shared.sealer;
        let documents = row.map(|row| documents(sealer, id, &row)).transpose()?;
        Ok(documents.flatten())
    }
}

pub(crate) fn exists(id: PlanId) -> StoreError {
    StoreError::Exists {
        what: "plan",
        id: id.to_string(),
    }
}

fn place(id: &str) -> Place<'_> {
    Place {
        table: "plans",
        id,
        column: "documents_sealed",
    }
}

/// The documents of a plan; none of one that an older program kept.
pub(crate) fn documents(
    sealer: &Sealer,
    id: PlanId,
    row: &Row,
) -> Result<Option<Documents>, StoreError> {
    let Some(sealed) = row.text_opt("documents_sealed")? else {
        return Ok(None);
    };
    let id = id.to_string();
    let text = sealer.unseal(place(&id), &sealed)?;
    let documents = serde_json::from_str(text.expose_secret());
    // What is in there must not get into an error.
    documents
        .map(Some)
        .map_err(|_| damaged("documents_sealed", id))
}

pub(crate) fn plan(row: &Row) -> Result<PlanRecord, StoreError> {
    Ok(PlanRecord {
        id: row.parsed("id")?,
        made_at: row.moment("made_at")?,
        made_by: row.text("made_by")?,
        plan: row.json("plan")?,
        applied_at: row.moment_opt("applied_at")?,
    })
}
