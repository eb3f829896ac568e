//! Giving a volume to another container.

use serde_json::Value;

use super::super::call::{Call, Outcome};
use super::super::disks::Feature;
use super::super::error::ApiError;
use super::super::guest::GuestKey;
use super::super::guest_config::volume_of;
use super::super::sections::check_digest;
use super::super::task::Work;
use super::super::worker;
use super::super::world::Guest;

/// The volume that is meant, and the container that gets it.
struct Meant {
    vmid: u32,
    disk: String,
    to: u32,
    to_disk: String,
}

impl Meant {
    fn of(call: &Call<'_>) -> Self {
        let disk = call.text("volume").unwrap_or_default();
        let number = |name: &str| call.number(name).and_then(|id| u32::try_from(id).ok());
        Self {
            vmid: number("vmid").unwrap_or_default(),
            to: number("target-vmid").unwrap_or_default(),
            to_disk: call.text("target-volume").unwrap_or_else(|| disk.clone()),
            disk,
        }
    }
}

fn is_unused(disk: &str) -> bool {
    disk.starts_with("unused")
}

fn locked(guest: &Guest) -> Result<(), ApiError> {
    super::guest_lock(guest).map_or(Ok(()), Err)
}

/// Both containers, on this node, unlocked and no templates.
fn both<'a>(call: &'a Call<'_>, meant: &Meant) -> Result<(&'a Guest, &'a Guest), ApiError> {
    let Meant { vmid, to, .. } = meant;
    let find = |vmid: &u32| {
        let found = call.world.guests.get(vmid);
        found.ok_or_else(|| ApiError::died(format!("could not find CT {vmid}")))
    };
    let (source, target) = (find(vmid)?, find(to)?);
    if source.node != target.node {
        return Err(ApiError::died(format!(
            "Both containers need to be on the same node ({} != {})",
            source.node, target.node
        )));
    }
    if source.node != call.node {
        return Err(ApiError::no_config(&call.node, *vmid));
    }
    locked(source)?;
    locked(target)?;
    if source.config.flag("template") || target.config.flag("template") {
        return Err(ApiError::died("Can't move volumes from or to template CT"));
    }
    for (vmid, name, guest) in [(vmid, "digest", source), (to, "target-digest", target)] {
        let given = call.text(name);
        check_digest(given.as_deref(), &guest.config.digest())
            .map_err(|error| ApiError::died(format!("Container {vmid}: {}", error.text())))?;
    }
    Ok((source, target))
}

/// All that has to be right, in PVE's order; the volume.
fn check(call: &Call<'_>, meant: &Meant) -> Result<String, ApiError> {
    let Meant {
        vmid,
        disk,
        to,
        to_disk,
    } = meant;
    let refused = |text: String| Err(ApiError::died(text));
    if disk == "rootfs" || to_disk == "rootfs" {
        return refused("Cannot move to/from 'rootfs'".into());
    }
    if is_unused(disk) && !is_unused(to_disk) {
        return refused("Moving an unused volume to a used one is not possible".into());
    }
    let (source, target) = both(call, meant)?;
    let Some(value) = source.config.get(disk) else {
        return refused(format!(
            "volume '{disk}' for container '{vmid}' does not exist"
        ));
    };
    if target.config.get(to_disk).is_some() {
        return refused(format!(
            "Target volume key '{to_disk}' is already in use for container '{to}'"
        ));
    }
    let volid = volume_of(value).to_owned();
    let mut kept = source
        .snapshots
        .values()
        .flat_map(|snapshot| snapshot.keys.values());
    if kept.any(|value| volume_of(value) == volid) {
        return refused("Cannot move volume used by a snapshot to another container".into());
    }
    if !call.world.volume_can(Feature::Rename, &volid, false) {
        return refused("Storage does not support moving of this disk to another container".into());
    }
    if source.is_running() && !is_unused(disk) {
        let text =
            "Cannot move in-use volume while the source CT is running - detach or shutdown first";
        return refused(text.into());
    }
    Ok(volid)
}

pub(super) fn reassign(call: &mut Call<'_>) -> Outcome {
    let meant = Meant::of(call);
    if !call.caller.is_root() {
        let place = format!("/vms/{}", meant.to);
        call.rights().need(&place, &["VM.Config.Disk"])?;
    }
    let node = call.node.clone();
    let key = |vmid| GuestKey {
        node: node.clone(),
        vmid,
    };
    call.look_at(&[key(meant.vmid), key(meant.to)])?;
    let volid = check(call, &meant)?;
    let storage = volid.split(':').next().unwrap_or_default();
    call.rights()
        .need(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    let id = format!(
        "{}-{}>{}-{}",
        meant.vmid, meant.disk, meant.to, meant.to_disk
    );
    let work = Work::Reassign {
        disk: meant.disk,
        to: meant.to,
        to_disk: meant.to_disk,
    };
    let place = (node.as_str(), "move_volume", id.as_str());
    let lock = Some(key(meant.vmid));
    let upid = worker::spawn_on(call.world, place, lock, &call.caller.id, work, call.now_ms);
    Ok(Value::String(upid.to_string()).into())
}
