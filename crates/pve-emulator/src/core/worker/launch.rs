//! What a task checks and commands once it holds the lock.

use super::super::Effects;
use super::super::error::ApiError;
use super::super::guest::{GuestCommand, GuestKey};
use super::super::nets;
use super::super::pending;
use super::super::stored::{ARRIVAL_MS, Arrival};
use super::super::task::{Step, Work};
use super::super::world::{Guest, World};
use super::{backups, bulk, consoles, copies, create, issue, migrate, settle, snapshots};

/// Starts the work; `Err` is what the task ends with.
pub(super) fn launch(
    world: &mut World,
    at: usize,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    match world.tasks[at].work.clone() {
        Work::Create(plan) => create::launch(world, at, &plan, now_ms, effects),
        Work::Start => start(world, at, now_ms, effects),
        Work::Stop => stop(world, at, now_ms, effects),
        Work::Shutdown { timeout_s, force } => {
            shutdown(world, at, (timeout_s, force), now_ms, effects)
        }
        Work::Reboot { timeout_s } => reboot(world, at, timeout_s, now_ms, effects),
        Work::Destroy { force, purge, .. } => destroy(world, at, (force, purge), now_ms, effects),
        Work::Resume => Err(restore_state(world, at)),
        Work::Suspend => Err(save_state(world, at)),
        Work::Template => copies::template(world, at, now_ms),
        Work::Clone(plan) => copies::clone(world, at, &plan, now_ms, effects),
        Work::Snapshot { name, .. } => snapshots::take(world, at, &name, now_ms, effects),
        Work::Rollback { name, .. } => snapshots::go_back(world, at, &name, now_ms, effects),
        Work::DeleteSnapshot { name, .. } => snapshots::remove(world, at, &name, now_ms, effects),
        Work::Resize { disk, size_bytes } => copies::resize(world, at, &disk, size_bytes, now_ms),
        Work::MoveVolume { disk, storage, .. } => {
            copies::move_volume(world, at, &disk, &storage, now_ms)
        }
        Work::Reassign { disk, to, .. } => copies::reassign(world, at, &disk, to, now_ms),
        Work::Migrate {
            target,
            restart,
            timeout_s,
            how,
        } => {
            let wish = migrate::Wish {
                target: &target,
                restart,
                timeout_s,
                how: &how,
            };
            migrate::launch(world, at, &wish, now_ms, effects)
        }
        Work::Backup(_) => backups::launch(world, at, now_ms, effects),
        Work::DeleteVolume { node, volid } => {
            backups::delete(world, at, (&node, &volid), now_ms, effects)
        }
        Work::Prune { volids } => {
            backups::prune(world, at, volids, now_ms, effects);
            Ok(())
        }
        Work::Request { line } => {
            request(world, at, line, now_ms);
            Ok(())
        }
        Work::Bulk(_) => {
            bulk::launch(world, at, now_ms, effects);
            Ok(())
        }
        Work::Arrive(arrival) => {
            arrive(world, at, *arrival, now_ms);
            Ok(())
        }
        Work::Console(_) => {
            consoles::listen(world, at, now_ms);
            Ok(())
        }
        Work::Fail { log, error } => {
            log.iter().for_each(|line| world.tasks[at].say(line));
            Err(error)
        }
    }
}

fn shutdown(
    world: &mut World,
    at: usize,
    (timeout_s, force): (u64, bool),
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    check_lock(&guest)?;
    if guest.is_running() {
        let step = Step::Shutdown { force };
        shut_down(world, at, step, timeout_s, now_ms, effects);
    } else {
        settle(world, at, None, now_ms + world.times.shutdown_ms);
    }
    Ok(())
}

/// PVE looks at neither the lock nor the quorum here.
fn reboot(
    world: &mut World,
    at: usize,
    timeout_s: u64,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    if guest_of(world, at)?.is_running() {
        shut_down(world, at, Step::RebootDown, timeout_s, now_ms, effects);
    } else {
        settle(world, at, None, now_ms);
    }
    Ok(())
}

fn arrive(world: &mut World, at: usize, arrival: Arrival, now_ms: u64) {
    let task = &mut world.tasks[at];
    arrival.log.iter().for_each(|line| task.say(line));
    settle(world, at, arrival.error, now_ms + ARRIVAL_MS);
}

/// Somebody else does it, later.
fn request(world: &mut World, at: usize, line: String, now_ms: u64) {
    world.tasks[at].say(line);
    settle(world, at, None, now_ms + super::QUICK_END_MS);
}

/// There is nothing that saves and restores running processes here.
fn restore_state(world: &mut World, at: usize) -> String {
    let vmid = world.tasks[at].guest().vmid;
    let task = &mut world.tasks[at];
    task.say(format!("lxc-checkpoint: {vmid}: ../src/lxc/criu.c: criu_version_ok: 767 Connection refused - execing criu failed, is it installed?"));
    task.say(format!("lxc-checkpoint: {vmid}: ../src/lxc/tools/lxc_checkpoint.c: restore_finalize: 203 Restoring {vmid} failed"));
    format!(
        "command 'lxc-checkpoint -n {vmid} -r --foreground -D /var/lib/vz/dump' failed: exit code 1"
    )
}

fn save_state(world: &mut World, at: usize) -> String {
    let vmid = world.tasks[at].guest().vmid;
    if let Ok(Err(error)) = guest_of(world, at).map(|guest| check_lock(&guest)) {
        return error;
    }
    let task = &mut world.tasks[at];
    task.say(format!("lxc-checkpoint: {vmid}: ../src/lxc/criu.c: criu_version_ok: 767 Connection refused - execing criu failed, is it installed?"));
    task.say(format!("lxc-checkpoint: {vmid}: ../src/lxc/tools/lxc_checkpoint.c: checkpoint: 147 Checkpointing {vmid} failed"));
    format!("command 'lxc-checkpoint -n {vmid} -s -D /var/lib/vz/dump' failed: exit code 1")
}

/// Whether a node's part of the cluster can write configurations.
pub(crate) fn check_quorum_write(world: &World, key: &GuestKey, now_ms: u64) -> Result<(), String> {
    if world.is_quorate(&key.node, now_ms) {
        return Ok(());
    }
    let pid = world.node(&key.node).map_or(0, |node| node.last_pid);
    let GuestKey { node, vmid } = key;
    Err(format!(
        "unable to open file '/etc/pve/nodes/{node}/lxc/{vmid}.conf.tmp.{pid}' - Permission denied"
    ))
}

/// The same for a task's guest.
pub(super) fn check_write(world: &World, at: usize, now_ms: u64) -> Result<(), String> {
    check_quorum_write(world, &world.tasks[at].guest(), now_ms)
}

pub(super) fn guest_of(world: &World, at: usize) -> Result<Guest, String> {
    let key = world.tasks[at].guest();
    world
        .guest(&key)
        .cloned()
        .ok_or_else(|| ApiError::no_config(&key.node, key.vmid).text())
}

pub(super) fn check_lock(guest: &Guest) -> Result<(), String> {
    match guest.config.get("lock") {
        None => Ok(()),
        Some(lock) => Err(format!("CT is locked ({lock})")),
    }
}

fn start(world: &mut World, at: usize, now_ms: u64, effects: &mut Effects) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    if guest.config.flag("template") {
        return Err("you can't start a CT if it's a template".into());
    }
    if !world.tasks[at].skips_lock && guest.config.get("lock") != Some("mounted") {
        check_lock(&guest)?;
    }
    // Of several starts at once the later ones find it running and end well.
    if guest.is_running() {
        settle(world, at, None, now_ms);
        return Ok(());
    }
    let quota = |value: &String| value.split(',').any(|part| part == "quota=1");
    let mut mounts = guest.config.volumes().into_iter().map(|(_, value)| value);
    if guest.config.flag("unprivileged") && mounts.any(|value| quota(&value)) {
        return Err("Quotas are not supported by unprivileged containers.".into());
    }
    boot(world, at, now_ms + world.times.start_ms, effects)
}

/// Applies pending changes and boots, if the volumes are there.
fn boot(world: &mut World, at: usize, end_ms: u64, effects: &mut Effects) -> Result<(), String> {
    let key = world.tasks[at].guest();
    let mut guest = guest_of(world, at)?;
    pending::apply(world, &key, &mut guest.config, None, end_ms);
    let spec = guest.config.spec(&guest.template);
    let there = world.check_there(&guest.config, &key.node);
    if let Some(found) = world.guest_mut(&key) {
        found.config = guest.config.clone();
    }
    nets::fit_all(world, &key, &guest.config)?;
    there?;
    if world.guest_faults(key.vmid).boot_fails {
        fail_boot(world, at, key.vmid, end_ms);
        return Ok(());
    }
    let command = |job, guest| GuestCommand::Start { job, guest, spec };
    issue(world, at, Step::Start, end_ms, command, effects);
    Ok(())
}

/// As PVE tells of a container whose init does not come up.
fn fail_boot(world: &mut World, at: usize, vmid: u32, end_ms: u64) {
    let task = &mut world.tasks[at];
    task.say(format!(
        "lxc_spawn: 1832 Failed to start init for container \"{vmid}\""
    ));
    task.say(format!(
        "__lxc_start: 2114 Failed to spawn container \"{vmid}\""
    ));
    let error = format!("startup for container '{vmid}' failed");
    settle(world, at, Some(error), end_ms);
}

/// The second half of a reboot. A configuration lock is found only now, by the start hook.
pub(super) fn reboot_up(world: &mut World, at: usize, not_before_ms: u64, effects: &mut Effects) {
    let vmid = world.tasks[at].guest().vmid;
    let end_ms = not_before_ms + world.times.start_ms;
    let writable = check_write(world, at, not_before_ms);
    let script_status = if writable.is_err() { 2 } else { 255 };
    match guest_of(world, at).map(|guest| writable.and(check_lock(&guest))) {
        Ok(Ok(())) => {
            if let Err(error) = boot(world, at, end_ms, effects) {
                settle(world, at, Some(error), end_ms);
            }
        }
        Ok(Err(_)) => {
            let task = &mut world.tasks[at];
            task.say(format!(
                "run_buffer: 571 Script exited with status {script_status}"
            ));
            task.say(format!(
                "lxc_init: 845 Failed to run lxc.hook.pre-start for container \"{vmid}\""
            ));
            task.say(format!(
                "__lxc_start: 2039 Failed to initialize container \"{vmid}\""
            ));
            settle(
                world,
                at,
                Some(format!("startup for container '{vmid}' failed")),
                end_ms,
            );
        }
        Err(error) => settle(world, at, Some(error), end_ms),
    }
}

fn stop(world: &mut World, at: usize, now_ms: u64, effects: &mut Effects) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    if !world.tasks[at].skips_lock && guest.config.get("lock") != Some("mounted") {
        check_lock(&guest)?;
    }
    let end_ms = now_ms + world.times.stop_ms;
    if !guest.is_running() {
        settle(world, at, None, now_ms);
        return Ok(());
    }
    issue(
        world,
        at,
        Step::Kill,
        end_ms,
        |job, guest| GuestCommand::Kill { job, guest },
        effects,
    );
    Ok(())
}

fn shut_down(
    world: &mut World,
    at: usize,
    step: Step,
    timeout_s: u64,
    now_ms: u64,
    effects: &mut Effects,
) {
    let end_ms = now_ms + world.times.shutdown_ms;
    let timeout_ms = timeout_s.saturating_mul(1000);
    issue(
        world,
        at,
        step,
        end_ms,
        |job, guest| GuestCommand::Shutdown {
            job,
            guest,
            timeout_ms,
        },
        effects,
    );
}

fn destroy(
    world: &mut World,
    at: usize,
    (force, purge): (bool, bool),
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    let vmid = world.tasks[at].guest().vmid;
    if guest.config.flag("protection") {
        return Err(format!("can't remove CT {vmid} - protection mode enabled"));
    }
    check_lock(&guest)?;
    world.check_unused(vmid, purge)?;
    let end_ms = now_ms + world.times.destroy_ms;
    let key = world.tasks[at].guest();
    if !guest.is_running() {
        world.check_free_all(&guest.config, &key)?;
    }
    // The data goes first; only then does it show that nothing can be written.
    if let Err(error) = check_write(world, at, now_ms)
        && !guest.is_running()
    {
        world.free_volumes(&guest.config, &key);
        return Err(error);
    }
    if !guest.is_running() {
        issue(
            world,
            at,
            Step::Destroy,
            end_ms,
            |job, guest| GuestCommand::Destroy { job, guest },
            effects,
        );
        return Ok(());
    }
    if !force {
        return Err(format!(
            "unable to destroy CT {vmid} - container is running"
        ));
    }
    world.tasks[at].say(format!("forced to stop CT {vmid} before destroying!"));
    issue(
        world,
        at,
        Step::DestroyKill,
        end_ms,
        |job, guest| GuestCommand::Kill { job, guest },
        effects,
    );
    Ok(())
}
