//! Stacks: apps that documents put together, started and stopped in the order of what they need. One request brings a run as far as it comes
//! now, and the next one goes on: what was begun is found by its key, so that a run has no record of its own, and outlives any crash.

use std::collections::BTreeMap;

use proximity_domain::app::{Status, StatusLabel};
use proximity_domain::desired::{DesiredSpec, Documents};
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::manifest::WantedPower;
use proximity_domain::names::{Hostname, ManifestName};
use proximity_domain::operation::OperationState;
use proximity_domain::stack::{Part, Parts, RunState, StackAct, Way, next};
use proximity_store::desired::DesiredRecord;
use proximity_store::records::{Actor, AppRecord, RequestKey};
use uuid::Uuid;

use super::act::Action;
use crate::engine::Engine;
use crate::error::EngineError;

/// So many apps of one run are under way at the same time.
const MOST_AT_ONCE: usize = 4;

/// A stack as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct StackView {
    /// Its name.
    pub name: ManifestName,
    /// Its apps, by name.
    pub apps: Vec<StackMember>,
}

/// An app of a stack.
#[derive(Debug, Clone, PartialEq)]
pub struct StackMember {
    /// Its host name in the documents.
    pub name: Hostname,
    /// Its record; `None` where it was removed by hand.
    pub app: Option<AppRecord>,
    /// Whether documents want it to run; `None`: that is left as it is.
    pub power: Option<WantedPower>,
    /// The apps of the stack that it needs.
    pub depends_on: Vec<Hostname>,
}

/// What is to be done with a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackRequest {
    /// What.
    pub act: StackAct,
    /// Kill what does not shut down by itself.
    pub force: bool,
    /// The run that goes on; `None`: a new one begins.
    pub run: Option<String>,
    /// The account whose apps alone count; `None` = all.
    pub sees_only: Option<String>,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq)]
pub struct StackRun {
    /// The stack.
    pub name: ManifestName,
    /// What is done.
    pub act: StackAct,
    /// Names the run, for the next request.
    pub run: String,
    /// How far it is.
    pub state: RunState,
    /// Its apps, by name.
    pub apps: Vec<MemberRun>,
}

/// How far an app is in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberRun {
    /// The app.
    pub member: StackMember,
    /// How far it is being stopped.
    pub down: PartOfRun,
    /// How far it is being started.
    pub up: PartOfRun,
}

/// One way of an app in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartOfRun {
    /// How far it is.
    pub part: Part,
    /// The operation that does or did it.
    pub operation: Option<OperationId>,
    /// Why it failed, or is left out.
    pub why: Option<Failure>,
}

impl PartOfRun {
    fn of(part: Part) -> Self {
        Self {
            part,
            operation: None,
            why: None,
        }
    }

    fn left(why: Failure) -> Self {
        Self {
            why: Some(why),
            ..Self::of(Part::Left)
        }
    }

    fn failed(operation: Option<OperationId>, why: Failure) -> Self {
        Self {
            part: Part::Failed,
            operation,
            why: Some(why),
        }
    }
}

impl Engine {
    /// The stacks that apps belong to by what is wanted of them, by name; of whoever sees the apps of one account alone, those with apps of it.
    ///
    /// # Errors
    /// The database's.
    pub async fn stacks(&self, sees_only: Option<&str>) -> Result<Vec<StackView>, EngineError> {
        let mut by_name: BTreeMap<ManifestName, Vec<DesiredRecord>> = BTreeMap::new();
        for record in self.store().all_desired().await? {
            let stack = record.spec.as_ref().and_then(DesiredSpec::stack).cloned();
            if let Some(stack) = stack {
                by_name.entry(stack).or_default().push(record);
            }
        }
        let mut stacks = Vec::new();
        for (name, records) in by_name {
            let apps = self.stack_members(records, sees_only).await?;
            if !apps.is_empty() {
                stacks.push(StackView { name, apps });
            }
        }
        Ok(stacks)
    }

    /// One stack.
    ///
    /// # Errors
    /// There is none of this name; the database's.
    pub async fn stack(
        &self,
        name: &str,
        sees_only: Option<&str>,
    ) -> Result<StackView, EngineError> {
        let stacks = self.stacks(sees_only).await?;
        let found = stacks.into_iter().find(|stack| stack.name.as_str() == name);
        found.ok_or_else(|| EngineError::NotFound {
            what: "stack",
            name: name.to_owned(),
        })
    }

    /// Brings a run as far as it comes now: begins what waits for nothing any more, at most four apps at the same time, unless something has
    /// failed. Asked for again with the same `run`, within a day, it goes on; what failed counts as done once the app is as it was to be.
    ///
    /// # Errors
    /// There is no such stack; a `run` that is none. What an app refuses is told of that app.
    pub async fn act_on_stack(
        &self,
        actor: &Actor,
        name: &str,
        request: StackRequest,
    ) -> Result<StackRun, EngineError> {
        let run = match &request.run {
            None => self.inner.parts.ids.uuid(),
            Some(text) => Uuid::try_parse(text).map_err(|_| EngineError::Invalid {
                field: "run".to_owned(),
                message: format!(
                    "{text:?} is the name of no run: it is what an answer had as `run`"
                ),
            })?,
        };
        let stack = self.stack(name, request.sees_only.as_deref()).await?;
        let needs = places(&stack.apps);
        let pass = Pass {
            engine: self,
            actor,
            act: request.act,
            force: request.force,
            run,
        };
        let mut apps = Vec::new();
        for member in stack.apps {
            apps.push(pass.look(member).await?);
        }
        let first = next(&needs, &parts(&apps), MOST_AT_ONCE);
        for (at, way) in &first.begin {
            if let Some(one) = apps.get_mut(*at) {
                let begun = pass.begin(&one.member, *way).await;
                match way {
                    Way::Down => one.down = begun,
                    Way::Up => one.up = begun,
                }
            }
        }
        let state = match first.begin.is_empty() {
            true => first.state,
            // What could not be begun has failed.
            false => next(&needs, &parts(&apps), 0).state,
        };
        Ok(StackRun {
            name: stack.name,
            act: request.act,
            run: run.to_string(),
            state,
            apps,
        })
    }

    /// The apps of one stack, with what they need of each other.
    async fn stack_members(
        &self,
        records: Vec<DesiredRecord>,
        sees_only: Option<&str>,
    ) -> Result<Vec<StackMember>, EngineError> {
        let mut apps = BTreeMap::new();
        for record in records {
            let app = match record.app {
                Some(id) => self.store().app(id).await?,
                None => None,
            };
            let is_seen = match (&app, sees_only) {
                (_, None) => true,
                (Some(app), Some(account)) => app.owner == account,
                (None, Some(_)) => false,
            };
            if let Some(spec) = record.spec.filter(|_| is_seen) {
                apps.insert(record.name, (spec, app));
            }
        }
        let specs = apps
            .iter()
            .map(|(name, (spec, _))| (name.clone(), spec.clone()));
        let mut together: Documents = specs.collect();
        // It may have been wanted at different times.
        together.break_circles();
        let member = |(name, (spec, app)): (Hostname, (DesiredSpec, Option<AppRecord>))| {
            let needs = together.get(&name).map(DesiredSpec::depends_on);
            StackMember {
                power: spec.power(),
                depends_on: needs.unwrap_or_default(),
                name,
                app,
            }
        };
        let mut members: Vec<StackMember> = apps.into_iter().map(member).collect();
        let names: Vec<Hostname> = members.iter().map(|one| one.name.clone()).collect();
        for member in &mut members {
            member.depends_on.retain(|need| names.contains(need));
        }
        Ok(members)
    }
}

/// One look at a run, and what is begun by it.
struct Pass<'a> {
    engine: &'a Engine,
    actor: &'a Actor,
    act: StackAct,
    force: bool,
    run: Uuid,
}

impl Pass<'_> {
    /// How far an app is.
    async fn look(&self, member: StackMember) -> Result<MemberRun, EngineError> {
        let Some(app) = &member.app else {
            let why = Failure::new(
                "app_not_found",
                format!("there is no app {}", member.name),
                "apply its document again, or let the documents have it no more",
            );
            return Ok(MemberRun {
                member,
                down: PartOfRun::left(why.clone()),
                up: PartOfRun::left(why),
            });
        };
        let up = match member.power {
            _ if !self.act.goes_up() => PartOfRun::of(Part::Left),
            Some(WantedPower::Stopped) => PartOfRun::left(Failure::new(
                "wanted_stopped",
                "documents want it stopped",
                "start it by itself with: proximity start APP",
            )),
            Some(WantedPower::Running) | None => self.part(app, Way::Up).await?,
        };
        let down = if !self.act.goes_down() {
            PartOfRun::of(Part::Left)
        } else if up.operation.is_some() {
            // It was stopped before it was started.
            PartOfRun::of(Part::Done)
        } else {
            self.part(app, Way::Down).await?
        };
        // What runs before it is stopped is not started yet.
        let is_before = self.act.goes_down() && down.part != Part::Done;
        let up = match up.part {
            Part::Done if is_before => PartOfRun::of(Part::Open),
            Part::Open | Part::Going | Part::Done | Part::Left | Part::Failed => up,
        };
        Ok(MemberRun { member, down, up })
    }

    /// How far an app is on one way, by what this run has begun and by what the app is.
    async fn part(&self, app: &AppRecord, way: Way) -> Result<PartOfRun, EngineError> {
        let store = self.engine.store();
        let (key, now) = (self.key(app.id, way), self.engine.now());
        let made = store.request(&self.actor.account, &key, now).await?;
        let id = made.and_then(|made| made.parse::<OperationId>().ok());
        let operation = match id {
            Some(id) => store.operation(id).await?,
            None => None,
        };
        let is_so = app.operation.is_none() && is_so(&app.status, way);
        let Some(operation) = operation else {
            let part = if is_so { Part::Done } else { Part::Open };
            return Ok(PartOfRun::of(part));
        };
        let id = Some(operation.id);
        let so_far = |part| PartOfRun {
            operation: id,
            ..PartOfRun::of(part)
        };
        Ok(match operation.state {
            OperationState::Queued | OperationState::Running | OperationState::Unwinding { .. } => {
                so_far(Part::Going)
            }
            OperationState::Succeeded => so_far(Part::Done),
            // A person has mended it since.
            OperationState::Failed { .. } | OperationState::Cancelled if is_so => {
                so_far(Part::Done)
            }
            OperationState::Failed { failure } => PartOfRun::failed(id, failure),
            OperationState::Cancelled => PartOfRun::failed(
                id,
                Failure::new(
                    "cancelled",
                    format!("its {} was cancelled", way.label()),
                    "do it by itself, then let this run go on",
                ),
            ),
            OperationState::Stuck { failure, .. } => PartOfRun::failed(id, failure),
        })
    }

    /// Asks for it, by the command that a person would use.
    async fn begin(&self, member: &StackMember, way: Way) -> PartOfRun {
        let Some(app) = &member.app else {
            return PartOfRun::of(Part::Left);
        };
        let action = match way {
            Way::Down => Action::Stop { force: self.force },
            Way::Up => Action::Start,
        };
        let key = Some(self.key(app.id, way));
        let id = app.id.to_string();
        match self.engine.act_once(self.actor, &id, action, key).await {
            Ok(operation) => PartOfRun {
                operation: Some(operation.id),
                ..PartOfRun::of(Part::Going)
            },
            Err(refused) => PartOfRun::failed(None, refused.failure()),
        }
    }

    /// The same for the same thing of the same run. No key of anybody else has a blank.
    fn key(&self, app: AppId, way: Way) -> RequestKey {
        let key = format!("stack {} {} {app}", self.run, way.label());
        RequestKey {
            fingerprint: self.engine.store().fingerprint(&[b"stack", key.as_bytes()]),
            key,
        }
    }
}

/// The places of those that each needs.
fn places(members: &[StackMember]) -> Vec<Vec<usize>> {
    let place = |need: &Hostname| members.iter().position(|one| one.name == *need);
    let members = members.iter();
    members
        .map(|one| one.depends_on.iter().filter_map(place).collect())
        .collect()
}

fn parts(apps: &[MemberRun]) -> Vec<Parts> {
    let apps = apps.iter();
    apps.map(|one| Parts {
        down: one.down.part,
        up: one.up.part,
    })
    .collect()
}

fn is_so(status: &Status, way: Way) -> bool {
    match status.label() {
        StatusLabel::Running => way == Way::Up,
        StatusLabel::Stopped => way == Way::Down,
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Updating
        | StatusLabel::Removing
        | StatusLabel::Error => false,
    }
}
