//! Clones, templates, and changes of volumes.

use super::super::Effects;
use super::super::disks::{Feature, with_volume};
use super::super::firewall;
use super::super::guest::{GuestChange, GuestCommand, GuestKey, GuestSource};
use super::super::guest_config::{GuestConfig, is_volume_key, mount_kind, volume_of};
use super::super::image_name::{self, Form};
use super::super::pending;
use super::super::task::{ClonePlan, Step, TaskState, Work};
use super::super::world::{Volume, World};
use super::launch::{check_write, guest_of};
use super::{issue, settle, snapshots};
use crate::schema::parse_size;

fn size_of(value: &str) -> u64 {
    let size = value.split(',').find_map(|part| part.strip_prefix("size="));
    size.and_then(parse_size).unwrap_or_default()
}

/// What making an image says; a subvolume is made in silence.
fn note_image(world: &mut World, at: usize, volid: &str, size_bytes: u64) {
    if world.form_of(volid) == Form::Subvolume {
        return;
    }
    let (storage, name) = volid.split_once(':').unwrap_or_default();
    let path = world
        .storage(storage)
        .map(|found| found.volume_path(name))
        .unwrap_or_default();
    let line = format!("Formatting '{path}', fmt=raw size={size_bytes} preallocation=off");
    world.tasks[at].say(line);
}

/// Copies the volumes; the source was marked and the new configuration made by the call.
pub(super) fn clone(
    world: &mut World,
    at: usize,
    plan: &ClonePlan,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let source = world.tasks[at].guest();
    let new = plan.new.clone();
    world.tasks[at].say(format!(
        "creating a clone of container {} with ID {}",
        source.vmid, new.vmid
    ));
    let mut config = plan.config.clone();
    for (key, value) in plan.config.volumes() {
        let old = volume_of(&value).to_owned();
        let line = if plan.full {
            format!("create full clone of mountpoint {key} ({old})")
        } else {
            format!("create linked clone of mount point {key} ({old})")
        };
        world.tasks[at].say(line);
        let Some(found) = world.volume(&old, &source.node) else {
            let error = format!("clone failed: volume '{old}' does not exist");
            return Err(error);
        };
        let size_bytes = if plan.full {
            found.size_bytes
        } else {
            size_of(&value)
        };
        let own = old.split(':').next().unwrap_or_default().to_owned();
        let storage = plan.storage.clone().unwrap_or(own);
        if let Err(error) = pending::check_room(world, &storage, &source.node) {
            return Err(format!("clone failed: {error}"));
        }
        let volid = if plan.full {
            let volid = world.make_volume(&storage, &new, size_bytes, now_ms);
            note_image(world, at, &volid, size_bytes);
            volid
        } else {
            world.share_volume(&old, &new, now_ms)
        };
        config
            .keys
            .insert(key, with_volume(&value, &volid, size_bytes));
    }
    let template = guest_of(world, at)?.template;
    let spec = config.spec(&template);
    let from = match &plan.snapshot {
        Some(name) => GuestSource::Snapshot(source, name.clone()),
        None => GuestSource::Guest(source),
    };
    world.tasks[at].work = Work::Clone(Box::new(ClonePlan {
        config,
        ..plan.clone()
    }));
    let share = if plan.full { 1 } else { 4 };
    let end_ms = now_ms + world.times.create_ms / share;
    let change = GuestChange::Copy { from, spec };
    let command = |job, _| GuestCommand::Change {
        job,
        guest: new,
        change,
    };
    issue(world, at, Step::Main, end_ms, command, effects);
    Ok(())
}

/// The copy is there, or nothing of it.
pub(super) fn cloned(world: &mut World, at: usize, plan: &ClonePlan, failed: bool) {
    snapshots::unmark(world, at);
    let ClonePlan {
        new,
        config,
        pool,
        target,
        ..
    } = plan;
    if failed {
        for (_, value) in config.volumes() {
            let volid = volume_of(&value);
            if world
                .volume(volid, &new.node)
                .is_some_and(|volume| volume.vmid == new.vmid)
            {
                world.free_volume(volid, &new.node);
            }
        }
        world.guests.remove(&new.vmid);
        firewall::forget(&mut world.firewall, new.vmid);
        return;
    }
    if let Some(guest) = world.guest_mut(new) {
        guest.config = config.clone();
        guest.config.keys.remove("lock");
        guest.node.clone_from(target);
    }
    if let Some(pool) = pool.as_ref().and_then(|name| world.pools.get_mut(name))
        && !pool.vms.contains(&new.vmid)
    {
        pool.vms.push(new.vmid);
    }
}

/// Gives the volumes their new names; the configuration follows when the task ends.
pub(super) fn template(world: &mut World, at: usize, now_ms: u64) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    let end_ms = now_ms + world.times.destroy_ms;
    let mut config = guest.config;
    let mounts = config.keys.iter().filter(|(key, _)| is_volume_key(key));
    let mut named = mounts.map(|(_, value)| volume_of(value));
    if let Some(volid) = named.find(|volid| !world.volume_can(Feature::Template, volid, false)) {
        return Err(format!("Template feature is not available for '{volid}'"));
    }
    make_template(world, at, &mut config);
    if let Err(error) = check_write(world, at, now_ms) {
        settle(world, at, Some(error), end_ms);
        return Ok(());
    }
    world.tasks[at].state = TaskState::Settling {
        at_ms: end_ms,
        error: None,
    };
    world.tasks[at].work = Work::Template;
    stash(world, at, config);
    Ok(())
}

/// Gives the volumes the names of a template's; the configuration says so, and that it is one.
pub(super) fn make_template(world: &mut World, at: usize, config: &mut GuestConfig) {
    let node = world.tasks[at].upid.node.clone();
    for (key, value) in config.volumes() {
        let base = world.make_base(volume_of(&value), &node);
        config
            .keys
            .insert(key, with_volume(&value, &base, size_of(&value)));
    }
    config.keys.insert("template".into(), "1".into());
}

/// The configuration a task writes when it ends is kept with the guest's pending converting.
fn stash(world: &mut World, at: usize, config: GuestConfig) {
    let key = world.tasks[at].guest();
    world.converting.insert(key.vmid, config);
}

/// The configuration says what the volumes are called now.
pub(super) fn converted(world: &mut World, at: usize) {
    let key = world.tasks[at].guest();
    let stashed = world.converting.remove(&key.vmid);
    if let (Some(config), Some(guest)) = (stashed, world.guest_mut(&key)) {
        guest.config = config;
    }
}

/// What becoming larger says, or why an image cannot.
fn grow(world: &mut World, at: usize, volid: &str, size_bytes: u64) -> Result<(), String> {
    let (storage, name) = volid.split_once(':').unwrap_or_default();
    let Some(found) = world.storage(storage) else {
        return Err(format!("storage '{storage}' does not exist"));
    };
    let path = found.volume_path(name);
    match (found.kind.as_str(), Form::of(&found.kind, name)) {
        ("zfspool", Form::Raw | Form::Subvolume) => return Ok(()),
        ("btrfs", Form::Subvolume) => {
            return Err(
                "cannot resize subvolume - btrfs quotas are currently not supported".into(),
            );
        }
        (_, Form::Subvolume) => return Err("can't resize this image format".into()),
        (_, Form::Raw) => {}
    }
    if image_name::is_base(name) {
        world.tasks[at].say(format!(
            "qemu-img: Could not open '{path}': Could not open '{path}': Operation not permitted"
        ));
        return Err(format!(
            "command '/usr/bin/qemu-img resize '--preallocation=off' -f raw {path} {size_bytes}' failed: exit code 1"
        ));
    }
    world.tasks[at].say("Image resized.");
    Ok(())
}

pub(super) fn resize(
    world: &mut World,
    at: usize,
    disk: &str,
    size_bytes: u64,
    now_ms: u64,
) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    super::launch::check_lock(&guest)?;
    let value = guest.config.get(disk).unwrap_or_default().to_owned();
    let volid = volume_of(&value).to_owned();
    grow(world, at, &volid, size_bytes)?;
    let node = guest.node.clone();
    let meant = |volume: &Volume| {
        volume.volid() == volid && volume.node.as_ref().is_none_or(|found| *found == node)
    };
    let volumes = &mut world.volumes;
    volumes.change_where(meant, |volume| volume.size_bytes = size_bytes);
    check_write(world, at, now_ms)?;
    let key = world.tasks[at].guest();
    if let Some(guest) = world.guest_mut(&key) {
        let resized = with_volume(&value, &volid, size_bytes);
        guest.config.keys.insert(disk.to_owned(), resized);
    }
    let end_ms = now_ms + world.times.destroy_ms;
    settle(world, at, None, end_ms);
    Ok(())
}

/// Copies a volume to another storage; the configuration was marked by the call.
pub(super) fn move_volume(
    world: &mut World,
    at: usize,
    disk: &str,
    storage: &str,
    now_ms: u64,
) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    let key = GuestKey {
        node: guest.node.clone(),
        vmid: world.tasks[at].guest().vmid,
    };
    let value = guest.config.get(disk).unwrap_or_default().to_owned();
    let old = volume_of(&value).to_owned();
    if mount_kind(&old).is_some() {
        return Err(format!("unable to parse volume ID '{old}'"));
    }
    let found = world.volume(&old, &key.node);
    let size_bytes = found.map(|volume| volume.size_bytes);
    let size_bytes = size_bytes.ok_or_else(|| format!("volume '{old}' does not exist"))?;
    pending::check_room(world, storage, &key.node)?;
    let volid = world.make_volume(storage, &key, size_bytes, now_ms);
    note_image(world, at, &volid, size_bytes);
    world.moving.insert(key.vmid, volid);
    let end_ms = now_ms + world.times.create_ms;
    settle(world, at, None, end_ms);
    Ok(())
}

pub(super) fn volume_moved(world: &mut World, at: usize, disk: &str, delete: bool, failed: bool) {
    snapshots::unmark(world, at);
    let key = world.tasks[at].guest();
    let Some(volid) = world.moving.remove(&key.vmid) else {
        return;
    };
    if failed {
        return world.free_volume(&volid, &key.node);
    }
    let Some(value) = world
        .guest(&key)
        .and_then(|guest| guest.config.get(disk))
        .map(str::to_owned)
    else {
        return;
    };
    let old = volume_of(&value).to_owned();
    let template = world
        .guest(&key)
        .is_some_and(|guest| guest.config.flag("template"));
    let volid = if template {
        world.make_base(&volid, &key.node)
    } else {
        volid
    };
    let size_bytes = world
        .volume(&volid, &key.node)
        .map_or(0, |volume| volume.size_bytes);
    let held = world.check_free(&old, &key.node).err().filter(|_| delete);
    if let Some(guest) = world.guest_mut(&key) {
        let moved = with_volume(&value, &volid, size_bytes);
        guest.config.keys.insert(disk.to_owned(), moved);
        if !delete || held.is_some() {
            guest.config.add_unused(&old);
        }
    }
    match held {
        Some(why) => world.tasks[at].say(why),
        None if delete => world.free_volume(&old, &key.node),
        None => {}
    }
}

/// A volume is given to another container: both are still as the call found them.
pub(super) fn reassign(
    world: &mut World,
    at: usize,
    disk: &str,
    to: u32,
    now_ms: u64,
) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    super::launch::check_lock(&guest)?;
    let vmid = world.tasks[at].guest().vmid;
    let Some(value) = guest.config.get(disk) else {
        return Err(format!(
            "volume '{disk}' for container '{vmid}' does not exist"
        ));
    };
    let volid = volume_of(value);
    if world.volume(volid, &guest.node).is_none() {
        return Err(format!("volume '{volid}' does not exist"));
    }
    let target = world.guests.get(&to);
    let target = target.ok_or_else(|| format!("could not find CT {to}"))?;
    super::launch::check_lock(target)?;
    let line = format!("moving volume '{disk}' from container '{vmid}' to '{to}'");
    world.tasks[at].say(line);
    let end_ms = now_ms + world.times.destroy_ms;
    settle(world, at, None, end_ms);
    Ok(())
}

/// The volume has the name of its new owner, and both configurations say so.
pub(super) fn reassigned(world: &mut World, at: usize, (disk, to, to_disk): (&str, u32, &str)) {
    let key = world.tasks[at].guest();
    let Some(value) = world
        .guest_mut(&key)
        .and_then(|guest| guest.config.keys.remove(disk))
    else {
        return;
    };
    let owner = GuestKey {
        vmid: to,
        node: key.node.clone(),
    };
    let volid = world.hand_over_volume(volume_of(&value), &owner);
    if let Some(guest) = world.guest_mut(&owner) {
        let value = if to_disk.starts_with("unused") {
            volid
        } else {
            with_volume(&value, &volid, size_of(&value))
        };
        guest.config.keys.insert(to_disk.to_owned(), value);
    }
    let task = &mut world.tasks[at];
    task.say(format!(
        "removing volume '{disk}' from container '{}' config",
        key.vmid
    ));
    task.say(format!("target container '{to}' updated with '{to_disk}'"));
}
