//! Usage over time: the export for monitoring systems, and round-robin data.

use serde_json::{Map, Value, json};

use super::super::call::{Call, Outcome};
use super::super::world::World;
use super::node;
use super::{require_guest, storage};

pub(super) fn index(_: &mut Call<'_>) -> Outcome {
    Ok(json!([{"name": "server"}]).into())
}

pub(super) fn servers(_: &mut Call<'_>) -> Outcome {
    Ok(json!([]).into())
}

/// One value of one thing.
struct Export<'a> {
    rows: Vec<Value>,
    at_s: u64,
    id: &'a str,
}

impl Export<'_> {
    fn push(&mut self, kind: &str, metric: &str, value: Value) {
        self.rows.push(json!({
            "id": self.id, "metric": metric, "type": kind, "timestamp": self.at_s, "value": value,
        }));
    }
}

/// The last values of nodes, guests and storages.
pub(super) fn export(call: &mut Call<'_>) -> Outcome {
    let world = &*call.world;
    let period_ms = super::super::broadcast::PERIOD_MS;
    let at_s = world.next_broadcast_ms.saturating_sub(period_ms) / 1000;
    let mut rows = Vec::new();
    let local = call.flag("local-only");
    for node in world
        .nodes()
        .iter()
        .filter(|node| !local || node.name == call.via)
    {
        if !world.sees(&call.via, node, call.now_ms) {
            continue;
        }
        let id = format!("node/{}", node.name);
        let mut export = Export {
            rows: Vec::new(),
            at_s,
            id: &id,
        };
        let row = node::row(call, node);
        let of = |key: &str| row.get(key).cloned().unwrap_or(json!(0));
        export.push("gauge", "uptime", of("uptime"));
        for metric in ["net_in", "net_out"] {
            export.push("derive", metric, json!(0));
        }
        for metric in ["cpu_avg1", "cpu_avg5", "cpu_avg15"] {
            export.push("gauge", metric, json!(0.0));
        }
        for (metric, value) in [
            ("cpu_max", of("maxcpu")),
            ("cpu_current", of("cpu")),
            ("cpu_iowait", json!(0)),
            ("mem_total", of("maxmem")),
            ("mem_used", of("mem")),
            ("swap_total", json!(0)),
            ("swap_used", json!(0)),
            ("disk_total", of("maxdisk")),
            ("disk_used", of("disk")),
        ] {
            export.push("gauge", metric, value);
        }
        rows.extend(export.rows);
        rows.extend(guests(world, &node.name, at_s));
        rows.extend(storages(world, &node.name, at_s));
    }
    Ok(json!({"data": rows}).into())
}

fn guests(world: &World, node: &str, at_s: u64) -> Vec<Value> {
    let mut rows = Vec::new();
    for (vmid, guest) in world.guests().filter(|(_, guest)| guest.node == node) {
        let Some(row) = &guest.broadcast else {
            continue;
        };
        let of = |key: &str| row.get(key).cloned().unwrap_or(json!(0));
        let id = format!("lxc/{vmid}");
        let mut export = Export {
            rows: Vec::new(),
            at_s,
            id: &id,
        };
        for (kind, metric, key) in [
            ("gauge", "cpu_current", "cpu"),
            ("gauge", "mem_used", "mem"),
            ("derive", "disk_read", "diskread"),
            ("derive", "disk_write", "diskwrite"),
            ("derive", "net_in", "netin"),
            ("derive", "net_out", "netout"),
            ("gauge", "disk_used", "disk"),
            ("gauge", "uptime", "uptime"),
            ("gauge", "cpu_max", "maxcpu"),
            ("gauge", "mem_total", "maxmem"),
            ("gauge", "disk_total", "maxdisk"),
        ] {
            export.push(kind, metric, of(key));
        }
        rows.extend(export.rows);
    }
    rows
}

fn storages(world: &World, node: &str, at_s: u64) -> Vec<Value> {
    let (mut rows, used) = (Vec::new(), storage::Used::of(world));
    for store in world.storages.iter().filter(|store| store.on(node)) {
        let row = storage::resource(&used, store, node, true);
        let id = format!("storage/{node}/{}", store.id);
        let mut export = Export {
            rows: Vec::new(),
            at_s,
            id: &id,
        };
        export.push("gauge", "disk_total", row["maxdisk"].clone());
        export.push("gauge", "disk_used", row["disk"].clone());
        rows.extend(export.rows);
    }
    rows
}

/// Seconds between two points, and how many there are.
fn resolution(call: &Call<'_>) -> (u64, u64) {
    match call.text("timeframe").as_deref() {
        Some("hour") => (60, 60),
        Some("day") => (60, 24 * 60),
        Some("week") => (1_800, 7 * 48),
        Some("month") => (1_800, 31 * 48),
        Some("year") => (21_600, 365 * 4),
        _ => (604_800, 520),
    }
}

/// Points since something began; their values where something was measured.
fn points(call: &Call<'_>, since_ms: u64, values: &Map<String, Value>) -> Value {
    let (step_s, count) = resolution(call);
    let end_s = call.now_s() / step_s * step_s;
    let first_s = end_s.saturating_sub(step_s * count);
    let rows = (1..=count).map(|index| {
        let time_s = first_s + step_s * index;
        let mut row = Map::from_iter([("time".to_owned(), json!(time_s))]);
        // The newest point is not complete yet.
        if time_s * 1000 >= since_ms + step_s * 1000 && index < count {
            row.extend(values.clone());
        }
        Value::Object(row)
    });
    rows.collect()
}

pub(super) fn node_points(call: &mut Call<'_>) -> Outcome {
    let Some(found) = call.world.node(&call.node).cloned() else {
        return Ok(json!([]).into());
    };
    let row = node::row(call, &found);
    let of = |key: &str| row.get(key).cloned().unwrap_or(json!(0));
    let free = found
        .memory_bytes
        .saturating_sub(of("mem").as_u64().unwrap_or(0));
    let mut values = super::cluster::fields(json!({
        "maxcpu": of("maxcpu"), "cpu": of("cpu"), "iowait": 0, "loadavg": 0, "memtotal": of("maxmem"),
        "memused": of("mem"), "memavailable": free, "swaptotal": 0, "swapused": 0,
        "roottotal": of("maxdisk"), "rootused": of("disk"), "netin": 0, "netout": 0, "arcsize": 0,
    }));
    for key in ["cpusome", "iosome", "iofull", "memorysome", "memoryfull"] {
        values.insert(format!("pressure{key}"), json!(0));
    }
    let (step_s, count) = resolution(call);
    // A node has been measured since it booted, to its last complete point.
    let end_s = call.now_s() / step_s * step_s;
    let rows = (0..count).map(|index| {
        let time_s = end_s.saturating_sub(step_s * (count - 1 - index));
        let mut row = Map::from_iter([("time".to_owned(), json!(time_s))]);
        if time_s * 1000 >= found.booted_ms {
            row.extend(values.clone());
        }
        Value::Object(row)
    });
    Ok(rows.collect::<Value>().into())
}

pub(super) fn guest_points(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    let guest = require_guest(call, &key)?;
    let row = guest.broadcast.clone().unwrap_or_default();
    let since_ms = guest.created_ms + 60_000;
    let names = [
        "cpu",
        "maxcpu",
        "mem",
        "maxmem",
        "disk",
        "maxdisk",
        "netin",
        "netout",
        "diskread",
        "diskwrite",
    ];
    let of = |name: &str| Some((name.to_owned(), row.get(name)?.clone()));
    let values: Map<String, Value> = names.iter().filter_map(|name| of(name)).collect();
    Ok(points(call, since_ms, &values).into())
}

pub(super) fn storage_points(call: &mut Call<'_>) -> Outcome {
    let id = call.text("storage").unwrap_or_default();
    let store = storage::require(call.world, &id, &call.node)?;
    let row = storage::resource(&storage::Used::of(call.world), store, &call.node, true);
    let values = Map::from_iter([
        ("total".to_owned(), row["maxdisk"].clone()),
        ("used".to_owned(), row["disk"].clone()),
    ]);
    Ok(points(call, call.now_ms, &values).into())
}
