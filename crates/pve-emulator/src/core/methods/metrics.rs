//! Usage over time: the export for monitoring systems, and round-robin data.

use serde_json::{Map, Value, json};

use super::super::call::{Call, Outcome};
use super::node;
use super::{require_guest, storage};

pub(super) fn index(_: &mut Call<'_>) -> Outcome {
    Ok(json!([{"name": "server"}]).into())
}

/// Seconds between two points, and how many there are.
fn resolution(call: &Call<'_>) -> (u64, u64) {
    match call.text("timeframe").as_deref() {
        Some("hour") => (60, 60),
        Some("day") => (60, 24 * 60),
        Some("week") => (1_800, 7 * 48),
        Some("month") => (1_800, 1_440),
        Some("year") => (21_600, 1_440),
        _ => (604_800, 570),
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
