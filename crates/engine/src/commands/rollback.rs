//! `POST /api/apps/{app}/rollback`, `POST /api/rollback`: a plan whose documents are an earlier state. Nothing is changed by it.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::desired::{DesiredSpec, Documents};
use proximity_domain::export;
use proximity_domain::ids::{AppId, HostId};
use proximity_domain::names::{HostLabel, Hostname, SecretName};
use proximity_domain::plan::Recorded;
use proximity_domain::resource::{ResourceId, ResourceKey, Snapshot};
use proximity_domain::rollback::{
    self, Back, Impossible, Kept, Lost, Now, Rollback, Stays, Target,
};
use proximity_domain::time::Timestamp;
use proximity_store::desired::DesiredRecord;
use proximity_store::plans::PlanRecord;
use proximity_store::records::Actor;

use super::MakePlan;
use super::export::applied;
use super::plan::{GoesBack, recorded};
use crate::engine::Engine;
use crate::error::EngineError;

/// One app is to be as it was.
#[derive(Debug, Clone)]
pub struct RollbackApp {
    /// The app.
    pub app: AppId,
    /// To what.
    pub to: Target,
    /// The account whose apps may be planned for; `None` = all.
    pub owner: Option<String>,
    /// The plan is shown once, and not kept.
    pub passing: bool,
}

/// All apps are to be as they were wanted at a moment.
#[derive(Debug, Clone)]
pub struct RollbackAll {
    /// The moment.
    pub at: Timestamp,
    /// Apps that were made since are to be removed.
    pub prune: bool,
    /// The account whose apps may be planned for; `None` = all.
    pub owner: Option<String>,
    /// The plan is shown once, and not kept.
    pub passing: bool,
}

impl Engine {
    /// Plans that an app is as it was wanted, or observed, before.
    ///
    /// Flow: record, and what was wanted of it → the document of then, less what does not go back → a plan of that document alone.
    ///
    /// # Errors
    /// No such app, revision or snapshot; a moment that has not come; [`EngineError::NotBack`] where it was another container, or nothing is on record of it; what
    /// [`Engine::make_plan`] refuses.
    pub async fn rollback_app(
        &self,
        actor: &Actor,
        request: RollbackApp,
    ) -> Result<PlanRecord, EngineError> {
        if let Target::Moment(at) = request.to {
            self.has_come(at)?;
        }
        let around = Around::of(self, request.owner.as_deref()).await?;
        let one = around.own().find(|one| one.id == request.app);
        let one = one.ok_or_else(|| not_found("app", request.app.to_string()))?;
        let (spec, back) = match request.to {
            Target::Revision(_) | Target::Moment(_) => {
                let then = then(self, one, request.to).await?;
                around
                    .as_wanted(self, one, &then)
                    .map_err(EngineError::NotBack)?
            }
            Target::Snapshot(seq) => {
                let snapshot = snapshot(self, one, seq).await?;
                let as_it_is = around.as_it_is(one).map_err(EngineError::NotBack)?;
                let spec = rollback::of_snapshot(&one.name, &as_it_is, &snapshot)
                    .map_err(EngineError::NotBack)?;
                let back = Back {
                    name: one.name.clone(),
                    revision: None,
                    since: snapshot.at,
                    kept: Vec::new(),
                };
                (spec, back)
            }
        };
        let mut going = Going::to(request.to);
        going.takes(around.applied.get(&one.id), spec, back);
        let ask = MakePlan {
            owner: request.owner,
            passing: request.passing,
            ..MakePlan::default()
        };
        going.planned(self, actor, ask).await
    }

    /// Plans that all apps of which something was wanted at a moment are as they were wanted then. Those of which nothing was stay as they
    /// are; with `prune` those that were made since are removed. Apps that ended since do not come back. Apps in error are left out, and
    /// with `prune` those that are to stay and have no document: nothing of them is planned, and they keep no other app back.
    ///
    /// # Errors
    /// A moment that has not come; [`EngineError::NotBack`] if nothing was wanted then, or of apps alone that are left out; what
    /// [`Engine::make_plan`] refuses.
    pub async fn rollback_all(
        &self,
        actor: &Actor,
        request: RollbackAll,
    ) -> Result<PlanRecord, EngineError> {
        self.has_come(request.at)?;
        let around = Around::of(self, request.owner.as_deref()).await?;
        let then = self.store().desired_at(request.at).await?;
        let mut going = Going::to(Target::Moment(request.at));
        if request.owner.is_none() {
            going.stay.extend(around.ended(&then));
        }
        let then = then.into_iter().map(|record| (record.name.clone(), record));
        let then: BTreeMap<Hostname, DesiredRecord> = then.collect();
        let mut staying = Vec::new();
        for one in around.own() {
            let before = then.get(&one.name);
            let before = before.filter(|before| before.app == Some(one.id));
            if let Some(why) = rollback::left_out(one)
                && (before.is_some() || request.prune)
            {
                going.leaves(one, why);
                continue;
            }
            let went = match before {
                Some(before) => around.as_wanted(self, one, before),
                None => Err(Impossible::NotThen(one.name.clone())),
            };
            match went {
                Ok((spec, back)) => going.takes(around.applied.get(&one.id), spec, back),
                Err(why) => staying.push((one, why)),
            }
        }
        if going.apps.is_empty() {
            return Err(EngineError::NotBack(going.nothing()));
        }
        let born = match request.prune {
            true => born_since(self, request.at).await?,
            false => BTreeSet::new(),
        };
        for (one, why) in staying {
            if born.contains(&one.id) {
                continue;
            }
            if request.prune {
                // What no document names would be removed.
                match around.as_it_is(one) {
                    Ok(as_it_is) => going.documents.insert(one.name.clone(), as_it_is),
                    Err(none) => {
                        going.leaves(one, none.to_string());
                        continue;
                    }
                };
            }
            going.stay.push(Stays {
                name: one.name.clone(),
                why: why.to_string(),
            });
        }
        let ask = MakePlan {
            prune: request.prune,
            owner: request.owner,
            passing: request.passing,
            ..MakePlan::default()
        };
        going.planned(self, actor, ask).await
    }

    /// Nobody goes back to what has not come.
    fn has_come(&self, at: Timestamp) -> Result<(), EngineError> {
        if at > self.now() {
            return Err(EngineError::Invalid {
                field: "time".to_owned(),
                message: "that moment has not come yet".to_owned(),
            });
        }
        Ok(())
    }
}

/// What is there.
struct Around {
    hosts: BTreeMap<HostId, HostLabel>,
    recorded: Vec<Recorded>,
    applied: BTreeMap<AppId, DesiredSpec>,
    secrets: BTreeMap<SecretName, i64>,
    /// Names of the account's apps.
    names: BTreeSet<Hostname>,
}

impl Around {
    async fn of(engine: &Engine, owner: Option<&str>) -> Result<Self, EngineError> {
        let store = engine.store();
        let hosts = store.hosts().await?.into_iter();
        let secrets = store.secrets().await?.into_iter();
        let recorded = recorded(engine, owner).await?;
        let own = recorded.iter().filter(|one| one.is_own);
        Ok(Self {
            hosts: hosts.map(|host| (host.id, host.label)).collect(),
            applied: applied(engine).await?,
            secrets: secrets.map(|one| (one.name, one.version)).collect(),
            names: own.map(|one| one.name.clone()).collect(),
            recorded,
        })
    }

    fn own(&self) -> impl Iterator<Item = &Recorded> {
        self.recorded.iter().filter(|one| one.is_own)
    }

    fn host(&self, one: &Recorded) -> Result<&HostLabel, Impossible> {
        let host = self.hosts.get(&one.host);
        host.ok_or_else(|| no_document(one, export::LeftOut::NoHost))
    }

    /// The document by which an app goes back to what was wanted of it.
    fn as_wanted(
        &self,
        engine: &Engine,
        one: &Recorded,
        then: &DesiredRecord,
    ) -> Result<(DesiredSpec, Back), Impossible> {
        let Some(spec) = &then.spec else {
            return Err(Impossible::NothingWanted(one.name.clone()));
        };
        let catalog = engine.catalog();
        let entry = catalog.get(&one.catalog_id);
        let now = Now {
            recorded: one,
            host: self.host(one)?,
            usual_disk_gib: entry.map(|entry| entry.needs.default.disk_gib),
            secrets: &self.secrets,
            names: &self.names,
        };
        let (spec, mut kept) = rollback::back(&now, spec, &then.secrets)?;
        if then.app != Some(one.id) {
            kept.push(Kept {
                what: "app".to_owned(),
                why: "that was wanted of an earlier app of this name".to_owned(),
            });
        }
        let back = Back {
            name: one.name.clone(),
            revision: Some(then.revision),
            since: then.applied_at,
            kept,
        };
        Ok((spec, back))
    }

    /// The document of an app as it is on record.
    fn as_it_is(&self, one: &Recorded) -> Result<DesiredSpec, Impossible> {
        let spec = self
            .applied
            .get(&one.id)
            .map(|spec| spec.among(&self.names));
        let before = spec.map(|spec| spec.manifest(&one.name));
        let written = export::document(one, Some(self.host(one)?), before.as_ref(), false);
        let written = written.map_err(|why| no_document(one, why))?;
        DesiredSpec::of(&written.document)
            .ok_or_else(|| Impossible::NothingWanted(one.name.clone()))
    }

    /// Apps of which something was wanted and that are not there any more.
    fn ended(&self, then: &[DesiredRecord]) -> Vec<Stays> {
        let there: BTreeSet<&Hostname> = self.recorded.iter().map(|one| &one.name).collect();
        let ended = then
            .iter()
            .filter(|one| one.spec.is_some() && !there.contains(&one.name));
        let why = "it is not there any more, and going back makes nothing: deploy it, or apply its document";
        let each = ended.map(|one| Stays {
            name: one.name.clone(),
            why: why.to_owned(),
        });
        each.collect()
    }
}

/// What goes back.
struct Going {
    to: Target,
    documents: BTreeMap<Hostname, DesiredSpec>,
    apps: Vec<Back>,
    stay: Vec<Stays>,
    left_out: Vec<Stays>,
    lost: Vec<Lost>,
}

impl Going {
    fn to(to: Target) -> Self {
        Self {
            to,
            documents: BTreeMap::new(),
            apps: Vec::new(),
            stay: Vec::new(),
            left_out: Vec::new(),
            lost: Vec::new(),
        }
    }

    fn leaves(&mut self, one: &Recorded, why: String) {
        self.left_out.push(Stays {
            name: one.name.clone(),
            why,
        });
    }

    /// Why no app goes back.
    fn nothing(self) -> Impossible {
        let left_out = self.left_out.into_iter().map(|one| one.name);
        let left_out: Vec<Hostname> = left_out.collect();
        match left_out.is_empty() {
            true => Impossible::NothingThen,
            false => Impossible::AllLeftOut(left_out),
        }
    }

    /// `now` is what is wanted of the app, if any document said so.
    fn takes(&mut self, now: Option<&DesiredSpec>, spec: DesiredSpec, back: Back) {
        let name = back.name.clone();
        if let Some(now) = now {
            self.lost.extend(rollback::unsaid(&name, now, &spec));
        }
        self.documents.insert(name, spec);
        self.apps.push(back);
    }

    async fn planned(
        mut self,
        engine: &Engine,
        actor: &Actor,
        ask: MakePlan,
    ) -> Result<PlanRecord, EngineError> {
        self.apps.sort_by(|a, b| a.name.cmp(&b.name));
        self.stay.sort_by(|a, b| a.name.cmp(&b.name));
        self.left_out.sort_by(|a, b| a.name.cmp(&b.name));
        let leave = self.left_out.iter().map(|one| one.name.clone());
        let leave = leave.collect();
        let mut documents: Documents = self.documents.into_iter().collect();
        for (name, need) in documents.break_circles() {
            let back = self.apps.iter_mut().find(|back| back.name == name);
            if let Some(back) = back {
                back.kept.push(Kept {
                    what: "depends_on".to_owned(),
                    why: format!(
                        "it depended on {need}, which depended on it at another time: neither waits for the other"
                    ),
                });
            }
        }
        let request = MakePlan {
            documents: documents.manifests(),
            order: documents.order(),
            leave,
            ..ask
        };
        let rollback = Rollback {
            to: self.to,
            apps: self.apps,
            stay: self.stay,
            left_out: self.left_out,
            lost: self.lost,
        };
        let back = GoesBack {
            rollback,
            documents,
        };
        engine.make_plan_of(actor, request, Some(back)).await
    }
}

/// The revision that is meant.
async fn then(engine: &Engine, one: &Recorded, to: Target) -> Result<DesiredRecord, EngineError> {
    let all = engine.store().desired_revisions(&one.name).await?;
    match to {
        Target::Revision(number) => {
            let found = all.into_iter().find(|record| record.revision == number);
            found.ok_or_else(|| not_found("revision", format!("{number} of {}", one.name)))
        }
        Target::Moment(at) => {
            let mut then = all.into_iter().rev();
            let then = then.find(|record| record.applied_at <= at);
            let then = then.filter(|record| record.app == Some(one.id));
            then.ok_or_else(|| EngineError::NotBack(Impossible::NotThen(one.name.clone())))
        }
        Target::Snapshot(number) => Err(not_found("revision", format!("{number} of {}", one.name))),
    }
}

/// A snapshot of the app's own container.
async fn snapshot(engine: &Engine, one: &Recorded, seq: i64) -> Result<Snapshot, EngineError> {
    let lost = || not_found("snapshot", format!("{seq} of {}", one.name));
    let vmid = one.vmid.ok_or_else(lost)?;
    let resource = ResourceId::of(one.host, &ResourceKey::container(vmid));
    let before = Some(seq.saturating_add(1));
    let found = engine.store().snapshots(resource, before, 1).await?;
    let found = found.into_iter().find(|found| found.seq == seq);
    let found = found.ok_or_else(lost)?;
    let app = engine.store().app(one.id).await?.ok_or_else(lost)?;
    if found.at < app.created_at {
        return Err(EngineError::NotBack(Impossible::BeforeApp(
            one.name.clone(),
        )));
    }
    Ok(found)
}

/// Apps that were asked for after a moment.
async fn born_since(engine: &Engine, at: Timestamp) -> Result<BTreeSet<AppId>, EngineError> {
    let apps = engine.live_apps().await?.into_iter();
    let young = apps.filter(|app| app.created_at > at);
    Ok(young.map(|app| app.id).collect())
}

fn no_document(one: &Recorded, why: export::LeftOut) -> Impossible {
    Impossible::NoDocument {
        name: one.name.clone(),
        why: why.to_string(),
    }
}

fn not_found(what: &'static str, name: String) -> EngineError {
    EngineError::NotFound { what, name }
}
