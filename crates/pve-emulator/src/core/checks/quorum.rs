//! Nothing takes effect without quorum.

use std::collections::BTreeMap;

use super::culprit;
use super::settings::{Check, Violation};
use crate::core::Effects;
use crate::core::guest::GuestCommand;
use crate::core::world::{Guest, Node, Reach, World};

/// Node and file of each guest; none as long as every node has quorum.
pub(super) type Before = Option<BTreeMap<u32, (String, String)>>;

/// Some node has no quorum.
pub(super) fn is_torn(world: &World, now_ms: u64) -> bool {
    let away = |node: &Node| node.gone_ms.is_some() || node.reach != Reach::Up;
    world.cluster_name.is_some()
        && world.nodes.iter().any(away)
        && world
            .nodes
            .iter()
            .any(|node| !world.is_quorate(&node.name, now_ms))
}

fn files(world: &World) -> BTreeMap<u32, (String, String)> {
    let file = |(vmid, guest): (&u32, &Guest)| {
        let snapshots: Vec<&str> = guest.snapshots.keys().map(String::as_str).collect();
        let text = format!("{}[{}]", guest.config.text(), snapshots.join(","));
        (*vmid, (guest.node.clone(), text))
    };
    world.guests.iter().map(file).collect()
}

pub(super) fn before(world: &World, now_ms: u64) -> Before {
    is_torn(world, now_ms).then(|| files(world))
}

pub(super) fn after(world: &mut World, before: Before, effects: &Effects, now_ms: u64) {
    let Some(mut was) = before else {
        return;
    };
    let mut found = Vec::new();
    for (vmid, (node, text)) in files(world) {
        let what = match was.remove(&vmid) {
            None => "a configuration was made",
            Some((_, before)) if before != text => "a configuration changed",
            Some((before, _)) if before != node => "a configuration was moved",
            Some(_) => continue,
        };
        found.push((vmid, node, what));
    }
    let gone = was.into_iter();
    found.extend(gone.map(|(vmid, (node, _))| (vmid, node, "a configuration was removed")));
    for command in &effects.commands {
        if let GuestCommand::Start { guest, .. } = command {
            found.push((guest.vmid, guest.node.clone(), "a guest is started"));
        }
    }
    found.retain(|(_, node, _)| !world.is_quorate(node, now_ms));
    for (vmid, node, what) in found {
        let violation = Violation {
            check: Check::Quorum,
            at_ms: now_ms,
            call: culprit(world, vmid, now_ms),
            vmid: Some(vmid),
            node: Some(node),
            what: format!("{what} without quorum"),
        };
        world.checks.note(violation);
    }
}

/// What else lies in the cluster's file system, as text.
pub(super) fn other_files(world: &World) -> String {
    let ha: BTreeMap<&String, (&String, &BTreeMap<String, String>)> = world
        .ha
        .resources
        .iter()
        .map(|(sid, resource)| (sid, (&resource.state, &resource.options)))
        .collect();
    let all = (
        &world.accounts,
        &world.pools,
        &world.backup_jobs,
        world.next_id,
        ha,
    );
    // It is part of the state that is written as JSON with every commit.
    serde_json::to_string(&all).unwrap_or_default()
}
