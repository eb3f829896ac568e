//! `/cluster/status`, `/cluster/resources`, `/cluster/nextid`.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::answer::Reply;
use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::guest_list;
use super::super::status_row;
use super::super::world::World;
use super::node;
use super::storage;

/// Quorum and nodes; a standalone node has no cluster entry.
pub(super) fn status(call: &mut Call<'_>) -> Outcome {
    let world = &*call.world;
    let mut rows = Vec::new();
    if let Some(name) = &world.cluster_name {
        let nodes = world.nodes().len();
        rows.push(StatusRow::Cluster {
            id: "cluster",
            name,
            nodes,
            quorate: u8::from(world.is_quorate(&call.via, call.now_ms)),
            kind: "cluster",
            version: nodes,
        });
    }
    rows.extend(world.nodes().iter().map(|node| StatusRow::Node {
        id: format!("node/{}", node.name),
        ip: &node.address,
        level: "",
        local: u8::from(node.name == call.via),
        name: &node.name,
        nodeid: node.id,
        online: u8::from(world.sees(&call.via, node, call.now_ms)),
        kind: "node",
    }));
    Ok(Reply::written(&rows)?)
}

/// Keys in their order.
#[derive(Serialize)]
#[serde(untagged)]
enum StatusRow<'a> {
    Cluster {
        id: &'static str,
        name: &'a str,
        nodes: usize,
        quorate: u8,
        #[serde(rename = "type")]
        kind: &'static str,
        version: usize,
    },
    Node {
        id: String,
        ip: &'a str,
        level: &'static str,
        local: u8,
        name: &'a str,
        nodeid: u32,
        online: u8,
        #[serde(rename = "type")]
        kind: &'static str,
    },
}

/// Everything the caller may see, or one kind of it.
pub(super) fn resources(call: &mut Call<'_>) -> Outcome {
    let kind = call.text("type");
    let wanted = |name: &str| kind.as_deref().is_none_or(|kind| kind == name);
    if kind.as_deref() == Some("vm") && sees_all(call) {
        return Ok(Reply::Whole(guest_list::body(call.world, call.now_ms)));
    }
    let mut parts = Vec::new();
    if kind.is_none() {
        parts.push(text(pools(call)));
    }
    if wanted("vm") {
        parts.push(guests(call));
    }
    if wanted("node") {
        parts.push(text(nodes(call)));
    }
    if wanted("storage") {
        parts.push(text(storages(call)));
    }
    if kind.is_none() {
        parts.push(text(zones(call)));
    }
    Ok(Reply::Whole(guest_list::body_of(&parts)))
}

/// Rows, separated by commas.
fn text(rows: Vec<Value>) -> Bytes {
    let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    rows.join(",").into()
}

/// The caller may see all guests, and no node knows anything else of them.
fn sees_all(call: &Call<'_>) -> bool {
    let mut guests = call.world.guests();
    let mut sees_each = || guests.all(|(vmid, _)| call.may(&format!("/vms/{vmid}"), "VM.Audit"));
    call.world.has_one_view() && (call.rights().are_unlimited() || sees_each())
}

/// Those the caller may see.
fn guests(call: &mut Call<'_>) -> Bytes {
    let now_ms = call.now_ms;
    if sees_all(call) {
        return guest_list::rows(&guest_list::body(call.world, now_ms));
    }
    let visible = call
        .world
        .guests()
        .filter(|(vmid, _)| call.may(&format!("/vms/{vmid}"), "VM.Audit"));
    let rows =
        visible.filter_map(|guest| status_row::resource(call.world, &call.via, guest, now_ms));
    text(rows.collect())
}

fn pools(call: &Call<'_>) -> Vec<Value> {
    let visible = call
        .world
        .pools
        .keys()
        .filter(|name| call.may(&format!("/pool/{name}"), "Pool.Audit"));
    visible
        .map(|name| json!({"id": format!("/pool/{name}"), "pool": name, "type": "pool"}))
        .collect()
}

fn nodes(call: &Call<'_>) -> Vec<Value> {
    let row = |node| {
        let mut row = node::row(call, node);
        row.insert("cgroup-mode".into(), 2.into());
        if call.world.ha.master.is_some() {
            let state = if node::is_lost(node, call.now_ms) {
                "unknown"
            } else {
                "online"
            };
            row.insert("hastate".into(), state.into());
        }
        Value::Object(row)
    };
    call.world.nodes().iter().map(row).collect()
}

fn storages(call: &Call<'_>) -> Vec<Value> {
    let mut rows = Vec::new();
    let used = storage::Used::of(call.world);
    for node in call.world.nodes() {
        rows.extend(storage::visible(call, &node.name).map(|store| {
            let fresh = node::is_fresh(node, call.now_ms);
            storage::resource(&used, store, &node.name, fresh)
        }));
    }
    rows
}

fn zones(call: &Call<'_>) -> Vec<Value> {
    if !call.may("/sdn/zones/localnetwork", "SDN.Audit") {
        return Vec::new();
    }
    let row = |name: &String| {
        json!({
            "id": format!("network/{name}/zone/localnetwork"), "type": "network", "network-type": "zone",
            "network": "localnetwork", "node": name, "status": "ok",
        })
    };
    call.world
        .nodes()
        .iter()
        .map(|node| row(&node.name))
        .collect()
}

/// The lowest free id, as text; with `vmid` whether that one is free.
pub(super) fn next_id(call: &mut Call<'_>) -> Outcome {
    if let Some(vmid) = call.number("vmid") {
        let taken = u32::try_from(vmid).is_ok_and(|vmid| call.world.guests.contains_key(&vmid));
        if taken {
            return Err(ApiError::parameter("vmid", format!("VM {vmid} already exists")).into());
        }
        return Ok(Value::String(vmid.to_string()).into());
    }
    // PVE checks a given number against the guests alone, and chooses itself within the bounds, the upper one excluded.
    let (lower, upper) = call.world.next_id.bounds();
    match lowest_free(call.world, lower, upper) {
        Some(free) => Ok(Value::String(free.to_string()).into()),
        None => Err(ApiError::died(format!(
            "unable to get any free VMID in range [{lower}, {upper}]"
        ))
        .into()),
    }
}

fn lowest_free(world: &World, lower: u32, upper: u32) -> Option<u32> {
    (lower..upper).find(|vmid| !world.guests.contains_key(vmid))
}

/// An object's entries, for rows that are put together.
pub(super) fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
