//! `POST /api/plans`: what would have to be done so that all is as documents want it. Clusters are read, and nothing is changed.

mod alone;
mod namesakes;
mod record;
mod rights;
mod see;
mod want;

use std::collections::BTreeSet;
use std::time::Duration;

pub(super) use rights::to_make;

use proximity_domain::desired::Documents;
use proximity_domain::ids::{PlanId, Vmid};
use proximity_domain::manifest::Manifest;
use proximity_domain::names::{HostLabel, Hostname};
use proximity_domain::plan::{Act, Obstacle, Plan, Recorded, Wanted, WantedKind, decide};
use proximity_domain::rollback::{self, Rollback};
use proximity_store::plans::PlanRecord;
use proximity_store::records::{Actor, HostRecord};

use super::deadline::Deadline;
use crate::catalog::Catalog;
use crate::engine::Engine;
use crate::error::EngineError;

/// What a plan goes back to, and the documents by which it does: with all that their apps depend on, be it among them or not.
#[derive(Debug)]
pub(super) struct GoesBack {
    pub(super) rollback: Rollback,
    pub(super) documents: Documents,
}

/// A request for a plan.
#[derive(Debug, Clone, Default)]
pub struct MakePlan {
    /// The documents, read whole.
    pub documents: Vec<Manifest>,
    /// Names of all their apps in layers: each depends only on apps in earlier ones.
    pub order: Vec<Vec<String>>,
    /// Apps that no document names are to be removed.
    pub prune: bool,
    /// The account whose apps may be planned for; `None` = all.
    pub owner: Option<String>,
    /// It is shown once, and not kept.
    pub passing: bool,
    /// Apps of which nothing is planned, be they named by a document or by none.
    pub leave: BTreeSet<Hostname>,
}

impl Engine {
    /// Whether a document names a container that no app of the account has: such a one is everybody's, and what is told of it is as well.
    /// No cluster is asked.
    ///
    /// # Errors
    /// The database's.
    pub async fn plan_names_strangers(&self, request: &MakePlan) -> Result<bool, EngineError> {
        let documents = request.documents.iter();
        let named = documents.filter_map(|document| match document {
            Manifest::AdoptedApp { spec, .. } => Some((&spec.host, spec.vmid)),
            Manifest::App { .. } | Manifest::Stack { .. } | Manifest::Values { .. } => None,
        });
        let named: Vec<(&HostLabel, Vmid)> = named.collect();
        let Some(owner) = request.owner.as_deref().filter(|_| !named.is_empty()) else {
            return Ok(false);
        };
        let hosts = self.store().hosts().await?;
        // A label of no entry is told as what is wrong with the document.
        let places = named.into_iter().filter_map(|(label, vmid)| {
            let host = hosts.iter().find(|host| host.label == *label)?;
            Some((host.id, vmid))
        });
        let places: BTreeSet<record::Spot> = places.collect();
        let own = record::own_places(self, owner, &places).await?;
        Ok(own.len() < places.len())
    }

    /// From now on `told` is told how long each plan took that was made. The first one that is set stays.
    pub fn observe_plans(&self, told: impl Fn(Duration) + Send + Sync + 'static) {
        self.inner.plans_told.set(told);
    }

    /// What documents want of each app, with what the catalog says and the host entries that there are now.
    ///
    /// # Errors
    /// Documents that name what is not there any more, or settings that the catalog does not take any more.
    pub(crate) async fn wanted_of(
        &self,
        documents: &Documents,
    ) -> Result<Vec<Wanted>, EngineError> {
        let hosts = self.store().hosts().await?;
        let (all, order) = (documents.manifests(), documents.order());
        want::wanted(&self.catalog(), &hosts, &all, &order)
    }

    /// Plans, and keeps the plan, unless it is a passing one.
    ///
    /// Flow: documents against catalog and host entries → record → one list per cluster → what differs → the configurations of
    /// what differs, and its power → what differs for certain → rights of the tokens, mass brake → one commit.
    /// What cannot be read now is an obstacle of the changes it is about, and no error.
    ///
    /// Few documents that do not prune are planned for with as much of the record as they mean, and, of a cluster where all they mean are a
    /// few containers on record, with the state of each in place of the list. It is decided as with all of it.
    ///
    /// # Errors
    /// Documents that name what is not there, or settings that are wrong, all of them at once; no host at all.
    pub async fn make_plan(
        &self,
        actor: &Actor,
        request: MakePlan,
    ) -> Result<PlanRecord, EngineError> {
        self.make_plan_of(actor, request, None).await
    }

    /// As [`Engine::make_plan`]; with `back` the request's documents are those of it, and nothing but configuration may move.
    ///
    /// # Errors
    /// As [`Engine::make_plan`]; [`EngineError::NotBack`] where a container would be made, taken over or replaced.
    pub(super) async fn make_plan_of(
        &self,
        actor: &Actor,
        request: MakePlan,
        back: Option<GoesBack>,
    ) -> Result<PlanRecord, EngineError> {
        let clock = &self.inner.parts.clock;
        let begun = clock.monotonic();
        let made = self.planned(actor, request, back).await?;
        let took = Duration::from_millis(clock.monotonic().since_ms(begun));
        self.inner.plans_told.tell(took);
        Ok(made)
    }

    async fn planned(
        &self,
        actor: &Actor,
        mut request: MakePlan,
        back: Option<GoesBack>,
    ) -> Result<PlanRecord, EngineError> {
        let deadline = Deadline::of_request();
        let hosts = self.store().hosts().await?;
        if hosts.is_empty() {
            return Err(EngineError::NoHost);
        }
        let (documents, order) = (&request.documents, &request.order);
        let wanted = want::wanted(&self.catalog(), &hosts, documents, order)?;
        // From here on they are in one form alone.
        let documents = Documents::from(std::mem::take(&mut request.documents));
        let mut view = see::View::of(self, &hosts, &wanted, &request, deadline).await?;
        let mut decided = decide(&wanted, &view.state, request.prune);
        if !decided.doubts.is_empty() {
            view.read(self, &decided.doubts, deadline).await;
            decided = decide(&wanted, &view.state, request.prune);
        }
        let mut plan = decided.plan;
        plan.leave(&request.leave);
        let kept = match back {
            Some(back) => {
                rollback::moves_configuration_alone(&plan.changes).map_err(EngineError::NotBack)?;
                let mut told = back.rollback;
                told.lost.extend(rollback::lost(&plan.changes));
                plan.rollback = Some(told);
                back.documents
            }
            None => documents,
        };
        let sides = (&wanted[..], &view.state.recorded[..]);
        rights::look(self, &hosts, sides, &mut plan, deadline).await;
        if !self.inner.parts.ingress.leads_names() {
            without_names(&wanted, &mut plan);
        }
        // What was looked at is in the plan as far as it counts.
        drop((wanted, view));
        let brake = self.reconciler().brake_on(plan.removed()).await?;
        plan.brake_by(brake);
        self.note_rejected(&mut plan, &kept).await?;
        let record = PlanRecord {
            id: PlanId(self.inner.parts.ids.uuid()),
            made_at: self.now(),
            made_by: actor.account.clone(),
            plan,
            applied_at: None,
        };
        if !request.passing {
            self.store().keep_plan(&record, &kept, actor).await?;
        }
        Ok(record)
    }
}

/// Holds back what would lead an app under a host name where nothing leads under any.
fn without_names(wanted: &[Wanted], plan: &mut Plan) {
    let led = wanted.iter().filter_map(|one| match &one.kind {
        WantedKind::App(app) => app.site.as_ref()?.site().map(|_| &one.name),
        WantedKind::Adopted(_) => None,
    });
    let led: BTreeSet<&Hostname> = led.collect();
    let leads = |path: &str| matches!(path, "host_name" | "certificate");
    for change in &mut plan.changes {
        let is_new = match change.act {
            Act::Create | Act::Replace => true,
            Act::Update => change.fields.iter().any(|field| leads(&field.path)),
            Act::Adopt | Act::Forget | Act::Destroy | Act::NoOp => false,
        };
        if is_new && led.contains(&change.name) {
            change.obstacles.push(Obstacle::new(
                "invalid_value",
                "it is to have a host name, and this server leads no app under one",
                "set ingress.driver to caddy in its configuration, and ingress.caddy.server; or leave `host_name` out",
            ));
        }
    }
}

/// All live apps, as a plan looks at them.
pub(super) async fn recorded(
    engine: &Engine,
    owner: Option<&str>,
) -> Result<Vec<Recorded>, EngineError> {
    let found = record::whole(engine, owner).await?;
    Ok(found.apps)
}

/// What keeps a document from being planned for: what it names is not in the catalog, or is not what its entry takes.
pub(super) fn refused(catalog: &Catalog, hosts: &[HostRecord], document: &Manifest) -> Vec<String> {
    match want::wanted(catalog, hosts, std::slice::from_ref(document), &[]) {
        Err(EngineError::Manifests { fields }) => {
            let fields = fields.into_iter();
            fields
                .map(|(field, why)| format!("{field}: {why}"))
                .collect()
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// An error as what keeps a change back.
fn obstacle(error: &EngineError) -> Obstacle {
    Obstacle::new(error.code(), error.to_string(), error.hint())
}
