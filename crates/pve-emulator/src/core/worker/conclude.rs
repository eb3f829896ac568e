//! How a task ends and what it leaves.

use super::super::task::{CreatePlan, TaskState, Work};
use super::super::world::World;
use super::{launch, spawn};

/// Ended tasks that are remembered.
const REMEMBERED: usize = 400;

/// The task's work is over: its lasting effects, then its end.
pub(super) fn conclude(world: &mut World, at: usize, error: Option<String>, now_ms: u64) {
    match (world.tasks[at].work.clone(), &error) {
        (Work::Create(plan), None) => created(world, at, &plan),
        (Work::Create(_), Some(_)) => remove_guest(world, at),
        (Work::Destroy { purge, .. }, None) => {
            if purge {
                let vmid = world.tasks[at].guest().vmid;
                world.tasks[at].say(format!("purging CT {vmid} from related configurations.."));
            }
            remove_guest(world, at);
        }
        (
            Work::Destroy { .. }
            | Work::Start
            | Work::Stop
            | Work::Shutdown { .. }
            | Work::Reboot { .. },
            _,
        ) => {}
    }
    let follow_up =
        matches!(&world.tasks[at].work, Work::Create(plan) if plan.start) && error.is_none();
    end(world, at, error, now_ms);
    if follow_up {
        let guest = world.tasks[at].guest();
        let user = world.tasks[at].upid.user.clone();
        spawn(world, "vzstart", &guest, &user, Work::Start, now_ms);
    }
}

/// Only now does the configuration say more than `lock: create`.
fn created(world: &mut World, at: usize, plan: &CreatePlan) {
    let config = launch::final_config(world, at, plan);
    let key = world.tasks[at].guest();
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
}

fn remove_guest(world: &mut World, at: usize) {
    let key = world.tasks[at].guest();
    if world.guest(&key).is_some() {
        world.guests.remove(&key.vmid);
        world.live.looks.remove(&key.vmid);
    }
    world.volumes.retain(|volume| volume.vmid != key.vmid);
    world
        .pools
        .values_mut()
        .for_each(|pool| pool.vms.retain(|vmid| *vmid != key.vmid));
    world
        .accounts
        .grants
        .forget_path(&format!("/vms/{}", key.vmid));
}

/// Writes the last line and the exit status.
pub(super) fn end(world: &mut World, at: usize, error: Option<String>, now_ms: u64) {
    let task = &mut world.tasks[at];
    // Always the last line, even of a log that is full.
    task.log.push(error.as_ref().map_or_else(
        || "TASK OK".to_owned(),
        |text| format!("TASK ERROR: {text}"),
    ));
    // Exit status and last line are one line each.
    let exit = error.map_or_else(
        || "OK".to_owned(),
        |text| text.lines().next().unwrap_or_default().to_owned(),
    );
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
    world.tasks.retain(|task| {
        let forget = surplus > 0 && !task.is_running();
        surplus -= usize::from(forget);
        !forget
    });
}
