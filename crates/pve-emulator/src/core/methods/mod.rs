//! What the emulated methods do. A method of the schema that is not listed here answers 501 with
//! its name.

mod access;
mod backup;
mod backup_jobs;
mod bulk;
mod cluster;
mod config_rights;
mod console;
mod corosync;
mod export;
mod fetching;
mod firewall;
mod ha;
mod ha_rules;
mod index;
mod jobs;
mod lxc_config;
mod lxc_copy;
mod lxc_create;
mod lxc_disk;
mod lxc_migrate;
mod lxc_power;
mod lxc_read;
mod lxc_reassign;
mod lxc_snapshot;
mod machine;
mod metric_servers;
mod metrics;
mod node;
mod notifications;
mod notify_table;
mod passed_on;
mod pools;
pub(crate) mod prune;
mod replication;
mod settings;
mod storage;
mod storage_config;
mod table;
mod tasks;
mod units;
mod upload;
pub(super) mod volume_name;
mod volumes;

pub(super) use lxc_create::RACE_WINDOW_MS;
use serde_json::Value;

use super::call::{Call, Outcome};
use super::error::ApiError;
use super::guest::GuestKey;
use super::task::Work;
use super::worker;
use super::world::Guest;

pub(crate) use table::{behaviour, user_config_writer};

/// Does what a method is for; its parameters are verified and its caller is admitted.
pub(crate) type Behaviour = fn(&mut Call<'_>) -> Outcome;

/// The guest a call is about, which must be on its node.
fn require_guest<'a>(call: &'a Call<'_>, key: &GuestKey) -> Result<&'a Guest, ApiError> {
    call.world
        .guest(key)
        .ok_or_else(|| ApiError::no_config(&key.node, key.vmid))
}

/// The refusal a guest's lock makes, if it has one.
fn guest_lock(guest: &Guest) -> Option<ApiError> {
    let lock = guest.config.get("lock")?;
    Some(ApiError::died(format!("CT is locked ({lock})")))
}

/// Most of what changes a guest needs a majority.
fn check_quorum(call: &Call<'_>) -> Result<(), ApiError> {
    if call.world.is_quorate(&call.node, call.now_ms) {
        return Ok(());
    }
    Err(ApiError::died("cluster not ready - no quorum?"))
}

/// Starts a task on the guest the path names; the answer is its UPID.
fn start_task(call: &mut Call<'_>, kind: &str, work: Work) -> Outcome {
    let key = call.guest_key();
    let upid = worker::spawn(call.world, kind, &key, &call.caller.id, work, call.now_ms);
    Ok(Value::String(upid.to_string()).into())
}
