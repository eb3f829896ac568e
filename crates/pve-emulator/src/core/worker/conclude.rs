//! How a task ends and what it leaves.

use std::collections::BTreeMap;

use super::super::faults::{self, End};
use super::super::firewall;
use super::super::guest::GuestKey;
use super::super::stored::Arrival;
use super::super::task::{CreatePlan, NewDisk, TaskState, Work};
use super::super::world::World;
use super::{copies, create, launch, migrate, restore, snapshots, spawn};
use crate::schema::split_list;

/// Ended tasks that are remembered.
const REMEMBERED: usize = 400;
/// And so many of each node in any case: its list of the newest would look whole without them.
const OF_NODE: usize = 25;

/// The task's work is over: its lasting effects, then its end.
pub(super) fn conclude(world: &mut World, at: usize, error: Option<String>, now_ms: u64) {
    let error = match too_late(world, at, now_ms) {
        Some(refused) => return end(world, at, error.or(Some(refused)), now_ms),
        None => error,
    };
    let failed = error.is_some();
    let mut error = error;
    let mut follow_up = None;
    match world.tasks[at].work.clone() {
        Work::Create(plan) if failed => undo_create(world, at, &plan),
        Work::Create(plan) => {
            created(world, at, &plan, now_ms);
            follow_up = plan.start.then(|| world.tasks[at].guest());
        }
        Work::Destroy {
            purge,
            unreferenced,
            ..
        } if !failed => error = destroyed(world, at, (purge, unreferenced), now_ms),
        Work::Template if !failed => copies::converted(world, at),
        Work::Clone(plan) => copies::cloned(world, at, &plan, failed),
        Work::Snapshot { name, description } if !failed => {
            snapshots::taken(world, at, &name, &description, now_ms);
        }
        Work::Rollback { name, start } if !failed => {
            snapshots::gone_back(world, at, &name);
            follow_up = start.then(|| world.tasks[at].guest());
        }
        Work::DeleteSnapshot { name, .. } if !failed => snapshots::removed(world, at, &name),
        Work::MoveVolume { disk, delete, .. } => {
            copies::volume_moved(world, at, &disk, delete, failed);
        }
        Work::Reassign { disk, to, to_disk } if !failed => {
            copies::reassigned(world, at, (&disk, to, &to_disk));
        }
        Work::Arrive(arrival) if !failed => arrived(world, at, *arrival, now_ms),
        Work::Migrate { target, how, .. } if !failed => {
            follow_up = migrate::arrived(world, at, (&target, &how), now_ms);
        }
        Work::Snapshot { .. }
        | Work::Rollback { .. }
        | Work::DeleteSnapshot { .. }
        | Work::Migrate { .. } => let_go(world, at),
        Work::Destroy { .. }
        | Work::Start
        | Work::Stop
        | Work::Shutdown { .. }
        | Work::Reboot { .. }
        | Work::Resume
        | Work::Suspend
        | Work::Template
        | Work::Resize { .. }
        | Work::Backup(_)
        | Work::DeleteVolume { .. }
        | Work::Prune { .. }
        | Work::Request { .. }
        | Work::Arrive(_)
        | Work::Reassign { .. }
        | Work::Bulk(_)
        | Work::Console(_)
        | Work::Fail { .. } => {}
    }
    end(world, at, error, now_ms);
    start_after(world, at, follow_up, now_ms);
}

/// A guest that is to be started when a task is over, as a task of its own: one that is managed is asked for after a rollback.
fn start_after(world: &mut World, at: usize, guest: Option<GuestKey>, now_ms: u64) {
    let Some(guest) = guest else { return };
    let user = world.tasks[at].upid.user.clone();
    let back = matches!(world.tasks[at].work, Work::Rollback { .. });
    if back && world.ha.manages(guest.vmid) {
        world.request_state(guest.vmid, "started", now_ms);
        let line = format!("Requesting HA start for CT {}", guest.vmid);
        spawn(
            world,
            "hastart",
            &guest,
            &user,
            Work::Request { line },
            now_ms,
        );
    } else {
        spawn(world, "vzstart", &guest, &user, Work::Start, now_ms);
    }
}

/// The file is there.
fn arrived(world: &mut World, at: usize, arrival: Arrival, now_ms: u64) {
    for line in &arrival.finished {
        world.tasks[at].say(line);
    }
    if let Some(file) = arrival.file {
        world.put_file(file, now_ms);
    }
}

/// Takes away the mark this task itself has set; one of somebody else made it fail and stays.
fn let_go(world: &mut World, at: usize) {
    let own = match &world.tasks[at].work {
        Work::Snapshot { .. } => "snapshot",
        Work::Rollback { .. } => "rollback",
        Work::DeleteSnapshot { .. } => "snapshot-delete",
        Work::Migrate { .. } => "migrate",
        _ => return,
    };
    let began = world.tasks[at].began;
    let key = world.tasks[at].guest();
    if began
        && let Some(guest) = world.guest_mut(&key)
        && guest.config.get("lock") == Some(own)
    {
        guest.config.keys.remove("lock");
    }
}

/// The majority was lost while the task was at work: what it would write at its end stays unwritten, its lock on the
/// configuration included. A destroy finds out by itself.
fn too_late(world: &World, at: usize, now_ms: u64) -> Option<String> {
    let task = &world.tasks[at];
    let writes = match &task.work {
        Work::Create(_)
        | Work::Clone(_)
        | Work::Template
        | Work::Snapshot { .. }
        | Work::Rollback { .. }
        | Work::DeleteSnapshot { .. }
        | Work::MoveVolume { .. }
        | Work::Reassign { .. }
        | Work::Migrate { .. } => task.began,
        Work::Destroy { .. }
        | Work::Start
        | Work::Stop
        | Work::Shutdown { .. }
        | Work::Reboot { .. }
        | Work::Resume
        | Work::Suspend
        | Work::Resize { .. }
        | Work::Backup(_)
        | Work::DeleteVolume { .. }
        | Work::Prune { .. }
        | Work::Request { .. }
        | Work::Arrive(_)
        | Work::Bulk(_)
        | Work::Console(_)
        | Work::Fail { .. } => false,
    };
    if writes {
        launch::check_write(world, at, now_ms).err()
    } else {
        None
    }
}

/// Only now does the configuration say more than `lock: create`.
fn created(world: &mut World, at: usize, plan: &CreatePlan, now_ms: u64) {
    if plan.ha_managed {
        let vmid = world.tasks[at].guest().vmid;
        let state = if plan.start { "started" } else { "stopped" };
        world.tasks[at].say("Add as HA resource");
        world.manage(vmid, state, now_ms);
    }
    let mut config = create::final_config(world, at, plan);
    let key = world.tasks[at].guest();
    restore::convert(world, at, plan, &mut config);
    restore::firewall_of(world, at, plan);
    if let Some(guest) = world.guest_mut(&key) {
        guest.config = config;
    }
    if let Some(pool) = plan
        .pool
        .as_ref()
        .and_then(|name| world.pools.get_mut(name))
        && !pool.vms.contains(&key.vmid)
    {
        pool.vms.push(key.vmid);
    }
    if let Some(left_out) = restore::left_out(world, at, plan) {
        world.tasks[at].warn(left_out);
    }
}

/// A failed create leaves nothing; a failed restore over a container that was not touched yet leaves it
/// as it was.
fn undo_create(world: &mut World, at: usize, plan: &CreatePlan) {
    let key = world.tasks[at].guest();
    for volid in plan.disks.iter().filter_map(NewDisk::made) {
        world.free_volume(volid, &key.node);
    }
    let restore = plan.restore.as_ref();
    let untouched = restore.is_some_and(|restore| restore.over && !restore.touched);
    match world.guest_mut(&key) {
        Some(guest) if untouched => {
            guest.config.keys.remove("lock");
        }
        Some(_) => {
            world.guests.remove(&key.vmid);
            firewall::forget(&mut world.firewall, key.vmid);
            world.live.looks.remove(&key.vmid);
        }
        None => {}
    }
}

/// Nothing is left; or, without a majority, the configuration of what has no volumes any more. The refusal.
fn destroyed(
    world: &mut World,
    at: usize,
    (purge, unreferenced): (bool, bool),
    now_ms: u64,
) -> Option<String> {
    let key = world.tasks[at].guest();
    let vmid = key.vmid;
    if let Err(refused) = launch::check_write(world, at, now_ms) {
        free_volumes(world, at);
        return Some(refused);
    }
    if unreferenced {
        world.free_volumes_of(&key);
    }
    if purge {
        purge_from_jobs(world, at, vmid);
    }
    remove_guest(world, at);
    None
}

/// What `purge` takes the number out of (pve-container, `API2/LXC.pm`, `destroy_vm`).
fn purge_from_jobs(world: &mut World, at: usize, vmid: u32) {
    world.tasks[at].say(format!("purging CT {vmid} from related configurations.."));
    world.replication_jobs.retain(|_, job| job.guest != vmid);
    world.backup_jobs.retain(|_, job| stays_without(job, vmid));
    if world.ha.of(vmid).is_some() {
        let note = format!("NOTE: removed CT {vmid} from HA resource configuration.");
        world.tasks[at].say(note);
    }
    world.unmanage(&format!("ct:{vmid}"), true);
}

/// Takes the number out of a job of backups. One that was there for it alone does not stay (pve-guest-common,
/// `VZDump/Plugin.pm`, `remove_vmid_from_job`).
fn stays_without(job: &mut BTreeMap<String, String>, vmid: u32) -> bool {
    let id = vmid.to_string();
    let without = |list: &String| {
        let mut left = split_list(list);
        left.retain(|other| *other != id);
        left.join(",")
    };
    if let Some(list) = job.get("vmid").map(without) {
        let stays = !list.is_empty();
        job.insert("vmid".to_owned(), list);
        return stays;
    }
    match job.get("exclude").map(without) {
        Some(list) if list.is_empty() => {
            job.remove("exclude");
        }
        Some(list) => {
            job.insert("exclude".to_owned(), list);
        }
        None => {}
    }
    true
}

fn free_volumes(world: &mut World, at: usize) {
    let key = world.tasks[at].guest();
    if let Some(config) = world.guest(&key).map(|guest| guest.config.clone()) {
        world.free_volumes(&config, &key);
    }
}

fn remove_guest(world: &mut World, at: usize) {
    let key = world.tasks[at].guest();
    free_volumes(world, at);
    if world.guest(&key).is_some() {
        world.guests.remove(&key.vmid);
        world.live.looks.remove(&key.vmid);
    }
    world
        .pools
        .values_mut()
        .for_each(|pool| pool.vms.retain(|vmid| *vmid != key.vmid));
    firewall::forget(&mut world.firewall, key.vmid);
    world
        .accounts
        .grants
        .forget_path(&format!("/vms/{}", key.vmid));
}

/// Writes the last line and the exit status.
pub(super) fn end(world: &mut World, at: usize, error: Option<String>, now_ms: u64) {
    let mut error = error;
    if error.is_none() {
        match faults::at_end(world, &world.tasks[at].upid) {
            Some(End::Error { message, .. }) => error = Some(message),
            Some(End::Warnings(lines)) => {
                let task = &mut world.tasks[at];
                lines.iter().for_each(|line| task.warn(line));
            }
            Some(End::Killed | End::Forgotten) | None => {}
        }
    }
    // Errors of several lines become one.
    let error = error.map(|text| text.trim_end().replace('\n', " "));
    let task = &mut world.tasks[at];
    let well = match task.warnings {
        0 => "OK".to_owned(),
        count => format!("WARNINGS: {count}"),
    };
    // Always the last line, even of a log that is full.
    task.log.push(error.as_ref().map_or_else(
        || format!("TASK {well}"),
        |text| format!("TASK ERROR: {text}"),
    ));
    let exit = error.unwrap_or(well);
    task.state = TaskState::Stopped {
        exit,
        end_s: now_ms / 1000,
    };
}

/// A killed process writes no last line.
pub(super) fn die(world: &mut World, at: usize, now_ms: u64) {
    world.tasks[at].state = TaskState::Stopped {
        exit: "unexpected status".into(),
        end_s: now_ms / 1000,
    };
}

/// Keeps the memory of ended tasks bounded.
pub(super) fn forget_old(world: &mut World) {
    let ended = world.tasks.iter().filter(|task| !task.is_running()).count();
    let mut surplus = ended.saturating_sub(REMEMBERED);
    if surplus == 0 {
        return;
    }
    let mut of_nodes: BTreeMap<String, usize> = BTreeMap::new();
    for task in world.tasks.iter().filter(|task| !task.is_running()) {
        *of_nodes.entry(task.upid.node.clone()).or_default() += 1;
    }
    world.tasks.retain(|task| {
        let of_node = of_nodes.get_mut(&task.upid.node);
        let of_node = of_node.filter(|left| **left > OF_NODE && !task.is_running());
        match of_node {
            Some(left) if surplus > 0 => {
                *left -= 1;
                surplus -= 1;
                false
            }
            Some(_) | None => true,
        }
    });
}
