//! Clones, templates and features of containers.

use serde_json::{Value, json};

use super::super::bridges::check_bridge;
use super::super::call::{Call, Outcome};
use super::super::disks::Feature;
use super::super::error::ApiError;
use super::super::firewall;
use super::super::guest::GuestKey;
use super::super::guest_config::{
    GuestConfig, is_net_key, is_volume_key, mount_kind, normal_description, volume_of,
};
use super::super::task::{ClonePlan, Work};
use super::super::worker;
use super::super::world::{Guest, Power, Snapshot};
use super::{check_quorum, guest_lock, require_guest, start_task};

/// Whether a container's storage can do something.
pub(super) fn feature(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    let guest = require_guest(call, &key)?;
    let config = match call.text("snapname") {
        None => guest.config.clone(),
        Some(name) => GuestConfig {
            keys: super::lxc_snapshot::find(guest, &name)?.keys.clone(),
            ..GuestConfig::default()
        },
    };
    call.world.check_names(&config).map_err(ApiError::died)?;
    let snapshot = call.text("snapname").is_some();
    let able = match call.text("feature").as_deref() {
        Some("snapshot") => call.world.config_can(Feature::Snapshot, &config, snapshot),
        Some("clone") => call.world.config_can(Feature::Clone, &config, snapshot),
        Some("copy") => call.world.config_can(Feature::Copy, &config, snapshot),
        _ => false,
    };
    Ok(json!({"hasFeature": u8::from(able)}).into())
}

/// The answer comes at once, the conversion goes on as a task of its own.
pub(super) fn template(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    call.await_lock(&key)?;
    require_guest(call, &key)?;
    call.look_at(std::slice::from_ref(&key))?;
    let guest = require_guest(call, &key)?;
    if let Some(lock) = guest.config.get("lock") {
        return Err(ApiError::died(format!("CT is locked ({lock})")).into());
    }
    if !guest.snapshots.is_empty() {
        let text = "unable to create template, because CT contains snapshots";
        return Err(ApiError::died(text).into());
    }
    if guest.config.flag("template") {
        return Err(ApiError::died("you can't convert a template to a template").into());
    }
    if guest.is_running() {
        return Err(
            ApiError::died("you can't convert a CT to template if the CT is running").into(),
        );
    }
    start_task(call, "vztemplate", Work::Template)?;
    Ok(Value::Null.into())
}

/// The pool and the node a copy goes to, if given and if they exist.
fn destination(call: &Call<'_>, node: &str) -> Result<(Option<String>, Option<String>), ApiError> {
    let pool = call.text("pool");
    if let Some(name) = pool
        .as_ref()
        .filter(|name| !call.world.pools.contains_key(*name))
    {
        return Err(ApiError::denied(format!("pool '{name}' does not exist")));
    }
    let target = call
        .text("target")
        .filter(|name| *name != node && name != "localhost");
    if let Some(name) = target
        .as_ref()
        .filter(|name| call.world.node(name).is_none())
    {
        return Err(ApiError::died(format!("no such cluster node '{name}'")));
    }
    Ok((pool, target))
}

/// The source, not locked, and the id of the copy, not taken.
fn source(call: &mut Call<'_>, key: &GuestKey) -> Result<(Guest, u32), super::super::call::Stop> {
    call.await_lock(key)?;
    require_guest(call, key)?;
    call.look_at(std::slice::from_ref(key))?;
    let guest = require_guest(call, key)?.clone();
    if let Some(lock) = guest_lock(&guest) {
        return Err(lock.into());
    }
    let newid = call
        .number("newid")
        .and_then(|id| u32::try_from(id).ok())
        .unwrap_or_default();
    match call.world.guests.get(&newid) {
        Some(taken) => {
            let text = format!("CT {newid} already exists on node '{}'", taken.node);
            Err(ApiError::died(text).into())
        }
        None => Ok((guest, newid)),
    }
}

pub(super) fn clone(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    let (pool, target) = destination(call, &key.node)?;
    let storage = call.text("storage");
    check_target_storage(call, storage.as_deref(), &key.node, target.as_deref())?;
    check_quorum(call)?;
    let (guest, newid) = source(call, &key)?;
    let snapshot = call.text("snapname");
    let template = guest.config.flag("template");
    let full = call.text("full").map_or(!template, |text| text == "1");
    if storage.is_some() && !full {
        let text = "parameter 'storage' not allowed for linked clones";
        return Err(ApiError::died(text).into());
    }
    let config = match &snapshot {
        Some(name) => of_snapshot(super::lxc_snapshot::find(&guest, name)?),
        None => GuestConfig {
            keys: guest.config.keys.clone(),
            raw: guest.config.raw.clone(),
            ..GuestConfig::default()
        },
    };
    let wish = Wish {
        full,
        of_snapshot: snapshot.is_some(),
        storage: storage.as_deref(),
        target: target.as_deref(),
    };
    check_parts(call, &config, &guest, &wish)?;
    let config = copied(call, config);
    let new = GuestKey {
        node: key.node.clone(),
        vmid: newid,
    };
    reserve(call, &key, &new, &guest);
    firewall::copy(&mut call.world.firewall, key.vmid, newid);
    let plan = ClonePlan {
        new,
        config,
        snapshot,
        storage,
        full,
        pool,
        target: target.unwrap_or_else(|| key.node.clone()),
    };
    let id = key.vmid.to_string();
    let work = Work::Clone(Box::new(plan));
    let place = (key.node.as_str(), "vzclone", id.as_str());
    let source = Some(key.clone());
    let upid = worker::spawn_on(
        call.world,
        place,
        source,
        &call.caller.id,
        work,
        call.now_ms,
    );
    Ok(Value::String(upid.to_string()).into())
}

/// What a snapshot kept, described as the snapshot is.
fn of_snapshot(snapshot: &Snapshot) -> GuestConfig {
    let mut config = super::lxc_snapshot::config_of(snapshot);
    if !snapshot.description.is_empty() {
        let text = snapshot.description.clone();
        config.keys.insert("description".into(), text);
    }
    config
}

fn check_target_storage(
    call: &Call<'_>,
    storage: Option<&str>,
    node: &str,
    target: Option<&str>,
) -> Result<(), ApiError> {
    let Some(id) = storage else { return Ok(()) };
    let found = super::storage::require(call.world, id, node)?;
    if let Some(target) = target {
        super::storage::require(call.world, id, target)?;
        if !found.shared {
            return Err(ApiError::died(format!(
                "can't clone to non-shared storage '{id}'"
            )));
        }
    }
    Ok(())
}

/// What a clone is asked to be.
struct Wish<'a> {
    full: bool,
    of_snapshot: bool,
    storage: Option<&'a str>,
    target: Option<&'a str>,
}

/// Volumes that can be copied and bridges that may be used, in the order of their keys.
fn check_parts(
    call: &Call<'_>,
    config: &GuestConfig,
    guest: &Guest,
    wish: &Wish<'_>,
) -> Result<(), ApiError> {
    let mut all_shared = true;
    for (key, value) in &config.keys {
        if is_net_key(key) {
            check_bridge(call.rights(), value)?;
        } else if is_volume_key(key) {
            all_shared &= check_volume(call, guest, (key, value), wish)?;
        }
    }
    match wish.target.filter(|_| !all_shared) {
        Some(target) => Err(ApiError::died(format!(
            "can't clone CT to node '{target}' (CT uses local storage)"
        ))),
        None => Ok(()),
    }
}

/// Whether the copy of a volume is on shared storage.
fn check_volume(
    call: &Call<'_>,
    guest: &Guest,
    (key, value): (&str, &str),
    wish: &Wish<'_>,
) -> Result<bool, ApiError> {
    let volid = volume_of(value);
    if let Some(kind) = mount_kind(volid) {
        return Err(ApiError::died(format!(
            "unable to clone mountpoint '{key}' (type {kind})"
        )));
    }
    let own = volid.split(':').next().unwrap_or_default();
    let id = wish.storage.unwrap_or(own);
    let found = call
        .world
        .storage(id)
        .ok_or_else(|| ApiError::died(format!("storage '{id}' does not exist")))?;
    call.rights()
        .need(&format!("/storage/{id}"), &["Datastore.AllocateSpace"])?;
    if wish.full && guest.is_running() && !wish.of_snapshot {
        let text = "Full clone of a running container is only possible from a snapshot";
        return Err(ApiError::died(text));
    }
    if !wish.full
        && !call
            .world
            .volume_can(Feature::Clone, volid, wish.of_snapshot)
    {
        return Err(ApiError::died(format!(
            "Linked clone feature for '{volid}' is not available"
        )));
    }
    Ok(found.shared)
}

/// The copy's configuration: other network addresses, name and description as given, nothing of the
/// source's snapshots.
fn copied(call: &mut Call<'_>, mut config: GuestConfig) -> GuestConfig {
    config.keys.retain(|key, _| {
        !matches!(key.as_str(), "lock" | "parent" | "template") && !key.starts_with("unused")
    });
    worker::new_addresses(call.world, &mut config.keys);
    if let Some(name) = call.text("hostname").filter(|name| !name.is_empty()) {
        config.keys.insert("hostname".into(), name);
    }
    if let Some(text) = call.text("description").filter(|text| !text.is_empty()) {
        config
            .keys
            .insert("description".into(), normal_description(&text));
    }
    config
}

/// Both configurations are marked before the call is answered.
fn reserve(call: &mut Call<'_>, key: &GuestKey, new: &GuestKey, guest: &Guest) {
    if let Some(source) = call.world.guest_mut(key) {
        source.config.keys.insert("lock".into(), "disk".into());
    }
    let config = GuestConfig {
        keys: [("lock".to_owned(), "create".to_owned())].into(),
        ..GuestConfig::default()
    };
    call.world.guests.insert(
        new.vmid,
        Guest {
            node: new.node.clone(),
            config,
            power: Power::Stopped,
            snapshots: std::collections::BTreeMap::new(),
            template: guest.template.clone(),
            created_ms: call.now_ms,
            broadcast: None,
            broadcast_ms: 0,
            row: None,
            scenery: false,
        },
    );
}
