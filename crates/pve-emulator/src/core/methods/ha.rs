//! `/cluster/ha`: resources, and what the manager says about itself.

use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use super::super::call::{Call, Outcome};
use super::super::dates;
use super::super::error::ApiError;
use super::super::ha::{Disarm, Ha, Resource};
use super::super::sections::{Kept, check_digest, remove_keys, typed};
use super::super::world::{Guest, Node};
use super::check_quorum;
use super::node::is_lost;
use crate::schema::split_list;

/// A manager that has not been heard of for so long may be dead, milliseconds.
const OLD_MS: u64 = 30_000;
const LOCK: &str = "domain-ha";
const METHOD: (&str, &str) = ("POST", "/cluster/ha/resources");
/// What a resource can be told.
const OPTIONS: [&str; 6] = [
    "state",
    "comment",
    "failback",
    "group",
    "max_relocate",
    "max_restart",
];

pub(super) fn index(_: &mut Call<'_>) -> Outcome {
    Ok(json!([{"id": "status"}, {"id": "resources"}, {"id": "groups"}, {"id": "rules"}]).into())
}

pub(super) fn status_index(_: &mut Call<'_>) -> Outcome {
    let names = ["current", "manager_status", "disarm-ha", "arm-ha"];
    let rows = names.map(|name| json!({"name": name}));
    Ok(json!(rows).into())
}

fn row(call: &Call<'_>, sid: &str, resource: &Resource) -> Value {
    let kind = sid.split(':').next().unwrap_or_default();
    let mut row = Map::from_iter([
        ("sid".to_owned(), json!(sid)),
        ("type".to_owned(), json!(kind)),
        ("digest".to_owned(), json!(call.world.ha.digest())),
    ]);
    if !resource.state_meant {
        row.insert("state".into(), resource.state.clone().into());
    }
    for (key, value) in &resource.options {
        row.insert(key.clone(), typed(METHOD, key, value));
    }
    Value::Object(row)
}

pub(super) fn resources(call: &mut Call<'_>) -> Outcome {
    let wanted = call.text("type").is_none_or(|kind| kind == "ct");
    let rows = call.world.ha.resources.iter().filter(|_| wanted);
    Ok(rows
        .map(|(sid, resource)| row(call, sid, resource))
        .collect::<Value>()
        .into())
}

/// `ct:100` or `100`, as the full id.
fn sid_of(call: &Call<'_>) -> Result<String, ApiError> {
    let given = call.text("sid").unwrap_or_default();
    if given.contains(':') {
        return Ok(given);
    }
    let vmid = given.parse().unwrap_or_default();
    if call.world.guests.contains_key(&vmid) {
        return Ok(format!("ct:{vmid}"));
    }
    Err(ApiError::died(format!(
        "unable to detect SID from VMID - VM/CT {given} does not exist"
    )))
}

fn check_type(call: &Call<'_>, sid: &str) -> Result<(), ApiError> {
    match call.text("type") {
        Some(kind) if sid.split(':').next() != Some(&kind) => {
            Err(ApiError::died("types does not match"))
        }
        Some(_) | None => Ok(()),
    }
}

/// There are rules in place of groups.
fn refuse_group(call: &Call<'_>) -> Result<(), ApiError> {
    match call.text("group") {
        Some(_) => Err(ApiError::died(
            "invalid parameter 'group': ha groups have been migrated to rules",
        )),
        None => Ok(()),
    }
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let sid = sid_of(call)?;
    match call.world.ha.resources.get(&sid) {
        Some(resource) => Ok(row(call, &sid, resource).into()),
        None => Err(ApiError::died(format!("no such resource '{sid}'")).into()),
    }
}

fn options(call: &Call<'_>) -> std::collections::BTreeMap<String, String> {
    let names = OPTIONS.iter().filter(|name| **name != "state");
    names
        .filter_map(|name| Some(((*name).to_owned(), call.text(name)?)))
        .collect()
}

/// Out of `error` only `disabled` leads.
fn check_state(call: &Call<'_>, sid: &str, wished: Option<&str>) -> Result<(), ApiError> {
    let found = call.world.ha.resources.get(sid);
    let failed = found.is_some_and(|resource| {
        let managed = call.world.ha.manages(resource.vmid);
        managed && resource.current.as_deref() == Some("error")
    });
    if failed && wished != Some("disabled") {
        let text = format!("service '{sid}' in error state, must be disabled and fixed first");
        return Err(ApiError::died(text));
    }
    Ok(())
}

/// The guest of a resource that can be managed.
fn guest_of(call: &Call<'_>, sid: &str) -> Result<u32, ApiError> {
    let (kind, name) = sid.split_once(':').unwrap_or_default();
    if !matches!(kind, "ct" | "vm") {
        return Err(ApiError::died(format!("unknown section type '{kind}'")));
    }
    let digits = name.bytes().all(|b| b.is_ascii_digit());
    if !digits || name.len() < 2 || name.starts_with('0') {
        return Err(ApiError::died("invalid VMID"));
    }
    let vmid = name.parse().unwrap_or_default();
    match (call.world.guests.contains_key(&vmid), kind) {
        (false, _) => Err(ApiError::died(format!(
            "resource '{sid}' does not exist in cluster"
        ))),
        (true, "vm") => Err(ApiError::died(format!(
            "resource '{sid}' - guest with ID {vmid} is not a VM"
        ))),
        (true, _) => Ok(vmid),
    }
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    check_quorum(call)?;
    let sid = sid_of(call)?;
    check_type(call, &sid)?;
    refuse_group(call)?;
    let vmid = guest_of(call, &sid)?;
    if call.world.ha.resources.contains_key(&sid) {
        let text = format!("create resource failed: resource ID '{sid}' already defined");
        return Err(ApiError::died(text).into());
    }
    let state = call.text("state");
    let options = options(call);
    call.world
        .manage(vmid, state.as_deref().unwrap_or("started"), call.now_ms);
    if let Some(resource) = call.world.ha.resources.get_mut(&sid) {
        resource.options = options;
        resource.state_meant = state.is_none();
    }
    Ok(Value::Null.into())
}

/// What becomes of a resource, or why it stays as it is.
fn updated(call: &Call<'_>, sid: &str) -> Result<Resource, ApiError> {
    check_digest(call.text("digest").as_deref(), &call.world.ha.digest())?;
    let Some(mut resource) = call.world.ha.resources.get(sid).cloned() else {
        return Err(ApiError::died(format!("no such resource '{sid}'")));
    };
    resource.options.extend(options(call));
    if let Some(state) = call.text("state") {
        resource.state = state;
        resource.state_meant = false;
    }
    let removed = call.text("delete").unwrap_or_default();
    let option = |key: &str| OPTIONS.contains(&key).then_some(Kept::Optional);
    remove_keys(&mut resource.options, &removed, option)?;
    if split_list(&removed).contains(&"state") {
        resource.state = "started".into();
        resource.state_meant = true;
    }
    Ok(resource)
}

pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    const FAILED: &str = "update resources config failed";
    let sid = sid_of(call)?;
    check_type(call, &sid)?;
    refuse_group(call)?;
    check_state(call, &sid, call.text("state").as_deref())?;
    call.cluster_lock(LOCK, FAILED)?;
    match updated(call, &sid) {
        Ok(resource) => {
            let (vmid, state) = (resource.vmid, resource.state.clone());
            let meant = resource.state_meant;
            call.world.ha.resources.insert(sid.clone(), resource);
            call.world.request_state(vmid, &state, call.now_ms);
            if let Some(resource) = call.world.ha.resources.get_mut(&sid) {
                resource.state_meant = meant;
            }
            Ok(Value::Null.into())
        }
        Err(error) => Err(ApiError::died(format!("{FAILED}: {}", error.text())).into()),
    }
}

pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let sid = sid_of(call)?;
    if !call.world.ha.resources.contains_key(&sid) {
        let text = format!("cannot delete service '{sid}', not HA managed!");
        return Err(ApiError::died(text).into());
    }
    call.cluster_lock(LOCK, "delete resource failed")?;
    let purge = call.text("purge").is_none_or(|text| text == "1");
    call.world.unmanage(&sid, purge);
    Ok(Value::Null.into())
}

fn send(call: &mut Call<'_>, how: &str) -> Outcome {
    let sid = sid_of(call)?;
    let node = call.text("node").unwrap_or_default();
    let resource = call.world.ha.resources.get(&sid);
    let vmid = resource.map(|resource| resource.vmid);
    let Some(vmid) = vmid.filter(|vmid| call.world.ha.manages(*vmid)) else {
        return Err(ApiError::died(format!("resource '{sid}' is not HA managed")).into());
    };
    check_state(call, &sid, None)?;
    call.cluster_lock(LOCK, "")?;
    call.world.ask_to_move(vmid, how, &node);
    let known = |sid: &String| {
        let other = call.world.ha.resources.get(sid);
        other.is_some_and(|other| other.current.is_some() && other.state != "ignored")
    };
    let (near, far) = call.world.ha_companions(&sid);
    let near: Vec<String> = near.into_iter().filter(known).collect();
    let there = |sid: &String| {
        let vmid = call.world.ha.resources.get(sid).map(|other| other.vmid);
        let guest = vmid.and_then(|vmid| call.world.guests.get(&vmid));
        guest.is_some_and(|guest| guest.node == node)
    };
    let far = far.iter().filter(|sid| known(sid) && there(sid));
    let far: Vec<Value> = far
        .map(|sid| json!({"sid": sid, "cause": "resource-affinity"}))
        .collect();
    let mut row = json!({"sid": sid, "requested-node": node});
    if !near.is_empty() {
        row["comigrated-resources"] = near.into();
    }
    if !far.is_empty() {
        row["blocking-resources"] = far.into();
    }
    Ok(row.into())
}

pub(super) fn migrate(call: &mut Call<'_>) -> Outcome {
    send(call, "migrate")
}

pub(super) fn relocate(call: &mut Call<'_>) -> Outcome {
    send(call, "relocate")
}

pub(super) fn disarm(call: &mut Call<'_>) -> Outcome {
    call.cluster_lock(LOCK, "")?;
    let mode = call.text("resource-mode");
    call.world.ha.disarm_wanted = call.world.ha.disarm_wanted.take().or(mode);
    Ok(Value::Null.into())
}

pub(super) fn arm(call: &mut Call<'_>) -> Outcome {
    call.cluster_lock(LOCK, "")?;
    call.world.ha.disarm_wanted = None;
    Ok(Value::Null.into())
}

/// What the managers of the cluster and of its nodes last wrote about themselves.
pub(super) fn crm_status(call: &mut Call<'_>) -> Outcome {
    let (world, ha) = (&*call.world, &call.world.ha);
    let quorate = world.is_quorate(&call.via, call.now_ms);
    let mut whole =
        json!({"manager_status": {}, "quorum": {"node": call.via, "quorate": u8::from(quorate)}});
    let Some(master) = &ha.master else {
        return Ok(whole.into());
    };
    let state = |node: &Node| {
        if is_lost(node, call.now_ms) {
            "unknown"
        } else {
            "online"
        }
    };
    let nodes = world.nodes().iter();
    let nodes: Map<String, Value> = nodes
        .map(|node| (node.name.clone(), state(node).into()))
        .collect();
    let services = ha.resources.iter().filter_map(|(sid, resource)| {
        let node = world
            .guests
            .get(&resource.vmid)
            .map(|guest| guest.node.clone());
        let mut row =
            json!({"node": node, "state": resource.current.clone()?, "uid": uid(sid, resource)});
        if resource.current.as_deref() == Some("started") {
            row["running"] = 1.into();
        }
        Some((sid.clone(), row))
    });
    let mut status = json!({
        "master_node": master, "timestamp": ha.master_ms / 1000, "node_status": nodes,
        "service_status": services.collect::<Map<String, Value>>(),
    });
    if let Some(disarm) = &ha.disarm {
        status["disarm"] = json!({"mode": disarm.mode, "state": disarm.state});
    }
    whole["manager_status"] = status;
    let local = world.nodes().iter().map(|node| {
        let at_s = ha.local_ms.get(&node.name).copied().unwrap_or_default() / 1000;
        let active = ha.active.contains(&node.name);
        let state = if active {
            "active"
        } else {
            "wait_for_agent_lock"
        };
        let row = json!({"mode": "active", "results": {}, "state": state, "timestamp": at_s});
        (node.name.clone(), row)
    });
    whole["lrm_status"] = Value::Object(local.collect());
    Ok(whole.into())
}

/// What marks one decision of the manager about a resource.
fn uid(sid: &str, resource: &Resource) -> String {
    let text = format!("{sid} {} {:?}", resource.state, resource.current);
    let mut uid = base64(&Sha1::digest(text.as_bytes()));
    uid.truncate(22);
    uid
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    let bits: Vec<u8> = bits.collect();
    let digit = |six: &[u8]| {
        let value = six
            .iter()
            .fold(0, |value, bit| value << 1 | usize::from(*bit));
        char::from(DIGITS[value << (6 - six.len())])
    };
    bits.chunks(6).map(digit).collect()
}

/// Quorum, manager, fencing, local managers, resources.
pub(super) fn current(call: &mut Call<'_>) -> Outcome {
    let (world, via, now_ms) = (&*call.world, call.via.clone(), call.now_ms);
    let quorate = world.is_quorate(&via, now_ms);
    let status = if quorate {
        "OK".to_owned()
    } else {
        format!("No quorum on node '{via}'!")
    };
    let mut rows = vec![json!({
        "id": "quorum", "type": "quorum", "node": via, "status": status, "quorate": u8::from(quorate),
    })];
    let armed = world.ha.master.is_some() && !world.ha.active.is_empty();
    if let Some(master) = &world.ha.master {
        let old = now_ms > world.ha.master_ms + OLD_MS;
        let word = if old {
            "old timestamp - dead?"
        } else if armed {
            "active"
        } else {
            "idle"
        };
        let extra = world.ha.disarm.as_ref().map(|disarm| {
            let Disarm { state, mode } = disarm;
            format!(" - {state}, resource mode: {mode}")
        });
        let status = format!(
            "{master} ({word}, {}){}",
            dates::long(world.ha.master_ms / 1000),
            extra.unwrap_or_default()
        );
        rows.push(json!({
            "id": "master", "type": "master", "node": master, "status": status, "timestamp": world.ha.master_ms / 1000,
        }));
    }
    let node = world.ha.master.clone().unwrap_or(via);
    rows.push(fencing(&world.ha, node, armed));
    if world.ha.master.is_some() {
        rows.extend(world.nodes().iter().map(|node| local(call, &node.name)));
    }
    let resources = world.ha.resources.iter();
    rows.extend(resources.map(|(sid, resource)| resource_row(call, sid, resource)));
    Ok(Value::Array(rows).into())
}

/// Whether watchdogs are held.
fn fencing(ha: &Ha, node: String, armed: bool) -> Value {
    if let Some(Disarm { state, mode }) = &ha.disarm {
        let watchdog = if state == "disarmed" {
            "released"
        } else {
            "active"
        };
        let status = format!("{state}, resource mode: {mode} (CRM watchdog {watchdog})");
        return json!({
            "id": "fencing", "type": "fencing", "node": node, "armed-state": state, "resource_mode": mode, "status": status,
        });
    }
    let (state, watchdog) = if armed {
        ("armed", "active")
    } else {
        ("standby", "standby")
    };
    json!({
        "id": "fencing", "type": "fencing", "node": node, "armed-state": state,
        "status": format!("{state} (CRM watchdog {watchdog})"),
    })
}

fn local(call: &Call<'_>, node: &str) -> Value {
    let ha = &call.world.ha;
    let at_ms = ha.local_ms.get(node).copied().unwrap_or_default();
    let active = ha.active.contains(node);
    let watchdog = if active { "active" } else { "standby" };
    let old = call.now_ms > at_ms + OLD_MS;
    let word = if old {
        "old timestamp - dead?"
    } else if active {
        "active"
    } else {
        "idle"
    };
    let status = format!(
        "{node} ({word}, watchdog {watchdog}, {})",
        dates::long(at_ms / 1000)
    );
    json!({"id": format!("lrm:{node}"), "type": "lrm", "node": node, "status": status, "timestamp": at_ms / 1000})
}

/// A resource's state in words: on its way where the manager's state and the wish differ.
fn verbose(call: &Call<'_>, resource: &Resource) -> String {
    let guest = call.world.guests.get(&resource.vmid);
    let runs = guest.is_some_and(Guest::is_running);
    let ignores = call.world.ha.disarm.as_ref();
    let word = match (resource.current.as_deref(), resource.state.as_str()) {
        _ if ignores.is_some_and(|disarm| disarm.mode == "ignore") => "ignore",
        (_, "ignored") => "ignored",
        _ if guest.is_none() => "not found",
        (None, _) => "queued",
        (Some("stopped"), "started" | "enabled") => "starting",
        (Some("stopped"), "disabled") => "disabled",
        (Some("started"), _) if !runs => "starting",
        (Some("started"), "stopped" | "disabled") => "stopping",
        (Some("error"), "disabled") => "clearing error flag",
        (Some(current), _) => current,
    };
    word.to_owned()
}

fn resource_row(call: &Call<'_>, sid: &str, resource: &Resource) -> Value {
    let guest = call.world.guests.get(&resource.vmid);
    let node = guest.map(|guest| guest.node.as_str());
    let state = verbose(call, resource);
    let mut row = json!({
        "id": format!("service:{sid}"), "type": "service", "sid": sid, "state": state,
        "request_state": resource.state, "status": format!("{sid} ({}, {state})", node.unwrap_or("---")),
        "max_restart": 1, "max_relocate": 1, "failback": 1,
    });
    if let Some(node) = node {
        row["node"] = node.into();
    }
    if let Some(current) = &resource.current {
        row["crm_state"] = current.clone().into();
    }
    for (key, value) in &resource.options {
        let number = value.parse::<u64>().ok().filter(|_| key != "comment");
        row[key.as_str()] = number.map_or_else(|| value.clone().into(), Value::from);
    }
    row
}
