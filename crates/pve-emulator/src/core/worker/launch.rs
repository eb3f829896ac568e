//! What a task checks and commands once it holds the lock.

use super::super::Effects;
use super::super::error::ApiError;
use super::super::guest::GuestCommand;
use super::super::task::{CreatePlan, Step, Work};
use super::super::world::{Guest, Volume, World};
use super::{issue, settle};

/// Largest raw image qemu-img makes here, bytes.
const LARGEST_IMAGE_BYTES: u64 = 1 << 56;
/// How long making a file system takes before a template turns out to be missing.
const FORMAT_MS: u64 = 700;

/// Starts the work; `Err` is what the task ends with.
pub(super) fn launch(
    world: &mut World,
    at: usize,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    match world.tasks[at].work.clone() {
        Work::Create(plan) => create(world, at, &plan, now_ms, effects),
        Work::Start => start(world, at, now_ms, effects),
        Work::Stop => stop(world, at, now_ms, effects),
        Work::Shutdown { timeout_s, force } => {
            let guest = guest_of(world, at)?;
            check_lock(&guest)?;
            if !guest.is_running() {
                settle(world, at, None, now_ms + world.times.shutdown_ms);
                return Ok(());
            }
            shut_down(
                world,
                at,
                Step::Shutdown { force },
                timeout_s,
                now_ms,
                effects,
            );
            Ok(())
        }
        Work::Reboot { timeout_s } => {
            // PVE looks at neither the lock nor the quorum here.
            if !guest_of(world, at)?.is_running() {
                settle(world, at, None, now_ms);
                return Ok(());
            }
            shut_down(world, at, Step::RebootDown, timeout_s, now_ms, effects);
            Ok(())
        }
        Work::Destroy { force, .. } => destroy(world, at, force, now_ms, effects),
    }
}

fn guest_of(world: &World, at: usize) -> Result<Guest, String> {
    let key = world.tasks[at].guest();
    world
        .guest(&key)
        .cloned()
        .ok_or_else(|| ApiError::no_config(&key.node, key.vmid).text())
}

fn check_lock(guest: &Guest) -> Result<(), String> {
    match guest.config.get("lock") {
        None => Ok(()),
        Some(lock) => Err(format!("CT is locked ({lock})")),
    }
}

fn create(
    world: &mut World,
    at: usize,
    plan: &CreatePlan,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let key = world.tasks[at].guest();
    let vmid = key.vmid;
    let refused = |text: String| format!("unable to create CT {vmid} - {text}");
    let (base, shared) = world
        .storage(&plan.storage)
        .map(|s| (s.path.clone(), s.shared))
        .unwrap_or_default();
    let image = format!("{base}/images/{vmid}/vm-{vmid}-disk-0.raw");
    world.tasks[at].say(format!(
        "Formatting '{image}', fmt=raw size={} preallocation=off",
        plan.size_bytes
    ));
    if plan.size_bytes > LARGEST_IMAGE_BYTES {
        let text = format!(
            "unable to create image: qemu-img: {image}: The image size is too large for file format 'raw'"
        );
        return Err(refused(text));
    }
    world.volumes.push(Volume {
        storage: plan.storage.clone(),
        node: (!shared).then(|| key.node.clone()),
        vmid,
        name: format!("{vmid}/vm-{vmid}-disk-0.raw"),
        size_bytes: plan.size_bytes,
        ctime_s: now_ms / 1000,
    });
    let blocks = plan.size_bytes / 4096;
    let uuid = (world.random.next(), world.random.next());
    world.tasks[at].say(format!(
        "Creating filesystem with {blocks} 4k blocks and {} inodes",
        blocks / 4
    ));
    world.tasks[at].say(format!("Filesystem UUID: {}", uuid_text(uuid)));
    let template = world
        .templates
        .iter()
        .find(|t| t.volid() == plan.template_volid && t.on(&key.node))
        .cloned();
    let Some(template) = template else {
        let text = format!("volume '{}' does not exist", plan.template_volid);
        world.tasks[at].say(&text);
        settle(
            world,
            at,
            Some(refused(text)),
            now_ms + FORMAT_MS.min(world.times.create_ms),
        );
        return Ok(());
    };
    let archive = world
        .storage(&template.storage)
        .map(|s| format!("{}/template/cache/{}", s.path, template.file));
    world.tasks[at].say(format!(
        "extracting archive '{}'",
        archive.unwrap_or_default()
    ));
    let spec = final_config(world, at, plan).spec(&template.file);
    let end_ms = now_ms + world.times.create_ms;
    issue(
        world,
        at,
        Step::Create,
        end_ms,
        |job, guest| GuestCommand::Create { job, guest, spec },
        effects,
    );
    Ok(())
}

/// The configuration a finished create leaves.
pub(super) fn final_config(
    world: &World,
    at: usize,
    plan: &CreatePlan,
) -> super::super::guest_config::GuestConfig {
    use super::super::guest_config::{GuestConfig, normal_volume};
    let vmid = world.tasks[at].guest().vmid;
    let mut config = GuestConfig {
        keys: plan.keys.clone(),
        ..GuestConfig::default()
    };
    let volid = format!("{}:{vmid}/vm-{vmid}-disk-0.raw", plan.storage);
    let size = crate::schema::format_size(plan.size_bytes);
    // The value was verified when the call was accepted.
    let rootfs = normal_volume("rootfs", &plan.rootfs, &volid, &size)
        .unwrap_or_else(|_| format!("{volid},size={size}"));
    config.keys.insert("rootfs".into(), rootfs);
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

/// The template is unpacked: what PVE's worker says then.
pub(super) fn unpacked(world: &mut World, at: usize, log: Vec<String>) {
    let task = &mut world.tasks[at];
    log.into_iter().for_each(|line| task.say(line));
    task.say("Detected container architecture: amd64");
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

fn start(world: &mut World, at: usize, now_ms: u64, effects: &mut Effects) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    if guest.config.flag("template") {
        return Err("you can't start a CT if it's a template".into());
    }
    if guest.config.get("lock") != Some("mounted") {
        check_lock(&guest)?;
    }
    // Of several starts at once the later ones find it running and end well.
    if guest.is_running() {
        settle(world, at, None, now_ms);
        return Ok(());
    }
    boot(world, at, now_ms + world.times.start_ms, effects);
    Ok(())
}

/// Applies pending changes and boots.
fn boot(world: &mut World, at: usize, end_ms: u64, effects: &mut Effects) {
    let key = world.tasks[at].guest();
    let Some(guest) = world.guest_mut(&key) else {
        return;
    };
    guest.config.apply_pending();
    let spec = guest.config.spec(&guest.template);
    issue(
        world,
        at,
        Step::Start,
        end_ms,
        |job, guest| GuestCommand::Start { job, guest, spec },
        effects,
    );
}

/// The second half of a reboot. A configuration lock is found only now, by the start hook.
pub(super) fn reboot_up(world: &mut World, at: usize, not_before_ms: u64, effects: &mut Effects) {
    let vmid = world.tasks[at].guest().vmid;
    let end_ms = not_before_ms + world.times.start_ms;
    match guest_of(world, at).map(|guest| check_lock(&guest)) {
        Ok(Ok(())) => boot(world, at, end_ms, effects),
        Ok(Err(_)) => {
            let task = &mut world.tasks[at];
            task.say("run_buffer: 571 Script exited with status 255");
            task.say(format!(
                "lxc_init: 845 Failed to run lxc.hook.pre-start for container \"{vmid}\""
            ));
            task.say(format!(
                "__lxc_start: 2039 Failed to initialize container \"{vmid}\""
            ));
            settle(
                world,
                at,
                Some(format!("startup for container '{vmid}' failed")),
                end_ms,
            );
        }
        Err(error) => settle(world, at, Some(error), end_ms),
    }
}

fn stop(world: &mut World, at: usize, now_ms: u64, effects: &mut Effects) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    if guest.config.get("lock") != Some("mounted") {
        check_lock(&guest)?;
    }
    let end_ms = now_ms + world.times.stop_ms;
    if !guest.is_running() {
        settle(world, at, None, now_ms);
        return Ok(());
    }
    issue(
        world,
        at,
        Step::Kill,
        end_ms,
        |job, guest| GuestCommand::Kill { job, guest },
        effects,
    );
    Ok(())
}

fn shut_down(
    world: &mut World,
    at: usize,
    step: Step,
    timeout_s: u64,
    now_ms: u64,
    effects: &mut Effects,
) {
    let end_ms = now_ms + world.times.shutdown_ms;
    let timeout_ms = timeout_s.saturating_mul(1000);
    issue(
        world,
        at,
        step,
        end_ms,
        |job, guest| GuestCommand::Shutdown {
            job,
            guest,
            timeout_ms,
        },
        effects,
    );
}

fn destroy(
    world: &mut World,
    at: usize,
    force: bool,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let guest = guest_of(world, at)?;
    let vmid = world.tasks[at].guest().vmid;
    if guest.config.flag("protection") {
        return Err(format!("can't remove CT {vmid} - protection mode enabled"));
    }
    check_lock(&guest)?;
    let end_ms = now_ms + world.times.destroy_ms;
    if !guest.is_running() {
        issue(
            world,
            at,
            Step::Destroy,
            end_ms,
            |job, guest| GuestCommand::Destroy { job, guest },
            effects,
        );
        return Ok(());
    }
    if !force {
        return Err(format!(
            "unable to destroy CT {vmid} - container is running"
        ));
    }
    world.tasks[at].say(format!("forced to stop CT {vmid} before destroying!"));
    issue(
        world,
        at,
        Step::DestroyKill,
        end_ms,
        |job, guest| GuestCommand::Kill { job, guest },
        effects,
    );
    Ok(())
}
