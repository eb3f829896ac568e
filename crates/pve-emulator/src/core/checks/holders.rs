//! One holder per number.

use super::doer;
use super::settings::{Check, Violation};
use crate::core::guest::{GuestChange, GuestCommand, GuestDone, GuestKey, GuestOutcome};
use crate::core::task::{Task, Work};
use crate::core::tracked::Before;
use crate::core::world::{Guest, Power, World};

/// Guests that are others now, though the ones before were there until then. To write over a guest is what a restore by
/// force is for.
pub(super) fn look(world: &mut World, guests: &Before<u32, Guest>) {
    let other = |vmid: &u32, was: &Guest| {
        let is = world.guests.get(vmid);
        is.is_some_and(|is| is.created_ms != was.created_ms)
    };
    let replaced = guests
        .iter()
        .filter_map(|(vmid, was)| Some((vmid, was.as_ref()?)))
        .filter(|(vmid, was)| other(vmid, was) && !writes_over(world, **vmid))
        .map(|(vmid, _)| *vmid);
    let replaced: Vec<u32> = replaced.collect();
    for vmid in replaced {
        let what = "a guest was made over the one that has the number".to_owned();
        note(world, vmid, None, what);
    }
}

/// Whoever acts has begun a restore by force of this number just now.
fn writes_over(world: &World, vmid: u32) -> bool {
    let by = world.live.doer.as_ref().and_then(|doer| doer.name());
    let by_force = |task: &Task| match &task.work {
        Work::Create(plan) => plan.restore.as_ref().is_some_and(|it| it.over),
        _ => false,
    };
    let newest = world.tasks.last();
    newest.is_some_and(|task| {
        by.is_some() && task.by.as_deref() == by && by_force(task) && makes(task) == Some(vmid)
    })
}

/// The number that a task makes a guest of.
fn makes(task: &Task) -> Option<u32> {
    match &task.work {
        Work::Create(_) => task.upid.vmid(),
        Work::Clone(plan) => Some(plan.new.vmid),
        _ => None,
    }
}

/// A task began its work: that another one makes a guest of the same number must not be. One that only waits for its turn
/// makes nothing.
pub(crate) fn began(world: &mut World, at: usize) {
    let Some(vmid) = world.tasks.get(at).and_then(makes) else {
        return;
    };
    let tasks = world.tasks.iter();
    let at_work = tasks.filter(|task| task.is_running() && task.began);
    let count = at_work.filter(|task| makes(task) == Some(vmid)).count();
    if count > 1 {
        let what = format!("{count} tasks make a guest of this number");
        note(world, vmid, None, what);
    }
}

fn note(world: &mut World, vmid: u32, node: Option<String>, what: String) {
    let violation = Violation {
        check: Check::OneHolder,
        at_ms: world.live.at_ms,
        call: doer::call(world).or_else(|| newest_about(world, vmid)),
        vmid: Some(vmid),
        node: node.or_else(|| world.guests.get(&vmid).map(|guest| guest.node.clone())),
        what,
    };
    world.checks.note(violation);
}

/// What the newest task about a guest came of.
fn newest_about(world: &World, vmid: u32) -> Option<String> {
    let mut tasks = world.tasks.iter().rev();
    let task = tasks.find(|task| task.guest().vmid == vmid)?;
    Some(task.by.clone().unwrap_or_else(|| task.upid.to_string()))
}

/// The driver did something, or saw it: where guests run follows from that alone.
pub(super) fn driver_answered(world: &mut World, done: &GuestDone) {
    if let Some(look) = world.live.inspects.get(&done.job) {
        let (key, since_ms) = (look.guest.clone(), look.since_ms);
        let Ok(GuestOutcome::Inspected(look)) = &done.result else {
            return;
        };
        // What a look saw in an earlier life may be over.
        let lives = world.guest(&key).map(|guest| guest.power);
        let this_life = match since_ms {
            Some(since_ms) => lives == Some(Power::Running { since_ms }),
            None => true,
        };
        if !look.running {
            stopped(world, &key);
        } else if this_life {
            runs(world, key);
        }
        return;
    }
    if done.result.is_err() {
        return;
    }
    let job = world.jobs.get(&done.job).map(|job| job.command.clone());
    let Some(command) = job.or_else(|| world.owed_command(done.job).cloned()) else {
        return;
    };
    let key = command.guest().clone();
    match command {
        GuestCommand::Start { .. } => runs(world, key),
        GuestCommand::Create { .. }
        | GuestCommand::Shutdown { .. }
        | GuestCommand::Kill { .. }
        | GuestCommand::Destroy { .. }
        | GuestCommand::Change {
            change:
                GuestChange::Move { .. } | GuestChange::Copy { .. } | GuestChange::Rollback { .. },
            ..
        } => stopped(world, &key),
        GuestCommand::Change { .. } | GuestCommand::Inspect { .. } => {}
    }
}

fn stopped(world: &mut World, key: &GuestKey) {
    let runs = &mut world.checks.runs;
    if let Some(nodes) = runs.get_mut(&key.vmid) {
        nodes.remove(&key.node);
        if nodes.is_empty() {
            runs.remove(&key.vmid);
        }
    }
}

fn runs(world: &mut World, key: GuestKey) {
    let nodes = world.checks.runs.entry(key.vmid).or_default();
    let new = nodes.insert(key.node.clone());
    if new && nodes.len() > 1 {
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let what = format!("it runs on {}", nodes.join(" and "));
        note(world, key.vmid, Some(key.node), what);
    }
}
