//! Backups: one guest after the other, each marked while its archive is made.

use super::super::Effects;
use super::super::dates;
use super::super::firewall;
use super::super::guest::{GuestChange, GuestCommand, GuestKey, Kept};
use super::super::methods::prune::{Mark, Rule};
use super::super::task::{BackupPlan, Step, Work};
use super::super::world::{Backup, World};
use super::{issue, settle};

/// What is said at the end as long as nobody has an e-mail address.
const NO_MAIL: [&str; 2] = [
    "WARN: 'root@pam' does not have a configured email address in the user configuration - not sending an email to this user",
    "ERROR: could not notify via target `mail-to-root`: could not notify via endpoint(s): mail-to-root: no recipients provided for the mail, cannot send it.",
];
/// How long a small archive takes, milliseconds.
const ARCHIVE_MS: u64 = 500;

/// An archive of a container whose template is gone.
const SMALL_BYTES: u64 = 1 << 20;
/// How much larger an archive is that is not packed.
const UNPACKED_TIMES: u64 = 3;

fn plan_of(world: &World, at: usize) -> Option<BackupPlan> {
    match &world.tasks[at].work {
        Work::Backup(plan) => Some((**plan).clone()),
        _ => None,
    }
}

fn set_plan(world: &mut World, at: usize, plan: BackupPlan) {
    world.tasks[at].work = Work::Backup(Box::new(plan));
}

/// All that keeps a storage from taking backups of a node.
fn refusals(world: &World, id: &str, node: &str) -> Vec<String> {
    let missing = format!("storage '{id}' does not exist");
    let found = world.storage(id);
    let inactive = match found {
        None => Some(missing.clone()),
        Some(storage) if storage.is_disabled() => Some(format!("storage '{id}' is disabled")),
        Some(storage) if !storage.on(node) => {
            Some(format!("storage '{id}' is not available on node '{node}'"))
        }
        Some(_) => None,
    };
    let unfit = match found {
        None => Some(missing),
        Some(storage) if !storage.holds("backup") => Some(format!(
            "can't use storage '{id}' for backups - wrong content type"
        )),
        Some(_) => None,
    };
    let inactive = inactive.map(|why| format!("could not activate storage '{id}': {why}"));
    let unfit = unfit.map(|why| format!("could not get storage information for '{id}': {why}"));
    inactive.into_iter().chain(unfit).collect()
}

/// Looks at the storage, then begins with the first guest.
pub(super) fn launch(
    world: &mut World,
    at: usize,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let Some(plan) = plan_of(world, at) else {
        return Ok(());
    };
    let id = &plan.storage;
    let node = world.tasks[at].upid.node.clone();
    let refused = refusals(world, id, &node);
    if !refused.is_empty() {
        NO_MAIL.iter().for_each(|line| world.tasks[at].say(line));
        return Err(refused.join(" "));
    }
    world.tasks[at].say(format!("INFO: starting new backup job: {}", plan.command));
    next(world, at, now_ms, effects);
    Ok(())
}

/// Begins with the next guest, or ends.
fn next(world: &mut World, at: usize, now_ms: u64, effects: &mut Effects) {
    loop {
        let Some(plan) = plan_of(world, at) else {
            return;
        };
        let Some(vmid) = plan.vmids.get(plan.at).copied() else {
            return finish(world, at, &plan, now_ms);
        };
        match begin(world, at, vmid, now_ms, effects) {
            Ok(()) => return,
            Err(why) => {
                let task = &mut world.tasks[at];
                task.say(format!("ERROR: Backup of VM {vmid} failed - {why}"));
                task.say(format!("INFO: Failed at {}", dates::stamp(now_ms / 1000)));
                let at_next = plan.at + 1;
                set_plan(
                    world,
                    at,
                    BackupPlan {
                        failed: true,
                        at: at_next,
                        volid: None,
                        ..plan
                    },
                );
            }
        }
    }
}

fn finish(world: &mut World, at: usize, plan: &BackupPlan, now_ms: u64) {
    let line = if plan.failed {
        "INFO: Backup job finished with errors"
    } else {
        "INFO: Backup job finished successfully"
    };
    world.tasks[at].say(line);
    NO_MAIL.iter().for_each(|line| world.tasks[at].say(line));
    let error = plan.failed.then(|| "job errors".to_owned());
    settle(world, at, error, now_ms);
}

fn begin(
    world: &mut World,
    at: usize,
    vmid: u32,
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let Some(mut plan) = plan_of(world, at) else {
        return Ok(());
    };
    let node = world.tasks[at].upid.node.clone();
    let key = GuestKey { node, vmid };
    let Some(guest) = world.guest(&key).cloned() else {
        return Err(format!("unable to find VM '{vmid}'"));
    };
    let now_s = now_ms / 1000;
    let status = if guest.is_running() {
        "running"
    } else {
        "stopped"
    };
    let name = guest.config.get("hostname").unwrap_or_default().to_owned();
    let task = &mut world.tasks[at];
    task.say(format!("INFO: Starting Backup of VM {vmid} (lxc)"));
    task.say(format!("INFO: Backup started at {}", dates::stamp(now_s)));
    task.say(format!("INFO: status = {status}"));
    let managed = world.ha.of(vmid).map(|resource| resource.state.as_str());
    if plan.mode == "stop" && matches!(managed, Some("started" | "enabled")) {
        return Err("Cannot execute a backup with stop mode on a HA managed and enabled Service. Use snapshot mode or disable the Service.".into());
    }
    check_limits(world, &plan, &key)?;
    if let Some(lock) = guest.config.get("lock") {
        return Err(format!("CT is locked ({lock})"));
    }
    super::launch::check_quorum_write(world, &key, now_ms)?;
    let file = format!(
        "vzdump-lxc-{vmid}-{}.tar{}",
        dates::file_stamp(now_s),
        plan.extension
    );
    let path = world
        .storage(&plan.storage)
        .map(|storage| storage.volume_path(&format!("backup/{file}")));
    let task = &mut world.tasks[at];
    let mode = if guest.is_running() {
        plan.mode.as_str()
    } else {
        "stop"
    };
    task.say(format!("INFO: backup mode: {mode}"));
    task.say("INFO: ionice priority: 7");
    task.say(format!("INFO: CT Name: {name}"));
    task.say("INFO: including mount point rootfs ('/') in backup");
    task.say(format!(
        "INFO: creating vzdump archive '{}'",
        path.unwrap_or_default()
    ));
    plan.volid = Some(format!("{}:backup/{file}", plan.storage));
    plan.begun_s = now_s;
    plan.restart = guest.is_running() && plan.mode == "stop";
    let restart = plan.restart;
    set_plan(world, at, plan);
    if let Some(guest) = world.guest_mut(&key) {
        guest.config.keys.insert("lock".into(), "backup".into());
    }
    if restart {
        let command = |job, _| GuestCommand::Shutdown {
            job,
            guest: key,
            timeout_ms: 600_000,
        };
        let end_ms = now_ms + world.times.shutdown_ms;
        issue(world, at, Step::StopFirst, end_ms, command, effects);
    } else {
        archive(world, at, now_ms, effects);
    }
    Ok(())
}

/// The guest is as the mode wants it: the archive is made.
pub(super) fn archive(world: &mut World, at: usize, now_ms: u64, effects: &mut Effects) {
    let Some(plan) = plan_of(world, at) else {
        return;
    };
    let Some(key) = current(world, at, &plan) else {
        return;
    };
    let kept = Kept::Backup(plan.volid.unwrap_or_default());
    let end_ms = now_ms + ARCHIVE_MS.min(world.times.create_ms);
    let command = |job, _| GuestCommand::Change {
        job,
        guest: key,
        change: GuestChange::Keep { kept },
    };
    issue(world, at, Step::Main, end_ms, command, effects);
}

fn current(world: &World, at: usize, plan: &BackupPlan) -> Option<GuestKey> {
    Some(GuestKey {
        node: world.tasks[at].upid.node.clone(),
        vmid: *plan.vmids.get(plan.at)?,
    })
}

/// An archive is there, or could not be made; the guest is let go and started again if it ran.
pub(super) fn archived(
    world: &mut World,
    at: usize,
    error: Option<String>,
    now_ms: u64,
    effects: &mut Effects,
) {
    let Some(plan) = plan_of(world, at) else {
        return;
    };
    let Some(key) = current(world, at, &plan) else {
        return;
    };
    let Some(guest) = world.guest_mut(&key) else {
        return;
    };
    guest.config.keys.remove("lock");
    let guest = guest.clone();
    match &error {
        None => store(world, at, &plan, &key, &guest, now_ms),
        Some(why) => {
            let task = &mut world.tasks[at];
            task.say(format!("ERROR: Backup of VM {} failed - {why}", key.vmid));
            task.say(format!("INFO: Failed at {}", dates::stamp(now_ms / 1000)));
        }
    }
    let failed = plan.failed || error.is_some();
    if plan.restart {
        set_plan(world, at, BackupPlan { failed, ..plan });
        let spec = guest.config.spec(&guest.template);
        let command = |job, _| GuestCommand::Start {
            job,
            guest: key,
            spec,
        };
        let end_ms = now_ms + world.times.start_ms;
        return issue(world, at, Step::StartAgain, end_ms, command, effects);
    }
    go_on(world, at, failed, now_ms, effects);
}

/// One guest is done with.
pub(super) fn go_on(
    world: &mut World,
    at: usize,
    failed: bool,
    now_ms: u64,
    effects: &mut Effects,
) {
    let Some(plan) = plan_of(world, at) else {
        return;
    };
    let failed = plan.failed || failed;
    let made = plan.volid.clone();
    set_plan(world, at, BackupPlan { failed, ..plan });
    match made.map(|volid| condemned(world, at, &volid)) {
        Some(volids) if !volids.is_empty() => {
            world
                .backups
                .retain(|backup| !volids.contains(&backup.volid()));
            drop_archives(world, at, (Step::Prune, volids), now_ms, effects);
        }
        Some(_) | None => go_on_with_next(world, at, now_ms, effects),
    }
}

/// Backups that are not kept now that a new one is there.
fn condemned(world: &World, at: usize, volid: &str) -> Vec<String> {
    let Some(plan) = plan_of(world, at) else {
        return Vec::new();
    };
    let rule = match (plan.remove, plan.keep) {
        (true, Some(keep)) => Rule::parse(&keep),
        (_, _) => return Vec::new(),
    };
    let Some(new) = world.backups.iter().find(|backup| backup.volid() == volid) else {
        return Vec::new();
    };
    let alike = |backup: &&Backup| {
        backup.storage == new.storage && backup.node == new.node && backup.vmid == new.vmid
    };
    let mut group: Vec<&Backup> = world.backups.iter().filter(alike).collect();
    group.sort_by_key(|backup| std::cmp::Reverse(backup.ctime_s));
    let made: Vec<(u64, bool)> = group.iter().map(|b| (b.ctime_s, b.protected)).collect();
    let marked = group.iter().zip(rule.marks(&made));
    let gone = marked.filter(|(_, mark)| *mark == Mark::Remove);
    gone.map(|(backup, _)| backup.volid()).collect()
}

/// What the kept number of backups, or of protected ones, forbids.
fn check_limits(world: &World, plan: &BackupPlan, key: &GuestKey) -> Result<(), String> {
    let storage = &plan.storage;
    let here = |backup: &&Backup| {
        let there = backup.node.as_ref().is_none_or(|node| *node == key.node);
        backup.storage == *storage && backup.vmid == key.vmid && there
    };
    let (protected, others): (Vec<&Backup>, Vec<&Backup>) =
        world.backups.iter().filter(here).partition(|b| b.protected);
    if plan.protected {
        let limit = plan.protected_limit;
        let count = i64::try_from(protected.len()).unwrap_or(i64::MAX);
        if limit > -1 && count >= limit {
            return Err(format!(
                "The number of protected backups per guest is limited to {limit} on storage '{storage}'"
            ));
        }
        return Ok(());
    }
    let limit = plan.keep.as_ref().map(|keep| Rule::parse(keep).total());
    match limit.filter(|limit| *limit > 0 && !plan.remove) {
        Some(limit) if others.len() >= limit => Err(format!(
            "There is a max backup limit of {limit} enforced by the target storage or the vzdump parameters. Either increase the limit or delete old backups."
        )),
        Some(_) | None => Ok(()),
    }
}

/// On to the guest after this one.
pub(super) fn go_on_with_next(world: &mut World, at: usize, now_ms: u64, effects: &mut Effects) {
    let Some(plan) = plan_of(world, at) else {
        return;
    };
    let at_next = plan.at + 1;
    set_plan(
        world,
        at,
        BackupPlan {
            at: at_next,
            volid: None,
            restart: false,
            ..plan
        },
    );
    next(world, at, now_ms, effects);
}

fn store(
    world: &mut World,
    at: usize,
    plan: &BackupPlan,
    key: &GuestKey,
    guest: &super::super::world::Guest,
    now_ms: u64,
) {
    let volid = plan.volid.clone().unwrap_or_default();
    let file = volid.rsplit('/').next().unwrap_or_default().to_owned();
    let shared = world
        .storage(&plan.storage)
        .is_some_and(|storage| storage.shared);
    let config = guest.config.backed_up();
    let notes = plan
        .notes
        .as_ref()
        .map(|template| notes(world, template, key, &config));
    if notes.is_some() {
        world.tasks[at].say("INFO: adding notes to backup");
    }
    let size_bytes = archive_bytes(world, &guest.template, &plan.extension);
    // The archive's name is of the second it was begun in: one of the same second is written over, and what lies beside it
    // stays.
    let node = (!shared).then(|| key.node.clone());
    let same = |old: &Backup| old.storage == plan.storage && old.node == node && old.file == file;
    let old = world.backups.iter().find(|old| same(old)).cloned();
    world.backups.retain(|old| !same(old));
    let protected = plan.protected || old.as_ref().is_some_and(|old| old.protected);
    let notes = notes.or_else(|| old.and_then(|old| old.notes));
    world.backups.push(Backup {
        storage: plan.storage.clone(),
        node,
        file,
        vmid: key.vmid,
        ctime_s: plan.begun_s,
        size_bytes,
        notes,
        protected,
        config,
        template: guest.template.clone(),
        firewall: firewall::text_of(&world.firewall, key.vmid),
    });
    let now_s = now_ms / 1000;
    let took = clock(now_s.saturating_sub(plan.begun_s));
    let task = &mut world.tasks[at];
    task.say(format!("INFO: archive file size: {}", rounded(size_bytes)));
    task.say(format!("INFO: Finished Backup of VM {} ({took})", key.vmid));
    task.say(format!("INFO: Backup finished at {}", dates::stamp(now_s)));
}

/// How large an archive gets. What is in a container is not known here: it is taken for what its
/// template unpacks to, whose file is a packed archive of the same.
fn archive_bytes(world: &World, template: &str, extension: &str) -> u64 {
    let known = world
        .templates
        .iter()
        .find(|known| known.file == template || known.volid() == template);
    let packed = known.map_or(SMALL_BYTES, |known| known.size_bytes);
    if extension.is_empty() {
        packed * UNPACKED_TIMES
    } else {
        packed
    }
}

/// A size as vzdump's log has it.
fn rounded(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes {
        0..MIB => format!("{}KB", bytes >> 10),
        MIB..0x4000_0000 => format!("{}MB", bytes >> 20),
        _ => {
            let hundredths = u128::from(bytes) * 100 / (1 << 30);
            format!("{}.{:02}GB", hundredths / 100, hundredths % 100)
        }
    }
}

/// Hours, minutes and seconds as vzdump's log has them.
fn clock(took_s: u64) -> String {
    let (hours, minutes) = (took_s / 3600, took_s / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", took_s % 60)
}

/// Fills `{{guestname}}` and its like in.
fn notes(
    world: &World,
    template: &str,
    key: &GuestKey,
    config: &super::super::guest_config::GuestConfig,
) -> String {
    let name = config.get("hostname").unwrap_or_default();
    let cluster = world.cluster_name.as_deref().unwrap_or("standalone node");
    template
        .replace("\\n", "\n")
        .replace("{{guestname}}", name)
        .replace("{{node}}", &key.node)
        .replace("{{vmid}}", &key.vmid.to_string())
        .replace("{{cluster}}", cluster)
}

/// Removes a backup or an image; one in use is removed too, but not what linked clones share with.
pub(super) fn delete(
    world: &mut World,
    at: usize,
    (node, volid): (&str, &str),
    now_ms: u64,
    effects: &mut Effects,
) -> Result<(), String> {
    let (storage, name) = volid.split_once(':').unwrap_or_default();
    let here = |backup: &Backup| {
        backup.volid() == volid && backup.node.as_deref().is_none_or(|found| found == node)
    };
    if world
        .backups
        .iter()
        .any(|backup| here(backup) && backup.protected)
    {
        return Err(format!(
            "cannot remove protected volume '{name}' on '{storage}'"
        ));
    }
    world.check_free(volid, node)?;
    let pool = world
        .storage(storage)
        .is_some_and(|found| found.kind == "zfspool");
    if !world.volume_exists(volid, node) && !pool {
        let path = world.storage(storage).map(|found| found.volume_path(name));
        world.tasks[at].say(format!(
            "disk image '{}' does not exist",
            path.unwrap_or_default()
        ));
    }
    let is_backup = world.backups.iter().any(here);
    world.backups.retain(|backup| !here(backup));
    world.free_volume(volid, node);
    world
        .templates
        .retain(|template| template.volid() != volid || !template.on(node));
    world
        .stored_files
        .retain(|file| file.volid() != volid || !file.on(node));
    world.tasks[at].say(format!("Removed volume '{volid}'"));
    if is_backup {
        drop_archives(
            world,
            at,
            (Step::Main, vec![volid.to_owned()]),
            now_ms,
            effects,
        );
    } else {
        settle(world, at, None, now_ms + super::QUICK_END_MS);
    }
    Ok(())
}

/// Removes the backups a rule does not keep.
pub(super) fn prune(
    world: &mut World,
    at: usize,
    volids: Vec<String>,
    now_ms: u64,
    effects: &mut Effects,
) {
    let node = world.tasks[at].upid.node.clone();
    world.backups.retain(|backup| {
        let elsewhere = backup.node.as_ref().is_some_and(|name| *name != node);
        elsewhere || backup.protected || !volids.contains(&backup.volid())
    });
    let lines: Vec<String> = volids
        .iter()
        .map(|volid| format!("Removed volume '{volid}'"))
        .collect();
    world.tasks[at].say(lines.join("\n"));
    drop_archives(world, at, (Step::Main, volids), now_ms, effects);
}

/// Has what lies behind the volumes removed.
fn drop_archives(
    world: &mut World,
    at: usize,
    (step, volids): (Step, Vec<String>),
    now_ms: u64,
    effects: &mut Effects,
) {
    let kept = volids.into_iter().map(Kept::Backup).collect();
    let command = |job, guest| GuestCommand::Change {
        job,
        guest,
        change: GuestChange::Drop { kept },
    };
    let end_ms = now_ms + super::QUICK_END_MS;
    issue(world, at, step, end_ms, command, effects);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_written_as_vzdump_writes_them() {
        let sizes = [1_023, 2 << 10, (5 << 20) - 1, 3 << 29].map(rounded);
        assert_eq!(sizes, ["0KB", "2KB", "4MB", "1.50GB"]);
        assert_eq!(
            [7, 61, 36_125].map(clock),
            ["00:00:07", "00:01:01", "10:02:05"]
        );
    }
}
