//! What follows where documents say `policy: revert`: what somebody changed about an app's container is changed back, by the operation
//! that a person would ask for. It begins with what the slow sweep told: read twice, in a cluster that was seen whole, of a container that
//! was recognised; the operation identifies it again by itself.
//!
//! Nothing is destroyed, replaced or switched here, and no disk is resized: of an app that we made memory and cores go back, of one that was
//! taken over the keys that a restore may write. Somebody who goes on changing them wins after a few times, and that stays told; what
//! came to nothing is not tried again until something else is wanted.

use std::collections::BTreeSet;
use std::time::Duration;

use proximity_domain::app::AppClass;
use proximity_domain::create::ResourceRequest;
use proximity_domain::desired::DesiredSpec;
use proximity_domain::ids::OperationId;
use proximity_domain::manifest::{AppSpec, Policy};
use proximity_domain::merge::{Answer, Merged};
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::restore::Wanted;
use proximity_domain::time::Timestamp;
use proximity_store::drifts::DesiredDrift;
use proximity_store::records::{AppRecord, OperationRecord, RequestKey};
use proximity_store::views::OperationFilter;
use tokio_util::sync::CancellationToken;

use crate::commands::{RestoreKeys, UpdateApp};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::reconcile::{KEY, power_of, system};

/// How often it is looked for something to change back.
const EVERY: Duration = Duration::from_secs(30);
/// So often the container of one app is changed back in an hour.
pub const MOST_IN_AN_HOUR: usize = 3;
const HOUR_MS: i64 = 3_600_000;
/// After a change back the sweep gets so long to see what came of it, milliseconds.
const REST_MS: i64 = 10 * 60_000;
/// So many of an app's newest operations are looked through.
const LOOKED_BACK: u32 = 50;
/// What the audit says.
const BECAUSE: &str = "policy revert: the container was changed in Proxmox VE";

/// Changes back what is to be.
#[derive(Debug)]
pub struct Reverter {
    engine: Engine,
}

impl Reverter {
    /// One that keeps nothing between its passes.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// Looks every 30 s, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            // Cut off in the middle it leaves an operation that is recorded, or none.
            let passed = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                passed = self.pass() => passed,
            };
            if let Err(e) = passed {
                tracing::warn!(error = %e, code = e.code(), "cannot see what is to be changed back");
            }
        }
    }

    /// Asks for the operations that change back what was told and is to be. Gives those that it asked for. Nothing is done while the mass
    /// brake is on or a plan is being applied.
    ///
    /// # Errors
    /// The store's. An app of which nothing can be changed back now is logged and left for the next pass.
    pub async fn pass(&self) -> Result<Vec<OperationId>, EngineError> {
        let store = self.engine.store();
        let drifts = store.desired_drifts().await?;
        if drifts.is_empty()
            || store.mass_brake().await?.stopped.is_some()
            || !store.claimable_applies().await?.is_empty()
        {
            return Ok(Vec::new());
        }
        let mut begun = Vec::new();
        for drift in drifts {
            match Box::pin(self.revert(&drift)).await {
                Ok(operation) => begun.extend(operation),
                Err(e) => {
                    tracing::warn!(app = %drift.app, error = %e, code = e.code(), "cannot be changed back now");
                }
            }
        }
        Ok(begun)
    }

    /// Asks for what changes an app's container back, if its policy says so and nothing speaks against it.
    async fn revert(&self, drift: &DesiredDrift) -> Result<Option<OperationId>, EngineError> {
        let store = self.engine.store();
        let Some(app) = store.app(drift.app).await? else {
            return Ok(None);
        };
        if app.operation.is_some() || power_of(&app).is_none() {
            return Ok(None);
        }
        let wanted = store.desired(&app.hostname).await?;
        let wanted = wanted.filter(|wanted| wanted.app == Some(app.id));
        let Some((spec, wanted_at)) = wanted.and_then(|it| Some((it.spec?, it.applied_at))) else {
            return Ok(None);
        };
        if spec.policy() != Policy::Revert {
            return Ok(None);
        }
        let Some(key) = self.next_key(&app, drift, wanted_at).await? else {
            return Ok(None);
        };
        let made = match (&spec, app.class) {
            (DesiredSpec::App(spec), AppClass::Native) => {
                self.update(&app, spec, &drift.fields, key).await?
            }
            (DesiredSpec::AdoptedApp(_), AppClass::Adopted) => {
                self.restore(&app, &drift.fields, key).await?
            }
            (DesiredSpec::App(_) | DesiredSpec::AdoptedApp(_), _) => None,
        };
        let Some(made) = made else {
            return Ok(None);
        };
        tracing::warn!(app = %app.hostname, operation = %made.id, "what was changed in Proxmox VE is changed back: its policy is revert");
        Ok(Some(made.id))
    }

    /// The key of the next request; `None`: it was done often enough, or just now, or the last one came to nothing and nothing else is
    /// wanted since. Two that look at the same time ask for the same.
    async fn next_key(
        &self,
        app: &AppRecord,
        drift: &DesiredDrift,
        wanted_at: Timestamp,
    ) -> Result<Option<RequestKey>, EngineError> {
        let store = self.engine.store();
        let filter = OperationFilter {
            app: Some(app.id),
            limit: LOOKED_BACK,
            ..OperationFilter::default()
        };
        let newest = store.operations(filter).await?;
        if is_rejected(&newest, wanted_at) {
            return Ok(None);
        }
        let now = self.engine.now();
        let begun: Vec<Timestamp> = newest.iter().filter_map(begun_by_policy).collect();
        let since = |ms: i64| {
            let begun = begun.iter();
            begun.filter(|at| now.0.saturating_sub(at.0) < ms).count()
        };
        if since(REST_MS) > 0 || since(HOUR_MS) >= MOST_IN_AN_HOUR {
            return Ok(None);
        }
        let differs: Vec<&str> = drift.fields.iter().map(|one| one.path.as_str()).collect();
        let differs = differs.join(",");
        let count = begun.len();
        Ok(Some(RequestKey {
            key: format!("revert-{}-{}-{count}", app.id, drift.since.0),
            fingerprint: store.fingerprint(&[app.id.to_string().as_bytes(), differs.as_bytes()]),
        }))
    }

    /// Memory and cores of an app that we made.
    async fn update(
        &self,
        app: &AppRecord,
        spec: &AppSpec,
        drifted: &[Merged],
        key: RequestKey,
    ) -> Result<Option<OperationRecord>, EngineError> {
        let is_due = |path: &str| {
            let field = drifted.iter().find(|field| field.path == path);
            field.is_some_and(|field| Answer::of(field.verdict, Policy::Revert) == Answer::Change)
        };
        let (wish, given) = (spec.resources, app.resources);
        let resources = ResourceRequest {
            memory_mib: is_due("memory").then_some(wish.memory_mib.unwrap_or(given.memory_mib)),
            cores: is_due("cores").then_some(wish.cores.unwrap_or(given.cores)),
            disk_gib: None,
        };
        if resources == ResourceRequest::default() {
            return Ok(None);
        }
        let mut request = UpdateApp {
            resources,
            key: Some(key),
            ..UpdateApp::default()
        };
        let id = app.id.to_string();
        let preview = Box::pin(self.engine.preview_update(&id, &request)).await?;
        if preview.changes.is_empty() || preview.confirm {
            return Ok(None);
        }
        request.digest = Some(preview.digest);
        let (actor, because) = (system(), Some(BECAUSE.to_owned()));
        let made = self
            .engine
            .update_app_because(&actor, &id, request, because);
        Ok(Some(Box::pin(made).await?))
    }

    /// Keys of a container that was taken over, of those that may be written.
    async fn restore(
        &self,
        app: &AppRecord,
        drifted: &[Merged],
        key: RequestKey,
    ) -> Result<Option<OperationRecord>, EngineError> {
        let told = drifted
            .iter()
            .filter_map(|field| field.path.strip_prefix(KEY));
        let told: BTreeSet<&str> = told.collect();
        let id = app.id.to_string();
        let preview = Box::pin(self.engine.preview_restore(&id, &Wanted::All)).await?;
        let mut keys: BTreeSet<String> = preview.plan.names().into_iter().collect();
        keys.retain(|key| told.contains(key.as_str()));
        if keys.is_empty() {
            return Ok(None);
        }
        let request = RestoreKeys {
            keys,
            digest: preview.digest,
            key: Some(key),
        };
        let (actor, because) = (system(), Some(BECAUSE.to_owned()));
        let made = self
            .engine
            .restore_keys_because(&actor, &id, request, because);
        Ok(Some(Box::pin(made).await?))
    }
}

/// The newest change of a container was asked for by a policy and came to nothing: it failed, or a person cancelled it. The same is not
/// tried again until another thing is wanted, or a person has changed the container with success.
fn is_rejected(newest_first: &[OperationRecord], wanted_at: Timestamp) -> bool {
    let mut changes = newest_first.iter().filter(|one| changes_a_container(one));
    let Some(last) = changes.next() else {
        return false;
    };
    let came_to_nothing = matches!(
        last.state,
        OperationState::Failed { .. } | OperationState::Cancelled
    );
    came_to_nothing && begun_by_policy(last).is_some_and(|begun| begun >= wanted_at)
}

/// When this operation was asked for, if it was by a policy and not by a person.
fn begun_by_policy(operation: &OperationRecord) -> Option<Timestamp> {
    let is_such = changes_a_container(operation) && operation.requested_by == system().account;
    is_such.then_some(operation.created_at)
}

fn changes_a_container(operation: &OperationRecord) -> bool {
    match operation.kind {
        OperationKind::Update | OperationKind::RestoreKeys => true,
        OperationKind::Deploy
        | OperationKind::Start
        | OperationKind::Stop
        | OperationKind::Restart
        | OperationKind::Remove
        | OperationKind::Adopt
        | OperationKind::Forget => false,
    }
}
