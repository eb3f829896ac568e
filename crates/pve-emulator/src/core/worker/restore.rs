//! Restoring containers from backups.

use std::collections::BTreeMap;

use super::super::Effects;
use super::super::access::Caller;
use super::super::bridges::check_bridge;
use super::super::firewall;
use super::super::guest::{GuestChange, GuestCommand, GuestKey, GuestSource};
use super::super::guest_config::{
    GuestConfig, is_net_key, is_volume_key, mount_kind, volume_of, volume_rank,
};
use super::super::rights::Rights;
use super::super::task::{CreatePlan, NewDisk, Step, Work};
use super::super::world::{Backup, World};
use super::{copies, create, issue};
use crate::schema::parse_size;

fn backup_of<'a>(world: &'a World, at: usize, volid: &str) -> Option<&'a Backup> {
    let node = &world.tasks[at].upid.node;
    let here = |backup: &&Backup| backup.node.as_ref().is_none_or(|name| name == node);
    world
        .backups
        .iter()
        .filter(here)
        .find(|backup| backup.volid() == volid)
}

/// Checks what only the backup tells, and takes from it what was not given: volumes go to the one storage.
pub(super) fn prepare(world: &mut World, at: usize, plan: &mut CreatePlan) -> Result<(), String> {
    let key = world.tasks[at].guest();
    if world.guest(&key).is_some_and(|guest| guest.is_running()) {
        return Err("can't overwrite running container".into());
    }
    let volid = plan.template_volid.clone();
    world.tasks[at].say(format!("recovering backed-up configuration from '{volid}'"));
    let Some(backup) = backup_of(world, at, &volid) else {
        return Err(format!("volume '{volid}' does not exist"));
    };
    let caller = Caller::named(&world.tasks[at].upid.user);
    let rights = Rights {
        world,
        caller: &caller,
    };
    check_rights(rights, plan, backup, &key)?;
    if plan.disks.is_empty() {
        let (disks, mounts) = volumes_of(&backup.config, &plan.storage, caller.is_root())?;
        plan.disks = disks;
        plan.keys.extend(mounts);
    }
    Ok(())
}

/// The bridges that a backup brings along have to be open to whoever restores it, and so has the step from an unprivileged
/// container to a privileged one.
fn check_rights(
    rights: Rights<'_>,
    plan: &CreatePlan,
    backup: &Backup,
    key: &GuestKey,
) -> Result<(), String> {
    let brought = backup.config.keys.iter();
    brought
        .filter(|(key, _)| is_net_key(key) && !plan.keys.contains_key(*key))
        .try_for_each(|(_, value)| check_bridge(rights, value).map(|_| ()))
        .map_err(|refusal| refusal.text())?;
    let was_privileged = rights
        .world
        .guest(key)
        .is_some_and(|guest| !guest.config.flag("unprivileged"));
    let over = plan.restore.as_ref().is_some_and(|restore| restore.over);
    if is_unprivileged(plan, backup) || (over && was_privileged) {
        return Ok(());
    }
    let refusal = rights.need("/", &["Sys.Modify"]);
    refusal.map_err(|refusal| refusal.text())
}

fn is_unprivileged(plan: &CreatePlan, backup: &Backup) -> bool {
    let restore = plan.restore.as_ref();
    let kept = restore.is_some_and(|restore| restore.keeps_privileges);
    plan.keys.contains_key("unprivileged") || (kept && backup.config.flag("unprivileged"))
}

/// What a backup mounts: volumes to be made anew, and folders and devices, which only root itself brings back.
fn volumes_of(
    config: &GuestConfig,
    storage: &str,
    root: bool,
) -> Result<(Vec<NewDisk>, BTreeMap<String, String>), String> {
    let (mut disks, mut mounts) = (Vec::new(), BTreeMap::new());
    let mut found: Vec<_> = config
        .keys
        .iter()
        .filter(|(key, _)| is_volume_key(key))
        .collect();
    found.sort_by_key(|(key, _)| volume_rank(key));
    for (key, value) in found {
        if let Some(kind) = mount_kind(volume_of(value)) {
            if !root {
                return Err(format!(
                    "restoring '{key}' to {kind} mount is only possible for root"
                ));
            }
            mounts.insert(key.clone(), value.clone());
            continue;
        }
        let size = value.split(',').find_map(|part| part.strip_prefix("size="));
        let Some(size_bytes) = size.and_then(parse_size) else {
            return Err(format!(
                "unable to detect disk size - please specify {key} (size)"
            ));
        };
        disks.push(NewDisk {
            value: value.replacen(volume_of(value), &format!("{storage}:0"), 1),
            key: key.clone(),
            storage: storage.to_owned(),
            size_bytes,
            volid: None,
        });
    }
    Ok((disks, mounts))
}

/// What was there before goes as soon as the new volumes are there: its volumes, its snapshots, all of its configuration.
pub(super) fn clear(world: &mut World, at: usize, plan: &CreatePlan) -> Result<(), String> {
    if !plan.restore.as_ref().is_some_and(|restore| restore.over) {
        return Ok(());
    }
    let key = world.tasks[at].guest();
    let Some(old) = world.guest(&key).map(|guest| guest.config.clone()) else {
        return Ok(());
    };
    world.check_free_all(&old, &key)?;
    world.free_volumes(&old, &key);
    if let Some(guest) = world.guest_mut(&key) {
        guest.snapshots.clear();
        guest.config = GuestConfig::default();
        guest.config.keys.insert("lock".into(), "create".into());
    }
    Ok(())
}

/// Has the driver fill the volumes.
pub(super) fn unpack(
    world: &mut World,
    at: usize,
    plan: &CreatePlan,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let key = world.tasks[at].guest();
    let volid = plan.template_volid.clone();
    let template = backup_of(world, at, &volid).map(|backup| backup.template.clone());
    let template = template.unwrap_or_default();
    if let Some(guest) = world.guest_mut(&key) {
        guest.template.clone_from(&template);
    }
    world.tasks[at].say(format!("restoring '{volid}' now.."));
    let mut config = create::final_config(world, at, plan);
    renew_addresses(world, at, plan, &mut config);
    let spec = config.spec(&template);
    world.tasks[at].work = Work::Create(Box::new(CreatePlan {
        keys: config.keys,
        ..plan.clone()
    }));
    let from = GuestSource::Backup {
        node: key.node.clone(),
        volid,
    };
    let end_ms = now_ms + world.times.create_ms;
    let change = GuestChange::Copy { from, spec };
    let command = |job, guest| GuestCommand::Change { job, guest, change };
    issue(world, at, Step::Create, end_ms, command, effects);
    Ok(())
}

/// Network devices of the backup get other addresses, whatever was given for them.
fn renew_addresses(world: &mut World, at: usize, plan: &CreatePlan, config: &mut GuestConfig) {
    if !plan.restore.as_ref().is_some_and(|restore| restore.unique) {
        return;
    }
    let Some(backup) = backup_of(world, at, &plan.template_volid).cloned() else {
        return;
    };
    let nets = backup.config.keys.iter().filter(|(key, _)| is_net_key(key));
    for (key, value) in nets {
        let renewed = create::renewed_net(world, key, value);
        config.keys.insert(key.clone(), renewed);
    }
}

/// Adds what the backup says and the call did not. Lines for the container runtime come along for root itself only.
pub(super) fn merge(world: &World, at: usize, plan: &CreatePlan, config: &mut GuestConfig) {
    let Some(backup) = plan
        .restore
        .as_ref()
        .and(backup_of(world, at, &plan.template_volid))
    else {
        return;
    };
    let root = world.tasks[at].upid.user == "root@pam";
    let unprivileged = is_unprivileged(plan, backup);
    let lost_features = !root && !unprivileged && backup.config.flag("unprivileged");
    let kept = |key: &str| match key {
        "lock" | "parent" | "template" | "unprivileged" => false,
        "features" => !lost_features,
        _ => !is_volume_key(key) && !key.starts_with("unused"),
    };
    for (key, value) in backup.config.keys.iter().filter(|(key, _)| kept(key)) {
        let given = config.keys.entry(key.clone());
        given.or_insert_with(|| value.clone());
    }
    if unprivileged {
        config.keys.insert("unprivileged".into(), "1".into());
    }
    if root {
        config.raw.clone_from(&backup.config.raw);
    }
}

/// The system that is in a backup.
pub(super) fn ostype(world: &World, at: usize, plan: &CreatePlan) -> Option<String> {
    let backup = backup_of(world, at, &plan.template_volid)?;
    let found = backup.config.get("ostype")?;
    Some(found.to_owned()).filter(|found| found != "unmanaged")
}

/// What of the backup stayed behind, to be warned of when the task ends.
pub(super) fn left_out(world: &World, at: usize, plan: &CreatePlan) -> Option<String> {
    let restored = plan.restore.as_ref();
    let backup = restored.and(backup_of(world, at, &plan.template_volid));
    let raw = backup.map(|backup| backup.config.raw.as_slice());
    let raw = raw.unwrap_or_default();
    if raw.is_empty() || world.tasks[at].upid.user == "root@pam" {
        return None;
    }
    let rule = "-".repeat(32);
    let lines = raw.iter().map(|(key, value)| format!("{key}: {value}"));
    let mut text = vec!["skipping custom lxc options, restore manually as root:".to_owned()];
    text.push(rule.clone());
    text.extend(lines);
    text.push(rule);
    Some(text.join("\n"))
}

/// The backup of a template becomes one.
pub(super) fn convert(world: &mut World, at: usize, plan: &CreatePlan, config: &mut GuestConfig) {
    let restored = plan.restore.as_ref();
    let backup = restored.and(backup_of(world, at, &plan.template_volid));
    if !backup.is_some_and(|backup| backup.config.flag("template")) {
        return;
    }
    world.tasks[at].say("Convert restored container to template...");
    copies::make_template(world, at, config);
}

/// What the firewall was configured with comes back, if who restores may make the container.
pub(super) fn firewall_of(world: &mut World, at: usize, plan: &CreatePlan) {
    let vmid = world.tasks[at].guest().vmid;
    let restored = plan.restore.as_ref();
    let backup = restored.and(backup_of(world, at, &plan.template_volid));
    let Some(text) = backup.and_then(|backup| backup.firewall.clone()) else {
        return;
    };
    let caller = Caller::named(&world.tasks[at].upid.user);
    let rights = Rights {
        world,
        caller: &caller,
    };
    let pool = plan.pool.as_ref().map(|pool| format!("/pool/{pool}"));
    let places = [Some(format!("/vms/{vmid}")), pool];
    let mut places = places.into_iter().flatten();
    if places.any(|place| rights.has(&place, "VM.Allocate")) {
        return firewall::restore(&mut world.firewall, vmid, text);
    }
    let left = firewall::text_of(&world.firewall, vmid).is_some();
    let task = &mut world.tasks[at];
    task.say(format!(
        "ignoring firewall config from backup archive's '/var/lib/lxc/{vmid}/rootfs/etc/vzdump/pct.fw', lacking API permission to modify firewall."
    ));
    if left {
        task.say(format!(
            "old firewall configuration in '/etc/pve/firewall/{vmid}.fw' left in place!"
        ));
    }
}
