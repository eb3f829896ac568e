//! What must not happen in the world, whoever asks for it: looked for by comparing what changed with what it was before, and
//! by what the driver was told; never by asking the behaviours.
//!
//! - An **immortal** guest is not destroyed, none of its volumes is freed, its configuration does not change.
//! - A number has **one holder**: nobody makes a guest over another's, two tasks do not make one guest, and it does not
//!   run on two nodes.
//! - **Without quorum** of the node that does it nothing takes effect that lies in the cluster's file system, and nothing
//!   starts. (That a destroy frees volumes all the same is PVE's own way.)
//! - At most so many **calls are in flight** at a node.
//!
//! While an input is decided about, the world is watched: it keeps what it changes as it was before. Calls and tasks act one
//! after the other, and each is judged by what it changed in its turn, so a look costs what was touched.

mod calls;
mod doer;
mod holders;
mod immortal;
mod quorum;
mod settings;
#[cfg(test)]
mod tests;

pub use settings::{Check, CheckSettings, Violation};

pub(crate) use calls::{InFlight, answered, arrived, goes_on_as, over};
pub(crate) use doer::Doer;
pub(crate) use holders::began;
pub(crate) use settings::Checks;

use super::Input;
use super::guest::GuestCommand;
use super::world::World;

/// To be called before an input is decided about.
pub(crate) fn begin(world: &mut World, input: Option<&Input>, now_ms: u64) {
    world.live.at_ms = now_ms;
    if let Some(Input::GuestDone(done)) = input {
        holders::driver_answered(world, done);
    }
    world.live.doer = None;
    world.guests.watch();
    if !world.checks.settings.immortal.is_empty() {
        world.volumes.watch();
    }
    quorum::watch(world);
}

/// Who acts from now on, until [`acted`].
pub(crate) fn acts(world: &mut World, doer: Doer) {
    world.live.doer = Some(doer);
}

/// To be called when it has acted: judges what changed.
pub(crate) fn acted(world: &mut World) {
    judge(world);
    world.live.doer = None;
}

fn judge(world: &mut World) {
    let files = quorum::take_changed_files(world);
    let guests = world.guests.take_before();
    let lost = immortal::take_lost(world);
    if files.is_empty() && guests.is_empty() && lost.is_empty() {
        return;
    }
    immortal::look(world, &guests, lost);
    holders::look(world, &guests);
    quorum::look(world, &guests, files);
}

/// To be called when everything was decided that follows from the input.
pub(crate) fn end(world: &mut World) {
    acted(world);
    world.guests.unwatch();
    world.volumes.unwatch();
    quorum::unwatch(world);
}

/// The driver is told to do something for a task.
pub(crate) fn commanded(world: &mut World, command: &GuestCommand) {
    immortal::commanded(world, command);
    quorum::commanded(world, command);
}
