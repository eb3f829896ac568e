//! Applies: plans that are carried out, change by change.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::apply::{ApplyState, ChangeState, MOST_PARALLEL};
use proximity_domain::desired::{DesiredSpec, Documents};
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, ApplyId, Epoch, HolderId, OperationId, PlanId, TokenId};
use proximity_domain::names::{Hostname, SecretName};
use proximity_domain::plan::{Act as PlannedAct, Change, Plan};
use proximity_domain::time::Timestamp;
use serde_json::{Value, json};

use crate::apply_rows::{counted, existing, listed, of_apply};
use crate::apply_starts::start;
use crate::desired::DesiredRecord;
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_audit};
use crate::records::{Actor, Lease, RequestKey};
use crate::removals::BrakeBasis;
use crate::sql::query;
use crate::store::{Reader, Store};

/// Applies of each account that are kept: the newest. One that is not over stays.
pub const APPLIES_KEPT: u32 = 100;

/// What is to be applied.
#[derive(Debug, Clone)]
pub struct NewApply {
    /// Row id, drawn by the caller.
    pub id: ApplyId,
    /// A plan that is kept.
    pub plan: PlanId,
    /// So many changes at the same time; 1 at least, and [`MOST_PARALLEL`] at most, whatever is asked for.
    pub parallel: u32,
    /// The key of the request.
    pub key: Option<RequestKey>,
    /// What the mass brake is judged by in the commit that begins it, with what other applies end by then. `None`: a person has typed how
    /// many records end, or it ends none.
    pub brake: Option<BrakeBasis>,
    /// No person stands behind it: in the commit that begins it nothing is begun of which just what its documents want was rejected by then.
    pub unless_rejected: bool,
}

/// An apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyRecord {
    /// Row id.
    pub id: ApplyId,
    /// What is carried out.
    pub plan: PlanId,
    /// Who asked for it: an account.
    pub asked_by: String,
    /// Its token, if one was used.
    pub token: Option<TokenId>,
    /// How far it is.
    pub state: ApplyState,
    /// So many changes at the same time.
    pub parallel: u32,
    /// The account that stopped it.
    pub stopped_by: Option<String>,
    /// Fencing number of the last claim; 0 before the first.
    pub epoch: Epoch,
    /// Who holds it.
    pub lease: Option<Lease>,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Once it is over: why the first of the changes that failed did.
    pub why: Option<Failure>,
    /// How many changes there are in each state; no entry for none.
    pub counts: BTreeMap<ChangeState, u64>,
}

impl ApplyRecord {
    /// Whoever asked for it: in whose name its changes are made.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor {
            account: self.asked_by.clone(),
            token: self.token,
            request: None,
        }
    }
}

/// One change of an apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyChange {
    /// Its place in the plan, from 0.
    pub position: u32,
    /// Its name in the documents; of an app that no document names, its host name.
    pub name: Hostname,
    /// Its place in the order, from 0.
    pub layer: u32,
    /// Names of changes that have to be done before.
    pub depends_on: Vec<Hostname>,
    /// What is done.
    pub act: PlannedAct,
    /// The app it is about, once there is one.
    pub app: Option<AppId>,
    /// Under which key its request is made, so that a change that was started is found and not started again.
    pub request_key: String,
    /// The operation that does it, as soon as that is recorded.
    pub operation: Option<OperationId>,
    /// How far it is.
    pub state: ChangeState,
    /// Why it failed or was held up.
    pub why: Option<Failure>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeEnd {
    /// As wanted.
    Done,
    /// Otherwise: why.
    Failed(Failure),
}

/// Proof of a claim; every write of the loop that carries an apply out has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApplyFence {
    /// The apply.
    pub apply: ApplyId,
    /// Who claimed it.
    pub holder: HolderId,
    /// Under which epoch.
    pub epoch: Epoch,
}

/// An apply that is not over, as one who looks for work sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimableApply {
    /// Row id.
    pub id: ApplyId,
    /// Fencing number of the last claim; 0 before the first.
    pub epoch: Epoch,
    /// Who holds it.
    pub lease: Option<Lease>,
}

/// A change with what is kept beside its record.
#[derive(Debug, Clone)]
pub(crate) struct KeptChange {
    pub(crate) change: ApplyChange,
    /// What is wanted of the app once the change is done; nothing of one that is removed.
    pub(crate) spec: Option<DesiredSpec>,
    /// The secrets of the spec, with the versions that were there when it was started; 0 = not started, [`STAYS`] = it puts none in.
    pub(crate) secrets: BTreeMap<SecretName, i64>,
}

/// In place of a version: the change does not put the secret in, so that it stays the one that was put in before.
pub(crate) const STAYS: i64 = -1;

/// By which names what people do to applies is audited.
pub(crate) const STARTED: &str = "apply.start";
pub(crate) const STOPPED: &str = "apply.stop";

impl Store {
    /// Begins to apply a plan, in one commit: the plan is applied from now on, its changes wait, and what is wanted of the apps that stay as
    /// they are is recorded where it is another thing than before. Whether the plan may be applied is decided by the caller. The same key of
    /// the same account gives the apply that was begun first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a plan that is not kept, or whose documents are not; [`StoreError::PlanApplied`];
    /// [`StoreError::ApplyOverlaps`] if another apply has an open change for an app of these documents or this plan;
    /// [`StoreError::BrakeStops`] if the mass brake stops it with all that other applies end, whoever began at the same moment;
    /// [`StoreError::Rejected`] if content of it was rejected and no person stands behind it;
    /// [`StoreError::Exists`] for an id that is there; [`StoreError::KeyReused`].
    pub async fn start_apply(
        &self,
        apply: NewApply,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<ApplyRecord, StoreError> {
        if let Some(model) = self.model() {
            let spec_hash = |spec: Option<&DesiredSpec>| self.spec_hash(spec);
            return model.write(|state| state.start_apply((&apply, &spec_hash), actor, now));
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| start(tx, sealer, &apply, actor, now).await)
            .await
    }

    /// A person stops an apply: no more of its changes are started. Once more changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::IllegalTransition`] if it is over.
    pub async fn stop_apply(
        &self,
        id: ApplyId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<ApplyRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.stop_apply(id, actor, now));
        }
        self.write(async |tx| {
            let found = existing(tx, id).await?;
            if !stops(&found)? {
                return Ok(found);
            }
            query("UPDATE applies SET state = 'stopping', stopped_by = $2 WHERE id = $1")
                .bind(id.to_string())
                .bind(&actor.account)
                .execute(&mut *tx)
                .await?;
            let target = id.to_string();
            let act = Act::request(STOPPED, &target, json!({ "plan": found.plan }));
            add_audit(tx, actor, act, now).await?;
            existing(tx, id).await
        })
        .await
    }
}

impl Reader {
    /// An apply that is kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn apply(&self, id: ApplyId) -> Result<Option<ApplyRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.apply_by_id(id)));
        }
        self.read(async |tx| counted(tx, id).await).await
    }

    /// The changes of an apply, in order: each is at its position. None of one that is not kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn apply_changes(&self, id: ApplyId) -> Result<Vec<ApplyChange>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.changes_of(id)));
        }
        self.read(async |tx| of_apply(tx, id).await).await
    }

    /// The newest applies of an account, or of all, newest first, at most 1,000.
    ///
    /// # Errors
    /// The database's.
    pub async fn applies(
        &self,
        account: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ApplyRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.newest_applies(account, limit)));
        }
        self.read(async |tx| listed(tx, account, limit).await).await
    }
}

/// The changes of a new apply.
pub(crate) fn planned(apply: ApplyId, plan: &Plan, documents: &Documents) -> Vec<KeptChange> {
    let changes = plan.changes.iter().zip(0_u32..);
    let each = changes.map(|(change, position)| {
        let (state, spec) = match change.act {
            PlannedAct::NoOp => (ChangeState::Quiet, documents.get(&change.name)),
            PlannedAct::Create | PlannedAct::Update | PlannedAct::Replace | PlannedAct::Adopt => {
                (ChangeState::Waiting, documents.get(&change.name))
            }
            PlannedAct::Forget | PlannedAct::Destroy => (ChangeState::Waiting, None),
        };
        let secrets = spec.map(DesiredSpec::secrets).unwrap_or_default();
        let version = if puts_in(change) { 0 } else { STAYS };
        let secrets = secrets.into_iter().map(|name| (name, version));
        let change = ApplyChange {
            position,
            name: change.name.clone(),
            layer: change.layer,
            depends_on: change.depends_on.clone(),
            act: change.act,
            app: change.app,
            request_key: format!("apply:{apply}:{position}"),
            operation: None,
            state,
            why: None,
            started_at: None,
            ended_at: None,
        };
        KeptChange {
            change,
            spec: spec.cloned(),
            secrets: secrets.collect(),
        }
    });
    each.collect()
}

/// Whether a change puts the secrets of its app in: all of them, with whatever setting is changed.
fn puts_in(change: &Change) -> bool {
    match change.act {
        PlannedAct::Create | PlannedAct::Replace => true,
        PlannedAct::Update => {
            let mut fields = change.fields.iter();
            fields.any(|field| field.path.starts_with("settings."))
        }
        PlannedAct::Adopt | PlannedAct::Forget | PlannedAct::Destroy | PlannedAct::NoOp => false,
    }
}

/// Writes down which secrets a change puts in that is started.
pub(crate) fn put_in(
    secrets: &mut BTreeMap<SecretName, i64>,
    versions: &BTreeMap<SecretName, i64>,
) {
    for (name, version) in secrets {
        if *version != STAYS {
            *version = versions.get(name).copied().unwrap_or(0);
        }
    }
}

/// The version of a secret that was put into this app before, and into no other of its name; 0 = not known.
fn before_it(before: Option<&DesiredRecord>, app: Option<AppId>, secret: &SecretName) -> i64 {
    let before = before.filter(|before| before.app == app);
    let version = before.and_then(|before| before.secrets.get(secret));
    version.copied().unwrap_or(0)
}

/// The apps that stay as they are, with what is wanted of them.
pub(crate) fn standing<'a>(
    plan: &'a Plan,
    documents: &'a Documents,
) -> impl Iterator<Item = (&'a Hostname, &'a DesiredSpec)> {
    let changes = plan.changes.iter();
    let changed = changes.filter(|change| change.act != PlannedAct::NoOp);
    let changed: BTreeSet<&Hostname> = changed.map(|change| &change.name).collect();
    let all = documents.iter();
    all.filter(move |(name, _)| !changed.contains(name))
}

/// What is recorded of an app that stays as it is: the versions of its secrets are those that were put in before.
pub(crate) fn stands(
    (name, spec): (&Hostname, &DesiredSpec),
    app: Option<AppId>,
    before: Option<&DesiredRecord>,
    by: &ApplyRecord,
) -> DesiredRecord {
    let secrets = spec.secrets().into_iter();
    let secrets = secrets.map(|secret| {
        let version = before_it(before, app, &secret);
        (secret, version)
    });
    DesiredRecord {
        app,
        spec: Some(spec.clone()),
        secrets: secrets.collect(),
        ..nothing(name, by, by.started_at)
    }
}

/// What is recorded of an app whose change is done. `before` is what was wanted of its name.
pub(crate) fn became(
    kept: &KeptChange,
    before: Option<&DesiredRecord>,
    by: &ApplyRecord,
    now: Timestamp,
) -> DesiredRecord {
    let app = kept.change.app;
    let secrets = kept.secrets.iter().map(|(secret, version)| {
        let version = match *version {
            STAYS => before_it(before, app, secret),
            version => version,
        };
        (secret.clone(), version)
    });
    DesiredRecord {
        app,
        spec: kept.spec.clone(),
        secrets: secrets.collect(),
        ..nothing(&kept.change.name, by, now)
    }
}

fn nothing(name: &Hostname, by: &ApplyRecord, now: Timestamp) -> DesiredRecord {
    DesiredRecord {
        name: name.clone(),
        revision: 0,
        app: None,
        spec: None,
        secrets: BTreeMap::new(),
        apply: by.id,
        plan: by.plan,
        applied_at: now,
        applied_by: by.asked_by.clone(),
    }
}

/// The record of a new apply.
pub(crate) fn begun(apply: &NewApply, actor: &Actor, now: Timestamp) -> ApplyRecord {
    ApplyRecord {
        id: apply.id,
        plan: apply.plan,
        asked_by: actor.account.clone(),
        token: actor.token,
        state: ApplyState::Running,
        parallel: apply.parallel.clamp(1, MOST_PARALLEL),
        stopped_by: None,
        epoch: Epoch(0),
        lease: None,
        started_at: now,
        ended_at: None,
        why: None,
        counts: BTreeMap::new(),
    }
}

/// What the audit says of the beginning of an apply.
pub(crate) fn details(record: &ApplyRecord, changes: &[KeptChange]) -> Value {
    json!({
        "plan": record.plan,
        "changes": to_do(changes),
        "parallel": record.parallel,
    })
}

/// What is told of the beginning of an apply.
pub(crate) fn started(record: &ApplyRecord, changes: &[KeptChange]) -> NewEvent {
    NewEvent {
        kind: EventKind::ApplyStarted,
        body: json!({
            "apply": record.id,
            "plan": record.plan,
            "changes": to_do(changes),
        }),
    }
}

fn to_do(changes: &[KeptChange]) -> usize {
    let to_do = changes.iter();
    let to_do = to_do.filter(|kept| kept.change.state != ChangeState::Quiet);
    to_do.count()
}

/// What is told of the end of an apply, with its counts.
pub(crate) fn over(record: &ApplyRecord) -> NewEvent {
    let count = |state: ChangeState| record.counts.get(&state).copied().unwrap_or(0);
    NewEvent {
        kind: match record.state {
            ApplyState::Failed => EventKind::ApplyFailed,
            ApplyState::Running | ApplyState::Stopping | ApplyState::Done | ApplyState::Stopped => {
                EventKind::ApplyEnded
            }
        },
        body: json!({
            "apply": record.id,
            "plan": record.plan,
            "state": record.state,
            "done": count(ChangeState::Done),
            "failed": count(ChangeState::Failed),
            "held_up": count(ChangeState::HeldUp),
            "not_started": count(ChangeState::NotStarted),
        }),
    }
}

/// An open change of another apply: its app's name, its app, and the apply.
pub(crate) type OpenChange = (Hostname, Option<AppId>, ApplyId);

/// The first app of the plan or of its documents that another apply has an open change for.
pub(crate) fn overlap(
    open: &[OpenChange],
    plan: &Plan,
    documents: &Documents,
) -> Option<StoreError> {
    let names: BTreeMap<&Hostname, ApplyId> =
        open.iter().map(|(name, _, apply)| (name, *apply)).collect();
    let apps = open
        .iter()
        .filter_map(|(_, app, apply)| Some(((*app)?, *apply)));
    let apps: BTreeMap<AppId, ApplyId> = apps.collect();
    let changes = plan.changes.iter().map(|change| (&change.name, change.app));
    let documents = documents.iter().map(|(name, _)| (name, None));
    let mut all = changes.chain(documents);
    all.find_map(|(name, app)| {
        let by_app = app.and_then(|app| apps.get(&app));
        let apply = names.get(name).or(by_app)?;
        Some(StoreError::ApplyOverlaps {
            app: name.to_string(),
            apply: *apply,
        })
    })
}

/// Whether a stop changes anything.
///
/// # Errors
/// It is over.
pub(crate) fn stops(record: &ApplyRecord) -> Result<bool, StoreError> {
    match record.state {
        ApplyState::Running => Ok(true),
        ApplyState::Stopping => Ok(false),
        ApplyState::Done | ApplyState::Failed | ApplyState::Stopped => {
            let what = format!("apply {} is over: {}", record.id, record.state.label());
            Err(StoreError::IllegalTransition { what })
        }
    }
}

pub(crate) fn no_apply(id: ApplyId) -> StoreError {
    let id = id.to_string();
    StoreError::NotFound { what: "apply", id }
}

pub(crate) fn no_plan(id: PlanId) -> StoreError {
    let id = id.to_string();
    StoreError::NotFound { what: "plan", id }
}

pub(crate) fn no_documents(id: PlanId) -> StoreError {
    StoreError::NotFound {
        what: "documents of the plan",
        id: id.to_string(),
    }
}
