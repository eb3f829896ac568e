//! Immortal guests.

use super::doer;
use super::settings::{Check, Violation};
use crate::core::guest::{GuestChange, GuestCommand};
use crate::core::guest_config::GuestConfig;
use crate::core::tracked::Before;
use crate::core::world::{Guest, Volume, World};

/// Keys of a configuration by which tasks say what they are at.
const MARKS: [&str; 2] = ["lock", "parent"];

/// A volume of an immortal guest that is no longer where it was.
pub(super) struct Lost {
    vmid: u32,
    /// Where it is now; nothing if it is nowhere.
    now: Option<Option<String>>,
}

pub(super) fn take_lost(world: &mut World) -> Vec<Lost> {
    let immortal = &world.checks.settings.immortal;
    let touched = world.volumes.take_before().into_iter();
    let lost = |(was, now): (Option<Volume>, Option<&Volume>)| {
        let was = was.filter(|was| immortal.contains(&was.vmid))?;
        let same = |now: &&Volume| now.storage == was.storage && now.name == was.name;
        let now = now.filter(same).map(|now| now.node.clone());
        let stayed = now.as_ref() == Some(&was.node);
        (!stayed).then_some(Lost {
            vmid: was.vmid,
            now,
        })
    };
    touched.filter_map(lost).collect()
}

pub(super) fn look(world: &mut World, guests: &Before<u32, Guest>, volumes: Vec<Lost>) {
    let marks_count = world.live.doer.as_ref().is_some_and(|doer| doer.configures);
    let immortal = world.checks.settings.immortal.clone();
    for vmid in immortal {
        let is = world.guests.get(&vmid);
        let was = guests.get(&vmid).map(Option::as_ref);
        let mut found = match was {
            Some(Some(was)) => differences(was, is, marks_count),
            Some(None) | None => Vec::new(),
        };
        // One that moved with its guest is where that is.
        let with_guest = |at: &Option<String>| is.is_some_and(|is| at.as_ref() == Some(&is.node));
        let freed = |lost: &Lost| lost.vmid == vmid && !lost.now.as_ref().is_some_and(&with_guest);
        if is.is_some() && volumes.iter().any(freed) {
            found.push("a volume was freed");
        }
        let node = was.flatten().or(is).map(|guest| guest.node.clone());
        for what in found {
            note(world, vmid, node.clone(), what);
        }
    }
}

fn note(world: &mut World, vmid: u32, node: Option<String>, what: &str) {
    let violation = Violation {
        check: Check::Immortal,
        at_ms: world.live.at_ms,
        call: doer::call(world),
        vmid: Some(vmid),
        node,
        what: what.to_owned(),
    };
    world.checks.note(violation);
}

/// A backup and a snapshot mark a guest for as long as they take, and keep it safe.
fn without_marks(config: &GuestConfig) -> GuestConfig {
    let mut config = config.clone();
    config.keys.retain(|key, _| !MARKS.contains(&key.as_str()));
    config
}

fn differences(was: &Guest, is: Option<&Guest>, marks_count: bool) -> Vec<&'static str> {
    let Some(is) = is else {
        return vec!["it is gone"];
    };
    let mut found = Vec::new();
    let same = if marks_count {
        was.config == is.config
    } else {
        without_marks(&was.config) == without_marks(&is.config)
    };
    if !same || was.node != is.node {
        found.push("its configuration changed");
    }
    let mut before = was.snapshots.iter();
    if before.any(|(name, _)| !is.snapshots.contains_key(name)) {
        found.push("a snapshot was removed");
    }
    let mut before = was.snapshots.iter();
    if before.any(|(name, was)| is.snapshots.get(name).is_some_and(|is| is != was)) {
        found.push("a snapshot changed");
    }
    found
}

/// The driver is told to do something to its disk.
pub(super) fn commanded(world: &mut World, command: &GuestCommand) {
    let vmid = command.guest().vmid;
    if !world.checks.settings.immortal.contains(&vmid) {
        return;
    }
    let what = match command {
        GuestCommand::Destroy { .. } => "its disk is removed",
        GuestCommand::Create { .. } => "its disk is written over",
        GuestCommand::Change { change, .. } => match change {
            GuestChange::Copy { .. } => "its disk is written over",
            GuestChange::Rollback { .. } => "its disk is rolled back",
            GuestChange::Keep { .. }
            | GuestChange::Drop { .. }
            | GuestChange::Move { .. }
            | GuestChange::Apply { .. } => return,
        },
        GuestCommand::Start { .. }
        | GuestCommand::Shutdown { .. }
        | GuestCommand::Kill { .. }
        | GuestCommand::Inspect { .. } => return,
    };
    let node = world.guests.get(&vmid).map(|guest| guest.node.clone());
    note(world, vmid, node, what);
}
