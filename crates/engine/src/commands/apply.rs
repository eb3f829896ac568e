//! `POST /api/applies`: a plan that was shown is made anew, held against what was shown, and recorded to be carried out.

use proximity_domain::apply::{Consent, PARALLEL, Refusal, may_apply};
use proximity_domain::ids::{ApplyId, PlanId};
use proximity_domain::plan::MassBrake;
use proximity_store::applies::{ApplyRecord, NewApply};
use proximity_store::error::StoreError;
use proximity_store::records::{Actor, RequestKey};
use proximity_store::removals::BrakeBasis;

use super::MakePlan;
use crate::apply::MOST_AT_ONCE;
use crate::engine::Engine;
use crate::error::EngineError;

/// A request to carry a plan out.
#[derive(Debug, Clone)]
pub struct StartApply {
    /// The plan that was shown.
    pub plan: PlanId,
    /// What a person agrees to, for this once.
    pub consent: Consent,
    /// How many changes are made at the same time at most; a default when absent.
    pub parallel: Option<u32>,
    /// The account whose apps may be planned for; `None` = all.
    pub owner: Option<String>,
    /// The same key gives the same apply.
    pub key: Option<RequestKey>,
}

impl Engine {
    /// Records an apply of a plan that a person wants; the answer comes at once, the work follows. What was rejected of it is applied all the
    /// same.
    ///
    /// Flow: the plan as it was kept → the same made anew from its documents → is it the same, is nothing in the way, was everything
    /// agreed to → one commit. Nothing is changed on a cluster by this.
    ///
    /// # Errors
    /// No such plan, or one without documents; one that was applied; one that is another one by now, that something keeps from being
    /// carried out, or that was not agreed to ([`EngineError::NotApplied`]); an app that another apply is at; a cluster that cannot be
    /// read shows as an obstacle.
    pub async fn start_apply(
        &self,
        actor: &Actor,
        request: StartApply,
    ) -> Result<ApplyRecord, EngineError> {
        Box::pin(self.begin_apply(actor, request, false)).await
    }

    /// The same where no person wants it: of which content was rejected, also since the caller looked, is not begun.
    ///
    /// # Errors
    /// As [`Engine::start_apply`]; [`StoreError::Rejected`].
    pub async fn start_apply_unless_rejected(
        &self,
        actor: &Actor,
        request: StartApply,
    ) -> Result<ApplyRecord, EngineError> {
        Box::pin(self.begin_apply(actor, request, true)).await
    }

    async fn begin_apply(
        &self,
        actor: &Actor,
        request: StartApply,
        unless_rejected: bool,
    ) -> Result<ApplyRecord, EngineError> {
        let parallel = request.parallel.unwrap_or(PARALLEL);
        if !(1..=MOST_AT_ONCE).contains(&parallel) {
            return Err(EngineError::Invalid {
                field: "parallel".to_owned(),
                message: format!("{parallel} is not 1 to {MOST_AT_ONCE}"),
            });
        }
        let gone = |what| EngineError::NotFound {
            what,
            name: request.plan.to_string(),
        };
        let kept = self.store().plan(request.plan).await?;
        let kept = kept.ok_or_else(|| gone("plan"))?;
        if kept.applied_at.is_some() {
            // The store decides, and names its apply where it still knows it; this look only spares the clusters the questions.
            let (plan, apply) = (kept.id, None);
            return Err(StoreError::PlanApplied { plan, apply }.into());
        }
        let documents = self.store().plan_documents(request.plan).await?;
        let documents = documents.ok_or_else(|| gone("plan with documents"))?;
        let back = kept.plan.rollback.iter();
        let left_out = back.flat_map(|back| &back.left_out);
        let again = MakePlan {
            documents: documents.manifests(),
            order: documents.order(),
            prune: kept.plan.prune,
            owner: request.owner,
            passing: true,
            leave: left_out.map(|one| one.name.clone()).collect(),
        };
        let now = self.make_plan(actor, again).await?;
        may_apply(&kept.plan, &now.plan, &documents, &request.consent)
            .map_err(EngineError::NotApplied)?;
        let confirmed = request.consent.confirm_removed;
        let apply = NewApply {
            id: ApplyId(self.inner.parts.ids.uuid()),
            plan: request.plan,
            parallel,
            key: request.key,
            brake: self.braked(now.plan.removed(), confirmed).await?,
            unless_rejected,
        };
        let started = self.store().start_apply(apply, actor, self.now()).await;
        let started = started.map_err(|error| refused(error, confirmed))?;
        self.inner.applies.notify_one();
        Ok(started)
    }

    /// What the store judges the mass brake by in the commit that begins an apply: by then another one may have begun that was looked at
    /// beside this one. `None`: it ends no record, or a person has typed how many.
    async fn braked(
        &self,
        removed: u64,
        confirmed: Option<u64>,
    ) -> Result<Option<BrakeBasis>, EngineError> {
        if removed == 0 || confirmed == Some(removed) {
            return Ok(None);
        }
        self.reconciler().brake_basis().await
    }

    /// Asks an apply to begin nothing more; what it has begun goes to its end.
    ///
    /// # Errors
    /// No such apply, or one that is over.
    pub async fn stop_apply(&self, actor: &Actor, id: ApplyId) -> Result<ApplyRecord, EngineError> {
        let stopped = self.store().stop_apply(id, actor, self.now()).await?;
        self.inner.applies.notify_one();
        Ok(stopped)
    }
}

/// What the store refuses by the mass brake is refused as the plan itself would be.
fn refused(error: StoreError, confirmed: Option<u64>) -> EngineError {
    match error {
        StoreError::BrakeStops {
            removed,
            done,
            limit,
        } => {
            let brake = MassBrake {
                removed,
                done,
                limit,
            };
            EngineError::NotApplied(Refusal::BrakeStops { brake, confirmed })
        }
        other => other.into(),
    }
}
