//! Nodes, guests, the clock and the checks.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Control, given, no_endpoint, parsed, refused};
use crate::core::{CheckSettings, Daemon, GuestFaults, Node, Reach, World};
use crate::shell::http::Head;

/// What is changed about a node; the rest stays.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NodeOrder {
    /// Off: its guests stop, and nobody answers at its address.
    powered: Option<bool>,
    /// How other nodes find it; without power, clients too.
    reach: Option<Reach>,
    /// It lives and answers, and is cut off from the others.
    partitioned: Option<bool>,
    /// By name, e.g. `pvedaemon`.
    daemons: BTreeMap<String, bool>,
    /// Calls that come past it take so much longer.
    slow_ms: Option<u64>,
    /// So many broadcasts of its are not taken in.
    old_view_cycles: Option<u64>,
}

/// What is done to a guest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum GuestOrder {
    Vanish {},
    Stranger {
        node: String,
    },
    Move {
        to: String,
    },
    MoveConfig {
        to: String,
    },
    Lock {
        #[serde(default, rename = "as")]
        lock: Option<String>,
    },
    Faults(GuestFaults),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockOrder {
    ahead_ms: u64,
}

pub(super) async fn answer(head: &Head, parts: &[&str], body: &[u8], control: &Control) -> Answer {
    let door = &control.door;
    match (head.method.as_str(), parts) {
        ("GET", ["nodes"]) => given(door.read(nodes).await),
        ("POST", ["nodes", name]) => match parsed::<NodeOrder>(body) {
            Ok(order) => {
                let (name, now_ms) = ((*name).to_owned(), door.now_ms());
                altered(control, move |world| {
                    change_node(world, &name, order, now_ms)
                })
                .await
            }
            Err(answer) => answer,
        },
        ("POST", ["world", "guests", vmid]) => match (vmid.parse(), parsed::<GuestOrder>(body)) {
            (Ok(vmid), Ok(order)) => {
                let now_ms = door.now_ms();
                altered(control, move |world| {
                    change_guest(world, vmid, order, now_ms)
                })
                .await
            }
            (Err(_), _) => no_endpoint(head),
            (_, Err(answer)) => answer,
        },
        ("GET", ["clock"]) => (200, clock(control)),
        ("POST", ["clock"]) => match parsed::<ClockOrder>(body) {
            Ok(ClockOrder { ahead_ms }) => {
                let set = altered(control, move |world| {
                    let set = world.set_clock_ahead(ahead_ms);
                    set.map(|()| Value::Null).map_err(|why| (400, why))
                });
                match set.await {
                    (200, _) => (200, clock(control)),
                    refusal => refusal,
                }
            }
            Err(answer) => answer,
        },
        ("GET", ["checks"]) => given(door.read(|world| json!(world.checks())).await),
        ("POST", ["checks"]) => match parsed::<CheckSettings>(body) {
            Ok(settings) => {
                let set = door.alter(move |world| {
                    world.set_checks(settings);
                    json!(world.checks())
                });
                given(set.await)
            }
            Err(answer) => answer,
        },
        ("GET", ["violations"]) => given(door.read(violations).await),
        ("DELETE", ["violations"]) => {
            let forget = door.alter(|world| {
                world.forget_violations();
                violations(world)
            });
            given(forget.await)
        }
        _ => no_endpoint(head),
    }
}

/// A change that may be refused with a status.
async fn altered(
    control: &Control,
    change: impl FnOnce(&mut World) -> Result<Value, (u16, String)> + Send + 'static,
) -> Answer {
    match control.door.alter(change).await {
        Ok(Ok(value)) => (200, value),
        Ok(Err((status, why))) => refused(status, why),
        Err(error) => refused(503, error),
    }
}

fn clock(control: &Control) -> Value {
    let ahead_ms = control.door.outside().borrow().ahead_ms;
    json!({"now_ms": control.door.now_ms(), "ahead_ms": ahead_ms})
}

fn violations(world: &World) -> Value {
    json!({"total": world.violations_total(), "violations": world.violations()})
}

fn nodes(world: &World) -> Value {
    world.nodes().iter().map(Node::faults).collect()
}

fn change_node(
    world: &mut World,
    name: &str,
    order: NodeOrder,
    now_ms: u64,
) -> Result<Value, (u16, String)> {
    let Some(node) = world.nodes().iter().find(|node| node.name == name) else {
        return Err((404, format!("there is no node '{name}'")));
    };
    let powered = order.powered.unwrap_or(node.powered);
    if !powered && order.reach == Some(Reach::Up) {
        return Err((400, "reach: a node without power is not up".to_owned()));
    }
    // What comes of a dead machine, unless it is said otherwise.
    let reach = match order.reach.unwrap_or(node.reach) {
        Reach::Up => Reach::NoRoute,
        reach => reach,
    };
    let mut daemons = Vec::new();
    for (daemon, up) in order.daemons {
        let Some(known) = Daemon::named(&daemon) else {
            return Err((400, format!("daemons: there is no '{daemon}'")));
        };
        daemons.push((known, up));
    }
    // What may be refused comes first.
    if let Some(ms) = order.slow_ms {
        world.set_slow(name, ms).map_err(|why| (400, why))?;
    }
    match order.powered {
        Some(true) => world.power_on(name, now_ms),
        Some(false) => world.cut_power(name, reach, now_ms),
        None => {}
    }
    match order.partitioned {
        Some(true) => world.partition(name, now_ms),
        Some(false) => world.heal(name),
        None => {}
    }
    if let (Some(reach), Some(node)) = (order.reach, world.node_mut(name)) {
        node.reach = reach;
    }
    for (daemon, up) in daemons {
        world.set_daemon(name, daemon, up);
    }
    if let Some(cycles) = order.old_view_cycles {
        world.set_old_view(name, cycles);
    }
    let node = world.nodes().iter().find(|node| node.name == name);
    Ok(node.map(Node::faults).unwrap_or_default())
}

fn change_guest(
    world: &mut World,
    vmid: u32,
    order: GuestOrder,
    now_ms: u64,
) -> Result<Value, (u16, String)> {
    let there = world.guests().any(|(found, _)| found == vmid);
    match order {
        GuestOrder::Stranger { node } => world.stranger_takes(vmid, &node, now_ms),
        GuestOrder::Faults(faults) => {
            world.set_guest_faults(vmid, faults);
            Ok(())
        }
        _ if !there => Err(format!("there is no guest {vmid}")),
        GuestOrder::Vanish {} => world.vanish(vmid),
        GuestOrder::Move { to } => world.carry_guest(vmid, &to),
        GuestOrder::MoveConfig { to } => world.move_config(vmid, &to),
        GuestOrder::Lock { lock } => {
            world.set_lock(vmid, lock.as_deref());
            Ok(())
        }
    }
    .map_err(|why| (404, why))?;
    let guest = world.guests().find(|(found, _)| *found == vmid);
    Ok(json!({
        "vmid": vmid, "node": guest.map(|(_, guest)| &guest.node), "faults": world.guest_faults(vmid),
        "lock": guest.and_then(|(_, guest)| guest.config.get("lock")),
    }))
}
