//! What follows where documents say `policy: revert`: what somebody changed about an app's container is changed back, by the operation
//! that a person would ask for. It begins with what the slow sweep told: read twice, in a cluster that was seen whole, of a container that
//! was recognised; the operation identifies it again by itself.
//!
//! Nothing is destroyed or replaced here, and no disk is resized: of an app that we made memory and cores go back, of one that was
//! taken over the keys that a restore may write, and of either its power, before all else, where documents say that ([`power`]). What was
//! told has to be there still, and to be somebody else's still: what a person asked for here since then stays. Somebody who goes on
//! changing them wins after a few times, and that stays told; what came to nothing in every way is rejected, and is not tried again until
//! something else is wanted or a person lets it be.

mod power;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proximity_domain::app::AppClass;
use proximity_domain::create::ResourceRequest;
use proximity_domain::desired::DesiredSpec;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::ignore::Ignored;
use proximity_domain::manifest::{AppSpec, Policy};
use proximity_domain::merge::{Answer, Merged};
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::restore::Wanted;
use proximity_domain::source::rejects;
use proximity_domain::time::Timestamp;
use proximity_store::drifts::DesiredDrift;
use proximity_store::records::{AppRecord, OperationRecord, RequestKey};
use proximity_store::rejections::NewRejection;
use proximity_store::views::OperationFilter;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::commands::{RestoreKeys, UpdateApp};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::reconcile::{KEY, power_of, system};

/// How often it is looked for something to change back.
const EVERY: Duration = Duration::from_secs(30);
/// So long nothing is looked for while nothing is told and nothing written: commits of other processes do not show.
const AT_REST: Duration = Duration::from_secs(600);
/// So often the container of one app is changed back in an hour.
pub const MOST_IN_AN_HOUR: usize = 3;
const HOUR_MS: i64 = 3_600_000;
/// And so often in a day: what sets it again and again, as another program does, is not fought for ever.
pub const MOST_IN_A_DAY: usize = 6;
const DAY_MS: i64 = 24 * HOUR_MS;
/// After a change back the sweep gets so long to see what came of it, milliseconds. A container that was asked in vain has as long a rest.
const REST_MS: i64 = 10 * 60_000;
/// So many of an app's newest operations are looked through.
const LOOKED_BACK: u32 = 50;
/// What of an app that we made is changed back in place. Of one that was taken over it is keys ([`KEY`]).
const IN_PLACE: [&str; 2] = ["memory", "cores"];
/// By whom what comes to nothing is rejected.
const BY: &str = "policy revert";
/// What the audit says.
const BECAUSE: &str = "policy revert: the container was changed in Proxmox VE";

/// Changes back what is to be.
#[derive(Debug)]
pub struct Reverter {
    engine: Engine,
    /// Containers that were asked and of which nothing was changed back.
    in_vain: Mutex<BTreeMap<AppId, InVain>>,
}

/// In which way something is changed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It is started or stopped.
    Power,
    /// Its configuration is changed.
    Configuration,
}

/// A look at a container of which nothing was changed back.
#[derive(Debug, Clone, Copy)]
struct InVain {
    /// When what was to be changed back was told.
    told: Timestamp,
    /// Since when that is wanted what was wanted.
    wanted: Timestamp,
    at: Timestamp,
}

/// Until the next look: where nothing is told, not before something is written.
async fn pause(commits: &mut watch::Receiver<u64>, is_told: bool) {
    if !is_told {
        let _ = timeout(AT_REST, commits.changed()).await;
    }
    sleep(EVERY).await;
}

impl Reverter {
    /// One that keeps between its passes only which containers need not be asked again for now.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            in_vain: Mutex::default(),
        }
    }

    fn in_vain(&self) -> MutexGuard<'_, BTreeMap<AppId, InVain>> {
        self.in_vain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks every 30 s while anything is told, and 30 s after something was written, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut commits = self.engine.store().commits();
        let mut is_told = true;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = pause(&mut commits, is_told) => {}
            }
            commits.mark_unchanged();
            // Cut off in the middle it leaves an operation that is recorded, or none.
            let passed = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                passed = self.pass() => passed,
            };
            if let Err(e) = passed {
                tracing::warn!(error = %e, code = e.code(), "cannot see what is to be changed back");
            }
            is_told = match self.engine.store().desired_drifts().await {
                Ok(told) => !told.is_empty(),
                Err(_) => true,
            };
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
        let told: BTreeSet<AppId> = drifts.iter().map(|drift| drift.app).collect();
        self.in_vain().retain(|app, _| told.contains(app));
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
        let spec_hash = store.spec_hash(Some(&spec))?;
        let newest = self.newest_operations(&app).await?;
        let since = self.may_since(&app, &spec_hash, wanted_at, &newest);
        let Some(since) = since.await? else {
            return Ok(None);
        };
        let ways = match ways_left(drift, &newest, since) {
            Ok(ways) => self.with_keys(&app, drift, &newest, ways),
            Err(why) => return self.reject(&app, spec_hash, why).await,
        };
        if ways.is_empty() {
            return Ok(None);
        }
        let look = InVain {
            told: drift.since,
            wanted: wanted_at,
            at: self.engine.now(),
        };
        let before = self.in_vain().get(&app.id).copied();
        if before.is_some_and(|before| look.is_too_soon(before)) {
            return Ok(None);
        }
        // Also where it cannot be asked: a cluster that is off is not asked at each pass.
        self.in_vain().insert(app.id, look);
        for (way, key) in ways {
            let Some(made) = self.change_back(&app, &spec, drift, way, key).await? else {
                continue;
            };
            self.in_vain().remove(&app.id);
            tracing::warn!(
                app = %app.hostname,
                operation = %made.id,
                "what was changed in Proxmox VE is changed back: its policy is revert"
            );
            return Ok(Some(made.id));
        }
        Ok(None)
    }

    /// Asks for what changes this back in one way, if that can be done now.
    async fn change_back(
        &self,
        app: &AppRecord,
        spec: &DesiredSpec,
        drift: &DesiredDrift,
        way: Way,
        key: RequestKey,
    ) -> Result<Option<OperationRecord>, EngineError> {
        let fields = &drift.fields;
        match (way, spec, app.class) {
            (Way::Power, DesiredSpec::App(_), AppClass::Native)
            | (Way::Power, DesiredSpec::AdoptedApp(_), AppClass::Adopted) => {
                self.switch(app, fields, key).await
            }
            (Way::Configuration, DesiredSpec::App(spec), AppClass::Native) => {
                self.update(app, spec, fields, key).await
            }
            (Way::Configuration, DesiredSpec::AdoptedApp(spec), AppClass::Adopted) => {
                self.restore(app, &spec.ignore, fields, key).await
            }
            (_, DesiredSpec::App(_) | DesiredSpec::AdoptedApp(_), _) => Ok(None),
        }
    }

    /// Since when what came to nothing speaks against what is wanted: since it is, or since it may be tried again because a person said so
    /// or has changed the container with success. `None`: just that was rejected.
    async fn may_since(
        &self,
        app: &AppRecord,
        spec_hash: &str,
        wanted_at: Timestamp,
        newest: &[OperationRecord],
    ) -> Result<Option<Timestamp>, EngineError> {
        let store = self.engine.store();
        let last = store.rejected_revision(&app.hostname, spec_hash).await?;
        let Some(last) = last else {
            return Ok(Some(wanted_at));
        };
        let forgotten = match last.forgotten_at {
            Some(at) => at,
            None if last.by == BY && is_mended(newest, last.at) => {
                let now = self.engine.now();
                let (actor, just_this) = (system(), Some(spec_hash));
                let forgotten = store.unreject_revision(&last.name, just_this, &actor, now);
                forgotten.await?;
                now
            }
            None => return Ok(None),
        };
        // What had come to nothing by then does not count any more.
        let later = Timestamp(forgotten.0.saturating_add(1));
        Ok(Some(wanted_at.max(later)))
    }

    /// What is wanted of an app is not tried again by itself, and that is told once.
    async fn reject(
        &self,
        app: &AppRecord,
        spec_hash: String,
        why: String,
    ) -> Result<Option<OperationId>, EngineError> {
        let new = NewRejection {
            name: app.hostname.clone(),
            spec_hash,
            why: Some(why),
        };
        let (store, now) = (self.engine.store(), self.engine.now());
        let rejected = store.reject_revisions(&[new], BY, &system(), now).await?;
        for one in rejected {
            tracing::warn!(app = %one.name, "a change back came to nothing, and is not tried again by itself");
        }
        Ok(None)
    }

    /// The app's newest operations, newest first.
    async fn newest_operations(
        &self,
        app: &AppRecord,
    ) -> Result<Vec<OperationRecord>, EngineError> {
        let filter = OperationFilter {
            app: Some(app.id),
            limit: LOOKED_BACK,
            ..OperationFilter::default()
        };
        Ok(self.engine.store().operations(filter).await?)
    }

    /// The ways with the keys of their requests; none: it was done often enough, or just now. Two that look at the same time ask for the
    /// same.
    fn with_keys(
        &self,
        app: &AppRecord,
        drift: &DesiredDrift,
        newest: &[OperationRecord],
        ways: Vec<Way>,
    ) -> Vec<(Way, RequestKey)> {
        let begun: Vec<Timestamp> = newest.iter().filter_map(begun_by_policy).collect();
        if is_often_enough(&begun, self.engine.now()) {
            return Vec::new();
        }
        let differs: Vec<&str> = drift.fields.iter().map(|one| one.path.as_str()).collect();
        let parts = [app.id.to_string(), differs.join(",")];
        let parts = parts.each_ref().map(String::as_bytes);
        let fingerprint = self.engine.store().fingerprint(&parts);
        // Also the newest of them: of an app about which much is done, their number among the newest may stay as it is.
        let last_ms = begun.iter().map(|at| at.0).max().unwrap_or_default();
        let (since, count) = (drift.since.0, begun.len());
        let with_key = |way: Way| {
            let key = format!("{}-{}-{since}-{last_ms}-{count}", way.label(), app.id);
            let fingerprint = fingerprint.clone();
            (way, RequestKey { key, fingerprint })
        };
        ways.into_iter().map(with_key).collect()
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
            field.filter(|field| Answer::of(field.verdict, Policy::Revert) == Answer::Change)
        };
        let due = IN_PLACE.into_iter().filter_map(is_due);
        let due: Vec<&Merged> = due.collect();
        if due.is_empty() {
            return Ok(None);
        }
        let id = app.id.to_string();
        let (now, is_locked) = Box::pin(self.engine.drift_locked(&id)).await?;
        if is_locked {
            return Ok(None);
        }
        // What was told is some minutes old: a person may have asked for what is there now.
        let is_still = |path: &str| {
            let told = due.iter().find(|field| field.path == path);
            told.is_some_and(|told| now.fields.contains(told))
        };
        let (wish, given) = (spec.resources, app.resources);
        let resources = ResourceRequest {
            memory_mib: is_still("memory").then_some(wish.memory_mib.unwrap_or(given.memory_mib)),
            cores: is_still("cores").then_some(wish.cores.unwrap_or(given.cores)),
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

    /// Keys of a container that was taken over, of those that may be written. What was told may be ignored since.
    async fn restore(
        &self,
        app: &AppRecord,
        ignored: &Ignored,
        drifted: &[Merged],
        key: RequestKey,
    ) -> Result<Option<OperationRecord>, EngineError> {
        let told = drifted
            .iter()
            .filter_map(|field| field.path.strip_prefix(KEY));
        let told = told.filter(|key| !ignored.means(AppClass::Adopted, key));
        let told: BTreeSet<&str> = told.collect();
        if told.is_empty() {
            return Ok(None);
        }
        let id = app.id.to_string();
        let (_, is_locked) = Box::pin(self.engine.drift_locked(&id)).await?;
        if is_locked {
            return Ok(None);
        }
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

impl Way {
    /// All of them, in the order in which they are tried: an app that is down serves nobody.
    const ALL: [Self; 2] = [Self::Power, Self::Configuration];

    /// What keys of requests begin with.
    fn label(self) -> &'static str {
        match self {
            Self::Power => "switch",
            Self::Configuration => "revert",
        }
    }

    /// The way in which an operation of this kind changes a container; `None`: it is none that a policy asks for.
    fn of(kind: OperationKind) -> Option<Self> {
        match kind {
            OperationKind::Start | OperationKind::Stop | OperationKind::Restart => {
                Some(Self::Power)
            }
            OperationKind::Update | OperationKind::RestoreKeys => Some(Self::Configuration),
            OperationKind::Deploy
            | OperationKind::Remove
            | OperationKind::Adopt
            | OperationKind::Forget => None,
        }
    }

    /// Whether something of this is changed back so.
    fn is_of(self, drift: &DesiredDrift) -> bool {
        let mut fields = drift.fields.iter();
        match self {
            Self::Power => fields.any(|field| field.path == power::FIELD),
            Self::Configuration => fields.any(|field| {
                let path = field.path.as_str();
                IN_PLACE.contains(&path) || path.starts_with(KEY)
            }),
        }
    }
}

impl InVain {
    /// Just this was looked at `before`, a short while ago.
    fn is_too_soon(&self, before: Self) -> bool {
        let since = self.at.0.saturating_sub(before.at.0);
        let is_same = (self.told, self.wanted) == (before.told, before.wanted);
        // One that was looked at later than now was so before the clock was set back.
        is_same && (0..REST_MS).contains(&since)
    }
}

/// Enough changes back were begun at these moments. Those that are later than now were so before the clock was set back: they would keep
/// the policy from its work until it has gone as far again.
fn is_often_enough(begun: &[Timestamp], now: Timestamp) -> bool {
    let since = |ms: i64| {
        let begun = begun.iter();
        let passed = begun.map(|at| now.0.saturating_sub(at.0));
        passed.filter(|passed| (0..ms).contains(passed)).count()
    };
    since(REST_MS) > 0 || since(HOUR_MS) >= MOST_IN_AN_HOUR || since(DAY_MS) >= MOST_IN_A_DAY
}

/// The ways in which something of this may be changed back still, in the order in which they are tried. Why it is rejected, if it came to
/// nothing in each.
fn ways_left(
    drift: &DesiredDrift,
    newest_first: &[OperationRecord],
    since: Timestamp,
) -> Result<Vec<Way>, String> {
    let mut left = Vec::new();
    let mut in_vain = None;
    for way in Way::ALL.into_iter().filter(|way| way.is_of(drift)) {
        match came_to_nothing(way, newest_first, since) {
            Some(why) => in_vain = in_vain.or(Some(why)),
            None => left.push(way),
        }
    }
    match in_vain {
        Some(why) if left.is_empty() => Err(why),
        Some(_) | None => Ok(left),
    }
}

/// Why the newest change of a container that a policy asked for in this way since then came to nothing: it failed, and not for somebody
/// who was away or at work ([`rejects`]), or a person cancelled it. `None`: it did not, or a person has changed the container in that way
/// with success.
fn came_to_nothing(way: Way, newest_first: &[OperationRecord], since: Timestamp) -> Option<String> {
    let so = newest_first.iter();
    for change in so.filter(|one| Way::of(one.kind) == Some(way)) {
        let why = match &change.state {
            OperationState::Failed { failure } => Some(failure.message.clone()),
            OperationState::Cancelled => Some(format!("its {} was cancelled", change.kind.label())),
            OperationState::Queued
            | OperationState::Running
            | OperationState::Unwinding { .. }
            | OperationState::Succeeded
            | OperationState::Stuck { .. } => None,
        };
        match begun_by_policy(change) {
            Some(begun) => {
                let counts = begun >= since && says_something(&change.state);
                return why.filter(|_| counts);
            }
            None if why.is_some() => {}
            None => return None,
        }
    }
    None
}

/// What ended so says something of what was to be done, and not of who was away or at work.
fn says_something(state: &OperationState) -> bool {
    match state {
        OperationState::Failed { failure } => rejects(&failure.code),
        OperationState::Queued
        | OperationState::Running
        | OperationState::Unwinding { .. }
        | OperationState::Succeeded
        | OperationState::Cancelled
        | OperationState::Stuck { .. } => true,
    }
}

/// A person has changed the container with success since then.
fn is_mended(newest_first: &[OperationRecord], since: Timestamp) -> bool {
    newest_first.iter().any(|one| {
        let is_such = Way::of(one.kind).is_some() && begun_by_policy(one).is_none();
        is_such && one.state == OperationState::Succeeded && one.created_at > since
    })
}

/// When this operation was asked for, if it was by a policy and not by a person.
fn begun_by_policy(operation: &OperationRecord) -> Option<Timestamp> {
    let is_such = Way::of(operation.kind).is_some() && operation.requested_by == system().account;
    is_such.then_some(operation.created_at)
}

#[cfg(test)]
mod tests;
