//! Growing and moving volumes of containers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::guest_config::{mount_kind, volume_of};
use super::super::task::Work;
use super::super::worker;
use super::config_rights::{self, Change};
use super::{guest_lock, require_guest, start_task};
use crate::schema::{Errors, parse_size};

/// What parsing an absent mount point says.
fn no_volume(key: &str) -> ApiError {
    let mut missing = vec!["volume"];
    if key != "rootfs" {
        missing.push("mp");
    }
    let text = "property is missing and it is not optional";
    let errors: Errors = missing
        .into_iter()
        .map(|name| (name.to_owned(), text.to_owned()))
        .collect();
    ApiError::Raised {
        status: 500,
        message: "format error".into(),
        errors,
    }
}

fn check_digest(call: &Call<'_>, found: &str) -> Result<(), ApiError> {
    match call.text("digest") {
        Some(digest) if !digest.is_empty() && digest != found => Err(ApiError::died(
            "detected modified configuration - file changed by other user? Try again.",
        )),
        _ => Ok(()),
    }
}

pub(super) fn resize(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    let disk = call.text("disk").unwrap_or_default();
    let text = call.text("size").unwrap_or_default();
    let guest = require_guest(call, &key)?.clone();
    if let Some(lock) = guest_lock(&guest) {
        return Err(lock.into());
    }
    let given = BTreeMap::from([("disk".to_owned(), disk.clone())]);
    let change = Change {
        vmid: key.vmid,
        pool: None,
        old: Some(&guest.config),
        new: &given,
        removed: &[],
        unprivileged: guest.config.flag("unprivileged"),
    };
    config_rights::check(call, &change)?;
    check_digest(call, &guest.config.digest())?;
    let value = guest.config.get(&disk).ok_or_else(|| no_volume(&disk))?;
    let volid = volume_of(value).to_owned();
    let storage = volid.split(':').next().unwrap_or_default();
    if mount_kind(&volid).is_some() {
        return Err(ApiError::died(format!("unable to parse volume ID '{volid}'")).into());
    }
    let owner = super::volume_name::parse(call.world, &volid)?.owner;
    if let Some(owner) = owner.filter(|owner| *owner != key.vmid) {
        let text = format!(
            "can't resize mount point owned by another container ({owner}) at /usr/share/perl5/PVE/API2/LXC.pm line 2386."
        );
        return Err(ApiError::died(text).into());
    }
    call.rights()
        .need(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    let Some(volume) = call.world.volume(&volid, &key.node) else {
        return Err(ApiError::died(format!("volume '{volid}' does not exist")).into());
    };
    let old_bytes = volume.size_bytes;
    let asked = parse_size(text.trim_start_matches('+')).unwrap_or_default();
    let size_bytes = if text.starts_with('+') {
        old_bytes.saturating_add(asked)
    } else {
        asked
    };
    if size_bytes < old_bytes {
        return Err(ApiError::died("unable to shrink disk size").into());
    }
    if size_bytes == old_bytes {
        return Err(ApiError::died("disk is already at specified size").into());
    }
    start_task(call, "resize", Work::Resize { disk, size_bytes })
}

/// A refusal of both parameters that say where a volume goes.
fn wrong_target(text: &str) -> ApiError {
    let names = ["storage", "target-vmid"].map(|name| (name.to_owned(), text.to_owned()));
    ApiError::Parameters(names.into())
}

pub(super) fn move_volume(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    let disk = call.text("volume").unwrap_or_default();
    let storage = call.text("storage");
    if storage.is_some() && call.text("target-vmid").is_some() {
        return Err(ApiError::died("either set storage or target-vmid, but not both").into());
    }
    if call.text("target-vmid").is_some() {
        return super::lxc_reassign::reassign(call);
    }
    let Some(storage) = storage else {
        let text = "both 'storage' and 'target-vmid' missing, either needs to be set";
        return Err(wrong_target(text).into());
    };
    call.rights()
        .need(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    call.await_lock(&key)?;
    require_guest(call, &key)?;
    call.look_at(std::slice::from_ref(&key))?;
    let guest = require_guest(call, &key)?.clone();
    if let Some(lock) = guest_lock(&guest) {
        return Err(lock.into());
    }
    if guest.is_running() {
        return Err(ApiError::died("cannot move volumes of a running container").into());
    }
    if disk.starts_with("unused") {
        let text = format!(
            "cannot move volume '{disk}', only configured volumes can be moved to another storage"
        );
        return Err(ApiError::died(text).into());
    }
    let value = guest.config.get(&disk).ok_or_else(|| no_volume(&disk))?;
    let old = volume_of(value);
    let delete = call.flag("delete");
    let kept = guest
        .snapshots
        .values()
        .any(|snapshot| snapshot.keys.values().any(|value| volume_of(value) == old));
    if delete && kept {
        let text = "you can't move a volume with snapshots and delete the source";
        return Err(ApiError::died(text).into());
    }
    check_digest(call, &guest.config.digest())?;
    super::lxc_config::check_write(call, &key)?;
    if let Some(guest) = call.world.guest_mut(&key) {
        guest.config.keys.insert("lock".into(), "disk".into());
    }
    let work = Work::MoveVolume {
        disk,
        storage,
        delete,
    };
    let id = key.vmid.to_string();
    let place = (key.node.as_str(), "move_volume", id.as_str());
    let upid = worker::spawn_on(call.world, place, None, &call.caller.id, work, call.now_ms);
    Ok(Value::String(upid.to_string()).into())
}
