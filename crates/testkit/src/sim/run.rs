//! One simulation: a world, acts, a look at every rule after each of them, and rest at the end.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proximity_domain::ids::{HostId, InstallationId};
use proximity_domain::operation::OperationState;
use proximity_domain::ports::PortRange;
use proximity_domain::retention::{Keep, Retention};
use proximity_domain::time::Clock;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_engine::catalog::Catalog;
use proximity_engine::engine::EngineLimits;
use proximity_engine::saga::Guard;
use proximity_pve_emulator::core::{Access, TaskTimes, TokenSeed, World, hash_secret};
use proximity_store::records::{
    Endpoint, HostPlacement, HostRecord, OperationRecord, PurposeTokens, TlsTrust,
};
use proximity_store::{MemoryOptions, Store};
use serde::Serialize;
use tokio::time::sleep;
use uuid::Uuid;

use super::act::{Act, NODES, Theme, Timed};
use super::chance::Chance;
use super::cluster::{OTHER, SECRET, SimCluster, TOKEN};
use super::end::{Told, end};
use super::found;
use super::inside::Outside;
use super::kept::Kept;
use super::narrow::{self, POOL};
use super::perform::{Stage, person};
use super::process::{Machine, Process};
use super::rest;
use super::time::{SimClock, SimIds};
use super::trace::{Telling, Trace};
use super::trap::{Moment, Snare, Trap, Traps};
use super::watch::Violation;
use crate::ingress::Routes;
use crate::pve::{NodeRoom, seed_of};
use crate::world::fixtures;

/// How long a task of the engine's may run before it is given up, milliseconds.
const TASK_MS: u64 = 60_000;
/// One seed in so many goes so many times as slowly: what the engine does after minutes comes about in those.
const SLOW_ONE_IN: u64 = 4;
const SLOWLY: u64 = 8;
/// One seed in so many has the slow sweep of a server in use, which rests for ten minutes; every end waits for three of its rounds, so
/// that most of what such a sequence takes is rest.
const AT_REST_ONE_IN: u64 = 8;
const BRISK_REST: Duration = Duration::from_secs(60);
/// How many pairs of ports there are: few, or enough for everybody.
const PAIRS: [u16; 2] = [3, 8];

/// What is played: a seed, out of which come the world, all times and all ids, and what happens in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Play {
    /// The seed.
    pub seed: u64,
    /// What happens, one after the other.
    pub acts: Vec<Timed>,
    /// The guard of the engine that is off, by its label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off: Option<String>,
    /// What happens at certain calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traps: Vec<Trap>,
    /// The engine's token has the rights that its calls need, and no more; else every right.
    #[serde(default, skip_serializing_if = "is_not")]
    pub narrow: bool,
    /// People who are refused something ask for it again, and have go on what is stuck.
    #[serde(default, skip_serializing_if = "is_not")]
    pub insists: bool,
    /// The slow sweep rests for a minute instead of ten, and so may the end.
    #[serde(default, skip_serializing_if = "is_not")]
    pub brisk: bool,
    /// How the engine carries out its steps.
    #[serde(default, skip_serializing_if = "Rehearsal::is_plain")]
    pub rehearsal: Rehearsal,
    /// A second process works over the same record.
    #[serde(default, skip_serializing_if = "is_not")]
    pub second: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_not(flag: &bool) -> bool {
    !flag
}

/// How the engine carries out its steps: for the proof that each may be repeated.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
pub struct Rehearsal {
    /// Every action and every undo at once a second time.
    pub twice: bool,
    /// The action of this step, as `operation/step`, never runs and counts as failed; its undo runs.
    pub never: Option<String>,
}

impl Rehearsal {
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

impl Play {
    /// What this seed draws: so many acts about this.
    #[must_use]
    pub fn draw(theme: Theme, seed: u64, steps: usize) -> Self {
        let mut chance = Chance::of(seed, "acts");
        let slowly = if chance.one_in(SLOW_ONE_IN) {
            SLOWLY
        } else {
            1
        };
        Self {
            seed,
            acts: (0..steps)
                .map(|_| Timed::draw(theme, slowly, &mut chance))
                .collect(),
            brisk: !Chance::of(seed, "sweep").one_in(AT_REST_ONE_IN),
            ..Self::of(seed, Vec::new())
        }
    }

    /// These acts, in the world of this seed.
    #[must_use]
    pub fn of(seed: u64, acts: Vec<Timed>) -> Self {
        Self {
            seed,
            acts,
            off: None,
            traps: Vec::new(),
            narrow: false,
            insists: false,
            brisk: true,
            rehearsal: Rehearsal::default(),
            second: false,
        }
    }

    /// A process of it stands still: only a build with the feature `bug-switches` plays that.
    #[must_use]
    pub fn stalls(&self) -> bool {
        let by_act = |timed: &Timed| matches!(timed.act, Act::Stall { .. });
        let by_trap = |trap: &Trap| matches!(trap.does, Snare::Stall { .. });
        self.acts.iter().any(by_act) || self.traps.iter().any(by_trap)
    }

    /// The same with this guard of the engine off.
    #[must_use]
    pub fn without(self, guard: Option<Guard>) -> Self {
        Self {
            off: guard.map(|guard| guard.label().to_owned()),
            ..self
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What must not have happened.
    pub violations: Vec<Violation>,
    /// Sum over the trace, and how many lines it has, if it was told.
    pub sum: Option<(u64, u64)>,
    /// The trace itself, if it was asked for.
    #[serde(skip)]
    pub trace: String,
    /// Calls of the engine that changed something.
    pub changes: u64,
    /// Of these, those that reached another container than the one that was looked at, which had got its number meanwhile.
    pub raced: u64,
    /// Operations that were stuck at the end: a person was told what to do.
    pub stuck: u64,
    /// Operations that were stuck, and that a person who insists had go on.
    pub told_on: u64,
    /// Virtual time it took, milliseconds.
    pub virtual_ms: u64,
    /// Acts that were carried out.
    pub acts: usize,
    /// The calls in their order.
    #[serde(skip)]
    pub calls: Vec<Moment>,
    /// What steps have done, as the engine's rehearsal names it.
    #[serde(skip)]
    pub rehearsed: BTreeSet<String>,
    /// Traps that were sprung.
    pub sprung: u32,
    /// Calls to a stranger's container without an honest look, after one of before the stranger came, and after one that showed
    /// what had been learned.
    pub onto_strangers: (u64, u64, u64),
    /// Of these, those that the rights of the token kept away.
    pub fenced: u64,
    /// The state at the end, without ids and times.
    pub end: Vec<String>,
    /// Claims of operations.
    pub claims: i64,
    /// Apps that the janitor marked.
    pub marked: u64,
}

/// Plays it, on a runtime of its own whose time passes when everybody waits.
///
/// # Errors
/// The simulation itself could not go on; no finding about the product.
pub fn play(play: &Play, telling: Telling) -> Result<Outcome, String> {
    rehearse(&play.rehearsal)?;
    if play.stalls() && cfg!(not(feature = "bug-switches")) {
        return Err("processes stand still in a build with the feature bug-switches".to_owned());
    }
    on_virtual_time(play.off.as_deref(), on_stage(play, telling))
}

/// Lets this go on where time passes when everybody waits, and where this guard is off.
pub(super) fn on_virtual_time<T>(
    off: Option<&str>,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    switch(off)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(work)
}

/// Takes a guard off for what runs on this thread, or none.
fn switch(off: Option<&str>) -> Result<(), String> {
    let mut guards = Guard::ALL.into_iter();
    let guard = off.map(|label| {
        let found = guards.find(|guard| guard.label() == label);
        found.ok_or_else(|| format!("there is no guard {label:?}"))
    });
    let guard = guard.transpose()?;
    #[cfg(feature = "bug-switches")]
    proximity_engine::saga::take_off(guard);
    #[cfg(not(feature = "bug-switches"))]
    if guard.is_some() {
        return Err("guards can be taken off in a build with the feature bug-switches".to_owned());
    }
    Ok(())
}

/// Tells the engine on this thread how to carry out its steps.
fn rehearse(rehearsal: &Rehearsal) -> Result<(), String> {
    #[cfg(feature = "bug-switches")]
    proximity_engine::saga::rehearse(rehearsal.twice, rehearsal.never.as_deref());
    #[cfg(not(feature = "bug-switches"))]
    if !rehearsal.is_plain() {
        return Err("steps can be repeated in a build with the feature bug-switches".to_owned());
    }
    Ok(())
}

/// What the engine's steps have done since.
fn rehearsed() -> BTreeSet<String> {
    #[cfg(feature = "bug-switches")]
    return proximity_engine::saga::rehearsed();
    #[cfg(not(feature = "bug-switches"))]
    BTreeSet::new()
}

async fn on_stage(play: &Play, telling: Telling) -> Result<Outcome, String> {
    let mut stage = set(play, telling).await?;
    let cluster = stage.machine.cluster.clone();
    let living = tokio::spawn(cluster.clone().live());
    let mut acts = 0;
    for timed in &play.acts {
        sleep(Duration::from_millis(timed.after_ms)).await;
        let act = &timed.act;
        cluster.trace.say(format_args!("act {acts}: {act:?}"));
        acts += 1;
        cluster.lock().traps.act(acts);
        stage = stage.perform(act).await?;
        rest::look(&mut stage).await?;
        if !cluster.lock().violations.is_empty() {
            break;
        }
    }
    if cluster.lock().violations.is_empty() {
        let left_ms = cluster.lock().lists.left_ms(cluster.clock.elapsed_ms());
        sleep(Duration::from_millis(left_ms)).await;
        rest::come_to_rest(&mut stage).await?;
    }
    rest::tell(&stage).await?;
    let told = Told::of(&stage).await?;
    let end = end(&stage).await?;
    let live = stage.machine.store.live_operations().await;
    let live = live.map_err(|e| e.to_string())?;
    let is_stuck = |op: &&OperationRecord| matches!(op.state, OperationState::Stuck { .. });
    let stuck = u64::try_from(live.iter().filter(is_stuck).count()).unwrap_or(0);
    stage.process.kill().await;
    if let Some(beside) = stage.beside {
        beside.kill().await;
    }
    living.abort();
    let inner = cluster.lock();
    Ok(Outcome {
        violations: inner.violations.clone(),
        sum: cluster.trace.sum(),
        trace: cluster.trace.text(),
        changes: inner.changes,
        raced: inner.raced,
        stuck,
        told_on: inner.told_on,
        virtual_ms: cluster.clock.elapsed_ms(),
        acts,
        calls: inner.traps.passed().to_vec(),
        rehearsed: rehearsed(),
        sprung: inner.traps.sprung(),
        onto_strangers: (
            inner.strangers.blind,
            inner.strangers.raced,
            inner.strangers.learned,
        ),
        fenced: inner.strangers.fenced,
        end,
        claims: told.claims,
        marked: told.marked,
    })
}

/// A world out of this seed, and a process at work.
pub(super) async fn set(play: &Play, telling: Telling) -> Result<Stage, String> {
    let seed = play.seed;
    let mut chance = Chance::of(seed, "world");
    let clock = SimClock::start();
    let trace = Trace::new(clock.clone(), telling);
    let store = Store::in_memory(&options(&mut chance));
    let told = trace.clone();
    store.observe_commits(move |_| told.say(format_args!("commit")));
    let host = host(&clock, play.narrow);
    let id = host.id;
    let added = store.add_host(host, &person(), clock.now()).await;
    added.map_err(|e| e.to_string())?;
    let world = world(&mut chance, clock.true_ms(), play.narrow);
    let cluster = SimCluster::new(
        world,
        (clock, trace),
        (id, store.clone()),
        Chance::of(seed, "ways"),
    );
    let outside = Outside {
        routes: Routes::to(vec![cluster.guests.clone()]),
        cluster: cluster.clone(),
    };
    let machine = Machine {
        store,
        cluster,
        outside,
        ids: Arc::new(SimIds::of(seed)),
        catalog: catalog()?,
        limits: EngineLimits {
            task_ms: TASK_MS,
            protect: !chance.one_in(4),
            sweep_rest: if play.brisk {
                BRISK_REST
            } else {
                EngineLimits::default().sweep_rest
            },
            // Its rules read the journals whole, and its clock jumps by years.
            retention: Retention {
                events: Keep::default(),
                operations: Keep::default(),
                snapshots: Keep::default(),
            },
            ..EngineLimits::default()
        },
        is_shared: play.second,
        stalls: play.stalls(),
        insists: play.insists,
    };
    machine.cluster.lock().traps = Traps::of(play.traps.clone());
    machine.cluster.lock().tokens = narrow::tokens(play.narrow);
    found::make(&machine.cluster);
    if play.narrow {
        narrow::restrict(&machine.cluster);
    }
    let process = Process::begin(&machine, 1, true);
    let beside = play.second.then(|| Process::beside(&machine));
    Ok(Stage {
        machine,
        process,
        beside,
        host: id,
        kept: Kept::default(),
        asked: Vec::new(),
    })
}

fn catalog() -> Result<Catalog, String> {
    thread_local! {
        static CATALOG: OnceCell<Catalog> = const { OnceCell::new() };
    }
    CATALOG.with(|cell| {
        if let Some(loaded) = cell.get() {
            return Ok(loaded.clone());
        }
        let loaded = Catalog::load(&[fixtures()]).map_err(|e| e.to_string())?;
        Ok(cell.get_or_init(|| loaded).clone())
    })
}

/// Whether the world of this seed has ports for everybody.
pub(super) fn has_room(seed: u64) -> bool {
    let pairs = options(&mut Chance::of(seed, "world")).public;
    pairs.last - pairs.first + 1 == PAIRS[1]
}

fn options(chance: &mut Chance) -> MemoryOptions {
    let pairs = PAIRS[usize::from(chance.one_in(2))];
    MemoryOptions {
        installation: InstallationId(Uuid::from_u128(1)),
        public: PortRange {
            first: 8_100,
            last: 8_099 + pairs,
        },
        internal: PortRange {
            first: 9_100,
            last: 9_099 + pairs,
        },
        rest_ms: 86_400_000,
    }
}

fn world(chance: &mut Chance, now_ms: u64, is_narrow: bool) -> World {
    let access = if is_narrow {
        Access::Empty
    } else {
        Access::Full
    };
    let mut seed = seed_of(TOKEN, SECRET, access, 0, &NODES, NodeRoom::default());
    if is_narrow {
        seed.tokens.extend(narrow::seeds());
    }
    seed.tokens.push(TokenSeed {
        id: OTHER.to_owned(),
        secret_sha256: hash_secret(SECRET),
        access: Access::Full,
    });
    seed.random = chance.next();
    let quick = chance.one_in(2);
    let mut ms = |slow: u64| chance.within(1..=if quick { 50 } else { slow });
    seed.times = TaskTimes {
        create_ms: ms(3_000),
        start_ms: ms(1_500),
        stop_ms: ms(1_000),
        shutdown_ms: ms(3_000),
        destroy_ms: ms(1_500),
        ..TaskTimes::default()
    };
    World::new(seed, now_ms)
}

/// By its address: a name might lead to several nodes, and be no node's own.
#[allow(clippy::unwrap_used)] // constants
fn endpoint(node: &str) -> Endpoint {
    let number = node.trim_start_matches("pve");
    Endpoint {
        url: format!("https://192.0.2.{number}"),
        node: Some(node.parse().unwrap()),
        trust: TlsTrust::System,
    }
}

#[allow(clippy::unwrap_used)] // constants
fn host(clock: &SimClock, is_narrow: bool) -> HostRecord {
    HostRecord {
        id: HostId(Uuid::from_u128(5)),
        label: "lab".parse().unwrap(),
        cluster_key: format!("cluster:cluster0:{}", NODES.join(",")),
        endpoints: NODES.map(endpoint).to_vec(),
        token_id: narrow::tokens(is_narrow).of(TokenPurpose::Operate).clone(),
        token_secret: SECRET.to_owned().into(),
        purpose_tokens: if is_narrow {
            narrow::recorded()
        } else {
            PurposeTokens::default()
        },
        ssh: None,
        pool: is_narrow.then(|| POOL.parse().unwrap()),
        storage: "local".parse().unwrap(),
        template_storage: "local".parse().unwrap(),
        bridge: "vmbr0".parse().unwrap(),
        placement: HostPlacement::default(),
        known_nodes: NODES.iter().map(|node| node.parse().unwrap()).collect(),
        pve_version: "9.2.11".to_owned(),
        created_at: clock.now(),
    }
}
