//! Whether network devices fit the bridges of a node (pve-container, `LXC.pm`, `update_lxc_config` and `update_net`).

use super::guest::GuestKey;
use super::guest_config::{GuestConfig, is_net_key, parse_keys};
use super::world::World;
use crate::schema::PropertyMap;

/// Longest frame of a bridge, bytes.
const BRIDGE_MTU: u32 = 1_500;

/// Why a device of a running container was not plugged in.
pub(crate) struct Refused {
    /// As Proxmox VE says it.
    pub(crate) text: String,
    /// The device that was there before is gone, from the configuration too.
    pub(crate) unplugged: bool,
}

/// Whether a device's bridge is there and takes its frames.
pub(crate) fn fit(world: &World, node: &str, key: &str, net: &PropertyMap) -> Result<(), String> {
    check_bridge(world, node, bridge_of(net))?;
    match net.get("mtu").and_then(|text| text.parse::<u32>().ok()) {
        Some(mtu) if mtu > BRIDGE_MTU => Err(format!(
            "{key}: MTU size '{mtu}' is bigger than bridge MTU '{BRIDGE_MTU}'"
        )),
        Some(_) | None => Ok(()),
    }
}

/// Whether all devices in force fit: asked for wherever the runtime's own configuration is written. A template has none,
/// scenery is never looked into.
pub(crate) fn fit_all(world: &World, key: &GuestKey, config: &GuestConfig) -> Result<(), String> {
    let scenery = world.guest(key).is_some_and(|guest| guest.scenery);
    if scenery || config.flag("template") {
        return Ok(());
    }
    let mut nets = config.keys.iter().filter(|(key, _)| is_net_key(key));
    nets.try_for_each(|(name, value)| fit(world, &key.node, name, &parse_keys(name, value)?))
}

/// Whether a device can be plugged into a running container. One with another name or address is a new one; of any other,
/// only what is plugged in anew is looked at.
pub(crate) fn plug(
    world: &World,
    node: &str,
    (key, old, new): (&str, Option<&str>, &str),
) -> Result<(), Refused> {
    let Ok(new) = parse_keys(key, new) else {
        return Ok(());
    };
    let bridge = bridge_of(&new);
    let Err(missing) = check_bridge(world, node, bridge) else {
        return Ok(());
    };
    let old = old.and_then(|old| parse_keys(key, old).ok());
    let same = |old: &PropertyMap, name: &str| old.get(name) == new.get(name);
    match old {
        Some(old) if same(&old, "hwaddr") && same(&old, "name") => {
            let changed = !["bridge", "tag", "firewall"]
                .iter()
                .all(|name| same(&old, name));
            if is_down(&new) || !(changed || is_down(&old)) {
                return Ok(());
            }
            let text = format!("bridge '{bridge}' is neither a linux nor an OVS bridge!\n");
            Err(Refused {
                text,
                unplugged: false,
            })
        }
        old => Err(Refused {
            text: match bridge {
                "" => "unable to get bridge setting".into(),
                _ => missing,
            },
            unplugged: old.is_some(),
        }),
    }
}

fn bridge_of(net: &PropertyMap) -> &str {
    net.get("bridge").map(String::as_str).unwrap_or_default()
}

fn is_down(net: &PropertyMap) -> bool {
    net.get("link_down").is_some_and(|text| text == "1")
}

fn check_bridge(world: &World, node: &str, bridge: &str) -> Result<(), String> {
    let known = world.node(node);
    if known.is_some_and(|node| node.bridges.iter().any(|found| found.name == bridge)) {
        return Ok(());
    }
    Err(format!("bridge '{bridge}' does not exist"))
}
