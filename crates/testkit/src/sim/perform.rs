//! Carrying out one act.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proximity_domain::app::AppClass;
use proximity_domain::create::ResourceRequest;
use proximity_domain::ids::{AppId, HostId, OperationId};
use proximity_domain::operation::OperationState;
use proximity_domain::restore::Wanted;
use proximity_engine::commands::{
    Action, AdoptContainer, CreateApp, Reidentify, RestoreKeys, UpdateApp,
};
use proximity_engine::engine::Engine;
use proximity_engine::error::EngineError;
use proximity_engine::reconcile::Pass;
use proximity_store::exposure::Exposure;
use proximity_store::records::Actor;
use proximity_store::views::OperationFilter;
use tokio::time::sleep;

use super::act::{APPS, Act, Ask, AskAll, NODES, Trouble};
use super::found;
use super::insist::{AGAIN, INSISTS};
use super::kept::Kept;
use super::process::{Machine, Process};
use super::watch::Held;

/// Who asks.
pub(super) fn person() -> Actor {
    Actor {
        account: "admin".to_owned(),
        token: None,
        request: None,
    }
}

/// The host name of an app.
pub(super) fn hostname(app: u8) -> String {
    match app.checked_sub(APPS) {
        None => format!("app{app}"),
        Some(found) => format!("old{found}"),
    }
}

pub(super) fn node(number: u8) -> &'static str {
    NODES.get(usize::from(number)).copied().unwrap_or(NODES[0])
}

/// A simulated machine, and the process that runs on it now.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) machine: Machine,
    pub(super) process: Process,
    /// The one that works beside it, if there is one.
    pub(super) beside: Option<Process>,
    pub(super) host: HostId,
    pub(super) kept: Kept,
    /// What was asked for by people who insist; a process that dies leaves some of it without an answer.
    pub(super) asked: Vec<Question>,
}

/// What a person asks for.
#[derive(Clone)]
pub(super) struct Question {
    what: String,
    ask: Arc<dyn Fn(Engine) -> Asking + Send + Sync>,
    /// Whoever asked knows how it went, or gave up.
    is_over: Arc<AtomicBool>,
}

type Asking = Pin<Box<dyn Future<Output = Result<String, EngineError>> + Send>>;

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Stage {
    /// Does it. What a person asks for goes on by itself; everything else is done when this returns.
    pub(super) async fn perform(mut self, act: &Act) -> Result<Self, String> {
        match act {
            Act::AskAll(ask) => self.ask_all(*ask),
            Act::Ask { app, ask } => self.ask(*app, *ask).await?,
            Act::Hand { app, hand } => self.on_guest(*app, *hand).await?,
            Act::TakeFree { vmid, node: at } => self.take_free(*vmid, node(*at)),
            Act::Break(fault) => {
                let wish = fault.wish();
                // One that can hit nothing now hits nothing.
                let _ = self
                    .machine
                    .cluster
                    .meddle(|world, _, _| world.add_fault(wish));
            }
            Act::Node { node: at, trouble } => self.trouble(node(*at), *trouble),
            Act::Kill { exclusive } => self = self.kill(*exclusive).await?,
            Act::ShutDown => self = self.shut_down().await,
            Act::Stall { ms } => self.process.stall(*ms),
            Act::ClockJump { ms } => self.machine.cluster.clock.jump(*ms),
        }
        Ok(self)
    }

    async fn ask(&mut self, app: u8, ask: Ask) -> Result<(), String> {
        match ask {
            Ask::Deploy => self.deploy(app),
            Ask::Start => self.act(app, Action::Start),
            Ask::Stop { force } => self.act(app, Action::Stop { force }),
            Ask::Restart { force } => self.act(app, Action::Restart { force }),
            Ask::Remove { force } => {
                let (confirm, force_stop) = (Some(hostname(app)), force);
                self.act(
                    app,
                    Action::Delete {
                        confirm,
                        force_stop,
                        purge: false,
                    },
                );
            }
            Ask::Retry => self.act(app, Action::Retry),
            Ask::Abandon => self.abandon(app).await?,
            Ask::Cancel => self.cancel(app).await?,
            Ask::Resolve => self.resolve(app),
            Ask::Reidentify => self.reidentify(app),
            Ask::Adopt => self.adopt(app),
            Ask::Expose { open } => self.expose(app, open),
            Ask::RestoreKeys => self.restore_keys(app),
            Ask::Update => self.update(app),
        }
        Ok(())
    }

    fn deploy(&mut self, app: u8) {
        let what = format!("deploy {}", hostname(app));
        self.says(&what, move |engine| async move {
            let request = CreateApp {
                catalog_id: "beacon".to_owned(),
                hostname: hostname(app),
                ..CreateApp::default()
            };
            let done = engine.create_app(&person(), request).await;
            done.map(|created| format!("app {}", created.id))
        });
    }

    fn act(&mut self, app: u8, action: Action) {
        let what = format!("{action:?} {}", hostname(app));
        self.says(&what, move |engine| {
            let action = action.clone();
            async move {
                let done = engine.act(&person(), &hostname(app), action).await;
                done.map(|op| format!("operation {}", op.id))
            }
        });
    }

    fn resolve(&mut self, app: u8) {
        let what = format!("resolve {}", hostname(app));
        self.says(&what, move |engine| async move {
            let done = engine.resolve(&person(), &hostname(app)).await;
            done.map(|app| app.status.label().label().to_owned())
        });
    }

    /// Looks at the evidence, and accepts it.
    fn reidentify(&mut self, app: u8) {
        let what = format!("reidentify {}", hostname(app));
        let (cluster, store) = (self.machine.cluster.clone(), self.machine.store.clone());
        self.says(&what, move |engine| {
            let (cluster, store) = (cluster.clone(), store.clone());
            async move {
                let name = hostname(app);
                let shown = engine
                    .reidentify(&person(), &name, &Reidentify::Show)
                    .await?;
                let app = store.app(shown.app).await?;
                let is_native = app.is_some_and(|app| app.class == AppClass::Native);
                let accept = Reidentify::Accept {
                    confirm: Some(name.clone()),
                    digest: Some(shown.digest),
                };
                let done = engine.reidentify(&person(), &name, &accept).await?;
                if is_native {
                    let vmid = done.place.vmid.get();
                    cluster.meddle(|_, ground, _| ground.was_given(vmid));
                }
                Ok(done.factor.label().to_owned())
            }
        });
    }

    fn adopt(&mut self, app: u8) {
        let Some(vmid) = found::number(app) else {
            return;
        };
        self.says(&format!("adopt {vmid}"), move |engine| async move {
            let request = AdoptContainer {
                host: None,
                node: None,
                vmid,
                suggested_type: None,
                port: None,
                probe: false,
                key: None,
            };
            let done = engine.adopt(&person(), request).await;
            done.map(|app| format!("{} {}", app.hostname, app.id))
        });
    }

    fn expose(&mut self, app: u8, open: bool) {
        let what = format!("expose {} {open}", hostname(app));
        self.says(&what, move |engine| async move {
            let exposure = if open {
                Exposure::Open(None)
            } else {
                Exposure::Closed
            };
            let done = engine.expose(&person(), &hostname(app), exposure).await;
            done.map(|exposed| format!("listens {}", exposed.listening))
        });
    }

    /// Looks at what would be done, and has it done.
    fn restore_keys(&mut self, app: u8) {
        let what = format!("restore keys of {}", hostname(app));
        self.says(&what, move |engine| async move {
            let name = hostname(app);
            let shown = engine.preview_restore(&name, &Wanted::All).await?;
            let keys = shown.plan.keys.iter().map(|it| it.drift.key.clone());
            let request = RestoreKeys {
                keys: keys.collect(),
                digest: shown.digest,
                key: None,
            };
            let done = engine.restore_keys(&person(), &name, request).await;
            done.map(|op| format!("operation {}", op.id))
        });
    }

    fn update(&mut self, app: u8) {
        let what = format!("update {}", hostname(app));
        self.says(&what, move |engine| async move {
            let name = hostname(app);
            let resources = ResourceRequest {
                memory_mib: Some(128),
                cores: Some(2),
                disk_gib: Some(2),
            };
            let greeting = ("greeting".to_owned(), "another".into());
            let request = UpdateApp {
                resources,
                settings: [greeting].into_iter().collect(),
                confirm: Some(name.clone()),
                ..UpdateApp::default()
            };
            let done = engine.update_app(&person(), &name, request).await;
            done.map(|op| format!("operation {}", op.id))
        });
    }

    fn ask_all(&mut self, ask: AskAll) {
        if ask == AskAll::Janitor {
            return self.says("janitor", move |engine| async move {
                let done = engine.janitor().pass(false).await?;
                Ok(format!("{:?}", done.result))
            });
        }
        self.says(&format!("{ask:?}"), move |engine| async move {
            let missing = match ask {
                AskAll::Reconcile | AskAll::Janitor => None,
                AskAll::ConfirmMissing => {
                    let dry = engine.reconciler().pass(&Pass::Dry).await?;
                    dry.brake.map(|brake| brake.missing)
                }
            };
            let pass = missing.map_or(Pass::Work, |missing| Pass::Confirmed {
                missing,
                actor: person(),
            });
            let done = engine.reconciler().pass(&pass).await?;
            Ok(format!("{missing:?} {:?}", done.result))
        });
    }

    /// What a person asks for goes on by itself, and its answer is told. Who insists asks again when it was refused, and when the
    /// process died before it answered.
    fn says<F>(&mut self, what: &str, ask: impl Fn(Engine) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<String, EngineError>> + Send + 'static,
    {
        let question = Question {
            what: what.to_owned(),
            ask: Arc::new(move |engine| -> Asking { Box::pin(ask(engine)) }),
            is_over: Arc::default(),
        };
        if self.machine.insists {
            self.asked.retain(|it| !it.is_over.load(Ordering::Relaxed));
            self.asked.push(question.clone());
        }
        self.put(question, None);
    }

    /// Puts it to the process that people ask, after so long.
    fn put(&mut self, question: Question, after: Option<Duration>) {
        let trace = self.machine.cluster.trace.clone();
        let mut left = if self.machine.insists { INSISTS } else { 0 };
        let process = self.answers();
        let engine = process.engine.clone();
        process.works_on(async move {
            if let Some(after) = after {
                sleep(after).await;
            }
            let Question { what, ask, is_over } = question;
            loop {
                let answer = ask(engine.clone()).await;
                let is_refused = answer.is_err();
                let said = answer.unwrap_or_else(|e| e.code().to_owned());
                trace.say(format_args!("person: {what}: {said}"));
                if !is_refused || left == 0 {
                    is_over.store(true, Ordering::Relaxed);
                    return;
                }
                left -= 1;
                sleep(AGAIN).await;
            }
        });
    }

    /// The process that people ask: the one beside while the other one stands still.
    fn answers(&mut self) -> &mut Process {
        match &mut self.beside {
            Some(beside) if self.process.stands_still() => beside,
            Some(_) | None => &mut self.process,
        }
    }

    /// The app's id, if it is there.
    pub(super) async fn app(&self, app: u8) -> Result<Option<AppId>, String> {
        let found = self.machine.store.app_by_hostname(&hostname(app)).await;
        Ok(found.map_err(|e| e.to_string())?.map(|found| found.id))
    }

    /// The newest operation of an app that is not over.
    async fn live(&self, app: u8) -> Result<Option<(OperationId, OperationState)>, String> {
        let Some(app) = self.app(app).await? else {
            return Ok(None);
        };
        let filter = OperationFilter {
            app: Some(app),
            limit: 1,
            ..OperationFilter::default()
        };
        let found = self.machine.store.operations(filter).await;
        let found = found.map_err(|e| e.to_string())?;
        let newest = found.into_iter().next();
        Ok(newest.map(|op| (op.id, op.state)))
    }

    async fn abandon(&mut self, app: u8) -> Result<(), String> {
        if let Some((id, OperationState::Stuck { .. })) = self.live(app).await? {
            let engine = self.answers().engine.clone();
            let done = engine.abandon_operation(&person(), id).await;
            let said = done.map_or_else(|e| e.code().to_owned(), |op| op.state.label().to_owned());
            let trace = &self.machine.cluster.trace;
            trace.say(format_args!("person: abandon app{app}: {said}"));
        }
        Ok(())
    }

    async fn cancel(&mut self, app: u8) -> Result<(), String> {
        if let Some((id, _)) = self.live(app).await? {
            let engine = self.answers().engine.clone();
            let done = engine.cancel_operation(&person(), id).await;
            let said = done.map_or_else(|e| e.code().to_owned(), |op| op.state.label().to_owned());
            let trace = &self.machine.cluster.trace;
            trace.say(format_args!("person: cancel app{app}: {said}"));
        }
        Ok(())
    }

    async fn kill(self, exclusive: bool) -> Result<Self, String> {
        let number = self.process.number() + 1;
        self.process.kill().await;
        let claimable = self.machine.store.claimable().await;
        let claimable = claimable.map_err(|e| e.to_string())?;
        let is_known = exclusive && !self.machine.is_shared;
        let found = if is_known { &[][..] } else { &claimable };
        let beside = self.beside.as_ref().and_then(Process::holder);
        let cluster = &self.machine.cluster;
        let now_ms = cluster.clock.elapsed_ms();
        cluster.lock().held = Held::found(found, number, beside, now_ms);
        let mut next = Self {
            process: Process::begin(&self.machine, number, exclusive),
            ..self
        };
        next.asked.retain(|it| !it.is_over.load(Ordering::Relaxed));
        for question in next.asked.clone() {
            next.put(question, Some(AGAIN));
        }
        Ok(next)
    }

    async fn shut_down(self) -> Self {
        let number = self.process.number() + 1;
        self.process.shut_down().await;
        // The next one knows that nobody else is there, nor was: not even one before this, whose claim this one waited for.
        self.machine.cluster.lock().held = Held::default();
        Self {
            process: Process::begin(&self.machine, number, true),
            ..self
        }
    }

    fn trouble(&self, at: &str, trouble: Trouble) {
        self.machine
            .cluster
            .meddle(|world, _, now_ms| match trouble {
                Trouble::Down { reach } => world.cut_power(at, reach, now_ms),
                Trouble::Up => world.power_on(at, now_ms),
                Trouble::Partition => world.partition(at, now_ms),
                Trouble::Heal => world.heal(at),
                Trouble::Slow { ms } => {
                    // Within its bounds.
                    let _ = world.set_slow(at, ms);
                }
                Trouble::OldView { cycles } => world.set_old_view(at, cycles),
            });
    }
}
