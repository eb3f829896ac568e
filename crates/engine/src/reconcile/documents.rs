//! Apps of which documents want something, held against their containers. What is as it was told costs nothing: the slow sweep shows each
//! configuration that it has read and recognised. What is new is read once more while nobody is at work on the app, as whatever differs in
//! a sweep; then it is told once, and its end once, or accepted where the policy says so.

use proximity_domain::app::{AppClass, StatusLabel};
use proximity_domain::create::Resources;
use proximity_domain::desired::DesiredSpec;
use proximity_domain::drift::drift;
use proximity_domain::event::EventKind;
use proximity_domain::guest::ContainerRef;
use proximity_domain::identity::Judgement;
use proximity_domain::ids::AppId;
use proximity_domain::manifest::{Policy, WantedPower};
use proximity_domain::merge::{
    Actual, Applied, Merged, Trace, Verdict, accepted, drifted, leaves_a_task, sides,
    since_last_seen, traced,
};
use proximity_domain::names::NodeName;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::time::Timestamp;
use proximity_pve::lxc::LxcConfig;
use proximity_pve::upid::Upid;
use proximity_store::desired::DesiredRecord;
use proximity_store::drifts::DesiredDrift;
use proximity_store::effects::NewEvent;
use proximity_store::observation::WatchedGuest;
use proximity_store::records::AppRecord;
use proximity_store::views::OperationFilter;
use proximity_store::{Reader, StoreError};
use serde_json::{Value, json};

use super::identify::tasks_about;
use super::rounds::Round;
use super::{Reconciler, Site, system};
use crate::cluster::observed;
use crate::error::EngineError;
use crate::sagas::steps::configuration::disk_bytes;

/// What Proxmox VE gives a container whose configuration says nothing (`PVE::LXC::Config`).
const DEFAULT_MEMORY_MIB: u64 = 512;
/// So many of an app's newest operations are looked through for the one that switched it last.
const LOOKED_BACK: u32 = 50;

/// A container that the sweep has read and recognised.
#[derive(Clone, Copy)]
pub(super) struct Recognised<'a> {
    pub(super) site: &'a Site,
    pub(super) guest: &'a WatchedGuest,
    pub(super) recorded: &'a RecordedGuest,
    /// Where it was read.
    pub(super) place: &'a ContainerRef,
    /// When it was recognised before.
    pub(super) before: Option<Timestamp>,
}

impl Reconciler {
    /// Tells of what somebody changed about an app's container that documents want otherwise, if another thing was told last.
    pub(super) async fn hold_to_documents(
        &self,
        seen: Recognised<'_>,
        config: &LxcConfig,
        round: &Round,
    ) -> Result<(), EngineError> {
        let app = seen.guest.watched.app;
        let told = round.drifts.get(&app);
        if !round.desired.contains(&app) && told.is_none() {
            return Ok(());
        }
        let wanted = self.wanted_now(seen.guest).await?;
        let found = self.differing(app, wanted.as_ref(), seen.place, config);
        let found = found.await?;
        let was_told = told.map(|told| told.fields.as_slice()).unwrap_or_default();
        // What was told is taken all the same once its policy is to accept it.
        let is_done = |found: Vec<Merged>| {
            found == was_told && !is_acceptable(wanted.as_ref(), found.as_slice())
        };
        if found.is_none_or(is_done) {
            return Ok(());
        }
        let Some(_at_work) = self.at_work.try_enter(app) else {
            return Ok(());
        };
        let wanted = self.wanted_now(seen.guest).await?;
        let recorded = self.store.app(app).await?;
        let Some(config) = self.read_again(&seen).await else {
            return Ok(());
        };
        let found = self.differing(app, wanted.as_ref(), seen.place, &config);
        let Some(found) = found.await? else {
            return Ok(());
        };
        // Others may share the database: an operation of theirs that came in between changed record and container.
        if self.store.app(app).await? != recorded {
            return Ok(());
        }
        if let Some(wanted) = &wanted
            && self.accept(&seen, wanted, &found).await?
        {
            return Ok(());
        }
        self.tell_of_documents(&seen, wanted.as_ref(), told, &found)
            .await
    }

    /// The newest revision of what documents want of a guest's app, if they want anything.
    pub(super) async fn wanted_now(
        &self,
        guest: &WatchedGuest,
    ) -> Result<Option<DesiredRecord>, EngineError> {
        let newest = self.store.desired(&guest.hostname).await?;
        let app = Some(guest.watched.app);
        Ok(newest.filter(|newest| newest.app == app && newest.spec.is_some()))
    }

    /// The configuration once more, if it is the recorded container's; nothing where that is not clear.
    async fn read_again(&self, seen: &Recognised<'_>) -> Option<LxcConfig> {
        self.pace.turn().await;
        let place = seen.place;
        let read = seen.site.read.lxc_config(&place.node, place.vmid).await;
        let config = read.ok()?;
        match seen
            .recorded
            .judge(&observed(place.clone(), &config, false))
        {
            Judgement::Owned | Judgement::Learned(_) => Some(config),
            Judgement::Unfinished(_) | Judgement::Drifted(_) | Judgement::Conflict(_) => None,
        }
    }

    /// What somebody else made differ; `None` where that cannot be told, for the app is on its way, in trouble or gone.
    async fn differing(
        &self,
        app: AppId,
        wanted: Option<&DesiredRecord>,
        place: &ContainerRef,
        config: &LxcConfig,
    ) -> Result<Option<Vec<Merged>>, EngineError> {
        let Some(app) = self.store.app(app).await? else {
            return Ok(None);
        };
        let Some(power) = power_of(&app) else {
            return Ok(None);
        };
        let Some(spec) = wanted.and_then(|wanted| wanted.spec.as_ref()) else {
            return Ok(Some(Vec::new()));
        };
        let actual = actual(config, &place.node, Some(power));
        let fields = sides_of(&self.store, &app, Some(spec), &actual).await?;
        let mut differing = drifted(&fields);
        if app.class == AppClass::Adopted && spec.policy() == Policy::Revert {
            differing.extend(self.adopted_keys(app.id, spec, config).await?);
        }
        Ok(Some(differing))
    }

    /// Keys that are not as on the day of adoption, without their values, which may be private. Only of apps of which they are to be
    /// brought back: of the others the guard tells where that is wished for. Those that somebody else may change are left out.
    async fn adopted_keys(
        &self,
        app: AppId,
        spec: &DesiredSpec,
        config: &LxcConfig,
    ) -> Result<Vec<Merged>, EngineError> {
        let Some(record) = self.store.adoption(app).await? else {
            return Ok(Vec::new());
        };
        let differing = drift(&record.proxmox_config_snapshot, &config.raw);
        let (told, _) = spec.ignored().part(differing);
        let keys = told.into_iter().map(|differing| Merged {
            path: format!("{KEY}{}", differing.key),
            verdict: Verdict::Theirs,
            last: None,
            wanted: Value::Null,
            actual: None,
        });
        Ok(keys.collect())
    }

    async fn tell_of_documents(
        &self,
        seen: &Recognised<'_>,
        wanted: Option<&DesiredRecord>,
        told: Option<&DesiredDrift>,
        found: &[Merged],
    ) -> Result<(), EngineError> {
        let (app, now) = (seen.guest.watched.app, self.clock.now());
        let mut body = json!({
            "app": app,
            "hostname": seen.guest.hostname,
            "host": seen.site.host.label,
            "vmid": seen.place.vmid,
        });
        let kind = if found.is_empty() {
            body["since"] = json!(told.map_or(now, |told| told.since));
            EventKind::DesiredDriftEnded
        } else {
            let trace = self.who(seen, wanted, found).await?;
            let fields: Vec<Value> = found.iter().map(field_told).collect();
            body["fields"] = json!(fields);
            body["by"] = json!(trace.as_ref().map(|(by, _)| by));
            body["at"] = json!(trace.as_ref().map(|(_, at)| at));
            body["since"] = json!(now);
            EventKind::DesiredDrifted
        };
        let event = NewEvent { kind, body };
        if self
            .store
            .tell_desired_drift(app, found, &event, now)
            .await?
        {
            log(seen, found);
        }
        Ok(())
    }

    /// Takes what somebody made of it as what is wanted from now on, where its policy says so and documents can say it. What is left of
    /// the differences is told of by the next look.
    async fn accept(
        &self,
        seen: &Recognised<'_>,
        wanted: &DesiredRecord,
        found: &[Merged],
    ) -> Result<bool, EngineError> {
        let app = self.store.app(seen.guest.watched.app).await?;
        let (Some(app), Some(spec)) = (app, &wanted.spec) else {
            return Ok(false);
        };
        let given = (app.class == AppClass::Native).then_some(app.resources);
        let Some(accepted) = accepted(spec, given, found) else {
            return Ok(false);
        };
        let taken = found
            .iter()
            .filter(|field| accepted.paths.contains(&field.path));
        let fields: Vec<Value> = taken.map(field_told).collect();
        let trace = self.who(seen, Some(wanted), found).await?;
        let body = json!({
            "app": app.id,
            "hostname": seen.guest.hostname,
            "host": seen.site.host.label,
            "vmid": seen.place.vmid,
            "fields": fields,
            "by": trace.as_ref().map(|(by, _)| by),
            "at": trace.as_ref().map(|(_, at)| at),
        });
        let event = NewEvent {
            kind: EventKind::DesiredAccepted,
            body,
        };
        let (actor, now) = (system(), self.clock.now());
        let is_taken = self
            .store
            .accept_drift(wanted, &accepted, &event, &actor, now)
            .await?;
        if is_taken {
            let (app, fields) = (&seen.guest.hostname, accepted.paths.join(", "));
            tracing::warn!(%app, %fields, "what was changed in Proxmox VE is wanted from now on: its policy is accept");
        }
        Ok(is_taken)
    }

    /// Who made this and when, if one task of Proxmox VE tells: asked for in two requests, and only where what differs is made by a task.
    async fn who(
        &self,
        seen: &Recognised<'_>,
        wanted: Option<&DesiredRecord>,
        found: &[Merged],
    ) -> Result<Option<(String, Timestamp)>, EngineError> {
        if !leaves_a_task(found) {
            return Ok(None);
        }
        let kept = self.store.guest_looks(seen.guest.watched.guest).await?;
        let applied = wanted.map(|wanted| wanted.applied_at);
        let Some(before) = seen.before.max(kept.verified_at).max(applied) else {
            return Ok(None);
        };
        let place = seen.place;
        // Its rights on the node, and the tasks.
        for _ in 0..2 {
            self.pace.turn().await;
        }
        // What the node's list does not show whole tells nothing: whom it leaves out may have been the one.
        let read = &seen.site.read;
        let Ok(upids) = tasks_about(read, &place.node, place.vmid, before).await else {
            return Ok(None);
        };
        // Those of a node that it was on before are on record.
        let mut tasks = self.store.tasks_of(place.host, place.vmid).await?;
        for task in upids.iter().map(trace_of) {
            if !tasks.contains(&task) {
                tasks.push(task);
            }
        }
        let trace = traced(found, &tasks, since_last_seen(before));
        Ok(trace.map(|trace| (trace.user.clone(), trace.at)))
    }
}

fn trace_of(upid: &Upid) -> Trace {
    let start_s = i64::try_from(upid.start_s()).unwrap_or(i64::MAX);
    Trace {
        kind: upid.kind().to_owned(),
        user: upid.user().to_owned(),
        at: Timestamp(start_s.saturating_mul(1_000)),
    }
}

/// What the path of a key of an adopted container's configuration begins with: it is compared with the day of adoption.
pub(crate) const KEY: &str = "config.";

/// Something of this is to be taken as it is, and can be said by documents.
fn is_acceptable(wanted: Option<&DesiredRecord>, found: &[Merged]) -> bool {
    let spec = wanted.and_then(|wanted| wanted.spec.as_ref());
    // What was given is only written over.
    let given = Resources {
        memory_mib: 0,
        cores: 0,
        disk_gib: 0,
    };
    spec.is_some_and(|spec| accepted(spec, Some(given), found).is_some())
}

/// A field as an event tells it. Of a key of an adopted container there is no value to tell.
fn field_told(field: &Merged) -> Value {
    let source = field.verdict.source();
    if field.path.starts_with(KEY) {
        return json!({ "field": field.path, "source": source });
    }
    json!({
        "field": field.path,
        "from": field.last,
        "to": field.actual,
        "wanted": field.wanted,
        "source": source,
    })
}

fn log(seen: &Recognised<'_>, found: &[Merged]) {
    let app = &seen.guest.hostname;
    if found.is_empty() {
        tracing::info!(%app, "the container is as documents want it again");
        return;
    }
    let paths: Vec<&str> = found.iter().map(|field| field.path.as_str()).collect();
    tracing::warn!(
        %app,
        fields = %paths.join(", "),
        "DRIFT: the container was changed in Proxmox VE, and is not as documents want it"
    );
}

/// How an app that is settled is switched, by its record, which follows its container.
pub(crate) fn power_of(app: &AppRecord) -> Option<WantedPower> {
    match app.status.label() {
        StatusLabel::Running => Some(WantedPower::Running),
        StatusLabel::Stopped => Some(WantedPower::Stopped),
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Updating
        | StatusLabel::Removing
        | StatusLabel::Error => None,
    }
}

/// A container as its configuration tells, and how it is switched.
pub(crate) fn actual(config: &LxcConfig, node: &NodeName, power: Option<WantedPower>) -> Actual {
    Actual {
        memory_mib: config.memory_mib.unwrap_or(DEFAULT_MEMORY_MIB),
        cores: config.cores,
        disk_bytes: disk_bytes(config),
        node: node.clone(),
        power,
    }
}

/// What differs between an app's record, what is wanted of it and its container. Where its power does, its operations are looked
/// through: what a person switched here is no change of somebody else.
pub(crate) async fn sides_of(
    reader: &Reader,
    app: &AppRecord,
    wanted: Option<&DesiredSpec>,
    actual: &Actual,
) -> Result<Vec<Merged>, StoreError> {
    let applied = Applied {
        resources: (app.class == AppClass::Native).then_some(app.resources),
        power: None,
    };
    let fields = sides(&applied, wanted, actual);
    if !fields.iter().any(|field| field.path == "power") {
        return Ok(fields);
    }
    let power = switched_last(reader, app.id).await?;
    Ok(sides(&Applied { power, ..applied }, wanted, actual))
}

/// How the newest operation that switched an app left it.
async fn switched_last(reader: &Reader, app: AppId) -> Result<Option<WantedPower>, StoreError> {
    let filter = OperationFilter {
        app: Some(app),
        limit: LOOKED_BACK,
        ..OperationFilter::default()
    };
    let newest = reader.operations(filter).await?.into_iter();
    let done = newest.filter(|operation| operation.state == OperationState::Succeeded);
    let mut switched = done.filter_map(|operation| match operation.kind {
        OperationKind::Deploy | OperationKind::Start | OperationKind::Restart => {
            Some(WantedPower::Running)
        }
        OperationKind::Stop => Some(WantedPower::Stopped),
        OperationKind::Remove
        | OperationKind::Adopt
        | OperationKind::Forget
        | OperationKind::RestoreKeys
        | OperationKind::Update => None,
    });
    Ok(switched.next())
}
