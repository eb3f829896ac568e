//! Creating a container: the checks of the call, then the task.
//!
//! PVE looks for the vmid twice: when the call is checked, and when the configuration file is made
//! some tens of milliseconds later. Calls that arrive in between lose the race there, with a
//! different message; a node's daemon has three workers, so of many calls at once three are between
//! the two places and the others come after.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::call::{Call, Outcome, Stop};
use super::super::crypt::sha512_crypt;
use super::super::error::ApiError;
use super::super::guest::{GuestKey, GuestLogin};
use super::super::guest_config::{
    GuestConfig, clamped_units, gib_bytes, is_net_key, is_volume_key, new_disk, normal_description,
    normal_net, parse_keys, volume_rank,
};
use super::super::park::{Wait, worker_free};
use super::super::pending;
use super::super::task::{CreatePlan, NewDisk, Restore, Work};
use super::super::worker;
use super::super::world::{Guest, Power, World};
use super::check_quorum;
use super::config_rights::{self, Change};
use super::storage;
use crate::schema::split_list;

/// Between the two looks for the vmid.
pub(in crate::core) const RACE_WINDOW_MS: u64 = 40;
/// How long another node does not know of a new configuration file yet.
const FILE_SPREAD_MS: u64 = 25;
/// How long a restore by force waits for the configuration it writes over.
const OVER_LOCK_MS: u64 = 5_000;
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
    let force = call.flag("restore") && call.flag("force");
    if !force {
        claim(call.world, &key, call.now_ms)?;
    }
    let mut plan = plan(call, &key)?;
    if force {
        await_over(call, &key)?;
    }
    fill_nets(call, &mut plan)?;
    plan.login = login(call);
    let file = plan
        .template_volid
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    mark(call, &key, file);
    let kind = if plan.restore.is_some() {
        "vzrestore"
    } else {
        "vzcreate"
    };
    let upid = worker::spawn(
        call.world,
        kind,
        &key,
        &call.caller.id,
        Work::Create(Box::new(plan)),
        call.now_ms,
    );
    Ok(Value::String(upid.to_string()).into())
}

/// A configuration that is to be written over is waited for, and must not be locked.
fn await_over(call: &mut Call<'_>, key: &GuestKey) -> Result<(), Stop> {
    let refused =
        |text: String| ApiError::died(format!("unable to restore CT {} - {text}", key.vmid));
    match call.await_lock_for(key, OVER_LOCK_MS) {
        Err(Stop::Refused(refusal)) => Err(refused(refusal.text()).into()),
        Err(park) => Err(park),
        Ok(()) => match call.world.guest(key).and_then(super::guest_lock) {
            Some(refusal) => Err(refused(refusal.text()).into()),
            None => Ok(()),
        },
    }
}

/// The configuration says that its container is being made; one that is written over says so beside what it said before.
fn mark(call: &mut Call<'_>, key: &GuestKey, template: String) {
    let lock = || ("lock".to_owned(), "create".to_owned());
    if let Some(old) = call.world.guest_mut(key) {
        old.config.keys.extend([lock()]);
        return;
    }
    let config = GuestConfig {
        keys: BTreeMap::from([lock()]),
        ..GuestConfig::default()
    };
    call.world.guests.insert(
        key.vmid,
        Guest {
            node: key.node.clone(),
            config,
            power: Power::Stopped,
            template,
            created_ms: call.now_ms,
            snapshots: BTreeMap::new(),
            broadcast: None,
            broadcast_ms: 0,
            row: None,
            scenery: false,
        },
    );
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
    check_quorum(call)?;
    let restore = call.flag("restore");
    let unprivileged = match call.text("unprivileged") {
        Some(text) => text == "1",
        None => !restore,
    };
    if !restore && !unprivileged {
        call.rights().need("/", &["Sys.Modify"])?;
    }
    if call.flag("ha-managed") {
        call.rights().need("/", &["Sys.Console"])?;
    }
    let over = existing(call, key, restore && call.flag("force"))?;
    if let Some(text) = call.text("ssh-public-keys") {
        check_ssh_keys(&text)?;
    }
    let pool = call.text("pool");
    if let Some(name) = pool
        .as_ref()
        .filter(|name| !call.world.pools.contains_key(*name))
    {
        return Err(ApiError::denied(format!("pool '{name}' does not exist")));
    }
    check_allowed(call, key, pool.as_deref(), over.as_ref())?;
    let keys = config_keys(call, unprivileged);
    let mut checked = keys.clone();
    checked.remove("unprivileged");
    let volumes = call.params.keys().filter(|name| is_volume_key(name));
    checked.extend(volumes.filter_map(|name| Some((name.clone(), call.text(name)?))));
    let change = Change {
        vmid: key.vmid,
        pool: pool.as_deref(),
        old: None,
        new: &checked,
        removed: &[],
        unprivileged,
    };
    config_rights::check(call, &change)?;
    let template_volid = archive(call, restore)?;
    let storage = call.text("storage").unwrap_or_else(|| "local".into());
    let disks = disks(call, key, &storage, restore)?;
    for (name, value) in &keys {
        super::lxc_config::check_given(call, name, value)?;
    }
    Ok(CreatePlan {
        template_volid,
        keys,
        disks,
        storage,
        pool,
        start: call.flag("start"),
        ha_managed: call.flag("ha-managed"),
        login: None,
        restore: restore.then(|| Restore {
            unique: call.flag("unique"),
            over: over.is_some(),
            keeps_privileges: call.text("unprivileged").is_none(),
            touched: false,
        }),
    })
}

/// The id must be free; a restore by force may write over a stopped container on this node.
fn existing(call: &Call<'_>, key: &GuestKey, force: bool) -> Result<Option<GuestConfig>, ApiError> {
    let Some(taken) = call.world.guests.get(&key.vmid) else {
        return Ok(None);
    };
    if !force || taken.node != key.node {
        return Err(ApiError::died(format!(
            "CT {} already exists on node '{}'",
            key.vmid, taken.node
        )));
    }
    if taken.is_running() {
        return Err(ApiError::died("can't overwrite running container"));
    }
    if taken.config.flag("protection") {
        let text = format!(
            "unable to restore CT {} - protection mode enabled",
            key.vmid
        );
        return Err(ApiError::died(text));
    }
    Ok(Some(taken.config.clone()))
}

/// Who may make a guest of this number; to write over one it is enough that one may back it up, but not to make it privileged.
fn check_allowed(
    call: &Call<'_>,
    key: &GuestKey,
    pool: Option<&str>,
    over: Option<&GuestConfig>,
) -> Result<(), ApiError> {
    let place = format!("/vms/{}", key.vmid);
    let makes = call.may(&place, "VM.Allocate")
        || pool.is_some_and(|name| call.may(&format!("/pool/{name}"), "VM.Allocate"));
    if makes {
        return Ok(());
    }
    match over.filter(|_| call.may(&place, "VM.Backup")) {
        Some(old)
            if old.flag("unprivileged") && call.text("unprivileged").as_deref() == Some("0") =>
        {
            call.rights().need("/", &["Sys.Modify"])
        }
        Some(_) => Ok(()),
        None => Err(ApiError::Denied(None)),
    }
}

/// Each line has to be a key.
fn check_ssh_keys(text: &str) -> Result<(), ApiError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    for line in lines {
        let comment = line.starts_with('#');
        if comment || !crate::ssh::is_authorized_key(line) {
            return Err(ApiError::died("SSH public key validation error"));
        }
    }
    Ok(())
}

/// How root is to log in, if the call says so.
fn login(call: &mut Call<'_>) -> Option<Box<GuestLogin>> {
    let password = call.text("password");
    let ssh_keys = call.text("ssh-public-keys");
    if password.is_none() && ssh_keys.is_none() {
        return None;
    }
    let salt = call.world.keys.secret();
    Some(Box::new(GuestLogin {
        password_hash: password.map(|password| sha512_crypt(&password, &salt)),
        ssh_keys,
    }))
}

fn config_keys(call: &Call<'_>, unprivileged: bool) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    for name in call
        .params
        .keys()
        .filter(|name| !NOT_CONFIG.contains(&name.as_str()) && !name.starts_with("unused"))
        .filter(|name| {
            !is_volume_key(name) || call.text(name).is_some_and(|value| value.starts_with('/'))
        })
    {
        let Some(value) = call.text(name) else {
            continue;
        };
        let value = match name.as_str() {
            "tags" => call.world.tag_style().normal(&value),
            "description" => normal_description(&value),
            "cpuunits" => clamped_units(&value),
            "nameserver" | "searchdomain" => split_list(&value).join(" "),
            _ => value,
        };
        if let Some(value) = pending::stored(name, value) {
            keys.insert(name.clone(), value);
        }
    }
    keys.remove("unprivileged");
    if unprivileged {
        keys.insert("unprivileged".into(), "1".into());
    }
    keys
}

/// The archive must be one, and may be read; whether the file is there shows in the task.
fn archive(call: &Call<'_>, restore: bool) -> Result<String, ApiError> {
    let volid = call.text("ostemplate").unwrap_or_default();
    if volid == "-" {
        return Err(ApiError::died("pipe requires cli environment"));
    }
    let wanted = if restore { "backup" } else { "vztmpl" };
    let vmid = call.guest_key().vmid;
    super::volumes::check_access(call.rights(), &volid, Some(wanted), Some(vmid))?;
    Ok(volid)
}

/// Volumes to be made, the root file system first.
fn disks(
    call: &Call<'_>,
    key: &GuestKey,
    storage: &str,
    restore: bool,
) -> Result<Vec<NewDisk>, ApiError> {
    let mut given: Vec<(String, String)> = call
        .params
        .keys()
        .filter(|name| is_volume_key(name))
        .filter_map(|name| Some((name.clone(), call.text(name)?)))
        .filter(|(_, value)| !value.starts_with('/'))
        .collect();
    given.sort_by_key(|(name, _)| volume_rank(name));
    if given.is_empty() {
        check_storage(call, key, storage)?;
        if restore {
            return Ok(Vec::new());
        }
        given.push(("rootfs".into(), format!("{storage}:{DEFAULT_ROOTFS_GIB}")));
    } else if given[0].0 != "rootfs" {
        return Err(ApiError::died(
            "mount points configured, but 'rootfs' not set - aborting",
        ));
    }
    given
        .into_iter()
        .map(|(name, value)| disk(call, key, storage, name, value))
        .collect()
}

fn check_storage(call: &Call<'_>, key: &GuestKey, id: &str) -> Result<(), ApiError> {
    let found = storage::require(call.world, id, &key.node)?;
    if !found.holds("rootdir") {
        return Err(ApiError::parameter(
            "storage",
            format!("storage '{id}' does not support container directories"),
        ));
    }
    call.rights()
        .need(&format!("/storage/{id}"), &["Datastore.AllocateSpace"])
}

fn disk(
    call: &Call<'_>,
    key: &GuestKey,
    default: &str,
    name: String,
    value: String,
) -> Result<NewDisk, ApiError> {
    let value = if value.parse::<f64>().is_ok() {
        format!("{default}:{value}")
    } else {
        value
    };
    let keys = parse_keys(&name, &value).map_err(|text| ApiError::died(text.trim_end()))?;
    let volume = keys.get("volume").cloned().unwrap_or_default();
    let Some((id, _)) = volume.split_once(':') else {
        return Err(ApiError::died(format!(
            "unable to parse volume ID '{volume}'"
        )));
    };
    check_storage(call, key, id)?;
    let made = new_disk(&volume);
    Ok(NewDisk {
        key: name,
        storage: id.to_owned(),
        value,
        size_bytes: made.map(|(_, gib)| gib_bytes(gib)).unwrap_or_default(),
        volid: made.is_none().then_some(volume),
    })
}

fn fill_nets(call: &mut Call<'_>, plan: &mut CreatePlan) -> Result<(), ApiError> {
    for (key, value) in &mut plan.keys {
        if is_net_key(key) {
            *value = normal_net(key, value, &mut call.world.random)
                .map_err(|text| ApiError::died(text.trim_end()))?;
        }
    }
    Ok(())
}
