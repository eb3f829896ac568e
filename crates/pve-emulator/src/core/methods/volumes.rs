//! Single volumes of a storage: images, templates, backups.

use serde_json::{Value, json};

use super::super::access::Caller;
use super::super::call::{Call, Outcome, Stop};
use super::super::error::ApiError;
use super::super::image_name;
use super::super::park::Wait;
use super::super::rights::Rights;
use super::super::task::Work;
use super::super::upid::Upid;
use super::super::worker;
use super::super::world::{Volume, World};
use super::prune::Rule;
use super::storage;
use super::volume_name::{self, Parsed};
use crate::schema::{check_format, parse_size};

/// Whether a caller may look into a volume; with `wanted` only into one of that content, and whoever is at a guest may into
/// those of that guest.
pub(super) fn check_access(
    rights: Rights<'_>,
    volid: &str,
    wanted: Option<&str>,
    guest: Option<u32>,
) -> Result<(), ApiError> {
    let Some((storage, _)) = volid.split_once(':').filter(|_| has_storage(volid)) else {
        if rights.caller.is_root() {
            return Ok(());
        }
        let text = "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.";
        return Err(ApiError::died(text));
    };
    let Parsed { kind, owner } = volume_name::parse(rights.world, volid)?;
    // The images of containers and of machines are not told apart.
    let fits = |wanted: &str| wanted == kind || (wanted, kind) == ("rootdir", "images");
    if let Some(wanted) = wanted.filter(|wanted| !fits(wanted)) {
        let text = format!("unable to use volume {volid} - content type needs to be '{wanted}'");
        return Err(ApiError::died(text));
    }
    let place = format!("/storage/{storage}");
    if rights.has(&place, "Datastore.Allocate") {
        return Ok(());
    }
    if matches!(kind, "vztmpl" | "iso" | "import") {
        return rights.need_any(&place, &["Datastore.AllocateSpace", "Datastore.Audit"]);
    }
    match owner {
        Some(_) if owner == guest => Ok(()),
        Some(vmid) if kind == "backup" => {
            rights.need(&place, &["Datastore.AllocateSpace"])?;
            rights.need(&format!("/vms/{vmid}"), &["VM.Backup"])
        }
        Some(vmid) if kind == "images" => {
            rights.need(&place, &["Datastore.Audit"])?;
            rights.need(&format!("/vms/{vmid}"), &["VM.Config.Disk"])
        }
        Some(_) | None => Err(ApiError::died(format!(
            "missing privileges to access {volid}"
        ))),
    }
}

/// What stands before the colon could be a storage.
fn has_storage(volid: &str) -> bool {
    volid
        .split_once(':')
        .is_some_and(|(id, name)| check_format("pve-storage-id", id).is_ok() && !name.is_empty())
}

/// For lists, which leave out what may not be seen.
pub(super) fn may_see(world: &World, caller: &Caller, volid: &str) -> bool {
    check_access(Rights { world, caller }, volid, None, None).is_ok()
}

/// The volume the path names, with its storage.
fn named(call: &Call<'_>) -> Result<String, ApiError> {
    let storage = call.text("storage").unwrap_or_default();
    let volume = call.text("volume").unwrap_or_default();
    match volume.split_once(':') {
        Some((other, _)) if other != storage => Err(ApiError::parameter(
            "volume",
            format!("storage ID mismatch ({other} != {storage})\n"),
        )),
        Some(_) => Ok(volume),
        None => Ok(format!("{storage}:{volume}")),
    }
}

/// An image of a pool of ZFS: its name, and its size, which is that of whole MiB for a disk.
fn in_pool(
    format: &str,
    vmid: u32,
    file: &str,
    size_bytes: u64,
) -> Result<(String, u64), ApiError> {
    let (prefix, size_bytes) = match format {
        "raw" => ("vm", size_bytes.next_multiple_of(1 << 20)),
        "subvol" => ("subvol", size_bytes),
        other => {
            let text = format!(
                "unsupported format '{other}' at /usr/share/perl5/PVE/Storage/ZFSPoolPlugin.pm line 292."
            );
            return Err(ApiError::died(text));
        }
    };
    if file.starts_with(&format!("{prefix}-{vmid}-")) {
        return Ok((file.to_owned(), size_bytes));
    }
    let text = format!("illegal name '{file}' - should be '{prefix}-{vmid}-*'");
    Err(ApiError::died(text))
}

/// An image in a folder has the ending of what it is; whose it is its name need not say.
fn check_ending(format: &str, file: &str) -> Result<(), ApiError> {
    if file.starts_with("snap-") && file.ends_with(".qcow2") {
        let text = format!("'{file}' is a snapshot filename, not a volume!");
        return Err(ApiError::died(text));
    }
    let Some(ending) = image_name::ending_of(file) else {
        let text = format!("unable to parse volume filename '{file}'");
        return Err(ApiError::died(text));
    };
    if ending == format {
        return Ok(());
    }
    // The odd quoting is PVE's.
    let text =
        format!("illegal name '{file}' - wrong extension for format ('{ending} != '{format}')");
    Err(ApiError::died(text))
}

/// A folder in place of a disk has no size.
fn check_sized(kind: &str, format: &str, size_bytes: u64) -> Result<(), ApiError> {
    let text = match kind {
        "btrfs" => {
            "btrfs quotas are currently not supported, use an unsized subvolume or a raw file"
        }
        _ => "storage does not support subvol quotas",
    };
    if format == "subvol" && size_bytes > 0 && kind != "zfspool" {
        return Err(ApiError::died(text));
    }
    Ok(())
}

/// What is said of an image that is there already.
fn taken(world: &World, storage: &str, name: &str) -> ApiError {
    let Some(found) = world.storage(storage) else {
        return ApiError::died(format!("storage '{storage}' does not exist"));
    };
    if found.kind == "zfspool" {
        let pool = found.options.get("pool").unwrap_or(&found.id);
        let text = format!("zfs error: cannot create '{pool}/{name}': dataset already exists");
        return ApiError::died(text);
    }
    let place = found.image_place(name);
    ApiError::died(format!("disk image '{place}' already exists"))
}

/// Makes an image under a given name.
pub(super) fn allocate(call: &mut Call<'_>) -> Outcome {
    let id = call.text("storage").unwrap_or_default();
    let found = storage::require(call.world, &id, &call.node)?;
    let (shared, kind) = (found.shared, found.kind.clone());
    let default = found.options.get("format");
    let default = default.map_or("raw", String::as_str).to_owned();
    let vmid = call
        .number("vmid")
        .and_then(|id| u32::try_from(id).ok())
        .unwrap_or_default();
    let file = call.text("filename").unwrap_or_default();
    let ending = file.rsplit_once('.').map(|(_, ending)| ending.to_owned());
    let named = ending.filter(|ending| matches!(ending.as_str(), "raw" | "qcow2" | "vmdk"));
    if let (Some(given), Some(named)) = (call.text("format"), &named)
        && given != *named
    {
        let text = format!("different storage formats ({given} != {named})");
        return Err(ApiError::parameter("format", text).into());
    }
    let text = call.text("size").unwrap_or_default();
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let size_bytes =
        parse_size(&if digits { format!("{text}K") } else { text }).unwrap_or_default();
    let format = named.or_else(|| call.text("format")).unwrap_or(default);
    let (name, size_bytes) = if kind == "zfspool" {
        in_pool(&format, vmid, &file, size_bytes)?
    } else {
        check_ending(&format, &file)?;
        (format!("{vmid}/{file}"), size_bytes)
    };
    let volid = format!("{id}:{name}");
    if call.world.volume(&volid, &call.node).is_some() {
        return Err(taken(call.world, &id, &name).into());
    }
    check_sized(&kind, &format, size_bytes)?;
    call.world.volumes.push(Volume {
        storage: id,
        node: (!shared).then(|| call.node.clone()),
        vmid,
        name,
        size_bytes,
        ctime_s: call.now_ms / 1000,
        blank: true,
    });
    Ok(Value::String(volid).into())
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let volid = named(call)?;
    check_access(call.rights(), &volid, None, None)?;
    let (id, name) = volid.split_once(':').unwrap_or_default();
    let store = storage::require(call.world, id, &call.node)?;
    let path = store.volume_path(name);
    let whole = |bytes: u64| bytes.div_ceil(4096) * 4096;
    if let Some(volume) = call.world.volume(&volid, &call.node) {
        let used = storage::image_used(store, volume);
        let format = image_name::format_of(&store.kind, &volume.name);
        return Ok(
            json!({"path": path, "size": volume.size_bytes, "used": used, "format": format}).into(),
        );
    }
    let here = |node: &Option<String>| node.as_ref().is_none_or(|name| *name == call.node);
    let backup = call
        .world
        .backups
        .iter()
        .find(|backup| backup.volid() == volid && here(&backup.node));
    if let Some(backup) = backup {
        let size = backup.size_bytes;
        let mut row = json!({
            "path": path, "size": size.div_ceil(512) * 512, "used": whole(size), "format": "raw",
            "protected": u8::from(backup.protected),
        });
        if let Some(notes) = &backup.notes {
            row["notes"] = notes.clone().into();
        }
        return Ok(row.into());
    }
    let template = call
        .world
        .templates
        .iter()
        .find(|t| t.volid() == volid && t.on(&call.node));
    let files = &call.world.stored_files;
    let file = files
        .iter()
        .find(|file| file.volid() == volid && file.on(&call.node));
    let size = template.map(|template| template.size_bytes);
    match size.or(file.map(|file| file.size_bytes)) {
        Some(size) => {
            Ok(json!({"path": path, "size": size.div_ceil(512) * 512, "used": whole(size), "format": "raw"}).into())
        }
        None => {
            Err(ApiError::died(format!("volume_size_info on '{volid}' failed - no format")).into())
        }
    }
}

/// Changes a backup's notes and protection.
pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    let volid = named(call)?;
    check_access(call.rights(), &volid, None, None)?;
    let (notes, protected) = (call.text("notes"), call.text("protected"));
    let node = call.node.clone();
    let here = |backup: &&mut super::super::world::Backup| {
        backup.volid() == volid && backup.node.as_ref().is_none_or(|name| *name == node)
    };
    let found = call.world.backups.iter_mut().find(here);
    let Some(backup) = found else {
        let attribute = if notes.is_some() {
            "notes"
        } else {
            "protected"
        };
        refuse_attribute(call, &volid, attribute)?;
        return Ok(Value::Null.into());
    };
    if let Some(notes) = notes {
        backup.notes = Some(notes).filter(|text| !text.is_empty());
    }
    if let Some(protected) = protected {
        backup.protected = protected == "1";
    }
    Ok(Value::Null.into())
}

/// What has no such attribute. A backup that is not there is none of it: its notes are written beside where it would be, and
/// nobody sees them (pve-storage, `DirPlugin.pm`, `update_volume_attribute`).
fn refuse_attribute(call: &Call<'_>, volid: &str, attribute: &str) -> Result<(), ApiError> {
    let (id, name) = volid.split_once(':').unwrap_or_default();
    let store = storage::require(call.world, id, &call.node)?;
    if !matches!(
        store.kind.as_str(),
        "dir" | "btrfs" | "nfs" | "cifs" | "cephfs"
    ) {
        let kind = &store.kind;
        let text = format!("attribute '{attribute}' is not supported for storage type '{kind}'");
        return Err(ApiError::died(text));
    }
    let other = match name.split_once('/') {
        Some(("backup", file)) if !file.is_empty() && !file.contains('/') => return Ok(()),
        Some(("vztmpl" | "iso" | "snippets" | "import", _)) => true,
        Some((vmid, _)) => vmid.parse::<u32>().is_ok(),
        None => false,
    };
    let text = match (other, attribute) {
        (false, _) => format!("unable to parse directory volume name '{name}'"),
        (true, "notes") => "only backups can have notes".to_owned(),
        (true, _) => format!("only backups support attribute '{attribute}'"),
    };
    Err(ApiError::died(text))
}

pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    if let Some(upid) = call.progress.task.clone() {
        return deleted(call, &upid);
    }
    let volid = named(call)?;
    let id = volid.split(':').next().unwrap_or_default();
    storage::require(call.world, id, &call.node)?;
    let Parsed { kind, owner } = volume_name::parse(call.world, &volid)?;
    let place = format!("/storage/{id}");
    match owner.filter(|_| kind == "backup") {
        Some(vmid) => {
            call.rights().need(&place, &["Datastore.AllocateSpace"])?;
            call.rights()
                .need(&format!("/vms/{vmid}"), &["VM.Backup"])?;
        }
        None => call.rights().need(&place, &["Datastore.Allocate"])?,
    }
    let shown = owner.map_or_else(|| id.to_owned(), |vmid| format!("{vmid}@{id}"));
    let node = call.node.clone();
    let work = Work::DeleteVolume {
        node: node.clone(),
        volid,
    };
    let place = (node.as_str(), "imgdel", shown.as_str());
    let upid = worker::spawn_on(call.world, place, None, &call.caller.id, work, call.now_ms);
    let delay_ms = call.number("delay").unwrap_or_default() * 1000;
    if delay_ms == 0 {
        return Ok(Value::String(upid.to_string()).into());
    }
    call.progress.task = Some(upid.clone());
    let until_ms = call.now_ms + delay_ms;
    let upid = Box::new(upid);
    Err(Stop::Park(Wait::Task { upid, until_ms }))
}

/// The removal was waited for: what became of it, or the task that goes on.
fn deleted(call: &Call<'_>, upid: &Upid) -> Outcome {
    let task = call.world.tasks.iter().find(|task| task.upid == *upid);
    match task.and_then(|task| task.exit()) {
        None => Ok(Value::String(upid.to_string()).into()),
        Some(exit) if exit == "OK" || exit.starts_with("WARNINGS: ") => Ok(Value::Null.into()),
        Some(exit) => Err(ApiError::died(exit).into()),
    }
}

/// Which backups a rule would keep and which not.
fn judged(call: &Call<'_>) -> Result<Vec<Value>, ApiError> {
    let id = call.text("storage").unwrap_or_default();
    let store = call.world.storage(&id);
    let store = store.ok_or_else(|| ApiError::died(format!("storage '{id}' does not exist")))?;
    if !store.holds("backup") {
        let text = format!("storage '{id}' does not support backups");
        return Err(ApiError::died(text));
    }
    let rule = call
        .text("prune-backups")
        .or_else(|| store.options.get("prune-backups").cloned());
    let Some(rule) = rule else {
        let text = format!("no prune-backups options configured for storage '{id}'");
        return Err(ApiError::died(text));
    };
    storage::require(call.world, &id, &call.node)?;
    let rule = Rule::parse(&rule);
    let vmid = call.number("vmid");
    // There are backups of containers only.
    let wanted = call.text("type").is_none_or(|kind| kind == "lxc");
    let mut backups: Vec<_> = call
        .world
        .backups
        .iter()
        .filter(|b| wanted && b.storage == id)
        .filter(|b| b.node.as_ref().is_none_or(|name| *name == call.node))
        .filter(|b| vmid.is_none_or(|vmid| vmid == u64::from(b.vmid)))
        .collect();
    backups.sort_by_key(|backup| std::cmp::Reverse(backup.ctime_s));
    let mut guests: Vec<u32> = backups.iter().map(|backup| backup.vmid).collect();
    guests.sort_unstable();
    guests.dedup();
    let rows = guests.into_iter().flat_map(|vmid| {
        let own = backups.iter().filter(|backup| backup.vmid == vmid);
        let made: Vec<(u64, bool)> = own.clone().map(|b| (b.ctime_s, b.protected)).collect();
        own.zip(rule.marks(&made)).map(|(backup, mark)| {
            json!({
                "volid": backup.volid(), "ctime": backup.ctime_s, "vmid": vmid, "type": "lxc", "mark": mark.word(),
            })
        })
        .collect::<Vec<_>>()
    });
    Ok(rows.collect())
}

pub(super) fn prune_preview(call: &mut Call<'_>) -> Outcome {
    Ok(Value::Array(judged(call)?).into())
}

/// Those of one guest need a right on it, those of all the right to the whole storage.
fn check_prune(call: &Call<'_>) -> Result<(), ApiError> {
    let place = format!("/storage/{}", call.text("storage").unwrap_or_default());
    let Some(vmid) = call.text("vmid") else {
        return call.rights().need(&place, &["Datastore.Allocate"]);
    };
    call.rights().need(&place, &["Datastore.AllocateSpace"])?;
    let guest = format!("/vms/{vmid}");
    call.rights().need(&guest, &["VM.Backup"])
}

pub(super) fn prune(call: &mut Call<'_>) -> Outcome {
    check_prune(call)?;
    let node = call.node.clone();
    let work = match judged(call) {
        Ok(rows) => {
            let condemned = rows.iter().filter(|row| row["mark"] == "remove");
            let volids = condemned.filter_map(|row| row["volid"].as_str().map(str::to_owned));
            Work::Prune {
                volids: volids.collect(),
            }
        }
        // It is judged in the task, which says what is wrong.
        Err(ApiError::Died(error)) => Work::Fail {
            log: Vec::new(),
            error,
        },
        Err(error) => return Err(error.into()),
    };
    let id = call.text("vmid").unwrap_or_default();
    let id = if id.is_empty() {
        call.text("storage").unwrap_or_default()
    } else {
        format!("{id}@{}", call.text("storage").unwrap_or_default())
    };
    let place = (node.as_str(), "prunebackups", id.as_str());
    let upid = worker::spawn_on(call.world, place, None, &call.caller.id, work, call.now_ms);
    Ok(Value::String(upid.to_string()).into())
}
