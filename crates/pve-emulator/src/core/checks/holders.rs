//! One holder per number.

use std::collections::BTreeMap;

use super::culprit;
use super::settings::{Check, Violation};
use crate::core::guest::{GuestChange, GuestCommand, GuestDone, GuestOutcome};
use crate::core::task::{Task, Work};
use crate::core::upid::Upid;
use crate::core::world::World;

pub(super) struct Before {
    /// Number and birth of each guest; none where nothing can be made.
    born: Option<Vec<(u32, u64)>>,
    last_task: Option<Upid>,
}

fn born(world: &World) -> impl Iterator<Item = (u32, u64)> {
    let guests = world.guests.iter();
    guests.map(|(vmid, guest)| (*vmid, guest.created_ms))
}

pub(super) fn before(world: &World, changes: bool) -> Before {
    Before {
        born: changes.then(|| born(world).collect()),
        last_task: world.tasks.last().map(|task| task.upid.clone()),
    }
}

pub(super) fn after(world: &mut World, before: Before, now_ms: u64) {
    let Some(was) = before.born else {
        return;
    };
    let replaced: Vec<u32> = replaced(world, &was).collect();
    for vmid in replaced {
        let what = "a guest was made over the one that has the number".to_owned();
        note(world, vmid, None, what, now_ms);
    }
    let last = world.tasks.last().map(|task| &task.upid);
    if last.is_some() && last != before.last_task.as_ref() {
        for (vmid, count) in makers(world) {
            let what = format!("{count} tasks make a guest of this number");
            note(world, vmid, None, what, now_ms);
        }
    }
}

/// Numbers whose guest is another one now, though the one before was there until then. To write over a guest is what a
/// restore by force is for.
fn replaced<'a>(world: &'a World, was: &'a [(u32, u64)]) -> impl Iterator<Item = u32> + 'a {
    let mut was = was.iter().peekable();
    let other = move |vmid: u32, at_ms: u64| {
        while was.next_if(|(before, _)| *before < vmid).is_some() {}
        was.peek()
            .is_some_and(|(before, born)| *before == vmid && *born != at_ms)
    };
    let mut other = other;
    born(world)
        .filter(move |(vmid, at_ms)| other(*vmid, *at_ms))
        .map(|(vmid, _)| vmid)
        .filter(|vmid| !world.tasks.iter().any(|task| restores(task, *vmid)))
}

fn restores(task: &Task, vmid: u32) -> bool {
    task.is_running() && task.upid.kind == "vzrestore" && task.upid.vmid() == Some(vmid)
}

/// Numbers that more than one task makes a guest of.
fn makers(world: &World) -> Vec<(u32, usize)> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for task in world.tasks.iter().filter(|task| task.is_running()) {
        let vmid = match &task.work {
            Work::Create(_) => task.upid.vmid(),
            Work::Clone(plan) => Some(plan.new.vmid),
            _ => None,
        };
        if let Some(vmid) = vmid {
            *counts.entry(vmid).or_default() += 1;
        }
    }
    counts.into_iter().filter(|(_, count)| *count > 1).collect()
}

fn note(world: &mut World, vmid: u32, node: Option<String>, what: String, now_ms: u64) {
    let violation = Violation {
        check: Check::OneHolder,
        at_ms: now_ms,
        call: culprit(world, vmid, now_ms),
        vmid: Some(vmid),
        node: node.or_else(|| world.guests.get(&vmid).map(|guest| guest.node.clone())),
        what,
    };
    world.checks.note(violation);
}

/// The driver did something, or saw it: where guests run follows from that alone.
pub(super) fn driver_answered(world: &mut World, done: &GuestDone, now_ms: u64) {
    let Ok(outcome) = &done.result else {
        return;
    };
    if let Some(look) = world.live.inspects.get(&done.job) {
        let key = look.guest.clone();
        let gone = matches!(outcome, GuestOutcome::Inspected(look) if !look.running);
        if gone && let Some(nodes) = world.checks.runs.get_mut(&key.vmid) {
            nodes.remove(&key.node);
        }
        return;
    }
    let job = world.jobs.get(&done.job).map(|job| job.command.clone());
    let Some(command) = job.or_else(|| world.owed_command(done.job).cloned()) else {
        return;
    };
    let (vmid, node) = (command.guest().vmid, command.guest().node.clone());
    let runs = world.checks.runs.entry(vmid).or_default();
    match command {
        GuestCommand::Start { .. } => {
            runs.insert(node.clone());
        }
        GuestCommand::Create { .. }
        | GuestCommand::Shutdown { .. }
        | GuestCommand::Kill { .. }
        | GuestCommand::Destroy { .. }
        | GuestCommand::Change {
            change:
                GuestChange::Move { .. } | GuestChange::Copy { .. } | GuestChange::Rollback { .. },
            ..
        } => {
            runs.remove(&node);
        }
        GuestCommand::Change { .. } | GuestCommand::Inspect { .. } => {}
    }
    let nodes: Vec<String> = runs.iter().cloned().collect();
    if nodes.is_empty() {
        world.checks.runs.remove(&vmid);
    } else if nodes.len() > 1 {
        let what = format!("it runs on {}", nodes.join(" and "));
        note(world, vmid, Some(node), what, now_ms);
    }
}
