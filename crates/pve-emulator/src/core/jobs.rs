//! Commands given to the driver, and what their answers change.

use serde::{Deserialize, Serialize};

use super::guest::{GuestChange, GuestCommand, GuestDone, GuestError, GuestOutcome};
use super::upid::Upid;
use super::world::{Power, World};
use super::{Effects, broadcast, park, worker};

/// A command that has not been answered; it is given again after a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The task that waits for it.
    pub(crate) task: Upid,
    pub(crate) command: GuestCommand,
}

/// Takes in a driver's answer. Answers to unknown jobs (of an earlier process) change nothing.
pub(crate) fn finish(world: &mut World, done: GuestDone, now_ms: u64, effects: &mut Effects) {
    if let Some(look) = world.live.inspects.remove(&done.job) {
        return broadcast::looked(world, done, look, now_ms);
    }
    if world.live.applies.contains_key(&done.job) {
        let result = done.result.map(|_| ()).map_err(|error| match error {
            GuestError::TimedOut => "timed out".to_owned(),
            GuestError::Failed(text) => text,
        });
        return park::applied(world, done.job, result);
    }
    let Some(job) = world.jobs.remove(&done.job) else {
        return world.note_owed(done.job);
    };
    note_power(world, &job.command, &done.result, now_ms);
    if let (GuestCommand::Start { guest, .. }, Err(_)) = (&job.command, &done.result) {
        broadcast::inspect_failed_start(world, guest.clone(), effects);
    }
    worker::proceed(world, &job.task, done, now_ms, effects);
}

/// What happened to the guest holds, whatever became of the task that asked for it.
fn note_power(
    world: &mut World,
    command: &GuestCommand,
    result: &Result<GuestOutcome, GuestError>,
    now_ms: u64,
) {
    if result.is_err() {
        return;
    }
    let (guest, power) = match command {
        GuestCommand::Start { guest, .. } => (guest, Power::Running { since_ms: now_ms }),
        GuestCommand::Create { guest, .. }
        | GuestCommand::Shutdown { guest, .. }
        | GuestCommand::Kill { guest, .. }
        | GuestCommand::Destroy { guest, .. } => (guest, Power::Stopped),
        GuestCommand::Change { guest, change, .. } => match change {
            GuestChange::Copy { .. } | GuestChange::Rollback { .. } => (guest, Power::Stopped),
            GuestChange::Keep { .. }
            | GuestChange::Drop { .. }
            | GuestChange::Move { .. }
            | GuestChange::Apply { .. } => return,
        },
        GuestCommand::Inspect { .. } => return,
    };
    if let Some(guest) = world.guest_mut(guest) {
        guest.power = power;
    }
}
