//! Tasks that start, stop or move several guests, each in a task of its own.

use super::super::task::{BulkItem, BulkPlan, TaskState, Work};
use super::super::world::World;
use super::{settle, spawn};

fn plan_of(world: &World, at: usize) -> Option<BulkPlan> {
    match &world.tasks[at].work {
        Work::Bulk(plan) => Some((**plan).clone()),
        _ => None,
    }
}

/// Says what it will do and begins.
pub(super) fn launch(world: &mut World, at: usize, now_ms: u64) {
    if let Some(line) = plan_of(world, at).and_then(|plan| plan.first_line) {
        world.tasks[at].say(line);
    }
    world.tasks[at].state = TaskState::Bulk;
    advance(world, at, now_ms);
}

/// Takes in ended tasks and begins further ones; whether anything moved.
pub(super) fn advance(world: &mut World, at: usize, now_ms: u64) -> bool {
    let Some(mut plan) = plan_of(world, at) else {
        return false;
    };
    let mut moved = false;
    let ended = |world: &World, upid| {
        let task = world.tasks.iter().find(|task| task.upid == upid);
        task.is_none_or(|task| !task.is_running())
            .then(|| task.and_then(|task| task.exit().map(str::to_owned)))
    };
    plan.running
        .retain(|(vmid, upid)| match ended(world, upid.clone()) {
            None => true,
            Some(exit) => {
                moved = true;
                let fine = exit.is_some_and(|exit| exit == "OK" || exit.starts_with("WARNINGS"));
                if !fine {
                    plan.failed.push(*vmid);
                }
                false
            }
        });
    while plan.running.len() < plan.workers.max(1) && !plan.waiting.is_empty() {
        moved = true;
        let item = plan.waiting.remove(0);
        begin(world, at, &mut plan, item, now_ms);
    }
    let done = plan.running.is_empty() && plan.waiting.is_empty();
    let error = plan
        .verb
        .as_ref()
        .filter(|_| !plan.failed.is_empty())
        .map(|verb| {
            let ids: Vec<String> = plan.failed.iter().map(u32::to_string).collect();
            format!("Some guests failed to {verb}: {}", ids.join(", "))
        });
    world.tasks[at].work = Work::Bulk(Box::new(plan));
    if done {
        settle(world, at, error, now_ms);
        return true;
    }
    moved
}

fn begin(world: &mut World, at: usize, plan: &mut BulkPlan, item: BulkItem, now_ms: u64) {
    let BulkItem {
        guest,
        line,
        kind,
        work,
        error,
    } = item;
    if !line.is_empty() {
        world.tasks[at].say(line);
    }
    if let Some(error) = error {
        world.tasks[at].say(error);
        plan.failed.push(guest.vmid);
        return;
    }
    let user = world.tasks[at].upid.user.clone();
    let upid = spawn(world, &kind, &guest, &user, work, now_ms);
    plan.running.push((guest.vmid, upid));
}
