//! A guest's state in the shapes the API shows it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::guest::GuestLook;
use super::guest_list::Surroundings;
use super::ha::Resource;
use super::views::ToldRef;
use super::world::{Guest, Power, World};

const MIB: u64 = 1024 * 1024;
const PRESSURES: [&str; 6] = [
    "pressurecpusome",
    "pressurecpufull",
    "pressureiosome",
    "pressureiofull",
    "pressurememorysome",
    "pressurememoryfull",
];

/// What the last look showed, if the guest runs.
fn look<'a>(world: &'a World, vmid: u32, guest: &Guest) -> Option<(&'a GuestLook, f64)> {
    let look = world.live.looks.get(&vmid).filter(|_| guest.is_running())?;
    Some((look.seen.as_ref().ok()?, look.cpu))
}

/// Cores; else the limit of their time, as text; else those of the node.
fn cpus(world: &World, guest: &Guest) -> Value {
    let host = world.node(&guest.node).map_or(1, |node| node.cpus);
    let limit = guest.config.get("cpulimit").filter(|limit| *limit != "0");
    match (guest.config.number("cores"), limit) {
        (Some(cores), _) => cores.into(),
        (None, Some(limit)) => limit.into(),
        (None, None) => host.into(),
    }
}

/// The same as a number.
fn maxcpu(world: &World, guest: &Guest) -> Value {
    let cpus = cpus(world, guest);
    let limit = cpus.as_str().and_then(|text| text.parse::<f64>().ok());
    match limit {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(whole) if whole.fract() == 0.0 => (whole as u64).into(),
        Some(part) => part.into(),
        None => cpus,
    }
}

fn uptime_s(guest: &Guest, now_ms: u64) -> u64 {
    match guest.power {
        Power::Running { since_ms } => now_ms.saturating_sub(since_ms) / 1000,
        Power::Stopped => 0,
    }
}

fn name(vmid: u32, guest: &Guest) -> String {
    guest
        .config
        .get("hostname")
        .map_or_else(|| format!("CT{vmid}"), str::to_owned)
}

fn status(guest: &Guest) -> &'static str {
    if guest.is_running() {
        "running"
    } else {
        "stopped"
    }
}

/// Usage keys that both shapes have.
fn usage(world: &World, vmid: u32, guest: &Guest, now_ms: u64) -> [(&'static str, Value); 14] {
    let look = look(world, vmid, guest);
    let seen = look.map(|(look, _)| look);
    let cpu = look.map_or(0.0, |(_, cpu)| cpu);
    let memory_bytes = guest.config.number("memory").unwrap_or(512) * MIB;
    [
        ("type", "lxc".into()),
        ("vmid", vmid.into()),
        ("name", name(vmid, guest).into()),
        ("status", status(guest).into()),
        ("uptime", uptime_s(guest, now_ms).into()),
        ("mem", seen.map_or(0, |look| look.mem_bytes).into()),
        ("maxmem", memory_bytes.into()),
        ("disk", 0.into()),
        ("maxdisk", guest.config.rootfs_bytes().into()),
        ("netin", seen.map_or(0, |look| look.net_in_bytes).into()),
        ("netout", seen.map_or(0, |look| look.net_out_bytes).into()),
        ("diskread", 0.into()),
        ("diskwrite", 0.into()),
        ("cpu", if cpu == 0.0 { 0.into() } else { cpu.into() }),
    ]
}

fn named((key, value): (&'static str, Value)) -> (String, Value) {
    (key.to_owned(), value)
}

/// A row of `GET /nodes/{node}/lxc`; `status/current` adds `ha`.
pub(crate) fn current(world: &World, vmid: u32, guest: &Guest, now_ms: u64) -> Map<String, Value> {
    let usage = usage(world, vmid, guest, now_ms);
    let mut row: Map<String, Value> = usage.into_iter().map(named).collect();
    row.insert("cpus".into(), cpus(world, guest));
    row.insert("swap".into(), 0.into());
    row.insert(
        "maxswap".into(),
        (guest.config.number("swap").unwrap_or(0) * MIB).into(),
    );
    for key in ["tags", "lock"] {
        row.extend(
            guest
                .config
                .get(key)
                .map(|value| (key.to_owned(), value.into())),
        );
    }
    if guest.config.flag("template") {
        row.insert("template".into(), 1.into());
    }
    if guest.is_running() {
        row.extend(PRESSURES.map(|key| (key.to_owned(), "0.00".into())));
        row.extend(
            look(world, vmid, guest)
                .and_then(|(look, _)| look.pid)
                .map(|pid| ("pid".to_owned(), pid.into())),
        );
    }
    row
}

/// What the node broadcasts about a guest; frozen until the next time.
pub(crate) fn broadcast(
    world: &World,
    vmid: u32,
    guest: &Guest,
    now_ms: u64,
) -> BTreeMap<String, Value> {
    let usage = usage(world, vmid, guest, now_ms).into_iter();
    let told = usage.filter(|(key, _)| !["type", "vmid"].contains(key));
    let mut row: BTreeMap<String, Value> = told.map(named).collect();
    row.insert("maxcpu".into(), maxcpu(world, guest));
    row.insert(
        "template".into(),
        u8::from(guest.config.flag("template")).into(),
    );
    let memory = if guest.is_running() {
        row.get("mem").cloned().unwrap_or(json!(0))
    } else {
        json!(0)
    };
    row.insert("memhost".into(), memory);
    row
}

/// A row of `GET /cluster/resources` as a node sees it: place, lock, tags and pool are current, the rest is as last
/// broadcast. None when it does not know the guest.
pub(crate) fn resource(
    world: &World,
    via: &str,
    (vmid, guest): (u32, &Guest),
    now_ms: u64,
) -> Option<Value> {
    let told = world.told(via, vmid, guest)?;
    let managed = world.ha.of(vmid);
    let around = Surroundings {
        fresh: told.is_fresh(now_ms),
        hastate: managed.and_then(Resource::shown_state),
        pool: world.pool_of(vmid),
    };
    Some(resource_of((vmid, guest), told, around))
}

/// The same from what was told of the guest and what is around it.
pub(crate) fn resource_of(
    (vmid, guest): (u32, &Guest),
    told: ToldRef<'_>,
    around: Surroundings<'_>,
) -> Value {
    let known = told.row.filter(|_| around.fresh).into_iter().flatten();
    let mut row: Map<String, Value> = known
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    // What was told counts.
    for (key, value) in [
        ("id", format!("lxc/{vmid}").into()),
        ("type", "lxc".into()),
        ("vmid", vmid.into()),
        ("node", told.node.into()),
        ("status", "unknown".into()),
    ] {
        row.entry(key).or_insert(value);
    }
    for key in ["tags", "lock"] {
        row.extend(
            guest
                .config
                .get(key)
                .map(|value| (key.to_owned(), value.into())),
        );
    }
    let others = [("hastate", around.hastate), ("pool", around.pool)];
    for (key, value) in others {
        row.extend(value.map(|value| (key.to_owned(), value.into())));
    }
    Value::Object(row)
}
