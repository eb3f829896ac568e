//! Changing a running container: limits in its control group, devices in its network namespace.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;

use super::config::Address;
use super::driver::DriverSetup;
use super::place::Place;
use super::power;
use crate::core::guest::{GuestKey, GuestNet, GuestSpec};
use crate::lab::{Layout, Program};

/// A device as it is inside the guest.
#[derive(Debug, Deserialize)]
struct Device {
    ifindex: Option<u32>,
    ifname: Option<String>,
    address: Option<String>,
    #[serde(default)]
    addr_info: Vec<Inet>,
}

#[derive(Debug, Deserialize)]
struct Inet {
    family: Option<String>,
    local: Option<IpAddr>,
    prefixlen: Option<u8>,
}

#[derive(Debug, Deserialize)]
struct Route {
    gateway: Option<IpAddr>,
}

/// Brings limits and devices of a running guest to what the specification says.
///
/// # Errors
/// As text; a limit the kernel refuses changes nothing of the others.
pub(super) async fn apply(
    setup: &DriverSetup,
    guest: &GuestKey,
    spec: &GuestSpec,
    addresses: &BTreeMap<u8, Address>,
) -> Result<(), String> {
    let Some(pid) = power::init_pid(&setup.place, guest).await else {
        return Err(format!("container '{}' is not running", guest.vmid));
    };
    for (key, value) in limits(setup, spec) {
        power::set_limit(&setup.place, guest, key, &value).await?;
    }
    let links = Links { setup, pid };
    let devices = links.devices().await?;
    for index in 0..=u8::MAX {
        let wanted = spec.nets.get(&index);
        let pair = setup.place.veth(guest, index);
        let there = peer_of(&pair).map(|peer| devices.iter().find(|d| d.ifindex == Some(peer)));
        if there.is_none() && wanted.is_none() {
            continue;
        }
        let address = addresses.get(&index).unwrap_or(&Address::None);
        match (there.flatten(), wanted) {
            (Some(device), Some(net)) if is(device, net) => {
                links.readdress(device, &net.name, address).await?;
            }
            (_, wanted) => {
                if there.is_some() {
                    ip(["link", "del", &pair]).await?;
                }
                if let Some(net) = wanted {
                    let made = match links.add(&pair, net).await {
                        Ok(()) => links.address(&net.name, address).await,
                        Err(error) => Err(error),
                    };
                    if made.is_err() {
                        // Half a device would be taken for a whole one, and keep the guest from starting.
                        clear(&setup.place, guest, index).await?;
                    }
                    made?;
                }
            }
        }
    }
    Ok(())
}

/// Removes the devices of a guest that does not run: what is there then was left half made, and would keep it from
/// starting.
///
/// # Errors
/// As text.
pub(super) async fn clear_all(place: &Place, guest: &GuestKey) -> Result<(), String> {
    for index in 0..=u8::MAX {
        clear(place, guest, index).await?;
    }
    Ok(())
}

async fn clear(place: &Place, guest: &GuestKey, index: u8) -> Result<(), String> {
    let pair = place.veth(guest, index);
    match Path::new("/sys/class/net").join(&pair).exists() {
        true => ip(["link", "del", &pair]).await,
        false => Ok(()),
    }
}

fn limits(setup: &DriverSetup, spec: &GuestSpec) -> [(&'static str, String); 2] {
    let memory = spec.memory_mib.saturating_mul(1 << 20).to_string();
    let cores = spec.cores.filter(|cores| *cores < setup.cores_there);
    let quota_us = cores.map(|cores| u64::from(cores) * 100_000);
    match setup.layout {
        Layout::Legacy => [
            ("memory.limit_in_bytes", memory),
            (
                "cpu.cfs_quota_us",
                quota_us.map_or_else(|| "-1".to_owned(), |us| us.to_string()),
            ),
        ],
        Layout::Unified => [
            ("memory.max", memory),
            (
                "cpu.max",
                quota_us.map_or_else(|| "max 100000".to_owned(), |us| format!("{us} 100000")),
            ),
        ],
    }
}

/// Number of the other end of a pair, inside the guest; none when the pair is not there.
fn peer_of(pair: &str) -> Option<u32> {
    let path = Path::new("/sys/class/net").join(pair).join("iflink");
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn is(device: &Device, net: &GuestNet) -> bool {
    device.ifname.as_deref() == Some(&net.name)
        && device.address.as_deref() == Some(&net.hwaddr.to_lowercase())
}

async fn ip<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    let ran = Program::new("ip").args(args).succeed().await;
    ran.map(drop).map_err(|error| error.to_string())
}

/// The devices of one running guest.
struct Links<'a> {
    setup: &'a DriverSetup,
    pid: u32,
}

impl Links<'_> {
    async fn inside<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<Vec<u8>, String> {
        let ran = Program::new("nsenter")
            .args(["-t", &self.pid.to_string(), "-n", "ip"])
            .args(args);
        let ran = ran.succeed().await.map_err(|error| error.to_string())?;
        Ok(ran.stdout)
    }

    async fn devices(&self) -> Result<Vec<Device>, String> {
        let text = self.inside(["-j", "addr", "show"]).await?;
        serde_json::from_slice(&text).map_err(|error| format!("ip addr: {error}"))
    }

    /// Makes a pair, one end on the bridge, the other in the guest.
    async fn add(&self, pair: &str, net: &GuestNet) -> Result<(), String> {
        // On this machine the other end has a name for a moment that only this guest's device can have.
        let passing = Place::passing_veth(pair);
        let mtu = self.setup.mtu.to_string();
        let hwaddr = net.hwaddr.to_lowercase();
        let made = [
            "link", "add", pair, "mtu", &mtu, "type", "veth", "peer", "name", &passing,
        ];
        ip(made.into_iter().chain(["mtu", &mtu, "address", &hwaddr])).await?;
        ip(["link", "set", pair, "master", &self.setup.bridge, "up"]).await?;
        ip(["link", "set", &passing, "netns", &self.pid.to_string()]).await?;
        self.inside(["link", "set", &passing, "name", &net.name, "up"])
            .await
            .map(drop)
    }

    async fn readdress(&self, device: &Device, name: &str, wanted: &Address) -> Result<(), String> {
        let own = device
            .addr_info
            .iter()
            .find(|inet| inet.family.as_deref() == Some("inet"));
        let now = own.and_then(|inet| Some((inet.local?, inet.prefixlen?)));
        let (address, gateway) = match wanted {
            Address::None => (None, None),
            Address::Static {
                address,
                prefix,
                gateway,
            } => (Some((IpAddr::V4(*address), *prefix)), *gateway),
        };
        if now == address && self.gateway(name).await? == gateway.map(IpAddr::V4) {
            return Ok(());
        }
        // The routes through an address go with it.
        self.inside(["-4", "addr", "flush", "dev", name]).await?;
        self.address(name, wanted).await
    }

    /// Where the device's default route leads.
    async fn gateway(&self, name: &str) -> Result<Option<IpAddr>, String> {
        let text = self
            .inside(["-j", "-4", "route", "show", "default", "dev", name])
            .await?;
        let routes: Vec<Route> =
            serde_json::from_slice(&text).map_err(|error| format!("ip route: {error}"))?;
        Ok(routes.into_iter().find_map(|route| route.gateway))
    }

    async fn address(&self, name: &str, wanted: &Address) -> Result<(), String> {
        let Address::Static {
            address,
            prefix,
            gateway,
        } = wanted
        else {
            return Ok(());
        };
        let text = format!("{address}/{prefix}");
        self.inside(["addr", "add", &text, "dev", name]).await?;
        if let Some(gateway) = gateway {
            let gateway = gateway.to_string();
            self.inside(["route", "replace", "default", "via", &gateway, "dev", name])
                .await?;
        }
        Ok(())
    }
}
