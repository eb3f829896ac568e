//! `/storage` and `/nodes/{node}/storage`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::image_name::{self, Form};
use super::super::world::{Backup, Storage, Volume, World};
use super::cluster::fields;
use super::{storage_config, volumes};
use crate::schema::split_list;

/// What a dataset takes in which nothing was written yet.
const EMPTY_DATASET_BYTES: u64 = 96 << 10;

/// What a call says about a storage that is not there, or not on this node.
pub(super) fn require<'a>(world: &'a World, id: &str, node: &str) -> Result<&'a Storage, ApiError> {
    let storage = world
        .storage(id)
        .ok_or_else(|| ApiError::died(format!("storage '{id}' does not exist")))?;
    if storage.is_disabled() {
        return Err(ApiError::died(format!("storage '{id}' is disabled")));
    }
    if storage.on(node) {
        return Ok(storage);
    }
    Err(ApiError::died(format!(
        "storage '{id}' is not available on node '{node}'"
    )))
}

/// Storages of a node the caller may see.
pub(super) fn visible<'a>(
    call: &'a Call<'_>,
    node: &'a str,
) -> impl Iterator<Item = &'a Storage> + 'a {
    let seen = |storage: &&Storage| {
        let path = format!("/storage/{}", storage.id);
        call.may(&path, "Datastore.Audit") || call.may(&path, "Datastore.AllocateSpace")
    };
    call.world
        .storages
        .iter()
        .filter(|storage| storage.usable(node))
        .filter(seen)
}

/// What images take: by storage, and by the node whose disk they are on; those of shared storages have none.
pub(super) struct Used<'a>(BTreeMap<(&'a str, Option<&'a str>), u64>);

impl<'a> Used<'a> {
    /// Of all images. They are sparse: what a container writes is not known here, so only the file system's own blocks
    /// count.
    pub(super) fn of(world: &'a World) -> Self {
        let mut used = BTreeMap::new();
        for volume in world.volumes.iter() {
            let place = (volume.storage.as_str(), volume.node.as_deref());
            let taken = world
                .storage(&volume.storage)
                .map(|found| image_used(found, volume));
            *used.entry(place).or_default() += taken.unwrap_or_default();
        }
        Self(used)
    }

    /// Bytes in use: the store's own and all its images.
    fn bytes(&self, storage: &'a Storage, node: &'a str) -> u64 {
        let node = (!storage.shared).then_some(node);
        let images = self.0.get(&(storage.id.as_str(), node)).copied();
        (storage.used_bytes + images.unwrap_or(0)).min(storage.total_bytes)
    }
}

fn content_list(storage: &Storage) -> String {
    storage.content.join(",")
}

/// A row of `/cluster/resources`.
pub(super) fn resource<'a>(
    used: &Used<'a>,
    storage: &'a Storage,
    node: &'a str,
    fresh: bool,
) -> Value {
    let mut row = json!({
        "id": format!("storage/{node}/{}", storage.id), "type": "storage", "storage": storage.id, "node": node,
        "status": "available", "plugintype": storage.kind, "content": content_list(storage),
        "shared": u8::from(storage.shared),
    });
    if fresh {
        row["disk"] = used.bytes(storage, node).into();
        row["maxdisk"] = storage.total_bytes.into();
    } else {
        row["status"] = "unknown".into();
    }
    row
}

/// What an image takes on its disk: one block when nothing was ever written, else the file system's
/// own blocks; what a container writes is not known here. Of a folder it is never known.
pub(super) fn image_used(storage: &Storage, volume: &Volume) -> u64 {
    let pool = storage.kind == "zfspool";
    match Form::of(&storage.kind, &volume.name) {
        Form::Subvolume if pool => EMPTY_DATASET_BYTES,
        Form::Subvolume => 0,
        Form::Raw if volume.blank => 4096,
        Form::Raw => (volume.size_bytes / 32).next_multiple_of(4096),
    }
}

/// A row of a list of images. ZFS says what it is called in the pool, and neither when it was made nor what it takes.
fn image_row(storage: &Storage, volume: &Volume, content: &str) -> Value {
    let format = image_name::format_of(&storage.kind, &volume.name);
    let mut row = json!({
        "volid": volume.volid(), "content": content, "format": format, "vmid": volume.vmid, "parent": null,
        "size": volume.size_bytes,
    });
    if storage.kind == "zfspool" {
        row["name"] = image_name::file_of(&volume.name).into();
        if let Some(base) = image_name::shares_with(&storage.kind, &volume.name) {
            row["parent"] = format!("{base}@__base__").into();
        }
    } else {
        row["used"] = image_used(storage, volume).into();
        row["ctime"] = volume.ctime_s.into();
    }
    row
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let digest = storage_config::digest(call.world);
    let kind = call.text("type");
    let rows = call.world.storages.iter().filter(|storage| {
        may_list(call, storage) && kind.as_deref().is_none_or(|kind| kind == storage.kind)
    });
    let rows = rows.map(|storage| storage_config::row(storage, &digest));
    Ok(rows.collect::<Value>().into())
}

fn may_list(call: &Call<'_>, storage: &Storage) -> bool {
    let path = format!("/storage/{}", storage.id);
    call.may(&path, "Datastore.Audit") || call.may(&path, "Datastore.AllocateSpace")
}

/// A storage as a node knows it: one that it does not have is there, and empty.
fn status_of(used: &Used<'_>, storage: &Storage, node: &str) -> Map<String, Value> {
    let there = storage.usable(node);
    let mut row = fields(json!({
        "type": storage.kind, "content": content_list(storage), "shared": u8::from(storage.shared),
        "active": u8::from(there), "enabled": u8::from(there), "total": 0, "used": 0, "avail": 0,
    }));
    if there {
        let used = used.bytes(storage, node);
        row.insert("total".into(), storage.total_bytes.into());
        row.insert("used".into(), used.into());
        let free = storage.total_bytes.saturating_sub(used);
        row.insert("avail".into(), free.into());
    }
    row
}

/// What a storage can keep images as, where that was asked for.
fn formats(storage: &Storage) -> Map<String, Value> {
    let known: &[&str] = match storage.kind.as_str() {
        "dir" => &["qcow2", "raw", "subvol", "vmdk"],
        "btrfs" | "zfspool" => &["raw", "subvol"],
        _ => &["raw"],
    };
    let valid: Map<String, Value> = known
        .iter()
        .map(|name| ((*name).to_owned(), 1.into()))
        .collect();
    let default = storage.options.get("format").map_or("raw", String::as_str);
    fields(json!({
        "formats": {"supported": known, "default": default}, "format": [valid, default],
    }))
}

fn no_storage() -> ApiError {
    ApiError::parameter("storage", "No such storage.")
}

pub(super) fn node_list(call: &mut Call<'_>) -> Outcome {
    let (content, id) = (call.text("content"), call.text("storage"));
    let (node, enabled, with_formats) = (&call.node, call.flag("enabled"), call.flag("format"));
    let target = call.text("target");
    let target = target.filter(|target| target != node && target != "localhost");
    let holds = |storage: &&Storage| {
        content.as_deref().is_none_or(|list| {
            let wanted = split_list(list);
            storage.usable(node) && wanted.iter().any(|content| storage.holds(content))
        })
    };
    let found: Vec<&Storage> = call.world.storages.iter().filter(holds).collect();
    if id
        .as_ref()
        .is_some_and(|id| found.iter().all(|storage| storage.id != *id))
    {
        return Err(no_storage().into());
    }
    let used = Used::of(call.world);
    let reached = |storage: &&&Storage| {
        target
            .as_ref()
            .is_none_or(|target| storage.shared && storage.on(node) && storage.on(target))
    };
    let rows = found
        .iter()
        .filter(|storage| may_list(call, storage))
        .filter(|storage| id.as_ref().is_none_or(|id| *id == storage.id))
        .filter(|storage| !(enabled && storage.is_disabled()))
        .filter(reached);
    let rows = rows.map(|storage| {
        let mut row = status_of(&used, storage, node);
        if storage.usable(node) {
            if with_formats {
                row.extend(formats(storage));
            }
            let used = used.bytes(storage, node);
            #[allow(clippy::cast_precision_loss)]
            let fraction = used as f64 / storage.total_bytes.max(1) as f64;
            row.insert("used_fraction".into(), fraction.into());
        }
        row.insert("storage".into(), storage.id.clone().into());
        Value::Object(row)
    });
    Ok(rows.collect::<Value>().into())
}

/// Of a storage that is not there PVE says so as of a wrong parameter.
pub(super) fn status(call: &mut Call<'_>) -> Outcome {
    let id = call.text("storage").unwrap_or_default();
    let Some(storage) = call.world.storage(&id) else {
        return Err(no_storage().into());
    };
    let used = Used::of(call.world);
    Ok(Value::Object(status_of(&used, storage, &call.node)).into())
}

/// Images and templates; images of guests the caller may not audit are left out.
pub(super) fn content(call: &mut Call<'_>) -> Outcome {
    let id = call.text("storage").unwrap_or_default();
    let storage = require(call.world, &id, &call.node)?;
    let wanted = call.text("content");
    let vmid = call.number("vmid");
    let asked =
        |name: &str| storage.holds(name) && wanted.as_deref().is_none_or(|wanted| wanted == name);
    let mut rows: Vec<Value> = Vec::new();
    let here = |node: &Option<String>| node.as_deref().is_none_or(|name| name == call.node);
    let of = |owner: u32| vmid.is_none_or(|vmid| vmid == u64::from(owner));
    let seen = |volid: &str| volumes::may_see(call.world, call.caller, volid);
    // What belongs to no container counts as a machine's.
    let kind = |volume: &Volume| match call.world.guests.contains_key(&volume.vmid) {
        true => "rootdir",
        false => "images",
    };
    let images = call.world.volumes.iter().filter(|volume| {
        let there = volume.storage == id && here(&volume.node) && of(volume.vmid);
        there && asked(kind(volume)) && seen(&volume.volid())
    });
    rows.extend(images.map(|volume| image_row(storage, volume, kind(volume))));
    if asked("backup") {
        let backups = call
            .world
            .backups
            .iter()
            .filter(|b| b.storage == id && here(&b.node));
        let backups = backups.filter(|backup| of(backup.vmid) && seen(&backup.volid()));
        rows.extend(backups.map(backup_row));
    }
    if vmid.is_none() {
        let files = call.world.stored_files.iter();
        let files =
            files.filter(|file| file.storage == id && file.on(&call.node) && asked(&file.content));
        rows.extend(files.filter(|file| seen(&file.volid())).map(|file| {
            json!({
                "volid": file.volid(), "content": file.content, "format": file.format(), "size": file.size_bytes,
                "ctime": file.ctime_s,
            })
        }));
    }
    if asked("vztmpl") && vmid.is_none() {
        let templates = call
            .world
            .templates
            .iter()
            .filter(|t| t.storage == id && t.on(&call.node));
        rows.extend(templates.filter(|t| seen(&t.volid())).map(|template| {
            json!({
                "volid": template.volid(), "content": "vztmpl", "format": archive_format(&template.file),
                "size": template.size_bytes, "ctime": template.ctime_s,
            })
        }));
    }
    Ok(Value::Array(rows).into())
}

/// A list shows the first line of the notes, and protection only where there is some.
fn backup_row(backup: &Backup) -> Value {
    let format = backup
        .file
        .find(".tar")
        .map_or("tar", |at| &backup.file[at + 1..]);
    let mut row = json!({
        "volid": backup.volid(), "content": "backup", "subtype": "lxc", "format": format, "vmid": backup.vmid,
        "size": backup.size_bytes, "ctime": backup.ctime_s,
    });
    if let Some(line) = backup.notes.as_ref().and_then(|notes| notes.lines().next()) {
        row["notes"] = line.into();
    }
    if backup.protected {
        row["protected"] = 1.into();
    }
    row
}

fn archive_format(file: &str) -> &'static str {
    match file.rsplit('.').next() {
        Some("zst") => "tzst",
        Some("gz") => "tgz",
        Some("xz") => "txz",
        Some("bz2") => "tbz2",
        Some(_) | None => "tar",
    }
}
