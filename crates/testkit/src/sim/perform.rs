//! Carrying out one act.

use proximity_domain::ids::{AppId, HostId, OperationId};
use proximity_domain::operation::OperationState;
use proximity_engine::commands::{Action, CreateApp};
use proximity_pve::transport::Method;
use proximity_store::records::Actor;
use proximity_store::views::OperationFilter;

use super::act::{Act, Ask, Hand, NODES, Trouble};
use super::process::{Machine, Process};

/// Who asks.
pub(super) fn person() -> Actor {
    Actor {
        account: "admin".to_owned(),
        token: None,
        request: None,
    }
}

/// The host name of an app.
fn hostname(app: u8) -> String {
    format!("app{app}")
}

fn node(number: u8) -> &'static str {
    NODES.get(usize::from(number)).copied().unwrap_or(NODES[0])
}

/// A simulated machine, and the process that runs on it now.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) machine: Machine,
    pub(super) process: Process,
    pub(super) host: HostId,
}

impl Stage {
    /// Does it. What a person asks for goes on by itself; everything else is done when this returns.
    pub(super) async fn perform(mut self, act: &Act) -> Result<Self, String> {
        match act {
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
            Act::Kill { exclusive } => self = self.kill(*exclusive).await,
            Act::ShutDown => self = self.shut_down().await,
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
                    },
                );
            }
            Ask::Retry => self.act(app, Action::Retry),
            Ask::Abandon => self.abandon(app).await?,
            Ask::Cancel => self.cancel(app).await?,
        }
        Ok(())
    }

    fn deploy(&mut self, app: u8) {
        let engine = self.process.engine.clone();
        let trace = self.machine.cluster.trace.clone();
        self.process.works_on(async move {
            let request = CreateApp {
                catalog_id: "beacon".to_owned(),
                hostname: hostname(app),
                ..CreateApp::default()
            };
            let said = match engine.create_app(&person(), request).await {
                Ok(created) => format!("app {}", created.id),
                Err(e) => e.code().to_owned(),
            };
            trace.say(&format!("person: deploy app{app}: {said}"));
        });
    }

    fn act(&mut self, app: u8, action: Action) {
        let engine = self.process.engine.clone();
        let trace = self.machine.cluster.trace.clone();
        self.process.works_on(async move {
            let said = match engine.act(&person(), &hostname(app), action.clone()).await {
                Ok(op) => format!("operation {}", op.id),
                Err(e) => e.code().to_owned(),
            };
            trace.say(&format!("person: {action:?} app{app}: {said}"));
        });
    }

    /// The app's id, if it is there.
    async fn app(&self, app: u8) -> Result<Option<AppId>, String> {
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
            let done = self.process.engine.abandon_operation(&person(), id).await;
            let said = done.map_or_else(|e| e.code().to_owned(), |op| op.state.label().to_owned());
            let line = format!("person: abandon app{app}: {said}");
            self.machine.cluster.trace.say(&line);
        }
        Ok(())
    }

    async fn cancel(&mut self, app: u8) -> Result<(), String> {
        if let Some((id, _)) = self.live(app).await? {
            let done = self.process.engine.cancel_operation(&person(), id).await;
            let said = done.map_or_else(|e| e.code().to_owned(), |op| op.state.label().to_owned());
            let line = format!("person: cancel app{app}: {said}");
            self.machine.cluster.trace.say(&line);
        }
        Ok(())
    }

    async fn kill(self, exclusive: bool) -> Self {
        let number = self.process.number() + 1;
        self.process.kill().await;
        Self {
            process: Process::begin(&self.machine, number, exclusive),
            ..self
        }
    }

    async fn shut_down(self) -> Self {
        let number = self.process.number() + 1;
        self.process.shut_down().await;
        Self {
            process: Process::begin(&self.machine, number, true),
            ..self
        }
    }

    fn trouble(&self, at: &str, trouble: Trouble) {
        self.machine
            .cluster
            .meddle(|world, ground, now_ms| match trouble {
                Trouble::Down { reach } => {
                    ground.power_lost();
                    world.cut_power(at, reach, now_ms);
                }
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

    fn take_free(&self, vmid: u32, at: &str) {
        let busy = self.machine.cluster.lock().is_busy(vmid);
        self.machine.cluster.meddle(|world, _, now_ms| {
            if !busy && world.guests().all(|(other, _)| other != vmid) {
                // There is such a node.
                let _ = world.stranger_takes(vmid, at, now_ms);
            }
        });
    }

    /// Node and number of the container of an app, if it has one.
    async fn guest(&self, app: u8) -> Result<Option<(String, u32)>, String> {
        let Some(app) = self.app(app).await? else {
            return Ok(None);
        };
        let guests = self.machine.store.native_guests(app).await;
        let guests = guests.map_err(|e| e.to_string())?;
        let Some(guest) = guests.first() else {
            return Ok(None);
        };
        let vmid = guest.place.vmid.get();
        let at = self.machine.cluster.meddle(|world, _, _| {
            let found = world.guests().find(|(other, _)| *other == vmid);
            found.map(|(_, guest)| guest.node.clone())
        });
        Ok(Some((
            at.unwrap_or_else(|| guest.place.node.to_string()),
            vmid,
        )))
    }

    /// What somebody does to the container of an app, if it has one.
    async fn on_guest(&self, app: u8, hand: Hand) -> Result<(), String> {
        let Some((at, vmid)) = self.guest(app).await? else {
            return Ok(());
        };
        let cluster = &self.machine.cluster;
        let alters = match hand {
            Hand::Take
            | Hand::Vanish
            | Hand::Carry { .. }
            | Hand::Describe
            | Hand::ChangeMac
            | Hand::Destroy => true,
            Hand::Lock
            | Hand::Unlock
            | Hand::Protect { .. }
            | Hand::Power { .. }
            | Hand::IgnoreShutdown => false,
        };
        cluster.meddle(|_, ground, _| ground.touch(vmid, alters));
        let path = format!("/nodes/{at}/lxc/{vmid}");
        let put = |key: &str, value: &str| {
            cluster.somebody_calls(Method::Put, &format!("{path}/config"), &[(key, value)]);
        };
        let post = |what: &str| {
            cluster.somebody_calls(Method::Post, &format!("{path}/status/{what}"), &[]);
        };
        // What PVE itself works on is locked: nobody destroys it or puts another one there.
        let busy = cluster.lock().is_busy(vmid);
        match hand {
            Hand::Take | Hand::Vanish | Hand::Carry { .. } if busy => {}
            Hand::Take => cluster.meddle(|world, ground, now_ms| {
                ground.over(vmid);
                // There is such a node.
                let _ = world.stranger_takes(vmid, &at, now_ms);
            }),
            Hand::Vanish => cluster.meddle(|world, ground, _| {
                ground.over(vmid);
                // Gone already is as good.
                let _ = world.vanish(vmid);
            }),
            Hand::Carry { node: to } => cluster.meddle(|world, _, _| {
                // Gone already, there is nothing to carry.
                let _ = world.carry_guest(vmid, node(to));
            }),
            Hand::Lock => cluster.meddle(|world, _, _| world.set_lock(vmid, Some("backup"))),
            Hand::Unlock => cluster.meddle(|world, _, _| world.set_lock(vmid, None)),
            Hand::Describe => put("description", "mine now"),
            Hand::ChangeMac => {
                put(
                    "net0",
                    "name=eth0,bridge=vmbr0,ip=dhcp,hwaddr=BC:24:11:AA:AA:AA",
                );
            }
            Hand::Protect { on } => put("protection", if on { "1" } else { "0" }),
            Hand::Power { on } => post(if on { "start" } else { "stop" }),
            Hand::Destroy => {
                put("protection", "0");
                cluster.somebody_calls(Method::Delete, &path, &[("force", "1")]);
            }
            Hand::IgnoreShutdown => cluster.guests.ignore_shutdown(vmid),
        }
        Ok(())
    }
}
