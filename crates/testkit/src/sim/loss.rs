//! Nodes that are lost and come back: what is sent meanwhile, what is marked, and what is started twice.

use std::time::Duration;

use proximity_engine::saga::Guard;
use proximity_pve_emulator::core::{Reach, TaskState};
use serde::Serialize;
use tokio::time::sleep;

use super::act::NODES;
use super::cluster::TOKEN;
use super::perform::{Stage, node};
use super::rest::{self, text};
use super::run;
use super::saga::{self, Saga};

/// How long a loss lasts before somebody asks for something, and afterwards: more than a proof takes.
const LASTS: Duration = Duration::from_secs(150);

/// What is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Every node is cut off from the others: all serve, none has quorum.
    Quorum,
    /// Two nodes are without power: the third one serves, without quorum.
    Majority(Gone),
    /// One node is cut off from the others: both parts serve, one of them has quorum.
    Split,
    /// One node is without power.
    Node(Gone),
}

/// How a node without power is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are the documentation
pub enum Gone {
    Refused,
    NoRoute,
    Silent,
}

impl Gone {
    const ALL: [Self; 3] = [Self::Refused, Self::NoRoute, Self::Silent];

    fn reach(self) -> Reach {
        match self {
            Self::Refused => Reach::Refused,
            Self::NoRoute => Reach::NoRoute,
            Self::Silent => Reach::Silent,
        }
    }
}

/// One of them, and what is asked for meanwhile.
#[derive(Debug, Clone, Serialize)]
pub struct Lost {
    /// What is lost.
    pub loss: Loss,
    /// The node of which; of a quorum the one that is asked first afterwards.
    pub node: u8,
    /// What somebody asks for.
    pub ask: Option<Saga>,
    /// The container goes to another of the nodes that are left meanwhile, as a person takes it.
    pub carried: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LossFound {
    /// Changes that were sent while no node had quorum.
    pub without_quorum: u64,
    /// Records that were archived.
    pub archived: u64,
    /// Starts that nobody asked for, or that were done twice.
    pub started_twice: usize,
    /// Rules that were broken.
    pub faults: Vec<String>,
}

/// Every loss of every node, with everything that can be asked for.
#[must_use]
pub fn losses() -> Vec<Lost> {
    let mut kinds = vec![Loss::Quorum, Loss::Split];
    kinds.extend(Gone::ALL.map(Loss::Majority));
    kinds.extend(Gone::ALL.map(Loss::Node));
    let mut asks = vec![None];
    asks.extend(Saga::NATIVE.map(Some));
    let mut all = Vec::new();
    for loss in kinds {
        for at in 0..u8::try_from(NODES.len()).unwrap_or(0) {
            for ask in &asks {
                let may_be_carried = matches!(loss, Loss::Node(_)) && *ask != Some(Saga::Deploy);
                for carried in [false, true] {
                    if may_be_carried || !carried {
                        all.push(Lost {
                            loss,
                            node: at,
                            ask: *ask,
                            carried,
                        });
                    }
                }
            }
        }
    }
    all
}

/// Plays one, with this guard of the engine off.
///
/// # Errors
/// The simulation could not go on.
pub fn play_loss(lost: &Lost, seed: u64, off: Option<Guard>) -> Result<LossFound, String> {
    run::on_virtual_time(off.map(Guard::label), async {
        let mut stage = saga::prepared(lost.ask.unwrap_or(Saga::Stop), seed).await?;
        let (live, starts) = (live(&stage).await?, starts(&stage));
        lose(&stage, lost);
        sleep(LASTS).await;
        let sent = stage.machine.cluster.lock().changes;
        if lost.carried {
            carry(&stage, lost.node).await?;
        }
        let mut asked = 0;
        if let Some(ask) = lost.ask {
            // Refused is as good.
            let is_asked = saga::ask(&mut stage, ask).await?.is_ok();
            asked = usize::from(is_asked && ask != Saga::Stop && ask != Saga::Remove);
        }
        sleep(LASTS).await;
        let mut found = LossFound::default();
        if matches!(lost.loss, Loss::Quorum | Loss::Majority(_)) {
            found.without_quorum = stage.machine.cluster.lock().changes - sent;
        }
        if lost.ask.is_none() {
            found.archived = live.saturating_sub(self::live(&stage).await?);
        }
        rest::come_to_rest(&mut stage).await?;
        if lost.ask != Some(Saga::Remove) {
            found.archived = found
                .archived
                .max(live.saturating_sub(self::live(&stage).await?));
        }
        found.started_twice = self::starts(&stage).saturating_sub(starts + asked);
        let broken = stage.machine.cluster.lock().violations.clone();
        let told = broken.iter().map(|it| format!("{}: {}", it.rule, it.what));
        found.faults.extend(told);
        stage.process.kill().await;
        Ok(found)
    })
}

fn lose(stage: &Stage, lost: &Lost) {
    let others = (0..).take(NODES.len()).filter(|at| *at != lost.node);
    stage
        .machine
        .cluster
        .meddle(|world, _, now_ms| match lost.loss {
            Loss::Quorum => {
                for at in 0..u8::try_from(NODES.len()).unwrap_or(0) {
                    world.partition(node(at), now_ms);
                }
            }
            Loss::Majority(gone) => {
                for at in others {
                    world.cut_power(node(at), gone.reach(), now_ms);
                }
            }
            Loss::Split => world.partition(node(lost.node), now_ms),
            Loss::Node(gone) => world.cut_power(node(lost.node), gone.reach(), now_ms),
        });
}

/// Takes the app's container from one of the nodes that are left to the other.
async fn carry(stage: &Stage, lost: u8) -> Result<(), String> {
    let of_host = stage
        .machine
        .store
        .recorded_guests_of_host(stage.host)
        .await;
    let count = u8::try_from(NODES.len()).unwrap_or(1);
    let (to, other) = (node((lost + 1) % count), node((lost + 2) % count));
    for guest in of_host.map_err(text)? {
        let place = guest.place();
        // Nothing leaves a node that is off.
        if place.node.as_str() == node(lost) {
            continue;
        }
        let to = if place.node.as_str() == to { other } else { to };
        let vmid = place.vmid.get();
        let carried = stage
            .machine
            .cluster
            .meddle(|world, _, _| world.carry_guest(vmid, to));
        carried?;
    }
    Ok(())
}

async fn live(stage: &Stage) -> Result<u64, String> {
    stage.machine.store.live_apps().await.map_err(text)
}

/// Tasks that started a container and ended well.
fn starts(stage: &Stage) -> usize {
    let inner = stage.machine.cluster.lock();
    let tasks = inner.world.tasks();
    let is_ok =
        |state: &TaskState| matches!(state, TaskState::Stopped { exit, .. } if exit == "OK");
    // Others start containers of their own.
    let is_start = |text: String| text.contains(":vzstart:") && text.contains(TOKEN);
    let started = tasks.filter(|task| is_start(task.upid.to_string()) && is_ok(&task.state));
    started.count()
}
