//! Looks at guests, and what `pvestatd` tells the cluster about them every ten seconds.

use super::Effects;
use super::guest::{GuestCommand, GuestDone, GuestError, GuestKey, GuestLook, GuestOutcome, JobId};
use super::guest_list::RowText;
use super::park::{self, Inspect, Look};
use super::status_row;
use super::world::{Guest, Power, World};

/// Between two broadcasts.
pub(crate) const PERIOD_MS: u64 = 10_000;
/// A row that is older is not shown any more.
pub(crate) const STALE_MS: u64 = 300_000;

/// Begins a broadcast: stopped guests are told about at once, running ones when they were looked
/// at.
pub(crate) fn start(world: &mut World, now_ms: u64, effects: &mut Effects) {
    world.next_broadcast_ms = now_ms + PERIOD_MS;
    let guests: Vec<(GuestKey, bool)> = world
        .guests
        .iter()
        .filter(|(_, guest)| {
            let node = world.node(&guest.node);
            node.is_some_and(|node| node.powered && node.teller_up && node.old_view_cycles == 0)
        })
        .map(|(vmid, guest)| {
            (
                GuestKey {
                    node: guest.node.clone(),
                    vmid: *vmid,
                },
                guest.is_running(),
            )
        })
        .collect();
    for node in &mut world.nodes {
        node.old_view_cycles = node.old_view_cycles.saturating_sub(1);
    }
    for (key, running) in guests {
        if running {
            inspect(world, &key, true, effects);
        } else {
            publish(world, &key, now_ms);
        }
    }
}

/// Asks the driver to look at a running guest; nothing to do for a stopped or absent one.
pub(crate) fn inspect(
    world: &mut World,
    key: &GuestKey,
    broadcast: bool,
    effects: &mut Effects,
) -> Option<JobId> {
    let Power::Running { since_ms } = world.guest(key)?.power else {
        return None;
    };
    let look = Inspect {
        guest: key.clone(),
        since_ms: Some(since_ms),
        broadcast,
    };
    Some(ask(world, look, effects))
}

/// Asks the driver whether a guest runs whose start failed.
pub(crate) fn inspect_failed_start(world: &mut World, key: GuestKey, effects: &mut Effects) {
    let look = Inspect {
        guest: key,
        since_ms: None,
        broadcast: false,
    };
    ask(world, look, effects);
}

fn ask(world: &mut World, look: Inspect, effects: &mut Effects) -> JobId {
    let job = world.allocate_job();
    let guest = look.guest.clone();
    world.live.inspects.insert(job, look);
    effects.commands.push(GuestCommand::Inspect { job, guest });
    job
}

/// Takes in a look.
pub(crate) fn looked(world: &mut World, done: GuestDone, inspect: Inspect, now_ms: u64) {
    let seen = match done.result {
        Ok(GuestOutcome::Inspected(look)) => Ok(world.as_faults_let_see(inspect.guest.vmid, look)),
        Ok(GuestOutcome::Done { .. }) => Err("the driver did not look".to_owned()),
        Err(GuestError::TimedOut) => Err("looking at the container timed out".to_owned()),
        Err(GuestError::Failed(text)) => Err(text),
    };
    note_life(world, &inspect, &seen, now_ms);
    let cpu = cpu_use(world.live.looks.get(&inspect.guest.vmid), &seen, now_ms);
    world.live.looks.insert(
        inspect.guest.vmid,
        Look {
            seen,
            at_ms: now_ms,
            cpu,
        },
    );
    if inspect.broadcast {
        publish(world, &inspect.guest, now_ms);
    }
    park::look_arrived(world, done.job);
}

/// A guest that was running and is not any more ended by itself; one whose start failed may run all the same. Unless a task
/// is busy with it.
fn note_life(world: &mut World, inspect: &Inspect, seen: &Result<GuestLook, String>, now_ms: u64) {
    let Ok(look) = seen else {
        return;
    };
    let Some(power) = world.guest(&inspect.guest).map(|guest| guest.power) else {
        return;
    };
    let power = match inspect.since_ms {
        Some(since_ms) if !look.running && power == (Power::Running { since_ms }) => Power::Stopped,
        None if look.running && power == Power::Stopped => Power::Running { since_ms: now_ms },
        Some(_) | None => return,
    };
    let mut jobs = world.jobs.values();
    let busy = jobs.any(|job| *job.command.guest() == inspect.guest);
    if let Some(guest) = world.guest_mut(&inspect.guest).filter(|_| !busy) {
        guest.power = power;
    }
}

fn cpu_use(before: Option<&Look>, seen: &Result<GuestLook, String>, now_ms: u64) -> f64 {
    let (
        Some(Look {
            seen: Ok(before),
            at_ms,
            ..
        }),
        Ok(now),
    ) = (before, seen)
    else {
        return 0.0;
    };
    let wall_ms = now_ms.saturating_sub(*at_ms);
    if wall_ms == 0 || now.cpu_ns < before.cpu_ns || before.pid != now.pid {
        return 0.0;
    }
    #[allow(clippy::cast_precision_loss)]
    let cores = (now.cpu_ns - before.cpu_ns) as f64 / (wall_ms as f64 * 1_000_000.0);
    cores
}

/// The cluster is told of a guest.
pub(super) fn publish(world: &mut World, key: &GuestKey, now_ms: u64) {
    let Some(guest) = world.guest(key) else {
        return;
    };
    let row = status_row::broadcast(world, key.vmid, guest, now_ms);
    // The same as last time, and shown: nothing that was made from it says anything else now.
    let is_shown = guest.row.as_ref().is_some_and(RowText::is_fresh);
    if is_shown && guest.broadcast.as_ref() == Some(&row) {
        let told_again = |guest: &mut Guest| guest.broadcast_ms = now_ms;
        return world.guests.derive(&key.vmid, told_again);
    }
    // Told again every ten seconds, and for each guest: not worth a commit.
    if let Some(guest) = world
        .guests
        .get_mut_passing(&key.vmid)
        .filter(|guest| guest.node == key.node)
    {
        guest.broadcast = Some(row);
        guest.broadcast_ms = now_ms;
    }
}
