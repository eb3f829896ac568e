//! Snapshots: taking, going back, removing.

use super::super::Effects;
use super::super::disks::Feature;
use super::super::guest::{GuestChange, GuestCommand, Kept};
use super::super::guest_config::{GuestConfig, volume_of};
use super::super::task::Step;
use super::super::world::{Guest, Snapshot, World};
use super::issue;
use super::launch::{check_lock, check_write, guest_of};

/// Marks the configuration while the work lasts.
pub(super) fn mark(world: &mut World, at: usize, lock: &str) {
    let key = world.tasks[at].guest();
    if let Some(guest) = world.guest_mut(&key) {
        guest.config.keys.insert("lock".into(), lock.to_owned());
    }
}

/// Takes the mark away again.
pub(super) fn unmark(world: &mut World, at: usize) {
    let key = world.tasks[at].guest();
    if let Some(guest) = world.guest_mut(&key) {
        guest.config.keys.remove("lock");
    }
}

pub(super) fn take(
    world: &mut World,
    at: usize,
    name: &str,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    if guest.config.flag("template") {
        return Err("you can't take a snapshot if it's a template".into());
    }
    check_lock(&guest)?;
    if guest.snapshots.contains_key(name) {
        return Err(format!("snapshot name '{name}' already used"));
    }
    world.check_names(&guest.config)?;
    if !world.config_can(Feature::Snapshot, &guest.config, false) {
        return Err("snapshot feature is not available".into());
    }
    check_write(world, at, now_ms)?;
    mark(world, at, "snapshot");
    let kept = Kept::Snapshot(name.to_owned());
    change(world, at, GuestChange::Keep { kept }, now_ms, effects);
    Ok(())
}

fn change(world: &mut World, at: usize, change: GuestChange, now_ms: u64, effects: &mut Effects) {
    let end_ms = now_ms + world.times.destroy_ms;
    let command = |job, guest| GuestCommand::Change { job, guest, change };
    issue(world, at, Step::Main, end_ms, command, effects);
}

pub(super) fn taken(world: &mut World, at: usize, name: &str, description: &str, now_ms: u64) {
    unmark(world, at);
    let key = world.tasks[at].guest();
    let Some(guest) = world.guest_mut(&key) else {
        return;
    };
    let mut keys = guest.config.keys.clone();
    let parent = keys.remove("parent");
    keys.retain(|key, _| key != "description" && !key.starts_with("unused"));
    // One that names the new one as its parent would be its own ancestor.
    let named = guest.snapshots.values_mut();
    for child in named.filter(|kept| kept.parent.as_deref() == Some(name)) {
        child.parent = None;
    }
    let snapshot = Snapshot {
        keys,
        raw: guest.config.raw.clone(),
        description: description.to_owned(),
        time_s: now_ms / 1000,
        parent,
    };
    guest.snapshots.insert(name.to_owned(), snapshot);
    guest.config.keys.insert("parent".into(), name.to_owned());
}

pub(super) fn go_back(
    world: &mut World,
    at: usize,
    name: &str,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    if guest.config.flag("template") {
        return Err("you can't rollback if vm is a template".into());
    }
    if !guest.snapshots.contains_key(name) {
        return Err(format!("snapshot '{name}' does not exist"));
    }
    if let Some(volid) = held_by_newer(world, &guest, name) {
        let text = format!("can't rollback, '{name}' is not most recent snapshot on '{volid}'");
        return Err(text);
    }
    check_lock(&guest)?;
    if guest.is_running() {
        let command = |job, guest| GuestCommand::Kill { job, guest };
        issue(world, at, Step::StopFirst, now_ms, command, effects);
        return Ok(());
    }
    main_rollback(world, at, name, now_ms, effects)
}

/// A volume that cannot go back to a snapshot before those that were taken later are gone: as it is on ZFS.
fn held_by_newer(world: &World, guest: &Guest, name: &str) -> Option<String> {
    let snapshot = guest.snapshots.get(name)?;
    let mut newer = vec![name];
    // Those that lead to it name it as an ancestor.
    loop {
        let below = guest.snapshots.iter().find(|(child, kept)| {
            let parent = kept.parent.as_deref();
            parent.is_some_and(|parent| newer.contains(&parent)) && !newer.contains(&child.as_str())
        });
        match below {
            Some((child, _)) => newer.push(child),
            None => break,
        }
    }
    let config = GuestConfig {
        keys: snapshot.keys.clone(),
        ..GuestConfig::default()
    };
    let mut volumes = config.volumes().into_iter();
    let (_, held) = volumes.find(|(_, value)| {
        let volid = volume_of(value);
        let id = volid.split(':').next().unwrap_or_default();
        let zfs = world
            .storage(id)
            .is_some_and(|found| found.kind == "zfspool");
        zfs && newer[1..].iter().any(|name| keeps(guest, name, volid))
    })?;
    Some(volume_of(&held).to_owned())
}

/// Whether a snapshot holds a state of a volume.
fn keeps(guest: &Guest, name: &str, volid: &str) -> bool {
    let snapshot = guest.snapshots.get(name);
    snapshot.is_some_and(|kept| kept.keys.values().any(|value| volume_of(value) == volid))
}

/// The guest is stopped: its files go back, if that can be noted in its configuration.
pub(super) fn main_rollback(
    world: &mut World,
    at: usize,
    name: &str,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    check_write(world, at, now_ms)?;
    mark(world, at, "rollback");
    let snapshot = name.to_owned();
    let back = GuestChange::Rollback { snapshot };
    change(world, at, back, now_ms, effects);
    Ok(())
}

/// The configuration of the snapshot is in force again; description and unused volumes stay as they
/// were.
pub(super) fn gone_back(world: &mut World, at: usize, name: &str) {
    let key = world.tasks[at].guest();
    let Some(guest) = world.guest_mut(&key) else {
        return;
    };
    let Some(snapshot) = guest.snapshots.get(name).cloned() else {
        return;
    };
    let kept: Vec<(String, String)> = guest
        .config
        .keys
        .iter()
        .filter(|(key, _)| *key == "description" || key.starts_with("unused"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mounted = guest.config.volumes();
    guest.config.keys = snapshot.keys;
    guest.config.keys.extend(kept);
    // What was mounted and is not any more stays as unused.
    for (_, value) in mounted {
        guest.config.add_unused(volume_of(&value));
    }
    guest.config.raw = snapshot.raw;
    guest.config.pending.clear();
    guest.config.pending_delete.clear();
    guest.config.keys.insert("parent".into(), name.to_owned());
}

pub(super) fn remove(
    world: &mut World,
    at: usize,
    name: &str,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    if !guest.snapshots.contains_key(name) {
        return Err(format!("snapshot '{name}' does not exist"));
    }
    check_lock(&guest)?;
    check_write(world, at, now_ms)?;
    mark(world, at, "snapshot-delete");
    if guest.config.flag("template") {
        // The mark stays.
        return Err("you can't delete a snapshot if vm is a template".into());
    }
    let kept = vec![Kept::Snapshot(name.to_owned())];
    change(world, at, GuestChange::Drop { kept }, now_ms, effects);
    Ok(())
}

/// Children of the removed one become children of its parent.
pub(super) fn removed(world: &mut World, at: usize, name: &str) {
    unmark(world, at);
    let key = world.tasks[at].guest();
    let Some(guest) = world.guest_mut(&key) else {
        return;
    };
    let gone = guest.snapshots.remove(name);
    let kept = GuestConfig {
        keys: gone
            .as_ref()
            .map(|gone| gone.keys.clone())
            .unwrap_or_default(),
        ..GuestConfig::default()
    };
    for (_, value) in kept.volumes() {
        guest.config.add_unused(volume_of(&value));
    }
    let parent = gone.and_then(|gone| gone.parent);
    for snapshot in guest.snapshots.values_mut() {
        if snapshot.parent.as_deref() == Some(name) {
            snapshot.parent.clone_from(&parent);
        }
    }
    if guest.config.get("parent") == Some(name) {
        match parent {
            Some(parent) => guest.config.keys.insert("parent".into(), parent),
            None => guest.config.keys.remove("parent"),
        };
    }
}
