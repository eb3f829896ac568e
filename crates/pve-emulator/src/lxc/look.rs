//! Reading a running guest: interfaces by netlink in its network namespace, usage from its control group.

use std::net::IpAddr;

use serde::Deserialize;

use super::place::Place;
use super::power::init_pid;
use crate::core::guest::{GuestInterface, GuestKey, GuestLook};
use crate::lab::{Layout, Program, usage};

#[derive(Deserialize)]
struct Link {
    ifname: Option<String>,
    address: Option<String>,
    #[serde(default)]
    addr_info: Vec<Address>,
    stats64: Option<Stats>,
}

#[derive(Deserialize)]
struct Address {
    local: Option<IpAddr>,
    prefixlen: Option<u8>,
}

#[derive(Deserialize)]
struct Stats {
    rx: Counter,
    tx: Counter,
}

#[derive(Deserialize)]
struct Counter {
    bytes: u64,
}

/// Looks at the guest; a guest that ends meanwhile counts as stopped.
///
/// # Errors
/// The guest runs and its network cannot be read.
pub(crate) async fn look(
    place: &Place,
    layout: Layout,
    guest: &GuestKey,
) -> Result<GuestLook, String> {
    if !place.is_running(guest) {
        return Ok(GuestLook::default());
    }
    let Some(pid) = init_pid(place, guest).await else {
        return Ok(GuestLook::default());
    };
    let links = match links_of(pid).await {
        Ok(links) => links,
        Err(_) if !place.is_running(guest) => return Ok(GuestLook::default()),
        Err(error) => return Err(error),
    };
    let used = usage(layout, pid, &place.cgroup(guest));
    Ok(GuestLook {
        running: true,
        pid: Some(pid),
        mem_bytes: used.mem_bytes,
        cpu_ns: used.cpu_ns,
        net_in_bytes: total(&links, |stats| stats.rx.bytes),
        net_out_bytes: total(&links, |stats| stats.tx.bytes),
        interfaces: links.into_iter().filter_map(interface).collect(),
    })
}

/// The host's own `ip` in the guest's network namespace: no program of the guest is trusted or needed.
async fn links_of(pid: u32) -> Result<Vec<Link>, String> {
    let ran = Program::new("nsenter")
        .args([
            "-t",
            &pid.to_string(),
            "-n",
            "ip",
            "-j",
            "-s",
            "addr",
            "show",
        ])
        .succeed()
        .await
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&ran.stdout).map_err(|error| format!("ip addr: {error}"))
}

fn total(links: &[Link], of: impl Fn(&Stats) -> u64) -> u64 {
    let counted = links
        .iter()
        .filter(|link| link.ifname.as_deref() != Some("lo"));
    counted
        .filter_map(|link| link.stats64.as_ref())
        .map(of)
        .sum()
}

fn interface(link: Link) -> Option<GuestInterface> {
    let addresses = link.addr_info.into_iter();
    Some(GuestInterface {
        name: link.ifname?,
        hwaddr: link.address.unwrap_or_default().to_lowercase(),
        addresses: addresses
            .filter_map(|entry| Some((entry.local?, entry.prefixlen?)))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"[
      {"ifindex":1,"ifname":"lo","address":"00:00:00:00:00:00",
       "addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8}],
       "stats64":{"rx":{"bytes":70},"tx":{"bytes":70}}},
      {"ifindex":2,"ifname":"eth0","address":"BC:24:11:00:00:01",
       "addr_info":[{"family":"inet","local":"10.77.1.10","prefixlen":24},
                    {"family":"inet6","local":"fe80::1","prefixlen":64}],
       "stats64":{"rx":{"bytes":5},"tx":{"bytes":6}}},
      {}
    ]"#;

    #[test]
    fn links_become_interfaces_and_lo_is_not_counted() {
        let links: Vec<Link> = serde_json::from_str(TEXT).unwrap();
        assert_eq!(total(&links, |stats| stats.rx.bytes), 5);
        let found: Vec<GuestInterface> = links.into_iter().filter_map(interface).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].hwaddr, "bc:24:11:00:00:01");
        assert_eq!(found[1].addresses[0], ("10.77.1.10".parse().unwrap(), 24));
        assert_eq!(found[1].addresses[1].1, 64);
    }
}
