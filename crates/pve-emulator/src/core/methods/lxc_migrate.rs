//! Sending containers to other nodes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::task::{Crossing, Work};
use super::super::world::World;
use super::{check_quorum, guest_lock, require_guest, start_task, storage};
use crate::schema::split_list;

/// Seconds that a container has to shut down in before it is moved.
const SHUTDOWN_S: u64 = 180;

/// Where a container can go: to every other node, unless rules of high availability keep it from there. Storages are not
/// looked at here.
pub(super) fn targets(call: &mut Call<'_>) -> Outcome {
    check_quorum(call)?;
    let key = call.guest_key();
    let guest = require_guest(call, &key)?;
    if let Some(lock) = guest_lock(guest) {
        return Err(lock.into());
    }
    call.look_at(std::slice::from_ref(&key))?;
    let running = require_guest(call, &key)?.is_running();
    let sid = format!("ct:{}", key.vmid);
    let managed = call.world.ha.manages(key.vmid);
    let (near, far) = if managed {
        companions(call.world, &sid)
    } else {
        (Vec::new(), BTreeMap::new())
    };
    let (mut allowed, mut others) = (Vec::new(), Map::new());
    let nodes = call.world.nodes().iter();
    for node in nodes.filter(|node| node.name != key.node) {
        match far.get(&node.name) {
            None => allowed.push(node.name.clone()),
            Some(blocking) => {
                let blocking: Vec<Value> = blocking
                    .iter()
                    .map(|sid| json!({"sid": sid, "cause": "resource-affinity"}))
                    .collect();
                others.insert(
                    node.name.clone(),
                    json!({"blocking-ha-resources": blocking}),
                );
            }
        }
    }
    let mut answer = json!({
        "running": u8::from(running), "allowed-nodes": allowed, "not-allowed-nodes": others,
    });
    if managed {
        answer["dependent-ha-resources"] = near.into();
    }
    Ok(answer.into())
}

/// Managed guests that go along, and those that are in the way, by node.
fn companions(world: &World, sid: &str) -> (Vec<String>, BTreeMap<String, Vec<String>>) {
    let known = |sid: &String| {
        let other = world.ha.resources.get(sid);
        other.is_some_and(|other| other.current.is_some() && other.state != "ignored")
    };
    let (near, far) = world.ha_companions(sid);
    let mut blocking: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for sid in far.into_iter().filter(known) {
        let vmid = world.ha.resources.get(&sid).map(|other| other.vmid);
        let guest = vmid.and_then(|vmid| world.guests.get(&vmid));
        if let Some(node) = guest.map(|guest| guest.node.clone()) {
            blocking.entry(node).or_default().push(sid);
        }
    }
    (near.into_iter().filter(known).collect(), blocking)
}

pub(super) fn migrate(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    let target = call.text("target").unwrap_or_default();
    if target == key.node {
        return Err(ApiError::parameter("target", "target is local node.").into());
    }
    check_quorum(call)?;
    if call.world.node(&target).is_none() {
        return Err(ApiError::died(format!("no such cluster node '{target}'")).into());
    }
    require_guest(call, &key)?;
    call.look_at(std::slice::from_ref(&key))?;
    let running = require_guest(call, &key)?.is_running();
    let (restart, online) = (call.flag("restart"), call.flag("online"));
    if running && !restart && !online {
        let text = "can't migrate running container without --online or --restart";
        return Err(ApiError::died(text).into());
    }
    let how = Box::new(Crossing {
        online,
        ..storages(call, &target)?
    });
    if call.world.ha.manages(key.vmid) {
        return ask_to_move(call, key.vmid, &target);
    }
    let timeout_s = call.number("timeout").unwrap_or(SHUTDOWN_S);
    let work = Work::Migrate {
        target,
        restart,
        timeout_s,
        how,
    };
    start_task(call, "vzmigrate", work)
}

/// A managed container is moved by the manager, at its next look; the task only asks for it.
fn ask_to_move(call: &mut Call<'_>, vmid: u32, target: &str) -> Outcome {
    let line = format!("Requesting HA migration for CT {vmid} to node {target}");
    let current = call.world.ha.of(vmid).and_then(|it| it.current.clone());
    if current.as_deref() == Some("error") {
        let why = format!("service 'ct:{vmid}' in error state, must be disabled and fixed first");
        let error =
            format!("command 'ha-manager migrate ct:{vmid} {target}' failed: exit code 255");
        let log = vec![line, why];
        return start_task(call, "hamigrate", Work::Fail { log, error });
    }
    call.world.ask_to_move(vmid, "migrate", target);
    start_task(call, "hamigrate", Work::Request { line })
}

/// Where volumes are to go on: the caller may use the storages there, and they take volumes of containers.
fn storages(call: &Call<'_>, target: &str) -> Result<Crossing, ApiError> {
    let mut how = Crossing::default();
    let Some(given) = call.text("target-storage").filter(|text| !text.is_empty()) else {
        return Ok(how);
    };
    let refused = |text: &str| {
        let text = format!("failed to parse storage map: {text}\n");
        Err(ApiError::parameter("target-storage", text))
    };
    let mut identity = false;
    for entry in split_list(&given) {
        match entry.split_once(':') {
            _ if entry == "1" => identity = true,
            Some((here, there)) => {
                if how
                    .storages
                    .insert(here.to_owned(), there.to_owned())
                    .is_some()
                {
                    return refused(&format!("duplicate mapping for source '{here}'"));
                }
            }
            None if how.default_storage.is_some() => {
                return refused("default target ID can only be provided once");
            }
            None => how.default_storage = Some(entry.to_owned()),
        }
    }
    if identity && (how.default_storage.is_some() || !how.storages.is_empty()) {
        return refused("identity mapping cannot be combined with other mappings");
    }
    if !identity {
        let place = format!("/vms/{}", call.guest_key().vmid);
        call.rights().need(&place, &["VM.Config.Disk"])?;
    }
    for id in how.storages.values().chain(&how.default_storage) {
        let found = storage::require(call.world, id, target)?;
        call.rights()
            .need(&format!("/storage/{id}"), &["Datastore.AllocateSpace"])?;
        if !found.holds("rootdir") {
            let text = format!("storage '{id}' does not support CT rootdirs");
            return Err(ApiError::died(text));
        }
    }
    Ok(how)
}
