//! Moving a container to another node: offline, or stopped and started again.

use super::super::Effects;
use super::super::guest::{GuestChange, GuestCommand, GuestKey};
use super::super::guest_config::volume_of;
use super::super::task::Step;
use super::super::world::{Volume, World};
use super::launch::{check_lock, guest_of};
use super::{issue, snapshots};

fn stamp(now_ms: u64) -> String {
    super::super::dates::stamp(now_ms / 1000)
}

/// Errors are in the log; the task itself only says that it gave up.
fn aborted(world: &mut World, at: usize, why: &str, now_ms: u64) -> String {
    world.tasks[at].say(format!(
        "{} ERROR: migration aborted (duration 00:00:00): {why}",
        stamp(now_ms)
    ));
    "migration aborted".into()
}

pub(super) fn launch(
    world: &mut World,
    at: usize,
    target: &str,
    (restart, timeout_s): (bool, u64),
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let checked = guest_of(world, at).and_then(|guest| {
        check_lock(&guest)?;
        for (_, value) in guest.config.volumes() {
            let id = volume_of(&value).split(':').next().unwrap_or_default();
            if !world.storage(id).is_some_and(|storage| storage.on(target)) {
                return Err(format!(
                    "storage '{id}' is not available on node '{target}'"
                ));
            }
        }
        Ok(guest)
    });
    let guest = match checked {
        Ok(guest) => guest,
        Err(why) => return Err(aborted(world, at, &why, now_ms)),
    };
    snapshots::mark(world, at, "migrate");
    if guest.is_running() && restart {
        let timeout_ms = timeout_s.saturating_mul(1000);
        let vmid = world.tasks[at].guest().vmid;
        world.tasks[at].say(format!("{} shutdown CT {vmid}", stamp(now_ms)));
        let command = |job, guest| GuestCommand::Shutdown {
            job,
            guest,
            timeout_ms,
        };
        let end_ms = now_ms + world.times.shutdown_ms;
        issue(world, at, Step::StopFirst, end_ms, command, effects);
    } else {
        carry(world, at, target, now_ms, effects);
    }
    Ok(())
}

/// The guest is stopped: its volumes go over.
pub(super) fn carry(
    world: &mut World,
    at: usize,
    target: &str,
    now_ms: u64,
    effects: &mut Effects,
) {
    let vmid = world.tasks[at].guest().vmid;
    let address = world
        .node(target)
        .map(|node| node.address.clone())
        .unwrap_or_default();
    world.tasks[at].say(format!(
        "{} starting migration of CT {vmid} to node '{target}' ({address})",
        stamp(now_ms)
    ));
    let to = target.to_owned();
    let end_ms = now_ms + world.times.create_ms;
    let command = |job, guest| GuestCommand::Change {
        job,
        guest,
        change: GuestChange::Move { to },
    };
    issue(world, at, Step::Main, end_ms, command, effects);
}

/// The configuration lies on the other node now; the guest is to be started again there if it ran.
pub(super) fn arrived(world: &mut World, at: usize, target: &str, now_ms: u64) -> Option<GuestKey> {
    let key = world.tasks[at].guest();
    let volumes = world.guest(&key)?.config.volumes();
    for (_, value) in volumes {
        let meant = |volume: &Volume| {
            volume.node.as_ref() == Some(&key.node) && volume.volid() == volume_of(&value)
        };
        let volumes = &mut world.volumes;
        volumes.change_where(meant, |volume| volume.node = Some(target.to_owned()));
    }
    let guest = world.guest_mut(&key)?;
    guest.config.keys.remove("lock");
    target.clone_into(&mut guest.node);
    world.tasks[at].say(format!("{} start final cleanup", stamp(now_ms)));
    let was_running = world.tasks[at]
        .log
        .iter()
        .any(|line| line.contains(" shutdown CT "));
    was_running.then(|| GuestKey {
        node: target.to_owned(),
        vmid: key.vmid,
    })
}
