//! Moving a container to another node: offline, or stopped and started again.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Effects;
use super::super::guest::{GuestChange, GuestCommand, GuestKey};
use super::super::guest_config::{GuestConfig, is_volume_key, mount_kind, volume_of, volume_rank};
use super::super::task::{Crossing, Step};
use super::super::world::{Guest, Storage, World};
use super::launch::{check_lock, guest_of};
use super::{issue, snapshots};

fn stamp(now_ms: u64) -> String {
    super::super::dates::stamp(now_ms / 1000)
}

/// Errors are in the log; the task itself only says that it gave up.
pub(super) fn aborted(world: &mut World, at: usize, why: &str, now_ms: u64) -> String {
    world.tasks[at].say(format!(
        "{} ERROR: migration aborted (duration 00:00:00): {why}",
        stamp(now_ms)
    ));
    "migration aborted".into()
}

/// What a migration is asked to be.
pub(super) struct Wish<'a> {
    pub(super) target: &'a str,
    pub(super) restart: bool,
    pub(super) timeout_s: u64,
    pub(super) how: &'a Crossing,
}

pub(super) fn launch(
    world: &mut World,
    at: usize,
    wish: &Wish<'_>,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let guest = match checked(world, at, wish, now_ms) {
        Ok(guest) => guest,
        Err(why) => return Err(aborted(world, at, &why, now_ms)),
    };
    if let Some(why) = kept_back(world, at, &guest, (wish.how, now_ms)) {
        return Err(aborted(world, at, &why, now_ms));
    }
    if guest.is_running() {
        let timeout_ms = wish.timeout_s.saturating_mul(1000);
        let vmid = world.tasks[at].guest().vmid;
        world.tasks[at].say(format!("{} shutdown CT {vmid}", stamp(now_ms)));
        let command = |job, guest| GuestCommand::Shutdown {
            job,
            guest,
            timeout_ms,
        };
        let end_ms = now_ms + world.times.shutdown_ms;
        issue(world, at, Step::StopFirst, end_ms, command, effects);
        return Ok(());
    }
    carry(world, at, wish.target, now_ms, effects);
    Ok(())
}

/// The guest, if it can go.
fn checked(world: &World, at: usize, wish: &Wish<'_>, now_ms: u64) -> Result<Guest, String> {
    let guest = guest_of(world, at)?;
    check_lock(&guest)?;
    if guest.is_running() && wish.how.online {
        return Err("lxc live migration is currently not implemented".into());
    }
    if guest.is_running() && !wish.restart {
        let text = "running container can only be migrated in restart mode at /usr/share/perl5/PVE/LXC/Migrate.pm line 49.";
        return Err(text.into());
    }
    let mut named: Vec<_> = guest
        .config
        .keys
        .iter()
        .filter(|(key, _)| is_volume_key(key) || key.starts_with("unused"))
        .collect();
    named.sort_by_key(|(key, _)| (key.starts_with("unused"), volume_rank(key)));
    for (key, value) in named {
        check_volume(world, &guest.node, (key, value), wish)?;
    }
    let from = world.tasks[at].upid.node.as_str();
    let there = world.node(wish.target);
    let there = there.is_some_and(|node| node.powered && world.sees(from, node, now_ms));
    if !there || world.node(from).is_some_and(|node| node.partitioned) {
        return Err("Can't connect to destination address using public key".into());
    }
    Ok(guest)
}

/// Volumes of the node's own that cannot come along, with why: another guest's, and those that share with a template.
fn stuck(world: &World, guest: &Guest, at: usize) -> Vec<String> {
    let vmid = world.tasks[at].guest().vmid;
    let why = |volid: &String| {
        let volume = world.volume(volid, &guest.node)?;
        volume.node.as_ref()?;
        if volume.vmid != vmid {
            return Some(format!("owned by other guest (owner = {})", volume.vmid));
        }
        let base = world.shares_with(volid)?;
        Some(format!("clone of '{base}'"))
    };
    let found = volumes_of(guest).into_iter();
    found
        .filter_map(|volid| {
            Some(format!(
                "can't migrate local volume '{volid}': {}",
                why(&volid)?
            ))
        })
        .collect()
}

/// The first volume that the storage for it on the other node cannot take: what ZFS sends only ZFS receives.
fn untaken(world: &World, guest: &Guest, how: &Crossing) -> Option<String> {
    volumes_of(guest).into_iter().find_map(|volid| {
        world.volume(&volid, &guest.node)?.node.as_ref()?;
        let from = world.storage(volid.split(':').next()?)?;
        let to = world.storage(how.storage(&from.id))?;
        let (kind, target) = (&from.kind, &to.kind);
        let differ = (kind == "zfspool") != (target == "zfspool");
        differ.then(|| {
            let id = &to.id;
            format!(
                "storage migration for '{volid}' to storage '{id}' failed - cannot migrate from storage type '{kind}' to '{target}'"
            )
        })
    })
}

/// Says what keeps the volumes here, and why nothing goes then.
fn kept_back(
    world: &mut World,
    at: usize,
    guest: &Guest,
    (how, now_ms): (&Crossing, u64),
) -> Option<String> {
    let stuck = stuck(world, guest, at);
    let why = match stuck.is_empty() {
        true => untaken(world, guest, how)?,
        false => "can't migrate CT - check log".to_owned(),
    };
    let time = stamp(now_ms);
    let task = &mut world.tasks[at];
    for line in stuck {
        task.say(format!("{time} {line}"));
    }
    task.say(format!("{time} ERROR: {why}"));
    Some(why)
}

fn check_volume(
    world: &World,
    node: &str,
    (key, value): (&str, &str),
    wish: &Wish<'_>,
) -> Result<(), String> {
    let volid = volume_of(value);
    if let Some(kind) = mount_kind(volid) {
        if value.split(',').any(|part| part == "shared=1") {
            return Ok(());
        }
        return Err(format!("cannot migrate local {kind} mount point '{key}'"));
    }
    let id = volid.split(':').next().unwrap_or_default();
    let here = usable(world, id, node)?;
    if !here.holds("rootdir") {
        return Err(format!(
            "content type 'rootdir' is not available on storage '{id}'"
        ));
    }
    let target_id = if here.shared {
        id
    } else {
        wish.how.storage(id)
    };
    if usable(world, target_id, wish.target)?.holds("rootdir") {
        return Ok(());
    }
    Err(format!(
        "{volid}: content type 'rootdir' is not available on storage '{target_id}'"
    ))
}

/// A storage that a node can use.
fn usable<'a>(world: &'a World, id: &str, node: &str) -> Result<&'a Storage, String> {
    let found = world
        .storage(id)
        .ok_or_else(|| format!("storage '{id}' does not exist"))?;
    match (found.is_disabled(), found.on(node)) {
        (true, _) => Err(format!("storage '{id}' is disabled")),
        (false, false) => Err(format!("storage '{id}' is not available on node '{node}'")),
        (false, true) => Ok(found),
    }
}

/// The guest is stopped: its volumes go over.
pub(super) fn carry(
    world: &mut World,
    at: usize,
    target: &str,
    now_ms: u64,
    effects: &mut Effects,
) {
    snapshots::mark(world, at, "migrate");
    let vmid = world.tasks[at].guest().vmid;
    let address = world
        .node(target)
        .map(|node| node.address.clone())
        .unwrap_or_default();
    world.tasks[at].say(format!(
        "{} starting migration of CT {vmid} to node '{target}' ({address})",
        stamp(now_ms)
    ));
    let to = target.to_owned();
    let end_ms = now_ms + world.times.create_ms;
    let command = |job, guest| GuestCommand::Change {
        job,
        guest,
        change: GuestChange::Move { to },
    };
    issue(world, at, Step::Main, end_ms, command, effects);
}

/// The configuration lies on the other node now; the guest is to be started again there if it ran.
pub(super) fn arrived(
    world: &mut World,
    at: usize,
    (target, how): (&str, &Crossing),
    now_ms: u64,
) -> Option<GuestKey> {
    let key = world.tasks[at].guest();
    let there = GuestKey {
        node: target.to_owned(),
        vmid: key.vmid,
    };
    let mut renamed = BTreeMap::new();
    for volid in volumes_of(world.guest(&key)?) {
        let storage = volid.split(':').next().unwrap_or_default();
        let new = world.carry_volume(&volid, &key.node, (how.storage(storage), &there));
        renamed.extend(new.map(|new| (volid, new)));
    }
    let guest = world.guest_mut(&key)?;
    guest.config.keys.remove("lock");
    let kept = guest.snapshots.values_mut().map(|kept| &mut kept.keys);
    let sections = [&mut guest.config.keys, &mut guest.config.pending];
    for keys in sections.into_iter().chain(kept) {
        rename(keys, &renamed);
    }
    target.clone_into(&mut guest.node);
    world.tasks[at].say(format!("{} start final cleanup", stamp(now_ms)));
    let was_running = world.tasks[at]
        .log
        .iter()
        .any(|line| line.contains(" shutdown CT "));
    was_running.then_some(there)
}

/// All volumes that a guest's configuration and its snapshots name.
fn volumes_of(guest: &Guest) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = guest.config.all_volumes().into_iter().collect();
    for kept in guest.snapshots.values() {
        let config = GuestConfig {
            keys: kept.keys.clone(),
            ..GuestConfig::default()
        };
        found.extend(config.all_volumes());
    }
    found
}

/// Says of volumes what they are called now.
fn rename(keys: &mut BTreeMap<String, String>, renamed: &BTreeMap<String, String>) {
    let named = keys
        .iter_mut()
        .filter(|(key, _)| is_volume_key(key) || key.starts_with("unused"));
    for (_, value) in named {
        let old = volume_of(value).to_owned();
        if let Some(new) = renamed.get(&old) {
            *value = value.replacen(&old, new, 1);
        }
    }
}
