//! Reading containers.

use serde_json::{Map, Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::guest::{GuestInterface, GuestKey};
use super::super::guest_config::GuestConfig;
use super::super::status_row;

/// Containers of a node, with live usage; those only the caller may audit.
pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let keys: Vec<GuestKey> = call
        .world
        .guests()
        .filter(|(vmid, guest)| {
            guest.node == call.node && call.may(&format!("/vms/{vmid}"), "VM.Audit")
        })
        .map(|(vmid, guest)| GuestKey {
            node: guest.node.clone(),
            vmid,
        })
        .collect();
    call.look_at(&keys)?;
    let rows = keys.iter().filter_map(|key| {
        let guest = call.world.guest(key)?;
        Some(Value::Object(status_row::current(
            call.world,
            key.vmid,
            guest,
            call.now_ms,
        )))
    });
    Ok(rows.collect::<Value>().into())
}

fn require(call: &Call<'_>, key: &GuestKey) -> Result<(), ApiError> {
    call.world
        .guest(key)
        .map(|_| ())
        .ok_or_else(|| ApiError::no_config(&key.node, key.vmid))
}

pub(super) fn current(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    require(call, &key)?;
    call.look_at(std::slice::from_ref(&key))?;
    let Some(guest) = call.world.guest(&key) else {
        return Err(ApiError::no_config(&key.node, key.vmid).into());
    };
    let mut row = status_row::current(call.world, key.vmid, guest, call.now_ms);
    let managed = call.world.ha.of(key.vmid);
    let ha = match managed.filter(|_| call.world.ha.manages(key.vmid)) {
        Some(resource) => json!({"managed": 1, "state": resource.current}),
        None => json!({"managed": 0}),
    };
    row.insert("ha".into(), ha);
    Ok(Value::Object(row).into())
}

/// Live addresses; null for a container that does not run or does not exist.
pub(super) fn interfaces(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    call.look_at(std::slice::from_ref(&key))?;
    if !call
        .world
        .guest(&key)
        .is_some_and(|guest| guest.is_running())
    {
        return Ok(Value::Null.into());
    }
    match call.world.live.looks.get(&key.vmid).map(|look| &look.seen) {
        Some(Ok(look)) => Ok(look
            .interfaces
            .iter()
            .map(interface)
            .collect::<Value>()
            .into()),
        Some(Err(error)) => Err(ApiError::died(error.clone()).into()),
        None => Ok(Value::Null.into()),
    }
}

fn interface(interface: &GuestInterface) -> Value {
    let hwaddr = interface.hwaddr.to_lowercase();
    let mut row = Map::from_iter([
        ("name".to_owned(), json!(interface.name)),
        ("hwaddr".to_owned(), json!(hwaddr)),
        ("hardware-address".to_owned(), json!(hwaddr)),
    ]);
    let mut addresses = Vec::new();
    for (address, prefix) in &interface.addresses {
        let kind = if address.is_ipv4() { "inet" } else { "inet6" };
        addresses.push(
            json!({"ip-address": address, "prefix": prefix.to_string(), "ip-address-type": kind}),
        );
        // Of several addresses of a kind the last one is shown here.
        row.insert(kind.into(), format!("{address}/{prefix}").into());
    }
    row.insert("ip-addresses".into(), addresses.into());
    Value::Object(row)
}

/// What the caller may read of a configuration: what is handed to its programs only those who may change it.
fn readable(call: &Call<'_>, vmid: u32, mut config: GuestConfig) -> GuestConfig {
    if !call.may(&format!("/vms/{vmid}"), "VM.Config.Options") {
        config.keys.remove("env");
        config.pending.remove("env");
    }
    config
}

pub(super) fn config(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    let current = call.flag("current");
    let name = call.text("snapshot").filter(|name| !name.is_empty());
    if name.is_some() && current {
        let text = "cannot use 'snapshot' parameter with 'current'";
        let both = ["snapshot", "current"].map(|name| (name.to_owned(), text.to_owned()));
        return Err(ApiError::Parameters(both.into()).into());
    }
    let guest = super::require_guest(call, &key)?;
    let digest = guest.config.digest();
    let Some(name) = name else {
        let config = readable(call, key.vmid, guest.config.clone());
        let mut shown = config.shown(current);
        shown.insert("digest".into(), digest.into());
        return Ok(Value::Object(shown).into());
    };
    let snapshot = super::lxc_snapshot::find(guest, &name)?;
    let kept = readable(call, key.vmid, super::lxc_snapshot::config_of(snapshot));
    let mut shown = super::lxc_snapshot::shown(snapshot, &kept);
    shown["digest"] = digest.into();
    Ok(shown.into())
}

pub(super) fn pending(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    let guest = super::require_guest(call, &key)?;
    let digest = guest.config.digest();
    let config = readable(call, key.vmid, guest.config.clone());
    Ok(config.changes(&digest).into())
}
