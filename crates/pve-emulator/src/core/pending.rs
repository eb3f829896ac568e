//! Bringing pending changes of a configuration into force: what becomes of the volumes that come, go and stay (pve-container,
//! `LXC/Config.pm`, `vmconfig_apply_pending`).

use std::collections::BTreeSet;

use super::guest::GuestKey;
use super::guest_config::{
    GuestConfig, gib_bytes, is_net_key, is_volume_key, mount_kind, new_disk, normal_net,
    normal_volume, parse_keys, printed_volume, volume_of,
};
use super::world::World;
use crate::schema::{Errors, format_size};

/// Applies what waits, or of it only `touched`, to a container that does not run; what could not be.
pub(crate) fn apply(
    world: &mut World,
    guest: &GuestKey,
    config: &mut GuestConfig,
    touched: Option<&BTreeSet<String>>,
    now_ms: u64,
) -> Errors {
    let meant = |key: &&String| touched.is_none_or(|touched| touched.contains(*key));
    let removed: Vec<String> = config
        .pending_delete
        .iter()
        .filter(meant)
        .cloned()
        .collect();
    let mut errors = Errors::new();
    let mut note = |key: &str, text: String| {
        let text = format!("unable to apply pending change {key} : {text}\n");
        errors.insert(key.to_owned(), text);
    };
    for key in removed {
        if let Err(text) = remove(world, guest, config, &key) {
            note(&key, text);
        }
    }
    config.clean_pending();
    let changed: Vec<String> = config.pending.keys().filter(meant).cloned().collect();
    for key in changed {
        let applied = match key.as_str() {
            mount if mount.starts_with("mp") => self::mount(world, guest, config, mount, now_ms),
            net if is_net_key(net) => renet(world, config, net),
            other => {
                put(config, other, None);
                Ok(())
            }
        };
        if let Err(text) = applied {
            note(&key, text);
        }
    }
    errors
}

/// Takes a key away. A mount point's volume stays as unused, an unused one goes, unless something still needs it or it is
/// another guest's. One that linked clones share with does not go, nor does its key.
pub(crate) fn remove(
    world: &mut World,
    guest: &GuestKey,
    config: &mut GuestConfig,
    key: &str,
) -> Result<(), String> {
    let value = config.keys.get(key).cloned().unwrap_or_default();
    let volid = volume_of(&value).to_owned();
    if key.starts_with("unused") {
        let own = world.volume(&volid, &guest.node);
        let own = own.is_some_and(|volume| volume.vmid == guest.vmid);
        if own && !is_used(world, guest, config, &volid) {
            world.check_free(&volid, &guest.node)?;
            world.free_volume(&volid, &guest.node);
        }
    }
    config.pending_delete.remove(key);
    let there = config.keys.remove(key).is_some();
    if there && is_volume_key(key) && mount_kind(&volid).is_none() {
        config.add_unused(&volid);
    }
    Ok(())
}

/// Whether the configuration mounts a volume, now or from the next start on, or one of its snapshots does.
fn is_used(world: &World, guest: &GuestKey, config: &GuestConfig, volid: &str) -> bool {
    let snapshots = world.guest(guest).map(|guest| &guest.snapshots);
    let kept = snapshots.into_iter().flat_map(|all| all.values());
    let mut named = config
        .keys
        .iter()
        .chain(&config.pending)
        .chain(kept.flat_map(|snapshot| &snapshot.keys));
    named.any(|(key, value)| is_volume_key(key) && volume_of(value) == volid)
}

/// A value as it comes back from the file: nothing of an empty description, one blank of anything else that is empty.
pub(crate) fn stored(key: &str, value: String) -> Option<String> {
    match (key, value.is_empty()) {
        (_, false) => Some(value),
        ("description" | "env", true) => None,
        (_, true) => Some(" ".to_owned()),
    }
}

/// A pending value is in force; in another form, if one is given.
fn put(config: &mut GuestConfig, key: &str, form: Option<String>) {
    let Some(value) = config.pending.remove(key) else {
        return;
    };
    let value = form.unwrap_or(value);
    match stored(key, value) {
        Some(value) => config.keys.insert(key.to_owned(), value),
        None => config.keys.remove(key),
    };
}

/// A network device in the form it is stored in.
pub(crate) fn renet(world: &mut World, config: &mut GuestConfig, key: &str) -> Result<(), String> {
    let value = config.pending.get(key).cloned().unwrap_or_default();
    let form = normal_net(key, &value, &mut world.random)?;
    put(config, key, Some(form));
    Ok(())
}

/// A mount point: its volume is made if it is to be, and the one that was there before stays as unused.
pub(crate) fn mount(
    world: &mut World,
    guest: &GuestKey,
    config: &mut GuestConfig,
    key: &str,
    now_ms: u64,
) -> Result<(), String> {
    let value = config.pending.get(key).cloned().unwrap_or_default();
    let volume = parse_keys(key, &value)?
        .remove("volume")
        .unwrap_or_default();
    let form = match new_disk(&volume) {
        Some((storage, gib)) => {
            let bytes = gib_bytes(gib);
            check_room(world, storage, &guest.node)?;
            let volid = world.make_volume(storage, guest, bytes, now_ms);
            normal_volume(key, &value, &volid, &format_size(bytes))?
        }
        None => match world
            .volume(&volume, &guest.node)
            .map(|found| found.size_bytes)
        {
            Some(bytes) => normal_volume(key, &value, &volume, &format_size(bytes))?,
            None => printed_volume(key, &value),
        },
    };
    let old = config.get(key).map(|old| volume_of(old).to_owned());
    put(config, key, Some(form));
    if let Some(old) = old.filter(|old| mount_kind(old).is_none()) {
        config.add_unused(&old);
    }
    Ok(())
}

/// Whether a volume can be made there.
pub(crate) fn check_room(world: &World, storage: &str, node: &str) -> Result<(), String> {
    let found = world
        .storage(storage)
        .ok_or_else(|| format!("storage '{storage}' does not exist"))?;
    // Of a pool of ZFS it is not asked.
    if !found.holds("rootdir") && found.kind != "zfspool" {
        return Err(format!(
            "content type 'rootdir' is not available or configured on storage '{storage}'"
        ));
    }
    if found.is_disabled() {
        return Err(format!("storage '{storage}' is disabled"));
    }
    if !found.on(node) {
        return Err(format!(
            "storage '{storage}' is not available on node '{node}'"
        ));
    }
    Ok(())
}
