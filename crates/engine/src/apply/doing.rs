//! One change that was begun: what it is made of is done one after the other, each thing under a request key of its own.

use proximity_domain::app::StatusLabel;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::manifest::WantedPower;
use proximity_domain::names::Hostname;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::plan::{Change, Task, Wanted, WantedKind};
use proximity_domain::site::Site;
use proximity_domain::time::Timestamp;
use proximity_store::applies::{ApplyChange, ApplyFence, ApplyRecord, ChangeEnd};
use proximity_store::error::StoreError;
use proximity_store::exposure::Exposure;
use proximity_store::records::{Actor, AppRecord, OperationRecord, RequestKey};
use proximity_store::views::OperationFilter;

mod requests;

use self::requests::adoption;
use super::held::Planned;
use super::places::Place;
use crate::commands::{Action, Deadline};
use crate::engine::Engine;
use crate::error::EngineError;

/// A key is kept for a day; what was begun before that is told by what is written down of the change alone.
const KEYS_MS: i64 = 24 * 60 * 60 * 1_000;

/// How far a change came.
#[derive(Debug)]
pub(super) struct Done {
    /// Its app, once it has one.
    pub(super) app: Option<AppId>,
    /// The last operation that was begun for it.
    pub(super) operation: Option<OperationId>,
    /// How it ended; `None`: it waits.
    pub(super) end: Option<ChangeEnd>,
}

/// How far one thing came that is done for a change.
enum Came {
    Done,
    /// Its operation is under way, or it is tried again.
    Waits,
    Failed(Failure),
}

/// What came of a command.
enum Begun {
    /// This operation carries it out.
    Operation(OperationId),
    /// It is done.
    Done,
    /// It is done, and what it made is found at the next look.
    Found,
}

/// Brings one change forward.
pub(super) struct Doer<'a> {
    engine: &'a Engine,
    fence: &'a ApplyFence,
    actor: Actor,
    change: &'a ApplyChange,
    /// What the next thing is about.
    app: Option<AppId>,
    /// The app that the change made.
    made: Option<AppId>,
    operation: Option<OperationId>,
    /// The next thing was begun after that, if it was.
    since: Option<Timestamp>,
}

/// One thing that is done, and what it is about.
struct Step<'a> {
    /// Its place among those of its change.
    at: usize,
    task: &'a Task,
    /// Those that come after it.
    later: &'a [Task],
    /// The app was taken over by the same change, so that its power is just read.
    is_new: bool,
    planned: &'a Change,
    wanted: Option<&'a Wanted>,
    /// Something else is wanted by now than was planned.
    is_other: bool,
}

impl<'a> Doer<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        apply: &ApplyRecord,
        fence: &'a ApplyFence,
        change: &'a ApplyChange,
    ) -> Self {
        Self {
            engine,
            fence,
            actor: apply.actor(),
            change,
            app: None,
            made: None,
            operation: change.operation,
            since: change.started_at,
        }
    }

    /// As far as it comes without waiting for an operation. Whatever was begun before, also by a process that died, is found.
    ///
    /// # Errors
    /// The store's: it is looked at again then.
    pub(super) async fn forward(
        mut self,
        planned: Result<&Planned, &Failure>,
    ) -> Result<Done, StoreError> {
        let known = planned.map_err(Clone::clone);
        let known = known.and_then(|planned| Ok((planned, planned.change(self.change.position)?)));
        let end = match known {
            Ok((all, (planned, wanted, tasks))) => {
                // The app that was planned for, and no other that has come in its place.
                self.app = planned.app;
                self.all(planned, (wanted, all.is_other), &tasks).await?
            }
            Err(why) => Some(ChangeEnd::Failed(why)),
        };
        Ok(Done {
            app: self.made.or(self.change.app),
            operation: self.operation,
            end,
        })
    }

    async fn all(
        &mut self,
        planned: &Change,
        (wanted, is_other): (Option<&Wanted>, bool),
        tasks: &[Task],
    ) -> Result<Option<ChangeEnd>, StoreError> {
        let mut is_new = false;
        for (at, task) in tasks.iter().enumerate() {
            let step = Step {
                at,
                task,
                later: tasks.get(at + 1..).unwrap_or_default(),
                is_new,
                planned,
                wanted,
                is_other,
            };
            match self.one(&step).await? {
                Came::Done => is_new |= *task == Task::Adopt,
                Came::Waits => return Ok(None),
                Came::Failed(why) => return Ok(Some(ChangeEnd::Failed(why))),
            }
        }
        Ok(Some(ChangeEnd::Done))
    }

    async fn one(&mut self, step: &Step<'_>) -> Result<Came, StoreError> {
        let key = self.key(step);
        let store = self.engine.store();
        let (account, now) = (&self.actor.account, self.engine.now());
        let made = match step.task.is_an_operation() {
            true => match store.request(account, &key, now).await {
                Err(e @ StoreError::KeyReused { .. }) => return Ok(failed(&e.into())),
                made => made?,
            },
            // Done again, these change nothing.
            false => None,
        };
        if let Some(resource) = made {
            return self.found(step, &resource).await;
        }
        if step.task.is_an_operation() {
            if self.is_forgotten() {
                let written = self.written(step).await?;
                return match written {
                    Some(came) => Ok(came),
                    None => self.unknown().await,
                };
            }
            if step.is_other {
                return Ok(Came::Failed(is_other()));
            }
        }
        Place::Asking.pass();
        let begun = Box::pin(self.begin(step, key)).await;
        if begun.is_ok() {
            Place::Asked.pass();
        }
        match begun {
            Ok(Begun::Operation(operation)) => {
                self.write_down(Some(operation)).await?;
                Ok(Came::Waits)
            }
            Ok(Begun::Done) => Ok(Came::Done),
            Ok(Begun::Found) => Ok(Came::Waits),
            Err(EngineError::Store(e)) if e.may_pass() => Err(e),
            Err(EngineError::Store(StoreError::QueueFull { .. })) => Ok(Came::Waits),
            Err(EngineError::Store(e @ StoreError::ApplyLost { .. })) => Err(e),
            Err(e) => Ok(failed(&e)),
        }
    }

    /// The same for the same thing of the same apply, whatever it would say by now.
    fn key(&self, step: &Step<'_>) -> RequestKey {
        let (begins, at) = (&self.change.request_key, step.at);
        let key = match at {
            0 => begins.clone(),
            at => format!("{begins}:{at}"),
        };
        let parts = ["apply", key.as_str(), step.task.label()];
        let parts = parts.map(str::as_bytes);
        RequestKey {
            fingerprint: self.engine.store().fingerprint(&parts),
            key,
        }
    }

    /// It may have been begun so long ago that no key tells it any more.
    fn is_forgotten(&self) -> bool {
        let begun = self.since;
        begun.is_some_and(|at| self.engine.now().0.saturating_sub(at.0) >= KEYS_MS)
    }

    /// How far it is by what is written down of the change, for as long as there is the apply: the app that was made, and the operation
    /// that was begun last, whose kind tells for which of its things. `None`: that does not tell it.
    async fn written(&mut self, step: &Step<'_>) -> Result<Option<Came>, StoreError> {
        let makes = matches!(step.task, Task::Create | Task::Adopt);
        let made = self.change.app.filter(|app| step.planned.app != Some(*app));
        if let Some(app) = made.filter(|_| makes) {
            return self.found(step, &app.to_string()).await.map(Some);
        }
        let last = match self.change.operation {
            Some(id) => self.engine.store().operation(id).await?,
            None => None,
        };
        let Some(last) = last else { return Ok(None) };
        if !makes && kind(step.task) == Some(last.kind) {
            return self.found(step, &last.id.to_string()).await.map(Some);
        }
        // Nothing is begun before what comes before it is done.
        let mut later = step.later.iter();
        let is_later = later.any(|task| kind(task) == Some(last.kind));
        Ok(is_later.then_some(Came::Done))
    }

    /// Waits for what is under way, and begins nothing more.
    async fn unknown(&self) -> Result<Came, StoreError> {
        if let Some(id) = self.operation
            && let Some(operation) = self.engine.store().operation(id).await?
            && !operation.state.is_final()
            && !matches!(operation.state, OperationState::Stuck { .. })
        {
            return Ok(Came::Waits);
        }
        Ok(Came::Failed(Failure::new(
            "plan_outdated",
            "it was begun more than a day ago, and what was done for it since is not known",
            format!(
                "look at it with: proximity show {}; then plan again",
                self.change.name
            ),
        )))
    }

    /// What an earlier request under the key made, and how far that is.
    async fn found(&mut self, step: &Step<'_>, resource: &str) -> Result<Came, StoreError> {
        let damaged = || StoreError::Damaged {
            what: "resource",
            why: "it is of another kind than the request".to_owned(),
        };
        let store = self.engine.store();
        let operation = match step.task {
            Task::Create | Task::Adopt => {
                let app: AppId = resource.parse().map_err(|_| damaged())?;
                (self.app, self.made) = (Some(app), Some(app));
                let filter = OperationFilter {
                    app: Some(app),
                    kind: kind(step.task),
                    limit: 1,
                    ..OperationFilter::default()
                };
                // A person may have asked for it once more.
                store.operations(filter).await?.pop()
            }
            _ => {
                let id: OperationId = resource.parse().map_err(|_| damaged())?;
                store.operation(id).await?
            }
        };
        let operation = operation.ok_or_else(damaged)?;
        let is_done = operation.state == OperationState::Succeeded;
        if is_done {
            self.since = operation.finished_at.or(self.since);
        }
        // Of one that is done and has others behind it the later ones are told.
        let is_told = step.later.is_empty() || !is_done;
        self.write_down(is_told.then_some(operation.id)).await?;
        Ok(came(operation))
    }

    /// What is being done for it, for whoever looks at the apply; only what is not written down yet.
    async fn write_down(&mut self, operation: Option<OperationId>) -> Result<(), StoreError> {
        let app = self.made.filter(|app| self.change.app != Some(*app));
        let operation = operation.filter(|id| self.operation != Some(*id));
        self.operation = operation.or(self.operation);
        if app.is_none() && operation.is_none() {
            return Ok(());
        }
        let store = self.engine.store();
        store
            .record_change(self.fence, self.change.position, app, operation)
            .await?;
        Place::Named.pass();
        Ok(())
    }

    /// Asks for it, by the command that a person would use.
    async fn begin(&mut self, step: &Step<'_>, key: RequestKey) -> Result<Begun, EngineError> {
        // A claim that somebody else has taken over begins nothing.
        self.engine.store().check_apply_fence(self.fence).await?;
        let (engine, actor) = (self.engine, self.actor.clone());
        match (step.task, step.wanted.map(|wanted| &wanted.kind)) {
            (Task::Create, Some(WantedKind::App(spec))) => {
                let request = self.creation(spec, step.planned, key).await?;
                let made = Box::pin(engine.create_app(&actor, request)).await?;
                Ok(self.made(&made))
            }
            (Task::Adopt, Some(WantedKind::Adopted(spec))) => {
                let (request, name) = (adoption(spec, key), self.change.name.clone());
                let deadline = Deadline::of_request();
                let made = engine.adopt_as(&actor, request, Some(name), deadline);
                Ok(self.made(&Box::pin(made).await?))
            }
            (Task::Create | Task::Adopt, _) => Err(EngineError::NotFound {
                what: "document of",
                name: self.change.name.to_string(),
            }),
            (Task::Remove | Task::Forget, _) => {
                let app = self.ready(step.planned.app, step.task).await?;
                if *step.task == Task::Remove {
                    let shown = &step.planned.at_risk;
                    engine.refuse_more_volumes(&app, shown).await?;
                }
                let action = Action::Delete {
                    confirm: Some(app.hostname.to_string()),
                    force_stop: false,
                    purge: false,
                };
                self.act(&app, action, key).await
            }
            (Task::Update(wish), _) => {
                let app = self.ready(self.app, step.task).await?;
                let request = self.update(&app, wish, key).await?;
                let id = app.id.to_string();
                let updated = engine.update_app(&actor, &id, request);
                Ok(Begun::Operation(Box::pin(updated).await?.id))
            }
            (Task::Power(power), _) => {
                let app = self.ready(self.app, step.task).await?;
                if step.is_new && is_so(&app, *power) {
                    return Ok(Begun::Done);
                }
                let action = match power {
                    WantedPower::Running => Action::Start,
                    WantedPower::Stopped => Action::Stop { force: false },
                };
                self.act(&app, action, key).await
            }
            (Task::Guard(_) | Task::Expose(_) | Task::Hide, _) => self.note(step.task).await,
            (Task::Lead(site), _) => self.lead(step.task, site.as_ref()).await,
            (Task::KeepApart(from), _) => self.keep_apart(step.task, from).await,
        }
    }

    /// What is only written down, and at the gateway. Where it is so already nothing is done.
    async fn note(&self, task: &Task) -> Result<Begun, EngineError> {
        let (engine, store) = (self.engine, self.engine.store());
        let app = self.known(self.app).await?;
        let exposure = match task {
            Task::Guard(on) => {
                if store.guarded_since(app.id).await?.is_some() != *on {
                    let id = self.ready(self.app, task).await?.id.to_string();
                    engine.guard(&self.actor, &id, *on).await?;
                }
                return Ok(Begun::Done);
            }
            Task::Expose(port) => {
                let is_so = app.exposed && port.is_none_or(|port| port == app.guest_port);
                (!is_so).then_some(Exposure::Open(*port))
            }
            _ => app.exposed.then_some(Exposure::Closed),
        };
        if let Some(exposure) = exposure {
            let id = self.ready(self.app, task).await?.id.to_string();
            Box::pin(engine.expose(&self.actor, &id, exposure)).await?;
        }
        Ok(Begun::Done)
    }

    /// The same of its host name.
    async fn lead(&self, task: &Task, site: Option<&Site>) -> Result<Begun, EngineError> {
        let now = self.known(self.app).await?.site.map(|of| of.site);
        if now.as_ref() != site {
            let id = self.ready(self.app, task).await?.id.to_string();
            let (engine, actor) = (self.engine, &self.actor);
            match site.cloned() {
                Some(site) => Box::pin(engine.lead_by_name(actor, &id, None, site)).await?,
                None => Box::pin(engine.expose(actor, &id, Exposure::Closed)).await?,
            };
        }
        Ok(Begun::Done)
    }

    /// The same of those that it is kept apart from.
    async fn keep_apart(&self, task: &Task, from: &[Hostname]) -> Result<Begun, EngineError> {
        if self.known(self.app).await?.made_with.apart_from != from {
            let id = self.ready(self.app, task).await?.id.to_string();
            let kept = self.engine.keep_apart(&self.actor, &id, from.to_vec());
            kept.await?;
        }
        Ok(Begun::Done)
    }

    async fn act(
        &self,
        app: &AppRecord,
        action: Action,
        key: RequestKey,
    ) -> Result<Begun, EngineError> {
        let id = app.id.to_string();
        let asked = self
            .engine
            .act_once(&self.actor, &id, action, Some(key))
            .await?;
        Ok(Begun::Operation(asked.id))
    }

    fn made(&mut self, app: &AppRecord) -> Begun {
        (self.app, self.made) = (Some(app.id), Some(app.id));
        app.operation.map_or(Begun::Found, Begun::Operation)
    }

    /// The app, if it is there.
    async fn known(&self, app: Option<AppId>) -> Result<AppRecord, EngineError> {
        let found = match app {
            Some(id) => self.engine.store().app(id).await?,
            None => None,
        };
        found.ok_or_else(|| EngineError::NotFound {
            what: "app",
            name: self.change.name.to_string(),
        })
    }

    /// The same, if nobody is at work on it and it is what a plan changes.
    async fn ready(&self, app: Option<AppId>, task: &Task) -> Result<AppRecord, EngineError> {
        let app = self.known(app).await?;
        if let Some(operation) = app.operation {
            let app = app.id;
            return Err(StoreError::Busy { app, operation }.into());
        }
        match app.status.label() {
            StatusLabel::Running | StatusLabel::Stopped => Ok(app),
            status @ (StatusLabel::Deploying
            | StatusLabel::Adopting
            | StatusLabel::Cloning
            | StatusLabel::Updating
            | StatusLabel::Removing
            | StatusLabel::Error) => Err(EngineError::NotInState {
                app: app.hostname.to_string(),
                status: status.label().to_owned(),
                action: task.label().to_owned(),
            }),
        }
    }
}

fn is_so(app: &AppRecord, wanted: WantedPower) -> bool {
    match app.status.label() {
        StatusLabel::Running => wanted == WantedPower::Running,
        StatusLabel::Stopped => wanted == WantedPower::Stopped,
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Updating
        | StatusLabel::Removing
        | StatusLabel::Error => false,
    }
}

/// Which operation carries it out; no two of those of one change are of the same kind.
fn kind(task: &Task) -> Option<OperationKind> {
    match task {
        Task::Create => Some(OperationKind::Deploy),
        Task::Adopt => Some(OperationKind::Adopt),
        Task::Remove => Some(OperationKind::Remove),
        Task::Forget => Some(OperationKind::Forget),
        Task::Update(_) => Some(OperationKind::Update),
        Task::Power(WantedPower::Running) => Some(OperationKind::Start),
        Task::Power(WantedPower::Stopped) => Some(OperationKind::Stop),
        Task::Guard(_) | Task::Expose(_) | Task::Hide | Task::Lead(_) | Task::KeepApart(_) => None,
    }
}

/// Nothing is begun that nobody was shown.
fn is_other() -> Failure {
    Failure::new(
        "plan_outdated",
        "the catalog or the host entries have changed since it was planned, so that something else would be done",
        "plan again, and look at what is left to do",
    )
}

fn failed(error: &EngineError) -> Came {
    Came::Failed(error.failure())
}

/// What an operation's state says. One that needs a person is nothing that an apply waits for.
fn came(operation: OperationRecord) -> Came {
    let id = operation.id;
    match operation.state {
        OperationState::Queued | OperationState::Running | OperationState::Unwinding { .. } => {
            Came::Waits
        }
        OperationState::Succeeded => Came::Done,
        OperationState::Failed { failure } => Came::Failed(failure),
        OperationState::Cancelled => Came::Failed(Failure::new(
            "cancelled",
            format!("its {} was cancelled", operation.kind.label()),
            "plan again when it is to be done",
        )),
        OperationState::Stuck { failure, .. } => {
            let hint = format!(
                "{}; then decide about it: proximity operations retry {id}, or abandon {id}; then plan again",
                failure.hint
            );
            Came::Failed(Failure { hint, ..failure })
        }
    }
}
