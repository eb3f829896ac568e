//! Creating and restoring containers.

use std::collections::BTreeMap;

use super::super::Effects;
use super::super::disks::with_volume;
use super::super::guest::{GuestChange, GuestCommand, GuestSource};
use super::super::guest_config::{GuestConfig, normal_net, volume_of};
use super::super::task::{CreatePlan, NewDisk, Restore, Step, Work};
use super::super::world::{Backup, World};
use super::{issue, settle};
use crate::schema::parse_size;

/// Largest raw image qemu-img makes here, bytes.
const LARGEST_IMAGE_BYTES: u64 = 1 << 56;
/// How long making a file system takes before a template turns out to be missing.
const FORMAT_MS: u64 = 700;

/// Makes the volumes, then lets the driver fill them.
pub(super) fn launch(
    world: &mut World,
    at: usize,
    plan: &CreatePlan,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let verb = if plan.restore.is_some() {
        "restore"
    } else {
        "create"
    };
    let vmid = world.tasks[at].guest().vmid;
    let refused = |text: String| format!("unable to {verb} CT {vmid} - {text}");
    let mut plan = plan.clone();
    if plan.restore.is_some() {
        prepare_restore(world, at, &mut plan).map_err(refused)?;
    }
    for index in 0..plan.disks.len() {
        make_disk(world, at, &mut plan.disks[index], now_ms).map_err(refused)?;
    }
    world.tasks[at].work = Work::Create(Box::new(plan.clone()));
    match plan.restore {
        Some(_) => unpack_backup(world, at, &plan, now_ms, effects),
        None => unpack_template(world, at, &plan, now_ms, effects).map_err(refused),
    }
}

fn backup_of<'a>(world: &'a World, at: usize, volid: &str) -> Option<&'a Backup> {
    let node = &world.tasks[at].upid.node;
    let here = |backup: &&Backup| backup.node.as_ref().is_none_or(|name| name == node);
    world
        .backups
        .iter()
        .filter(here)
        .find(|backup| backup.volid() == volid)
}

/// Takes from the backup what was not given: volumes go to the one storage.
fn prepare_restore(world: &mut World, at: usize, plan: &mut CreatePlan) -> Result<(), String> {
    let volid = plan.template_volid.clone();
    world.tasks[at].say(format!("recovering backed-up configuration from '{volid}'"));
    let Some(backup) = backup_of(world, at, &volid) else {
        return Err(format!("volume '{volid}' does not exist"));
    };
    if plan.disks.is_empty() {
        let storage = &plan.storage;
        plan.disks = backup
            .config
            .volumes()
            .into_iter()
            .map(|(key, value)| {
                let size = value.split(',').find_map(|part| part.strip_prefix("size="));
                NewDisk {
                    value: value.replacen(volume_of(&value), &format!("{storage}:0"), 1),
                    key,
                    storage: storage.clone(),
                    size_bytes: size.and_then(parse_size).unwrap_or_default(),
                    volid: None,
                }
            })
            .collect();
    }
    Ok(())
}

fn make_disk(world: &mut World, at: usize, disk: &mut NewDisk, now_ms: u64) -> Result<(), String> {
    if disk.volid.is_some() {
        return Ok(());
    }
    let key = world.tasks[at].guest();
    let volid = world.make_volume(&disk.storage, &key, disk.size_bytes, now_ms);
    let name = volid.split_once(':').map_or("", |(_, name)| name);
    let image = world
        .storage(&disk.storage)
        .map(|storage| storage.volume_path(name))
        .unwrap_or_default();
    let size_bytes = disk.size_bytes;
    let line = format!("Formatting '{image}', fmt=raw size={size_bytes} preallocation=off");
    world.tasks[at].say(line);
    if size_bytes > LARGEST_IMAGE_BYTES {
        world.free_volume(&volid, &key.node);
        return Err(format!(
            "unable to create image: qemu-img: {image}: The image size is too large for file format 'raw'"
        ));
    }
    disk.volid = Some(volid);
    let blocks = size_bytes / 4096;
    let uuid = (world.random.next(), world.random.next());
    let task = &mut world.tasks[at];
    task.say(format!(
        "Creating filesystem with {blocks} 4k blocks and {} inodes",
        blocks / 4
    ));
    task.say(format!("Filesystem UUID: {}", uuid_text(uuid)));
    Ok(())
}

fn unpack_template(
    world: &mut World,
    at: usize,
    plan: &CreatePlan,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let key = world.tasks[at].guest();
    let found = world
        .templates
        .iter()
        .find(|t| t.volid() == plan.template_volid && t.on(&key.node))
        .cloned();
    let Some(template) = found else {
        let text = format!("volume '{}' does not exist", plan.template_volid);
        world.tasks[at].say(&text);
        let error = format!("unable to create CT {} - {text}", key.vmid);
        settle(
            world,
            at,
            Some(error),
            now_ms + FORMAT_MS.min(world.times.create_ms),
        );
        return Ok(());
    };
    if world.images.contains_key(&plan.template_volid) {
        world.tasks[at].say("Detected OCI archive");
    } else {
        let archive = world
            .storage(&template.storage)
            .map(|storage| storage.volume_path(&format!("vztmpl/{}", template.file)));
        let archive = archive.unwrap_or_default();
        world.tasks[at].say(format!("extracting archive '{archive}'"));
    }
    let mut spec = final_config(world, at, plan).spec(&template.file);
    spec.login.clone_from(&plan.login);
    let end_ms = now_ms + world.times.create_ms;
    let command = |job, guest| GuestCommand::Create { job, guest, spec };
    issue(world, at, Step::Create, end_ms, command, effects);
    Ok(())
}

fn unpack_backup(
    world: &mut World,
    at: usize,
    plan: &CreatePlan,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let key = world.tasks[at].guest();
    // What was there before goes as soon as the new volumes are there.
    if let Some(over) = plan
        .restore
        .as_ref()
        .and_then(|restore| restore.over.as_ref())
    {
        for (_, value) in over.volumes() {
            world.free_volume(volume_of(&value), &key.node);
        }
    }
    let volid = plan.template_volid.clone();
    let template = backup_of(world, at, &volid).map(|backup| backup.template.clone());
    let template = template.unwrap_or_default();
    if let Some(guest) = world.guest_mut(&key) {
        guest.template.clone_from(&template);
        guest.snapshots.clear();
    }
    world.tasks[at].say(format!("restoring '{volid}' now.."));
    let mut config = final_config(world, at, plan);
    renew_addresses(world, plan.restore.as_ref(), &mut config);
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

fn renew_addresses(world: &mut World, restore: Option<&Restore>, config: &mut GuestConfig) {
    if !restore.is_some_and(|restore| restore.unique) {
        return;
    }
    new_addresses(world, &mut config.keys);
}

/// Gives every network device another address.
pub(crate) fn new_addresses(world: &mut World, keys: &mut BTreeMap<String, String>) {
    let nets = keys.iter_mut().filter(|(key, _)| {
        key.strip_prefix("net")
            .is_some_and(|index| index.bytes().all(|b| b.is_ascii_digit()))
    });
    for (key, value) in nets {
        let parts: Vec<&str> = value
            .split(',')
            .filter(|part| !part.starts_with("hwaddr="))
            .collect();
        if let Ok(renewed) = normal_net(key, &parts.join(","), &mut world.random) {
            *value = renewed;
        }
    }
}

/// The configuration a finished create or restore leaves.
pub(super) fn final_config(world: &World, at: usize, plan: &CreatePlan) -> GuestConfig {
    let vmid = world.tasks[at].guest().vmid;
    let mut config = GuestConfig {
        keys: plan.keys.clone(),
        ..GuestConfig::default()
    };
    if let Some(backup) = plan
        .restore
        .as_ref()
        .and(backup_of(world, at, &plan.template_volid))
    {
        let kept = |key: &str| {
            !super::super::guest_config::is_volume_key(key) && key != "lock" && key != "parent"
        };
        for (key, value) in backup.config.keys.iter().filter(|(key, _)| kept(key)) {
            config
                .keys
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
        config.raw.clone_from(&backup.config.raw);
    }
    for disk in &plan.disks {
        let volid = disk.volid.clone().unwrap_or_default();
        config.keys.insert(
            disk.key.clone(),
            with_volume(&disk.value, &volid, disk.size_bytes),
        );
    }
    if plan.restore.is_none() {
        apply_image(world, plan, &mut config);
    }
    let ostype = world
        .templates
        .iter()
        .find(|t| t.volid() == plan.template_volid)
        .map(|t| t.ostype.clone());
    for (key, value) in [
        ("arch", "amd64".to_owned()),
        ("ostype", ostype.unwrap_or_else(|| "unmanaged".into())),
        ("hostname", format!("CT{vmid}")),
        ("memory", "512".to_owned()),
        ("swap", "512".to_owned()),
    ] {
        config.keys.entry(key.into()).or_insert(value);
    }
    config
}

/// What an OCI image says about its container counts more than what was given.
fn apply_image(world: &World, plan: &CreatePlan, config: &mut GuestConfig) {
    let Some(image) = world.images.get(&plan.template_volid) else {
        return;
    };
    if let Some(entrypoint) = &image.entrypoint {
        config.keys.insert("entrypoint".into(), entrypoint.clone());
    }
    if !image.env.is_empty() {
        config.keys.insert("env".into(), image.env.join("\u{0}"));
    }
    config.keys.insert("cmode".into(), "console".into());
    let line = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let folder = image.folder.as_deref().unwrap_or("/");
    config.raw = vec![
        line("lxc.init.uid", "0"),
        line("lxc.init.gid", "0"),
        line("lxc.init.cwd", folder),
        line("lxc.signal.halt", "SIGTERM"),
    ];
    for (key, value) in &mut config.keys {
        let index = key.strip_prefix("net");
        let net = index.is_some_and(|index| index.bytes().all(|b| b.is_ascii_digit()));
        if net && !value.contains("host-managed=") {
            let with = format!("{value},host-managed=1");
            if let Ok(normal) = normal_net(key, &with, &mut world.random.clone()) {
                *value = normal;
            }
        }
    }
}

/// The archive is unpacked: what PVE's worker says then.
pub(super) fn unpacked(world: &mut World, at: usize, log: Vec<String>) {
    let task = &mut world.tasks[at];
    log.into_iter().for_each(|line| task.say(line));
    let restored = matches!(&task.work, Work::Create(plan) if plan.restore.is_some());
    task.say(if restored {
        "merging backed-up and given configuration.."
    } else {
        "Detected container architecture: amd64"
    });
}

fn uuid_text((high, low): (u64, u64)) -> String {
    let hex = format!("{high:016x}{low:016x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}
