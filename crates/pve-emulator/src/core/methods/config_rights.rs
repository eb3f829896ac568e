//! Which privilege each configuration key needs, and what no token may change at all.

use std::collections::BTreeMap;

use super::super::bridges::check_bridge;
use super::super::call::Call;
use super::super::datacenter::tag_rights;
use super::super::error::ApiError;
use super::super::guest_config::{GuestConfig, mount_kind, new_disk, parse_keys};
use super::volumes::check_access;
use crate::schema::split_list;

/// A change to check: the new values and the keys to be removed.
pub(super) struct Change<'a> {
    pub(super) vmid: u32,
    /// Rights on the pool count as well while the guest is not in it yet.
    pub(super) pool: Option<&'a str>,
    pub(super) old: Option<&'a GuestConfig>,
    pub(super) new: &'a BTreeMap<String, String>,
    pub(super) removed: &'a [String],
    pub(super) unprivileged: bool,
}

/// PVE's refusal of the first key the caller may not touch.
pub(super) fn check(call: &Call<'_>, change: &Change<'_>) -> Result<(), ApiError> {
    if call.caller.is_root() {
        return Ok(());
    }
    for key in change.new.keys() {
        check_key(call, change, key, false)?;
    }
    change
        .removed
        .iter()
        .try_for_each(|key| check_key(call, change, key, true))
}

fn family(key: &str) -> &str {
    key.trim_end_matches(|c: char| c.is_ascii_digit())
}

fn check_key(
    call: &Call<'_>,
    change: &Change<'_>,
    key: &str,
    removed: bool,
) -> Result<(), ApiError> {
    let need = |privilege: &str| vm_privilege(call, change, privilege);
    match family(key) {
        "cores" | "cpuunits" | "cpulimit" => need("VM.Config.CPU"),
        "memory" | "swap" => need("VM.Config.Memory"),
        "nameserver" | "searchdomain" | "hostname" => need("VM.Config.Network"),
        "net" => {
            need("VM.Config.Network")?;
            check_bridges(call, change, key)
        }
        "rootfs" | "mp" => {
            need("VM.Config.Disk")?;
            if removed {
                Ok(())
            } else {
                check_volume(call, change, key)
            }
        }
        "dev" => Err(ApiError::denied(
            "configuring device passthrough is only allowed for root@pam",
        )),
        "hookscript" => Err(ApiError::denied(
            "changing the hookscript is only allowed for root@pam",
        )),
        "features" => check_features(change, key, removed)
            .and_then(|nesting| if nesting { need("VM.Allocate") } else { Ok(()) }),
        "tags" => check_tags(call, change, removed),
        _ => need("VM.Config.Options"),
    }
}

/// Which tags come and go: reserved ones are for who may change the cluster. The pool is not looked at here.
fn check_tags(call: &Call<'_>, change: &Change<'_>, removed: bool) -> Result<(), ApiError> {
    let rights = call.rights();
    rights.need(&format!("/vms/{}", change.vmid), &["VM.Config.Options"])?;
    if rights.has("/", "Sys.Modify") {
        return Ok(());
    }
    let old = change.old.and_then(|config| config.get("tags"));
    let new = change.new.get("tags").filter(|_| !removed);
    let tags = |text: Option<&str>| -> Vec<String> {
        let text = text.unwrap_or_default();
        split_list(text).into_iter().map(str::to_owned).collect()
    };
    let (old, new) = (tags(old), tags(new.map(String::as_str)));
    let count = |list: &[String], tag: &str| list.iter().filter(|other| *other == tag).count();
    let known = tag_rights(rights);
    let mut changed = old
        .iter()
        .chain(&new)
        .filter(|tag| count(&old, tag) != count(&new, tag));
    let refused = changed
        .find(|tag| known.reserved.contains(*tag) || !(known.free || known.allowed.contains(*tag)));
    match refused {
        Some(tag) => {
            let text = format!("/, Sys.Modify for modifying tag '{tag}'");
            Err(ApiError::denied(text))
        }
        None => Ok(()),
    }
}

fn vm_privilege(call: &Call<'_>, change: &Change<'_>, privilege: &str) -> Result<(), ApiError> {
    if change
        .pool
        .is_some_and(|pool| call.may(&format!("/pool/{pool}"), privilege))
    {
        return Ok(());
    }
    call.rights()
        .need(&format!("/vms/{}", change.vmid), &[privilege])
}

/// The bridge a network device leaves, and the one it comes to. Of a device that had no bridge the new one is not looked at.
fn check_bridges(call: &Call<'_>, change: &Change<'_>, key: &str) -> Result<(), ApiError> {
    let old = change.old.and_then(|config| config.get(key));
    if let Some(old) = old.filter(|text| !text.is_empty())
        && !check_bridge(call.rights(), old)?
    {
        return Ok(());
    }
    if let Some(new) = change.new.get(key).filter(|text| !text.is_empty()) {
        check_bridge(call.rights(), new)?;
    }
    Ok(())
}

/// A volume to be made needs room in its storage, one that is there what its owner allows.
fn check_volume(call: &Call<'_>, change: &Change<'_>, key: &str) -> Result<(), ApiError> {
    let value = change.new.get(key).map(String::as_str).unwrap_or_default();
    let keys = parse_keys(key, value).map_err(|text| ApiError::died(text.trim_end()))?;
    let volume = keys.get("volume").map(String::as_str).unwrap_or_default();
    if let Some(kind) = mount_kind(volume) {
        return Err(ApiError::denied(format!(
            "mount point type {kind} is only allowed for root@pam"
        )));
    }
    match new_disk(volume) {
        Some((storage, _)) => call
            .rights()
            .need(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"]),
        None => check_access(call.rights(), volume, Some("rootdir"), Some(change.vmid)),
    }
}

/// Whether nesting changes; any other feature is for root@pam alone.
fn check_features(change: &Change<'_>, key: &str, removed: bool) -> Result<bool, ApiError> {
    if !change.unprivileged {
        return Err(ApiError::denied(
            "changing feature flags for privileged container is only allowed for root@pam",
        ));
    }
    let parse = |text: Option<&str>| {
        text.and_then(|text| parse_keys("features", text).ok())
            .unwrap_or_default()
    };
    let old = parse(change.old.and_then(|config| config.get(key)));
    let new = if removed {
        BTreeMap::default()
    } else {
        parse(change.new.get(key).map(String::as_str))
    };
    let mut changed = old
        .keys()
        .chain(new.keys())
        .filter(|name| old.get(*name) != new.get(*name));
    if changed.clone().any(|name| name != "nesting") {
        return Err(ApiError::denied(
            "changing feature flags (except nesting) is only allowed for root@pam",
        ));
    }
    Ok(changed.next().is_some())
}
