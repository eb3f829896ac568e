//! `/version`, `/nodes` and what is about a node itself.

use serde_json::{Map, Value, json};

use super::super::broadcast::STALE_MS;
use super::super::call::{Call, Outcome};
use super::super::world::{Bridge, Node, World};
use super::cluster::fields;

/// Until the HA manager no longer counts on a silent node.
const LOST_MS: u64 = 60_000;
const VERSION: &str = "9.2.11";
const RELEASE: &str = "9.2";
const REPO_ID: &str = "14a22df35955d97d";

pub(super) fn version(_: &mut Call<'_>) -> Outcome {
    Ok(json!({"version": VERSION, "release": RELEASE, "repoid": REPO_ID}).into())
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let rows = call.world.nodes().iter().map(|node| {
        let mut row = row(call, node);
        row.insert("ssl_fingerprint".into(), node.fingerprint.clone().into());
        Value::Object(row)
    });
    Ok(rows.collect::<Value>().into())
}

/// A node as lists show it: usage only to those who may audit it, and only while it is online.
pub(super) fn row(call: &Call<'_>, node: &Node) -> Map<String, Value> {
    let online = call.world.sees(&call.via, node, call.now_ms);
    let mut row = fields(json!({
        "id": format!("node/{}", node.name), "type": "node", "node": node.name, "level": "",
        "status": if online { "online" } else { "offline" },
    }));
    if !call.may(&format!("/nodes/{}", node.name), "Sys.Audit") {
        return row;
    }
    if !is_fresh(node, call.now_ms) {
        row.remove("level");
    } else {
        let sizes =
            json!({"maxcpu": node.cpus, "maxmem": node.memory_bytes, "maxdisk": node.disk_bytes});
        row.extend(fields(sizes));
    }
    if online {
        row.extend(fields(json!({
            "cpu": cpu(call.world, node), "mem": memory_used(call.world, node),
            "disk": node.disk_used_bytes, "uptime": uptime_s(call, node),
        })));
    }
    row
}

/// What the node last told about itself is still shown.
pub(super) fn is_fresh(node: &Node, now_ms: u64) -> bool {
    node.gone_ms.is_none_or(|at| now_ms < at + STALE_MS)
}

/// The HA manager has given the node up.
pub(super) fn is_lost(node: &Node, now_ms: u64) -> bool {
    node.gone_ms.is_some_and(|at| now_ms >= at + LOST_MS)
}

fn uptime_s(call: &Call<'_>, node: &Node) -> u64 {
    call.now_ms.saturating_sub(node.booted_ms) / 1000
}

/// The node's own use and that of its running guests at their last look.
fn memory_used(world: &World, node: &Node) -> u64 {
    let guests: u64 = seen(world, node).map(|look| look.0).sum();
    (node.memory_used_bytes + guests).min(node.memory_bytes)
}

fn cpu(world: &World, node: &Node) -> f64 {
    let cores: f64 = seen(world, node).map(|look| look.1).sum();
    (cores / f64::from(node.cpus.max(1))).min(1.0)
}

fn seen<'a>(world: &'a World, node: &'a Node) -> impl Iterator<Item = (u64, f64)> + 'a {
    world
        .guests()
        .filter(|(_, guest)| guest.node == node.name && guest.is_running())
        .filter_map(|(vmid, _)| world.live.looks.get(&vmid))
        .filter_map(|look| Some((look.seen.as_ref().ok()?.mem_bytes, look.cpu)))
}

pub(super) fn status(call: &mut Call<'_>) -> Outcome {
    let Some(node) = call.world.node(&call.node) else {
        return Ok(Value::Null.into());
    };
    let used = memory_used(call.world, node);
    let free = node.memory_bytes.saturating_sub(used);
    let disk_free = node.disk_bytes.saturating_sub(node.disk_used_bytes);
    let kernel = "Linux 6.17.0-pve #1 SMP PREEMPT_DYNAMIC";
    Ok(json!({
        "pveversion": format!("pve-manager/{VERSION}/{REPO_ID}"),
        "kversion": kernel,
        "current-kernel": {"sysname": "Linux", "release": "6.17.0-pve", "version": "#1 SMP PREEMPT_DYNAMIC", "machine": "x86_64"},
        "boot-info": {"mode": "legacy-bios"},
        "cpuinfo": {
            "cpus": node.cpus, "cores": node.cpus, "sockets": 1, "user_hz": 100, "hvm": "",
            "model": "emulated", "vendor": "emulated", "family": "6", "mhz": "2000.000", "flags": "fpu",
        },
        "cpu": cpu(call.world, node), "wait": 0, "idle": 0,
        "loadavg": ["0.00", "0.00", "0.00"],
        "uptime": uptime_s(call, node),
        "memory": {"total": node.memory_bytes, "used": used, "free": free, "available": free},
        "swap": {"total": 0, "used": 0, "free": 0},
        "rootfs": {"total": node.disk_bytes, "used": node.disk_used_bytes, "free": disk_free, "avail": disk_free},
        "ksm": {"shared": 0},
    })
    .into())
}

/// Bridges; to those only who may audit or use them: rights on the node show none (pve-manager, API2/Network.pm).
pub(super) fn network(call: &mut Call<'_>) -> Outcome {
    let bridges = call
        .world
        .node(&call.node)
        .map(|node| node.bridges.clone())
        .unwrap_or_default();
    let kind = call.text("type");
    let wanted = matches!(
        kind.as_deref(),
        None | Some("bridge" | "any_bridge" | "any_local_bridge" | "include_sdn")
    );
    let visible = |bridge: &&Bridge| {
        let zone = format!("/sdn/zones/localnetwork/{}", bridge.name);
        call.may(&zone, "SDN.Audit") || call.may(&zone, "SDN.Use")
    };
    let rows = bridges
        .iter()
        .filter(|_| wanted)
        .filter(visible)
        .map(bridge_row);
    Ok(rows.collect::<Value>().into())
}

fn bridge_row(bridge: &Bridge) -> Value {
    let mut row = json!({
        "iface": bridge.name, "type": "bridge", "active": 1, "autostart": 1, "priority": 3, "families": ["inet"],
        "bridge_ports": "", "bridge_stp": "off", "bridge_fd": "0", "method6": "manual",
        "method": if bridge.cidr.is_some() { "static" } else { "manual" },
    });
    if let Some((address, bits)) = bridge.cidr.as_deref().and_then(|cidr| cidr.split_once('/')) {
        row["address"] = address.into();
        row["netmask"] = bits.into();
        row["cidr"] = format!("{address}/{bits}").into();
    }
    row
}
