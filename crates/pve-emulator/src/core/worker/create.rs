//! Creating and restoring containers.

use std::collections::BTreeMap;

use super::super::Effects;
use super::super::disks::with_volume;
use super::super::guest::GuestCommand;
use super::super::guest_config::{
    GuestConfig, is_net_key, normal_net, normal_volume, printed_volume,
};
use super::super::image_name::Form;
use super::super::methods::RACE_WINDOW_MS;
use super::super::task::{CreatePlan, NewDisk, Step, Work};
use super::super::world::World;
use super::{destroy, issue, restore, settle};
use crate::schema::format_size;

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
        restore::prepare(world, at, &mut plan).map_err(refused)?;
    }
    let made = make_disks(world, at, &mut plan, now_ms);
    world.tasks[at].work = Work::Create(Box::new(plan.clone()));
    if let Err(text) = made {
        return give_up(world, at, &plan, refused(text), now_ms, effects);
    }
    if let Err(text) = restore::clear(world, at, &plan) {
        return give_up(world, at, &plan, refused(text), now_ms, effects);
    }
    let node = world.tasks[at].upid.node.clone();
    let mut named = plan.disks.iter().filter_map(NewDisk::named);
    if let Some(volid) = named.find(|volid| world.volume(volid, &node).is_none()) {
        let error = refused(format!("volume '{volid}' does not exist"));
        return give_up(world, at, &plan, error, now_ms, effects);
    }
    match plan.restore {
        Some(_) => restore::unpack(world, at, &plan, now_ms, effects),
        None => unpack_template(world, at, &plan, now_ms, effects).map_err(refused),
    }
}

fn make_disks(
    world: &mut World,
    at: usize,
    plan: &mut CreatePlan,
    now_ms: u64,
) -> Result<(), String> {
    if let Some(restore) = &mut plan.restore {
        restore.touched = true;
    }
    (0..plan.disks.len()).try_for_each(|index| make_disk(world, at, &mut plan.disks[index], now_ms))
}

/// The task fails; nothing is left of a container that it wrote over.
fn give_up(
    world: &mut World,
    at: usize,
    plan: &CreatePlan,
    error: String,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    if plan.restore.as_ref().is_some_and(|restore| restore.over) {
        destroy(world, at, Step::CleanUp { error }, now_ms, effects);
        return Ok(());
    }
    Err(error)
}

fn make_disk(world: &mut World, at: usize, disk: &mut NewDisk, now_ms: u64) -> Result<(), String> {
    if disk.volid.is_some() {
        return Ok(());
    }
    let key = world.tasks[at].guest();
    let volid = world.make_volume(&disk.storage, &key, disk.size_bytes, now_ms);
    if world.form_of(&volid) == Form::Subvolume {
        disk.volid = Some(volid);
        return Ok(());
    }
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
    let left_ms = world.times.create_ms.saturating_sub(RACE_WINDOW_MS);
    let end_ms = now_ms + left_ms;
    let command = |job, guest| GuestCommand::Create { job, guest, spec };
    issue(world, at, Step::Create, end_ms, command, effects);
    Ok(())
}

/// Gives every network device another address.
pub(crate) fn new_addresses(world: &mut World, keys: &mut BTreeMap<String, String>) {
    for (key, value) in keys.iter_mut().filter(|(key, _)| is_net_key(key)) {
        *value = renewed_net(world, key, value);
    }
}

/// A network device with another address.
pub(super) fn renewed_net(world: &mut World, key: &str, value: &str) -> String {
    let kept: Vec<&str> = value
        .split(',')
        .filter(|part| !part.starts_with("hwaddr="))
        .collect();
    let renewed = normal_net(key, &kept.join(","), &mut world.random);
    renewed.unwrap_or_else(|_| value.to_owned())
}

/// The configuration a finished create or restore leaves.
pub(super) fn final_config(world: &World, at: usize, plan: &CreatePlan) -> GuestConfig {
    let vmid = world.tasks[at].guest().vmid;
    let mut config = GuestConfig {
        keys: plan.keys.clone(),
        ..GuestConfig::default()
    };
    restore::merge(world, at, plan, &mut config);
    for disk in &plan.disks {
        let value = match disk.made() {
            Some(volid) => {
                let size = format_size(disk.size_bytes);
                normal_volume(&disk.key, &disk.value, volid, &size)
                    .unwrap_or_else(|_| with_volume(&disk.value, volid, disk.size_bytes))
            }
            None => printed_volume(&disk.key, &disk.value),
        };
        config.keys.insert(disk.key.clone(), value);
    }
    if plan.restore.is_none() {
        apply_image(world, plan, &mut config);
    }
    let ostype = found_ostype(world, at, plan);
    let given = config.keys.get("ostype").map(String::as_str);
    if let Some(found) = ostype.as_ref().filter(|_| given != Some("unmanaged")) {
        config.keys.insert("ostype".into(), found.clone());
    }
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

/// What is found in the files of a container, which counts more than what was given.
fn found_ostype(world: &World, at: usize, plan: &CreatePlan) -> Option<String> {
    if plan.restore.is_some() {
        return restore::ostype(world, at, plan);
    }
    let mut templates = world.templates.iter();
    let template = templates.find(|t| t.volid() == plan.template_volid)?;
    Some(template.ostype.clone())
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
        if is_net_key(key) && !value.contains("host-managed=") {
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
