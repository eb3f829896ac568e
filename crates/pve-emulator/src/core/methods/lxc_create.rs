//! Creating a container: the checks of the call, then the task.
//!
//! PVE looks for the vmid twice: when the call is checked, and when the configuration file is made
//! some tens of milliseconds later. Calls that arrive in between lose the race there, with a
//! different message; a node's daemon has three workers, so of many calls at once three are between
//! the two places and the others come after.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::call::{Call, Outcome, Stop};
use super::super::error::ApiError;
use super::super::guest::GuestKey;
use super::super::guest_config::{
    GuestConfig, normal_description, normal_net, normal_tags, parse_keys,
};
use super::super::park::{Wait, worker_free};
use super::super::task::{CreatePlan, Work};
use super::super::worker;
use super::super::world::{Guest, Power, World};
use super::config_rights::{self, Change};
use super::storage;

/// Between the two looks for the vmid.
const RACE_WINDOW_MS: u64 = 40;
/// How long another node does not know of a new configuration file yet.
const FILE_SPREAD_MS: u64 = 25;
const DEFAULT_ROOTFS_GIB: u64 = 4;
/// Parameters that are no configuration keys.
const NOT_CONFIG: [&str; 15] = [
    "node",
    "vmid",
    "ostemplate",
    "storage",
    "rootfs",
    "pool",
    "start",
    "restore",
    "force",
    "unique",
    "password",
    "ssh-public-keys",
    "bwlimit",
    "ignore-unpack-errors",
    "ha-managed",
];

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    if !call.progress.checked && !worker_free(call.world, &key.node) {
        return Err(Stop::Park(Wait::DaemonWorker { node: key.node }));
    }
    if !call.progress.checked {
        plan(call, &key)?;
        call.progress.checked = true;
        call.world.live.creating.insert(call.request, key.node);
        return Err(Stop::Park(Wait::Until(call.now_ms + RACE_WINDOW_MS)));
    }
    claim(call.world, &key, call.now_ms)?;
    let mut plan = plan(call, &key)?;
    fill_nets(call, &mut plan)?;
    let file = plan
        .template_volid
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let config = GuestConfig {
        keys: BTreeMap::from([("lock".into(), "create".into())]),
        ..GuestConfig::default()
    };
    call.world.guests.insert(
        key.vmid,
        Guest {
            node: key.node.clone(),
            config,
            power: Power::Stopped,
            template: file,
            created_ms: call.now_ms,
            broadcast: None,
            broadcast_ms: 0,
        },
    );
    let upid = worker::spawn(
        call.world,
        "vzcreate",
        &key,
        &call.caller.id,
        Work::Create(Box::new(plan)),
        call.now_ms,
    );
    Ok(Value::String(upid.to_string()).into())
}

/// The configuration file is made; too late if somebody else made it since the check.
fn claim(world: &World, key: &GuestKey, now_ms: u64) -> Result<(), ApiError> {
    let GuestKey { node, vmid } = key;
    let Some(winner) = world.guests.get(vmid) else {
        return Ok(());
    };
    let unseen = winner.node != *node && now_ms < winner.created_ms + FILE_SPREAD_MS;
    Err(ApiError::died(if unseen {
        format!(
            "unable to create CT {vmid} - close (rename) atomic file '/etc/pve/nodes/{node}/lxc/{vmid}.conf' failed: File exists"
        )
    } else {
        format!(
            "unable to create CT {vmid} - CT {vmid} already exists on node '{}'",
            winner.node
        )
    }))
}

/// All checks of the call, in PVE's order. The second time the vmid has just been claimed.
fn plan(call: &Call<'_>, key: &GuestKey) -> Result<CreatePlan, ApiError> {
    refuse_unemulated(call)?;
    let unprivileged = call.text("unprivileged").as_deref() != Some("0");
    if !unprivileged {
        call.rights().need("/", &["Sys.Modify"])?;
    }
    if let Some(taken) = call.world.guests.get(&key.vmid) {
        return Err(ApiError::died(format!(
            "CT {} already exists on node '{}'",
            key.vmid, taken.node
        )));
    }
    let pool = call.text("pool");
    if let Some(name) = pool
        .as_ref()
        .filter(|name| !call.world.pools.contains_key(*name))
    {
        return Err(ApiError::denied(format!("pool '{name}' does not exist")));
    }
    let allowed = call.may(&format!("/vms/{}", key.vmid), "VM.Allocate")
        || pool
            .as_ref()
            .is_some_and(|name| call.may(&format!("/pool/{name}"), "VM.Allocate"));
    if !allowed {
        return Err(ApiError::Denied(None));
    }
    let keys = config_keys(call, unprivileged);
    let mut checked = keys.clone();
    checked.remove("unprivileged");
    checked.extend(
        call.text("rootfs")
            .map(|value| ("rootfs".to_owned(), value)),
    );
    let change = Change {
        vmid: key.vmid,
        pool: pool.as_deref(),
        old: None,
        new: &checked,
        removed: &[],
        unprivileged,
    };
    config_rights::check(call, &change)?;
    let template_volid = template(call)?;
    let (rootfs, storage, size_bytes) = root_file_system(call, key)?;
    Ok(CreatePlan {
        template_volid,
        keys,
        rootfs,
        storage,
        size_bytes,
        pool,
        start: call.flag("start"),
    })
}

/// What this emulator does not do is refused, not ignored.
fn refuse_unemulated(call: &Call<'_>) -> Result<(), ApiError> {
    for name in ["restore", "force", "unique", "ha-managed", "template"] {
        if call.flag(name) {
            return Err(ApiError::not_emulated(format!("'{name}' at create")));
        }
    }
    for name in ["password", "ssh-public-keys"] {
        if call.text(name).is_some() {
            return Err(ApiError::not_emulated(format!("'{name}' at create")));
        }
    }
    let volume = |name: &&String| {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        stem == "mp" && !call.text(name).unwrap_or_default().starts_with('/')
    };
    match call.params.keys().find(volume) {
        Some(name) => Err(ApiError::not_emulated(format!("mount point '{name}'"))),
        None => Ok(()),
    }
}

fn config_keys(call: &Call<'_>, unprivileged: bool) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    for name in call
        .params
        .keys()
        .filter(|name| !NOT_CONFIG.contains(&name.as_str()))
    {
        let Some(value) = call.text(name) else {
            continue;
        };
        let value = match name.as_str() {
            "tags" => normal_tags(&value),
            "description" => normal_description(&value),
            _ => value,
        };
        if !(value.is_empty() && matches!(name.as_str(), "description" | "tags")) {
            keys.insert(name.clone(), value);
        }
    }
    keys.remove("unprivileged");
    if unprivileged {
        keys.insert("unprivileged".into(), "1".into());
    }
    keys
}

/// The template's storage must be there and readable; whether the file is there shows in the task.
fn template(call: &Call<'_>) -> Result<String, ApiError> {
    let volid = call.text("ostemplate").unwrap_or_default();
    let Some((id, name)) = volid.split_once(':') else {
        return Err(ApiError::died(format!(
            "unable to parse volume ID '{volid}'"
        )));
    };
    storage::require(call.world, id, &call.node)?;
    if !name.starts_with("vztmpl/") {
        return Err(ApiError::died(format!(
            "unable to parse directory volume name '{name}'"
        )));
    }
    call.rights().need_any(
        &format!("/storage/{id}"),
        &["Datastore.AllocateSpace", "Datastore.Audit"],
    )?;
    Ok(volid)
}

/// `rootfs` with its storage and size in bytes.
fn root_file_system(call: &Call<'_>, key: &GuestKey) -> Result<(String, String, u64), ApiError> {
    let default = call.text("storage").unwrap_or_else(|| "local".into());
    let given = call
        .text("rootfs")
        .unwrap_or_else(|| format!("{default}:{DEFAULT_ROOTFS_GIB}"));
    let given = if given.parse::<f64>().is_ok() {
        format!("{default}:{given}")
    } else {
        given
    };
    let keys = parse_keys("rootfs", &given).map_err(|text| ApiError::died(text.trim_end()))?;
    let volume = keys.get("volume").cloned().unwrap_or_default();
    let Some((id, size)) = volume.split_once(':') else {
        return Err(ApiError::died(format!(
            "unable to parse volume ID '{volume}'"
        )));
    };
    let storage = storage::require(call.world, id, &key.node)?;
    if !storage.holds("rootdir") {
        return Err(ApiError::parameter(
            "storage",
            format!("storage '{id}' does not support container directories"),
        ));
    }
    call.rights()
        .need(&format!("/storage/{id}"), &["Datastore.AllocateSpace"])?;
    let Ok(gib) = size.parse::<f64>() else {
        return Err(ApiError::not_emulated("a container on an existing volume"));
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let kib = (gib * 1024.0 * 1024.0) as u64;
    Ok((given.clone(), id.to_owned(), kib.saturating_mul(1024)))
}

fn fill_nets(call: &mut Call<'_>, plan: &mut CreatePlan) -> Result<(), ApiError> {
    for (key, value) in &mut plan.keys {
        if key
            .strip_prefix("net")
            .is_some_and(|index| index.bytes().all(|b| b.is_ascii_digit()))
        {
            *value = normal_net(key, value, &mut call.world.random)
                .map_err(|text| ApiError::died(text.trim_end()))?;
        }
    }
    Ok(())
}
