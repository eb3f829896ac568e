//! What the manager does when a guest that is to run does not: tries again on its node, then on another one, then gives up.

use serde::{Deserialize, Serialize};

use super::Resource;
use crate::core::guest::GuestKey;
use crate::core::task::{Task, Work};
use crate::core::upid::Upid;
use crate::core::worker;
use crate::core::world::World;

/// `max_restart` and `max_relocate` unless they are given.
const DEFAULT_TRIES: usize = 1;

/// How the starts of a guest go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trial {
    /// The task that was begun last.
    task: Option<Upid>,
    /// Starts that were tried again on this node.
    again: usize,
    /// Nodes that it did not start on.
    failed_nodes: Vec<String>,
}

fn limit(resource: &Resource, name: &str) -> usize {
    let given = resource.options.get(name);
    given
        .and_then(|text| text.parse().ok())
        .unwrap_or(DEFAULT_TRIES)
}

/// Whether a start failed; moving it elsewhere is no start.
fn failed(world: &World, upid: &Upid) -> bool {
    let mut tasks = world.tasks.iter();
    let exit = tasks.find(|task| task.upid == *upid).and_then(Task::exit);
    upid.kind == "vzstart" && exit.is_some_and(|exit| exit != "OK" && !exit.starts_with("WARNINGS"))
}

/// The next step for a guest that is to run and that no task is busy with, and what its state is called.
pub(super) fn go_on(
    world: &mut World,
    resource: &Resource,
    key: &GuestKey,
    running: bool,
    (quorate, now_ms): (&[String], u64),
) -> (Trial, &'static str) {
    if running {
        return (Trial::default(), "started");
    }
    let mut trial = resource.trial.clone();
    let unlucky = trial.task.as_ref().is_some_and(|upid| failed(world, upid));
    let mut work = Work::Start;
    if unlucky && trial.again < limit(resource, "max_restart") {
        trial.again += 1;
    } else if unlucky {
        trial.again = 0;
        trial.failed_nodes.push(key.node.clone());
        if trial.failed_nodes.len() > limit(resource, "max_relocate") {
            return (trial, "error");
        }
        if let Some(target) = next_node(world, quorate, &trial.failed_nodes) {
            work = Work::Migrate {
                target,
                restart: false,
                timeout_s: 0,
                how: Box::default(),
            };
        }
    }
    let (kind, current) = match &work {
        Work::Migrate { .. } => ("vzmigrate", "relocate"),
        _ => ("vzstart", "started"),
    };
    trial.task = Some(worker::spawn(world, kind, key, "root@pam", work, now_ms));
    (trial, current)
}

/// The node with the fewest guests of those that were not tried.
fn next_node(world: &World, quorate: &[String], tried: &[String]) -> Option<String> {
    let free = quorate.iter().filter(|name| !tried.contains(name));
    free.min_by_key(|name| guests_on(world, name)).cloned()
}

/// How many guests a node has.
pub(super) fn guests_on(world: &World, node: &str) -> usize {
    let guests = world.guests.values();
    guests.filter(|guest| guest.node == node).count()
}
