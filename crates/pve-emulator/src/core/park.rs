//! Requests that wait: for looks at guests, a configuration lock, a point in time, or a free daemon
//! worker.

use std::collections::{BTreeMap, BTreeSet};

use super::Effects;
use super::access::Caller;
use super::checks::{Doer, InFlight};
use super::faults::{self, LiveFaults};
use super::guest::{GuestKey, GuestLook, JobId};
use super::guest_config::GuestConfig;
use super::guest_list::GuestList;
use super::pipeline;
use super::request::{ApiRequest, RequestId, Response};
use super::task::Task;
use super::upid::Upid;
use super::worker;
use super::world::World;

/// After this long the proxy gives up on its daemon and answers 596; the work itself goes on.
const PROXY_TIMEOUT_MS: u64 = 30_000;
/// Privileged daemon workers per node.
const DAEMON_WORKERS: usize = 3;

/// What lives and dies with the emulator's process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    pub(crate) parked: BTreeMap<RequestId, Parked>,
    /// Looks under way.
    pub(crate) inspects: BTreeMap<JobId, Inspect>,
    /// The last look at each guest.
    pub(crate) looks: BTreeMap<u32, Look>,
    /// Changes of running guests the driver works on, with the calls that wait for them.
    pub(crate) applies: BTreeMap<JobId, RequestId>,
    /// Creates between their check and their configuration file, with their node.
    pub(crate) creating: BTreeMap<RequestId, String>,
    /// The list of guests that was last made.
    pub(crate) guest_list: Option<GuestList>,
    /// What faults hold.
    pub(crate) faults: LiveFaults,
    /// Calls that were not answered yet.
    pub(crate) in_flight: InFlight,
    /// When the input at hand came, Unix ms.
    pub(crate) at_ms: u64,
    /// Who acts just now.
    pub(crate) doer: Option<Doer>,
    /// Some node has no quorum, as far as the input at hand is concerned.
    pub(crate) torn: bool,
}

/// A look under way.
#[derive(Debug, Clone)]
pub(crate) struct Inspect {
    pub(crate) guest: GuestKey,
    /// Power-on time of the guest when the look was asked for: an answer about an earlier life is
    /// ignored. None after a start that failed: whether it runs is to be found out.
    pub(crate) since_ms: Option<u64>,
    /// Its result goes into the broadcast.
    pub(crate) broadcast: bool,
}

/// What a look showed.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) seen: Result<GuestLook, String>,
    pub(crate) at_ms: u64,
    /// CPU use since the look before, in cores.
    pub(crate) cpu: f64,
}

/// A waiting request.
#[derive(Debug, Clone)]
pub(crate) struct Parked {
    pub(crate) request: ApiRequest,
    pub(crate) progress: Progress,
    pub(crate) wait: Wait,
    /// When the proxy gives up, Unix ms.
    silent_after_ms: u64,
    /// The proxy has given up; the eventual answer goes nowhere.
    answered: bool,
}

/// How far a request has come; it is run again from the start with this knowledge.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// When it arrived, Unix ms.
    pub(crate) arrived_ms: u64,
    /// The looks it needs are fresh.
    pub(crate) looked: bool,
    /// When its wait for a configuration lock ends, Unix ms.
    pub(crate) lock_until_ms: Option<u64>,
    /// Its first checks are behind it.
    pub(crate) checked: bool,
    /// The configuration it wants, while the driver brings it into force.
    pub(crate) wanted: Option<Box<GuestConfig>>,
    /// What the driver said to that.
    pub(crate) applied: Option<Result<(), String>>,
    /// The proxy has given up on it.
    pub(crate) answered: bool,
    /// Who it is of, if that was found out before.
    pub(crate) caller: Option<Caller>,
    /// The task it waits for.
    pub(crate) task: Option<Upid>,
}

/// What a request waits for.
#[derive(Debug, Clone)]
pub(crate) enum Wait {
    Looks(BTreeSet<JobId>),
    ConfigLock {
        guest: GuestKey,
        until_ms: u64,
    },
    Until(u64),
    DaemonWorker {
        node: String,
    },
    /// A task, but not for ever.
    Task {
        upid: Box<Upid>,
        until_ms: u64,
    },
}

/// Puts a request aside.
pub(crate) fn park(world: &mut World, request: ApiRequest, progress: Progress, wait: Wait) {
    let silent_after_ms = progress.arrived_ms + PROXY_TIMEOUT_MS;
    let answered = progress.answered;
    world.live.parked.insert(
        request.id,
        Parked {
            request,
            progress,
            wait,
            silent_after_ms,
            answered,
        },
    );
}

/// A look arrived: requests that waited for it do so no longer.
pub(crate) fn look_arrived(world: &mut World, job: JobId) {
    for parked in world.live.parked.values_mut() {
        match &mut parked.wait {
            Wait::Looks(jobs) => {
                jobs.remove(&job);
            }
            Wait::ConfigLock { .. }
            | Wait::Until(_)
            | Wait::DaemonWorker { .. }
            | Wait::Task { .. } => {}
        }
    }
}

/// The driver answered about a change of a running guest.
pub(crate) fn applied(world: &mut World, job: JobId, result: Result<(), String>) {
    let request = world.live.applies.remove(&job);
    if let Some(parked) = request.and_then(|id| world.live.parked.get_mut(&id)) {
        parked.progress.applied = Some(result);
    }
    look_arrived(world, job);
}

/// Whether a node has a daemon worker for one more create.
pub(crate) fn worker_free(world: &World, node: &str) -> bool {
    world
        .live
        .creating
        .values()
        .filter(|name| *name == node)
        .count()
        < DAEMON_WORKERS
}

/// When time ends a wait, Unix ms.
pub(crate) fn due_ms(world: &World) -> impl Iterator<Item = u64> {
    world.live.parked.values().flat_map(|parked| {
        let wait = match &parked.wait {
            Wait::ConfigLock { until_ms, .. } | Wait::Task { until_ms, .. } => Some(*until_ms),
            Wait::Until(at_ms) => Some(*at_ms),
            Wait::Looks(_) | Wait::DaemonWorker { .. } => None,
        };
        let silence = (!parked.answered).then_some(parked.silent_after_ms);
        wait.into_iter().chain(silence)
    })
}

/// Lets one request go on whose wait is over; whether there was one.
pub(crate) fn advance(world: &mut World, now_ms: u64, effects: &mut Effects) -> bool {
    give_up(world, now_ms, effects);
    let ready = world
        .live
        .parked
        .iter()
        .find(|(_, parked)| is_over(world, &parked.wait, now_ms))
        .map(|(id, _)| *id);
    let Some(mut parked) = ready.and_then(|id| world.live.parked.remove(&id)) else {
        return false;
    };
    match parked.wait {
        Wait::Looks(_) => parked.progress.looked = true,
        Wait::ConfigLock { .. }
        | Wait::Until(_)
        | Wait::DaemonWorker { .. }
        | Wait::Task { .. } => {}
    }
    parked.progress.answered = parked.answered;
    pipeline::run(world, parked.request, parked.progress, now_ms, effects);
    true
}

fn is_over(world: &World, wait: &Wait, now_ms: u64) -> bool {
    match wait {
        Wait::Looks(jobs) => jobs.is_empty(),
        Wait::ConfigLock { guest, until_ms } => {
            now_ms >= *until_ms || !worker::is_held(world, guest)
        }
        Wait::Until(at_ms) => now_ms >= *at_ms,
        Wait::DaemonWorker { node } => worker_free(world, node),
        Wait::Task { upid, until_ms } => {
            let runs = |task: &Task| task.upid == **upid && task.is_running();
            now_ms >= *until_ms || !world.tasks.iter().any(runs)
        }
    }
}

fn give_up(world: &mut World, now_ms: u64, effects: &mut Effects) {
    let mut silent = Vec::new();
    for (id, parked) in &mut world.live.parked {
        if !parked.answered && now_ms >= parked.silent_after_ms {
            parked.answered = true;
            silent.push(Response::bare(*id, 596, "Connection timed out", 0));
        }
    }
    for response in silent {
        faults::depart(world, response, now_ms, effects);
    }
}
