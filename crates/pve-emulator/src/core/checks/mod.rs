//! What must not happen in the world, whoever asks for it: looked for by comparing the world before and after each
//! input, and by what the driver was told; never by asking the behaviours.
//!
//! - An **immortal** guest is not destroyed, none of its volumes is freed, its configuration does not change.
//! - A number has **one holder**: nobody makes a guest over another's, two tasks do not make one guest, and it does not
//!   run on two nodes.
//! - **Without quorum** of its node nothing takes effect that lies in the cluster's file system, and nothing starts. (That a
//!   destroy frees volumes all the same is PVE's own way.)
//! - At most so many **calls are in flight** at a node.

mod calls;
mod holders;
mod immortal;
mod quorum;
mod settings;
#[cfg(test)]
mod tests;

pub use settings::{Check, CheckSettings, Violation};

pub(crate) use calls::{InFlight, after_call, answered, arrived, before_call};
pub(crate) use settings::Checks;

use super::task::{Task, TaskState};
use super::world::World;
use super::{Effects, Input};

/// The world as it was before an input, as far as something is compared.
pub(crate) struct Before {
    immortal: immortal::Before,
    holders: holders::Before,
    quorum: quorum::Before,
}

/// To be called before an input is decided about.
pub(crate) fn before(world: &mut World, input: &Input, now_ms: u64) -> Before {
    world.live.in_flight.acting.clear();
    let changes = match input {
        Input::Request(request) => request.method != "GET",
        Input::GuestDone(_) | Input::Tick => true,
    };
    if let Input::GuestDone(done) = input {
        holders::driver_answered(world, done, now_ms);
    }
    Before {
        immortal: immortal::before(world),
        holders: holders::before(world, changes),
        quorum: quorum::before(world, now_ms),
    }
}

/// To be called when everything was decided that follows from the input.
pub(crate) fn after(world: &mut World, before: Before, effects: &Effects, now_ms: u64) {
    immortal::after(world, before.immortal, effects, now_ms);
    holders::after(world, before.holders, now_ms);
    quorum::after(world, before.quorum, effects, now_ms);
}

/// Who is to answer for a change of a guest: a call about it that ran just now, or a task at work; else whatever ran, or the
/// newest task about it.
fn culprit(world: &World, vmid: u32, now_ms: u64) -> Option<String> {
    let number = vmid.to_string();
    let acting = &world.live.in_flight.acting;
    let names = |call: &&String| call.split('/').any(|part| part == number);
    let tasks = || world.tasks.iter().rev();
    let about = |task: &&Task| {
        let by = task.by.as_ref().is_some_and(|by| by.contains(&number));
        by || task.guest().vmid == vmid
    };
    let at_work = |task: &&Task| match &task.state {
        TaskState::Stopped { end_s, .. } => *end_s == now_ms / 1000,
        TaskState::Waiting { .. } => false,
        TaskState::Acting(_)
        | TaskState::Settling { .. }
        | TaskState::Bulk
        | TaskState::Dying { .. } => true,
    };
    let name = |task: &Task| task.by.clone().unwrap_or_else(|| task.upid.to_string());
    let call = acting.iter().rev().find(names).cloned();
    call.or_else(|| tasks().filter(at_work).find(about).map(name))
        .or_else(|| acting.last().cloned())
        .or_else(|| tasks().find(about).map(name))
}
