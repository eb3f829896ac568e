//! The export of usage for monitoring systems: the newest values, and older ones as far as they are kept.

use serde_json::{Map, Value, json};

use super::super::broadcast::PERIOD_MS;
use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::world::{Guest, Node, Power};
use super::{node, storage};
use crate::schema::split_list;

/// Values that are kept beside the newest ones: half an hour, ten seconds apart.
const OLD: u64 = 180;
const PERIOD_S: u64 = PERIOD_MS / 1000;

/// What one thing tells at one moment.
struct Rows<'a> {
    out: &'a mut Vec<Value>,
    at_s: u64,
    id: String,
}

impl Rows<'_> {
    fn push(&mut self, kind: &str, metric: &str, value: Value) {
        self.out.push(json!({
            "id": self.id, "metric": metric, "type": kind, "timestamp": self.at_s, "value": value,
        }));
    }

    fn gauge(&mut self, metric: &str, value: Value) {
        self.push("gauge", metric, value);
    }
}

/// A moment that values are of.
#[derive(Clone, Copy)]
struct Moment {
    at_s: u64,
    /// How much older than the newest values.
    age_s: u64,
}

/// Values of nodes, guests and storages, the oldest first.
pub(super) fn export(call: &mut Call<'_>) -> Outcome {
    let nodes = chosen(call)?;
    let start_s: Option<i64> = call
        .text("start-time")
        .and_then(|text| text.trim_start_matches('+').parse().ok());
    let newest_s = call.world.next_broadcast_ms.saturating_sub(PERIOD_MS) / 1000;
    let wanted = |at_s: u64| {
        let at_s = i64::try_from(at_s).unwrap_or(i64::MAX);
        start_s.is_none_or(|start_s| at_s > start_s)
    };
    let mut rows = Vec::new();
    let used = storage::Used::of(call.world);
    for old in (0..=generations(call, start_s)).rev() {
        let age_s = old * PERIOD_S;
        let at_s = newest_s.saturating_sub(age_s);
        if !wanted(at_s) {
            continue;
        }
        let moment = Moment { at_s, age_s };
        for found in nodes.iter().filter(|node| node.booted_ms / 1000 <= at_s) {
            of_node(call, found, moment, &mut rows);
            of_guests(call, found, moment, &mut rows);
            of_storages(call, &used, found, moment, &mut rows);
        }
    }
    Ok(json!({"data": rows}).into())
}

/// How many older values are wanted.
fn generations(call: &Call<'_>, start_s: Option<i64>) -> u64 {
    if !call.flag("history") {
        return 0;
    }
    let now_s = i64::try_from(call.now_s()).unwrap_or(i64::MAX);
    let since = |start_s: i64| u64::try_from((now_s - start_s) / 10).unwrap_or(0);
    start_s.map_or(OLD, since).min(OLD)
}

/// The nodes that are asked: without a list all that can be reached, or this one alone.
fn chosen<'a>(call: &'a Call<'_>) -> Result<Vec<&'a Node>, ApiError> {
    let list = call.text("node-list").unwrap_or_default();
    let list = split_list(&list);
    let world = &*call.world;
    let mut found: Vec<&Node> = world.nodes().iter().collect();
    if list.is_empty() {
        let local = call.flag("local-only");
        found.retain(|node| node.name == call.via || !local);
    } else {
        // One that stands alone knows of no members, not even of itself.
        let members = world.cluster_name.is_some();
        let unknown = |name: &&&str| !members || world.node(name).is_none();
        let unknown: Vec<&str> = list.iter().filter(unknown).copied().collect();
        if !unknown.is_empty() {
            let text = "Requested node-list contains unknown nodes - ";
            return Err(ApiError::died(format!("{text}{}", unknown.join(", "))));
        }
        found.retain(|node| list.contains(&node.name.as_str()));
    }
    found.retain(|node| world.sees(&call.via, node, call.now_ms));
    Ok(found)
}

fn of(row: &Map<String, Value>, key: &str) -> Value {
    row.get(key).cloned().unwrap_or(json!(0))
}

/// Seconds that something has been up, so much earlier.
fn uptime(row: &Map<String, Value>, moment: Moment) -> Value {
    let up_s = row.get("uptime").and_then(Value::as_u64).unwrap_or(0);
    up_s.saturating_sub(moment.age_s).into()
}

fn of_node(call: &Call<'_>, found: &Node, moment: Moment, out: &mut Vec<Value>) {
    let row = &node::row(call, found);
    let mut rows = Rows {
        out,
        at_s: moment.at_s,
        id: format!("node/{}", found.name),
    };
    rows.gauge("uptime", uptime(row, moment));
    for metric in ["net_in", "net_out"] {
        rows.push("derive", metric, json!(0));
    }
    for metric in ["cpu_avg1", "cpu_avg5", "cpu_avg15"] {
        rows.gauge(metric, json!(0.0));
    }
    for (metric, value) in [
        ("cpu_max", of(row, "maxcpu")),
        ("cpu_current", of(row, "cpu")),
        ("cpu_iowait", json!(0)),
        ("mem_total", of(row, "maxmem")),
        ("mem_used", of(row, "mem")),
        ("swap_total", json!(0)),
        ("swap_used", json!(0)),
        ("disk_total", of(row, "maxdisk")),
        ("disk_used", of(row, "disk")),
    ] {
        rows.gauge(metric, value);
    }
}

/// Whether a guest ran then, as far as it is known.
fn ran(guest: &Guest, told: &Value, at_s: u64) -> bool {
    let since = match guest.power {
        Power::Running { since_ms } => since_ms / 1000 <= at_s,
        Power::Stopped => true,
    };
    told == "running" && since
}

fn of_guests(call: &Call<'_>, node: &Node, moment: Moment, out: &mut Vec<Value>) {
    let guests = call.world.guests();
    let there = guests
        .filter(|(_, guest)| guest.node == node.name && guest.created_ms / 1000 <= moment.at_s);
    for (vmid, guest) in there {
        let Some(row) = &guest.broadcast else {
            continue;
        };
        let of = |key: &str| row.get(key).cloned().unwrap_or(json!(0));
        let runs = ran(guest, &of("status"), moment.at_s);
        let mut rows = Rows {
            out: &mut *out,
            at_s: moment.at_s,
            id: format!("lxc/{vmid}"),
        };
        let while_it_runs = [
            ("gauge", "cpu_current", "cpu"),
            ("gauge", "mem_used", "mem"),
            ("derive", "disk_read", "diskread"),
            ("derive", "disk_write", "diskwrite"),
            ("derive", "net_in", "netin"),
            ("derive", "net_out", "netout"),
            ("gauge", "disk_used", "disk"),
        ];
        for (kind, metric, key) in while_it_runs.into_iter().filter(|_| runs) {
            rows.push(kind, metric, of(key));
        }
        let up_s = of("uptime").as_u64().filter(|_| runs).unwrap_or(0);
        rows.gauge("uptime", up_s.saturating_sub(moment.age_s).into());
        for (metric, key) in [
            ("cpu_max", "maxcpu"),
            ("mem_total", "maxmem"),
            ("disk_total", "maxdisk"),
        ] {
            rows.gauge(metric, of(key));
        }
    }
}

fn of_storages<'a>(
    call: &'a Call<'_>,
    used: &storage::Used<'a>,
    node: &'a Node,
    moment: Moment,
    out: &mut Vec<Value>,
) {
    let stores = call.world.storages.iter();
    for store in stores.filter(|store| store.usable(&node.name)) {
        let row = storage::resource(used, store, &node.name, true);
        let mut rows = Rows {
            out: &mut *out,
            at_s: moment.at_s,
            id: format!("storage/{}/{}", node.name, store.id),
        };
        rows.gauge("disk_total", row["maxdisk"].clone());
        rows.gauge("disk_used", row["disk"].clone());
    }
}
