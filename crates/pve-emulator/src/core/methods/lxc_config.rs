//! Changing a container's configuration.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::call::{Call, Outcome, Stop};
use super::super::error::ApiError;
use super::super::guest::{GuestChange, GuestCommand, GuestKey};
use super::super::guest_config::{
    GuestConfig, clamped_units, is_net_key, known_key, mount_kind, normal_description, parse_keys,
};
use super::super::nets;
use super::super::park::Wait;
use super::super::pending;
use super::super::worker::check_quorum_write;
use super::config_rights::{self, Change};
use super::passed_on;
use crate::schema::{Errors, split_list};

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
    if let Some(result) = call.progress.applied.clone() {
        if let Err(why) = result {
            return Err(not_changed(&config, call.progress.wanted.as_deref(), &why).into());
        }
        config = call.progress.wanted.take().map_or(config, |wanted| *wanted);
        return write(call, &key, config);
    }
    let touched = queue(call, key.vmid, &mut config, &request)?;
    let live = apply(call, &key, &mut config, running, &touched)?;
    if live {
        return Err(apply_live(call, &key, config));
    }
    write(call, &key, config)
}

/// Whether this part of the cluster can write a configuration.
pub(super) fn check_write(call: &Call<'_>, key: &GuestKey) -> Result<(), ApiError> {
    check_quorum_write(call.world, key, call.now_ms).map_err(ApiError::died)
}

/// Writes the configuration, if this part of the cluster can.
fn write(call: &mut Call<'_>, key: &GuestKey, config: GuestConfig) -> Outcome {
    check_write(call, key)?;
    let fits = nets::fit_all(call.world, key, &config);
    if let Some(guest) = call.world.guest_mut(key) {
        guest.config = config;
    }
    // What the runtime would read is made after the file is written.
    fits.map_err(ApiError::died)?;
    Ok(Value::Null.into())
}

/// Why the driver did not bring a configuration into force: told of the network devices that change.
fn not_changed(old: &GuestConfig, wanted: Option<&GuestConfig>, why: &str) -> ApiError {
    let wanted = wanted.map(|wanted| &wanted.keys);
    let nets = wanted.into_iter().flatten();
    let changed = nets.filter(|(key, value)| is_net_key(key) && old.keys.get(*key) != Some(value));
    let refused: Errors = changed
        .map(|(key, _)| (key.clone(), format!("unable to hotplug {key}: {why}\n")))
        .collect();
    if refused.is_empty() {
        return ApiError::died(format!("unable to change the running container: {why}"));
    }
    ApiError::Parameters(refused)
}

/// Has the driver change the running container; the call goes on when it has.
fn apply_live(call: &mut Call<'_>, key: &GuestKey, config: GuestConfig) -> Stop {
    let template = call.world.guest(key).map(|guest| guest.template.clone());
    let spec = config.spec(&template.unwrap_or_default());
    let job = call.world.allocate_job();
    call.progress.wanted = Some(Box::new(config));
    call.world.live.applies.insert(job, call.request);
    call.effects.commands.push(GuestCommand::Change {
        job,
        guest: key.clone(),
        change: GuestChange::Apply { spec },
    });
    Stop::Park(Wait::Looks(BTreeSet::from([job])))
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
    call: &Call<'_>,
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
    config.clean_pending();
    Ok(touched)
}

/// The form in which a new value waits.
fn accept(
    call: &Call<'_>,
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
        "rootfs" | "mp" => check_volume(call, key, value).map(|()| value.to_owned()),
        "net" | "hookscript" | "dev" => check_given(call, key, value).map(|()| value.to_owned()),
        "nameserver" | "searchdomain" => Ok(split_list(value).join(" ")),
        "cpuunits" => Ok(clamped_units(value)),
        "tags" => Ok(call.world.tag_style().normal(value)),
        "description" => Ok(normal_description(value)),
        _ => Ok(value.to_owned()),
    }
}

/// A volume has to be on a storage that takes those of containers.
fn check_volume(call: &Call<'_>, key: &str, value: &str) -> Result<(), ApiError> {
    let keys = parse_keys(key, value).map_err(|text| ApiError::died(text.trim_end()))?;
    let volume = keys.get("volume").cloned().unwrap_or_default();
    if mount_kind(&volume).is_some() {
        return Ok(());
    }
    let Some((id, _)) = volume.split_once(':') else {
        return Err(ApiError::died(format!(
            "unable to parse volume ID '{volume}'"
        )));
    };
    let found = call.world.storage(id);
    let found = found.ok_or_else(|| ApiError::died(format!("storage '{id}' does not exist")))?;
    if found.holds("rootdir") {
        return Ok(());
    }
    let text = format!("storage '{id}' does not allow content type 'rootdir' (Container)");
    Err(ApiError::died(text))
}

/// What a container is given of the node has to be there.
pub(super) fn check_given(call: &Call<'_>, key: &str, value: &str) -> Result<(), ApiError> {
    match key.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "net" => check_net(call, key, value),
        "hookscript" => passed_on::check_script(call, value),
        "dev" => passed_on::check_device(key, value),
        _ => Ok(()),
    }
}

/// A network device has to fit its bridge, and what configures it.
fn check_net(call: &Call<'_>, key: &str, value: &str) -> Result<(), ApiError> {
    let keys = parse_keys(key, value).map_err(|text| ApiError::died(text.trim_end()))?;
    let on = |name: &str| keys.get(name).is_some_and(|text| text == "1");
    if keys.contains_key("mtu") {
        nets::fit(call.world, &call.node, key, &keys).map_err(ApiError::died)?;
    }
    let auto = keys.get("ip6").is_some_and(|text| text == "auto");
    if auto && on("host-managed") && !on("link_down") {
        let text = format!("{key}: SLAAC is not supported for host-managed network configuration.");
        return Err(ApiError::died(text));
    }
    Ok(())
}

/// Brings the touched changes into force as far as the container's state lets them; whether the running
/// container has to be changed too.
fn apply(
    call: &mut Call<'_>,
    guest: &GuestKey,
    config: &mut GuestConfig,
    running: bool,
    touched: &BTreeSet<String>,
) -> Result<bool, ApiError> {
    let errors = if running {
        hotplug(call, guest, config, touched)
    } else {
        let now_ms = call.now_ms;
        pending::apply(call.world, guest, config, Some(touched), now_ms).into()
    };
    if errors.refused.is_empty() {
        Ok(errors.live)
    } else {
        Err(ApiError::Parameters(errors.refused))
    }
}

/// What came of bringing changes into force.
#[derive(Default)]
struct Applied {
    refused: Errors,
    /// The running container has to be changed, too.
    live: bool,
}

impl Applied {
    /// What did not work on the running container.
    fn note(&mut self, key: &str, done: Result<(), String>) {
        if let Err(text) = done {
            let text = format!("unable to hotplug {key}: {text}\n");
            self.refused.insert(key.to_owned(), text);
        }
    }
}

impl From<Errors> for Applied {
    fn from(refused: Errors) -> Self {
        Self {
            refused,
            live: false,
        }
    }
}

/// Of a running container some keys change at once; the others wait for its next start.
fn hotplug(
    call: &mut Call<'_>,
    guest: &GuestKey,
    config: &mut GuestConfig,
    touched: &BTreeSet<String>,
) -> Applied {
    let mut applied = Applied::default();
    for key in touched {
        let changed = config.pending.contains_key(key);
        let removed = config.pending_delete.contains(key);
        if FASTPLUG.contains(&key.as_str()) || (removed && key.starts_with("unused")) {
            let done = bring_into_force(call, guest, config, key);
            applied.note(key, done);
        } else if let Some(group) = limit(key)
            && (changed || removed)
            && !call.world.environment.limits_change
        {
            let why = format!("trying to change {group} cgroup values: container not running");
            applied.note(key, Err(why));
        } else if hotplugs(key) && (changed || removed) {
            match replug(call, guest, config, key) {
                Ok(()) => {
                    let done = bring_into_force(call, guest, config, key);
                    applied.note(key, done);
                    applied.live = true;
                }
                Err(why) => applied.note(key, Err(why)),
            }
        } else if changed && key.starts_with("mp") && !config.keys.contains_key(key) {
            let now_ms = call.now_ms;
            let done = pending::mount(call.world, guest, config, key, now_ms);
            applied.note(key, done);
        }
    }
    applied
}

/// Whether a changed network device can be plugged in. What was unplugged before that is found out stays so: without the
/// device the configuration is written at once.
fn replug(
    call: &mut Call<'_>,
    guest: &GuestKey,
    config: &mut GuestConfig,
    key: &str,
) -> Result<(), String> {
    let Some(new) = config.pending.get(key).filter(|_| is_net_key(key)) else {
        return Ok(());
    };
    let Err(refused) = nets::plug(call.world, &guest.node, (key, config.get(key), new)) else {
        return Ok(());
    };
    if refused.unplugged {
        config.keys.remove(key);
        check_quorum_write(call.world, guest, call.now_ms)?;
        if let Some(found) = call.world.guest_mut(guest) {
            found.config = config.clone();
        }
    }
    Err(refused.text)
}

fn bring_into_force(
    call: &mut Call<'_>,
    guest: &GuestKey,
    config: &mut GuestConfig,
    key: &str,
) -> Result<(), String> {
    if config.pending_delete.contains(key) {
        pending::remove(call.world, guest, config, key)?;
    }
    let one = BTreeSet::from([key.to_owned()]);
    // What cannot be parsed was refused before.
    pending::apply(call.world, guest, config, Some(&one), call.now_ms);
    Ok(())
}

/// What PVE calls a limit that it changes for the running container.
fn limit(key: &str) -> Option<&'static str> {
    match key {
        "memory" | "swap" => Some("memory"),
        "cpulimit" => Some("cpu quota"),
        "cpuunits" => Some("cpu shares/weight"),
        _ => None,
    }
}

/// Keys PVE changes inside the running container.
fn hotplugs(key: &str) -> bool {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    limit(key).is_some() || stem == "net"
}
