//! Immortal guests.

use super::culprit;
use super::settings::{Check, Violation};
use crate::core::Effects;
use crate::core::guest::{GuestChange, GuestCommand};
use crate::core::world::World;

/// Everything of an immortal guest that must stay.
#[derive(Debug, PartialEq)]
pub(super) struct Shape {
    node: String,
    config: String,
    snapshots: Vec<String>,
    /// Storage, node and name.
    volumes: Vec<(String, Option<String>, String)>,
}

pub(super) type Before = Vec<(u32, Shape)>;

fn shape(world: &World, vmid: u32) -> Option<Shape> {
    let guest = world.guests.get(&vmid)?;
    let own = world.volumes.iter().filter(|volume| volume.vmid == vmid);
    let own = own.map(|v| (v.storage.clone(), v.node.clone(), v.name.clone()));
    Some(Shape {
        node: guest.node.clone(),
        config: guest.config.text(),
        snapshots: guest.snapshots.keys().cloned().collect(),
        volumes: own.collect(),
    })
}

pub(super) fn before(world: &World) -> Before {
    let immortal = world.checks.settings.immortal.iter();
    immortal
        .filter_map(|vmid| Some((*vmid, shape(world, *vmid)?)))
        .collect()
}

pub(super) fn after(world: &mut World, before: Before, effects: &Effects, now_ms: u64) {
    for (vmid, was) in before {
        let is = shape(world, vmid);
        let mut found = differences(&was, is.as_ref());
        found.extend(commands(world, vmid, effects));
        for what in found {
            let violation = Violation {
                check: Check::Immortal,
                at_ms: now_ms,
                call: culprit(world, vmid, now_ms),
                vmid: Some(vmid),
                node: Some(was.node.clone()),
                what: what.to_owned(),
            };
            world.checks.note(violation);
        }
    }
}

fn differences(was: &Shape, is: Option<&Shape>) -> Vec<&'static str> {
    let Some(is) = is else {
        return vec!["it is gone"];
    };
    let mut found = Vec::new();
    if was.config != is.config || was.node != is.node {
        found.push("its configuration changed");
    }
    if was
        .snapshots
        .iter()
        .any(|name| !is.snapshots.contains(name))
    {
        found.push("a snapshot was removed");
    }
    // A volume may move with its guest; that its configuration names it elsewhere is said above.
    let kept = |volume: &&(String, Option<String>, String)| is.volumes.contains(volume);
    if was.volumes.iter().any(|volume| !kept(&volume)) {
        found.push("a volume was freed");
    }
    found
}

/// What the driver is told to do to its disk, unless that comes of a change behind the API's back.
fn commands(world: &World, vmid: u32, effects: &Effects) -> Option<&'static str> {
    let own = effects.commands.iter().filter(|c| c.guest().vmid == vmid);
    let asked = own.filter(|c| world.owed_command(c.job()).is_none());
    asked
        .filter_map(|command| match command {
            GuestCommand::Destroy { .. } => Some("its disk is removed"),
            GuestCommand::Create { .. } => Some("its disk is written over"),
            GuestCommand::Change { change, .. } => match change {
                GuestChange::Copy { .. } => Some("its disk is written over"),
                GuestChange::Rollback { .. } => Some("its disk is rolled back"),
                GuestChange::Keep { .. }
                | GuestChange::Drop { .. }
                | GuestChange::Move { .. }
                | GuestChange::Apply { .. } => None,
            },
            GuestCommand::Start { .. }
            | GuestCommand::Shutdown { .. }
            | GuestCommand::Kill { .. }
            | GuestCommand::Inspect { .. } => None,
        })
        .next()
}
