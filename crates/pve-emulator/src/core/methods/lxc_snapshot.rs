//! Snapshots of containers.

use serde_json::{Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::guest_config::{GuestConfig, normal_description};
use super::super::task::Work;
use super::super::world::{Guest, Snapshot};
use super::{require_guest, start_task};

/// All snapshots, and the present as `current`.
pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    require_guest(call, &key)?;
    call.look_at(std::slice::from_ref(&key))?;
    let guest = require_guest(call, &key)?;
    let mut rows: Vec<Value> = guest
        .snapshots
        .iter()
        .map(|(name, snapshot)| row(name, snapshot))
        .collect();
    let mut current = json!({
        "name": "current", "description": "You are here!", "digest": guest.config.digest(),
        "running": u8::from(guest.is_running()),
    });
    if let Some(parent) = guest.config.get("parent") {
        current["parent"] = parent.into();
    }
    rows.push(current);
    Ok(Value::Array(rows).into())
}

fn row(name: &str, snapshot: &Snapshot) -> Value {
    let mut row = json!({
        "name": name, "snaptime": snapshot.time_s, "description": snapshot.description,
    });
    if let Some(parent) = &snapshot.parent {
        row["parent"] = parent.clone().into();
    }
    row
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let name = call.text("snapname").unwrap_or_default();
    if matches!(name.as_str(), "current" | "vzdump") {
        return Err(ApiError::died(format!(
            "unable to use snapshot name '{name}' (reserved name)"
        ))
        .into());
    }
    let description = normal_description(&call.text("description").unwrap_or_default());
    start_task(call, "vzsnapshot", Work::Snapshot { name, description })
}

pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let name = call.text("snapname").unwrap_or_default();
    let force = call.flag("force");
    start_task(call, "vzdelsnapshot", Work::DeleteSnapshot { name, force })
}

pub(super) fn rollback(call: &mut Call<'_>) -> Outcome {
    let name = call.text("snapname").unwrap_or_default();
    let start = call.flag("start");
    start_task(call, "vzrollback", Work::Rollback { name, start })
}

/// What can be done with a snapshot.
pub(super) fn index(_: &mut Call<'_>) -> Outcome {
    Ok(json!([{"cmd": "rollback"}, {"cmd": "config"}]).into())
}

/// The snapshot a call names.
pub(super) fn find<'a>(guest: &'a Guest, name: &str) -> Result<&'a Snapshot, ApiError> {
    guest
        .snapshots
        .get(name)
        .ok_or_else(|| ApiError::died(format!("snapshot '{name}' does not exist")))
}

/// The configuration that a snapshot keeps.
pub(super) fn config_of(snapshot: &Snapshot) -> GuestConfig {
    GuestConfig {
        keys: snapshot.keys.clone(),
        raw: snapshot.raw.clone(),
        ..GuestConfig::default()
    }
}

/// A snapshot's configuration as `GET config` shows one, without digest.
pub(super) fn shown(snapshot: &Snapshot, config: &GuestConfig) -> Value {
    let mut row = config.shown(true);
    row.insert("snaptime".into(), snapshot.time_s.into());
    if !snapshot.description.is_empty() {
        row.insert("description".into(), snapshot.description.clone().into());
    }
    if let Some(parent) = &snapshot.parent {
        row.insert("parent".into(), parent.clone().into());
    }
    Value::Object(row)
}

pub(super) fn read_config(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    let guest = require_guest(call, &key)?;
    let snapshot = find(guest, &call.text("snapname").unwrap_or_default())?;
    let config = GuestConfig {
        raw: Vec::new(),
        ..config_of(snapshot)
    };
    Ok(shown(snapshot, &config).into())
}

/// Describes a snapshot. Without a description nothing is looked at.
pub(super) fn update_config(call: &mut Call<'_>) -> Outcome {
    let Some(description) = call.text("description") else {
        return Ok(Value::Null.into());
    };
    let key = call.guest_key();
    call.await_lock(&key)?;
    let guest = require_guest(call, &key)?;
    if let Some(lock) = guest.config.get("lock") {
        return Err(ApiError::died(format!("CT is locked ({lock})")).into());
    }
    let name = call.text("snapname").unwrap_or_default();
    find(guest, &name)?;
    super::lxc_config::check_write(call, &key)?;
    let snapshot = call
        .world
        .guest_mut(&key)
        .and_then(|guest| guest.snapshots.get_mut(&name));
    if let Some(snapshot) = snapshot {
        snapshot.description = normal_description(&description);
    }
    Ok(Value::Null.into())
}
