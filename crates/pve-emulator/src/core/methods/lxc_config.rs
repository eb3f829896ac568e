//! Changing a container's configuration.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::guest_config::{
    GuestConfig, known_key, normal_description, normal_net, normal_tags,
};
use super::config_rights::{self, Change};
use crate::schema::split_list;

/// Keys that change a running container's configuration at once, without touching the container.
const FASTPLUG: [&str; 9] = [
    "description",
    "onboot",
    "startup",
    "protection",
    "hostname",
    "hookscript",
    "cores",
    "tags",
    "lock",
];

/// What a call asks for.
struct Request {
    set: BTreeMap<String, String>,
    delete: Vec<String>,
    revert: Vec<String>,
}

/// Checks and writes; nothing is written when anything is refused.
pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    let request = read(call)?;
    let key = call.guest_key();
    call.await_lock(&key)?;
    let Some(guest) = call.world.guest(&key).cloned() else {
        return Err(ApiError::no_config(&key.node, key.vmid).into());
    };
    if let Some(lock) = guest.config.get("lock") {
        return Err(ApiError::died(format!("CT is locked ({lock})")).into());
    }
    if call
        .text("digest")
        .is_some_and(|digest| !digest.is_empty() && digest != guest.config.digest())
    {
        return Err(ApiError::died(
            "detected modified configuration - file changed by other user? Try again.",
        )
        .into());
    }
    check_rights(
        call,
        key.vmid,
        &guest.config,
        &BTreeMap::new(),
        &request.delete,
    )?;
    check_rights(
        call,
        key.vmid,
        &guest.config,
        &BTreeMap::new(),
        &request.revert,
    )?;
    check_names(&request)?;
    check_rights(call, key.vmid, &guest.config, &request.set, &[])?;
    call.look_at(std::slice::from_ref(&key))?;
    let running = call
        .world
        .guest(&key)
        .is_some_and(|guest| guest.is_running());
    let mut config = guest.config;
    let touched = queue(call, key.vmid, &mut config, &request)?;
    apply(&mut config, running, &touched)?;
    if let Some(guest) = call.world.guest_mut(&key) {
        guest.config = config;
    }
    Ok(Value::Null.into())
}

fn read(call: &Call<'_>) -> Result<Request, ApiError> {
    let foreign = ["node", "vmid", "digest", "delete", "revert"];
    let list = |name: &str| {
        split_list(&call.text(name).unwrap_or_default())
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let set: BTreeMap<String, String> = call
        .params
        .keys()
        .filter(|name| !foreign.contains(&name.as_str()))
        .filter_map(|name| Some((name.clone(), call.text(name)?)))
        .collect();
    if set.is_empty() && call.text("delete").is_none() && call.text("revert").is_none() {
        return Err(ApiError::died("no options specified"));
    }
    Ok(Request {
        set,
        delete: list("delete"),
        revert: list("revert"),
    })
}

fn check_rights(
    call: &Call<'_>,
    vmid: u32,
    old: &GuestConfig,
    new: &BTreeMap<String, String>,
    removed: &[String],
) -> Result<(), ApiError> {
    let unprivileged = old.flag("unprivileged");
    let known: Vec<String> = removed
        .iter()
        .filter(|key| known_key(key))
        .cloned()
        .collect();
    config_rights::check(
        call,
        &Change {
            vmid,
            pool: None,
            old: Some(old),
            new,
            removed: &known,
            unprivileged,
        },
    )
}

fn check_names(request: &Request) -> Result<(), ApiError> {
    for key in &request.revert {
        if !known_key(key) {
            return Err(ApiError::parameter(
                "revert",
                format!("unknown option '{key}'"),
            ));
        }
        if request.set.contains_key(key) {
            let text = format!("you can't use '-{key}' and '-revert {key}' at the same time");
            return Err(ApiError::parameter("revert", text));
        }
    }
    for key in &request.delete {
        if !known_key(key) {
            return Err(ApiError::parameter(
                "delete",
                format!("unknown option '{key}'"),
            ));
        }
        if request.set.contains_key(key) {
            // The odd quoting is PVE's.
            let text = format!("you can't use '-{key}' and -delete {key}' at the same time");
            return Err(ApiError::parameter("delete", text));
        }
        if request.revert.contains(key) {
            let text =
                format!("you can't use '-delete {key}' and '-revert {key}' at the same time");
            return Err(ApiError::parameter("delete", text));
        }
    }
    Ok(())
}

/// Puts all changes into the pending section; the keys that were touched.
fn queue(
    call: &mut Call<'_>,
    vmid: u32,
    config: &mut GuestConfig,
    request: &Request,
) -> Result<BTreeSet<String>, ApiError> {
    let mut touched = BTreeSet::new();
    for key in &request.revert {
        config.pending.remove(key);
        config.pending_delete.remove(key);
    }
    for key in &request.delete {
        if !config.keys.contains_key(key) && !config.pending.contains_key(key) {
            continue;
        }
        match key.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "memory" | "rootfs" | "ostype" => {
                return Err(ApiError::died(format!(
                    "unable to delete required option '{key}'"
                )));
            }
            "unprivileged" => {
                return Err(ApiError::died(format!(
                    "unable to delete read-only option: '{key}'"
                )));
            }
            "mp" | "unused" if config.flag("protection") => {
                let text =
                    format!("can't remove CT {vmid} drive '{key}' - protection mode enabled");
                return Err(ApiError::died(text));
            }
            _ => {}
        }
        touched.insert(key.clone());
        config.pending.remove(key);
        config.pending_delete.insert(key.clone());
    }
    for (key, value) in &request.set {
        let value = accept(call, vmid, config, key, value)?;
        touched.insert(key.clone());
        config.pending_delete.remove(key);
        config.pending.insert(key.clone(), value);
    }
    // A change back to the value in force is none.
    let GuestConfig {
        keys,
        pending,
        pending_delete,
    } = config;
    pending.retain(|key, value| keys.get(key) != Some(value));
    pending_delete.retain(|key| keys.contains_key(key));
    Ok(touched)
}

/// The form in which a new value is stored.
fn accept(
    call: &mut Call<'_>,
    vmid: u32,
    config: &GuestConfig,
    key: &str,
    value: &str,
) -> Result<String, ApiError> {
    match key.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "unprivileged" => Err(ApiError::died(format!(
            "unable to modify read-only option: '{key}'"
        ))),
        "rootfs" | "mp" if config.flag("protection") => Err(ApiError::died(format!(
            "can't update CT {vmid} drive '{key}' - protection mode enabled"
        ))),
        "rootfs" | "mp" | "unused" | "dev" | "template" => {
            Err(ApiError::not_emulated(format!("changing '{key}'")))
        }
        "net" => normal_net(key, value, &mut call.world.random)
            .map_err(|text| ApiError::died(text.trim_end())),
        "tags" => Ok(normal_tags(value)),
        "description" => Ok(normal_description(value)),
        _ => Ok(value.to_owned()),
    }
}

/// Brings the touched changes into force as far as the container's state lets them.
fn apply(
    config: &mut GuestConfig,
    running: bool,
    touched: &BTreeSet<String>,
) -> Result<(), ApiError> {
    for key in touched {
        if !running || FASTPLUG.contains(&key.as_str()) {
            bring_into_force(config, key);
        } else if hotplugs(key)
            && (config.pending.contains_key(key) || config.pending_delete.contains(key))
        {
            return Err(ApiError::not_emulated(format!(
                "changing '{key}' of a running container"
            )));
        }
    }
    Ok(())
}

fn bring_into_force(config: &mut GuestConfig, key: &str) {
    if config.pending_delete.remove(key) {
        config.keys.remove(key);
    }
    if let Some(value) = config.pending.remove(key) {
        if value.is_empty() && matches!(key, "description" | "tags") {
            config.keys.remove(key);
        } else {
            config.keys.insert(key.to_owned(), value);
        }
    }
}

/// Keys PVE changes inside the running container.
fn hotplugs(key: &str) -> bool {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    matches!(stem, "memory" | "swap" | "cpulimit" | "cpuunits" | "net")
}
