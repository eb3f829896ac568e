//! Nothing takes effect without quorum.

use std::collections::BTreeMap;

use super::doer;
use super::settings::{Check, Violation};
use crate::core::guest::GuestCommand;
use crate::core::ha::Resource;
use crate::core::tracked::Before;
use crate::core::world::{Guest, Node, Reach, World};

/// Some node has no quorum.
fn is_torn(world: &World) -> bool {
    let away = |node: &Node| node.gone_ms.is_some() || node.reach != Reach::Up;
    world.cluster_name.is_some()
        && world.nodes.iter().any(away)
        && world
            .nodes
            .iter()
            .any(|node| !world.is_quorate(&node.name, world.live.at_ms))
}

/// Watches the files of the cluster as long as some node has no quorum.
pub(super) fn watch(world: &mut World) {
    let torn = is_torn(world);
    world.live.torn = torn;
    set_watch(world, torn);
}

pub(super) fn unwatch(world: &mut World) {
    if world.live.torn {
        set_watch(world, false);
    }
    world.live.torn = false;
}

fn set_watch(world: &mut World, watch: bool) {
    world.accounts.watch(watch);
    world.pools.watch(watch);
    world.backup_jobs.watch(watch);
    world.replication_jobs.watch(watch);
    world.next_id.watch(watch);
    world.firewall.watch(watch);
    world.storages.watch(watch);
    world.ha.resources.watch(watch);
}

type Resources = BTreeMap<String, Resource>;

/// The files of the cluster, those of guests aside, that say something else now.
pub(super) fn take_changed_files(world: &mut World) -> Vec<&'static str> {
    if !world.live.torn {
        return Vec::new();
    }
    // What the manager made of a resource stands elsewhere.
    let wanted = |all: &Resources| -> Vec<_> {
        let rows = all.iter();
        rows.map(|(sid, it)| (sid.clone(), it.state.clone(), it.options.clone()))
            .collect()
    };
    let accounts = world.accounts.take_changed(Clone::clone);
    let pools = world.pools.take_changed(Clone::clone);
    let all = [
        ("user.cfg", accounts || pools),
        ("jobs.cfg", world.backup_jobs.take_changed(Clone::clone)),
        (
            "replication.cfg",
            world.replication_jobs.take_changed(Clone::clone),
        ),
        ("datacenter.cfg", world.next_id.take_changed(|it| *it)),
        ("firewall", world.firewall.take_changed(Clone::clone)),
        ("storage.cfg", world.storages.take_changed(Clone::clone)),
        ("ha/resources.cfg", world.ha.resources.take_changed(wanted)),
    ];
    let changed = all.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(file, _)| file).collect()
}

pub(super) fn look(world: &mut World, guests: &Before<u32, Guest>, files: Vec<&'static str>) {
    if !world.live.torn {
        return;
    }
    for (vmid, was) in guests {
        let is = world.guests.get(vmid);
        let Some((what, node)) = change(was.as_ref(), is) else {
            continue;
        };
        // The part of the cluster that writes counts; what nobody did was done where the file is.
        let doer = world.live.doer.as_ref().map(|doer| doer.node.clone());
        let node = doer.unwrap_or_else(|| node.to_owned());
        if !world.is_quorate(&node, world.live.at_ms) {
            note(world, Some(*vmid), Some(node), what);
        }
    }
    let node = world.live.doer.as_ref().map(|doer| doer.node.clone());
    let mut nodes = world.nodes.iter();
    let could = match &node {
        Some(node) => world.is_quorate(node, world.live.at_ms),
        None => nodes.any(|node| world.is_quorate(&node.name, world.live.at_ms)),
    };
    for file in files.into_iter().filter(|_| !could) {
        let what = format!("{file} was written");
        note(world, None, node.clone(), &what);
    }
}

/// What became of a guest's file, and where that is or was.
fn change<'a>(was: Option<&'a Guest>, is: Option<&'a Guest>) -> Option<(&'static str, &'a str)> {
    let (was, is) = match (was, is) {
        (None, None) => return None,
        (None, Some(is)) => return Some(("a configuration was made", &is.node)),
        (Some(was), None) => return Some(("a configuration was removed", &was.node)),
        (Some(was), Some(is)) => (was, is),
    };
    let what = if was.node != is.node {
        "a configuration was moved"
    } else if was.config != is.config || was.snapshots != is.snapshots {
        "a configuration changed"
    } else {
        return None;
    };
    Some((what, &is.node))
}

/// The driver is told to start a guest.
pub(super) fn commanded(world: &mut World, command: &GuestCommand) {
    if let GuestCommand::Start { guest, .. } = command
        && !world.is_quorate(&guest.node, world.live.at_ms)
    {
        let (vmid, node) = (Some(guest.vmid), Some(guest.node.clone()));
        note(world, vmid, node, "a guest is started");
    }
}

fn note(world: &mut World, vmid: Option<u32>, node: Option<String>, what: &str) {
    let violation = Violation {
        check: Check::Quorum,
        at_ms: world.live.at_ms,
        call: doer::call(world),
        vmid,
        node,
        what: format!("{what} without quorum"),
    };
    world.checks.note(violation);
}
