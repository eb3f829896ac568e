//! How a new container is attached to the network: bridge, VLAN, addresses and name servers.
//!
//! Pure. What Proxmox VE takes is from its schema (`net[n]`, `nameserver`, `searchdomain` of `POST /nodes/{node}/lxc`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::ids::HostId;
use crate::names::{BridgeName, LanName};

/// A resolver reads so many name servers and no more.
const MOST_NAME_SERVERS: usize = 3;
/// Proxmox VE takes no shorter prefix of either kind.
const SHORTEST_PREFIX: u8 = 8;

/// A container's network as it is asked for, in words: those of requests and of documents.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkWish {
    /// Bridge on the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// VLAN tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u32>,
    /// `dhcp`, or an address with its prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<String>,
    /// Gateway of an IPv4 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// `none`, `auto`, `dhcp`, or an address with its prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<String>,
    /// Gateway of an IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway6: Option<String>,
    /// Name servers, addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// Search domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
}

/// A container's network. What is absent comes from the host entry or its node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Bridge on the node; `None` = the host entry's.
    pub bridge: Option<BridgeName>,
    /// VLAN tag, 1 to 4094.
    pub vlan: Option<u16>,
    /// IPv4.
    pub ipv4: Ipv4,
    /// IPv6.
    pub ipv6: Ipv6,
    /// Name servers; none = the node's.
    pub dns: Vec<IpAddr>,
    /// Search domain; `None` = the node's, where there are no name servers either.
    pub search: Option<String>,
}

/// Where a container's IPv4 address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Ipv4 {
    /// From a DHCP server.
    #[default]
    Dhcp,
    /// It is given.
    Static {
        /// The address.
        address: Ipv4Addr,
        /// Bits of its network.
        prefix: u8,
        /// Where everything else goes.
        gateway: Option<Ipv4Addr>,
    },
}

/// Where a container's IPv6 address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Ipv6 {
    /// Proxmox VE configures none.
    #[default]
    None,
    /// From what routers announce.
    Auto,
    /// From a DHCP server.
    Dhcp,
    /// It is given.
    Static {
        /// The address.
        address: Ipv6Addr,
        /// Bits of its network.
        prefix: u8,
        /// Where everything else goes.
        gateway: Option<Ipv6Addr>,
    },
}

/// A field of a [`NetworkWish`] that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct BadNetwork {
    /// Which field.
    pub field: &'static str,
    /// Which rule it breaks.
    pub why: String,
}

fn bad(field: &'static str, why: impl Into<String>) -> BadNetwork {
    BadNetwork {
        field,
        why: why.into(),
    }
}

impl NetworkWish {
    /// The network that is asked for.
    ///
    /// # Errors
    /// The first field that breaks its rule.
    pub fn check(&self) -> Result<Network, BadNetwork> {
        let bridge = self.bridge.as_deref().map(str::parse::<BridgeName>);
        let bridge = bridge
            .transpose()
            .map_err(|e| bad("bridge", e.to_string()))?;
        let vlan = self.vlan.map(vlan).transpose()?;
        if self.dns.len() > MOST_NAME_SERVERS {
            let why = format!("{MOST_NAME_SERVERS} name servers at most are used");
            return Err(bad("dns", why));
        }
        let dns = self.dns.iter().map(|text| {
            let server = text.parse::<IpAddr>();
            server.map_err(|_| bad("dns", format!("{text:?} is no address")))
        });
        if let Some(search) = self.search.as_deref().filter(|text| !is_domain(text)) {
            return Err(bad("search", format!("{search:?} is no domain")));
        }
        Ok(Network {
            bridge,
            vlan,
            ipv4: ipv4(self.ipv4.as_deref(), self.gateway.as_deref())?,
            ipv6: ipv6(self.ipv6.as_deref(), self.gateway6.as_deref())?,
            dns: dns.collect::<Result<Vec<IpAddr>, BadNetwork>>()?,
            search: self.search.clone(),
        })
    }
}

fn vlan(tag: u32) -> Result<u16, BadNetwork> {
    match u16::try_from(tag) {
        Ok(tag) if (1..=4094).contains(&tag) => Ok(tag),
        _ => Err(bad("vlan", format!("must be 1 to 4094, got {tag}"))),
    }
}

fn ipv4(asked: Option<&str>, gateway: Option<&str>) -> Result<Ipv4, BadNetwork> {
    let text = match asked {
        None | Some("dhcp") => {
            no_gateway("gateway", gateway)?;
            return Ok(Ipv4::Dhcp);
        }
        Some(text) => text,
    };
    let rule = "must be dhcp, or an address with its prefix, e.g. 192.0.2.10/24";
    let (address, prefix) = split::<Ipv4Addr>(text, 32).ok_or_else(|| bad("ipv4", rule))?;
    // One of its link alone, or of nobody, leads nobody to it.
    let is_nobodys = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    if is_nobodys || address.is_link_local() || address.is_broadcast() {
        return Err(bad("ipv4", "no container can have this address"));
    }
    let bits = u32::from(address);
    let host = mask4(prefix) ^ u32::MAX;
    // Two bits and more: the first address names the network, the last one is everybody's.
    if prefix <= 30 && (bits & host == 0 || bits & host == host) {
        return Err(bad(
            "ipv4",
            "it is the first or the last address of its network",
        ));
    }
    let gateway = gateway.map(|text| -> Result<Ipv4Addr, BadNetwork> {
        let gateway = text.parse::<Ipv4Addr>();
        let gateway = gateway.map_err(|_| bad("gateway", "is no IPv4 address"))?;
        let is_inside = (u32::from(gateway) ^ bits) & mask4(prefix) == 0;
        way_out("gateway", gateway == address, is_inside || prefix > 30)?;
        Ok(gateway)
    });
    Ok(Ipv4::Static {
        address,
        prefix,
        gateway: gateway.transpose()?,
    })
}

fn ipv6(asked: Option<&str>, gateway: Option<&str>) -> Result<Ipv6, BadNetwork> {
    let by_itself = match asked {
        None | Some("none") => Some(Ipv6::None),
        Some("auto") => Some(Ipv6::Auto),
        Some("dhcp") => Some(Ipv6::Dhcp),
        Some(_) => None,
    };
    if let Some(by_itself) = by_itself {
        no_gateway("gateway6", gateway)?;
        return Ok(by_itself);
    }
    let rule = "must be none, auto, dhcp, or an address with its prefix, e.g. 2001:db8::10/64";
    let text = asked.unwrap_or_default();
    let (address, prefix) = split::<Ipv6Addr>(text, 128).ok_or_else(|| bad("ipv6", rule))?;
    let is_nobodys = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    // An IPv4 address in the clothes of an IPv6 one would be compared as another one.
    let is_clothed = address.to_ipv4_mapped().is_some();
    if is_nobodys || is_clothed || address.is_unicast_link_local() {
        return Err(bad("ipv6", "no container can have this address"));
    }
    let gateway = gateway.map(|text| -> Result<Ipv6Addr, BadNetwork> {
        let gateway = text.parse::<Ipv6Addr>();
        let gateway = gateway.map_err(|_| bad("gateway6", "is no IPv6 address"))?;
        let differs = (u128::from(gateway) ^ u128::from(address)) & mask6(prefix);
        // Routers are reached at their link-local address too.
        let is_near = differs == 0 || gateway.is_unicast_link_local() || prefix > 126;
        way_out("gateway6", gateway == address, is_near)?;
        Ok(gateway)
    });
    Ok(Ipv6::Static {
        address,
        prefix,
        gateway: gateway.transpose()?,
    })
}

fn way_out(field: &'static str, is_itself: bool, is_near: bool) -> Result<(), BadNetwork> {
    match (is_itself, is_near) {
        (true, _) => Err(bad(field, "is the container's own address")),
        (false, false) => Err(bad(field, "is not in the network of the address")),
        (false, true) => Ok(()),
    }
}

fn no_gateway(field: &'static str, gateway: Option<&str>) -> Result<(), BadNetwork> {
    match gateway {
        None => Ok(()),
        Some(_) => Err(bad(field, "goes with an address that is given")),
    }
}

/// `ADDRESS/PREFIX`.
fn split<A: std::str::FromStr>(text: &str, longest: u8) -> Option<(A, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let is_plain = prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix: u8 = prefix.parse().ok().filter(|_| is_plain)?;
    let prefix = (SHORTEST_PREFIX..=longest)
        .contains(&prefix)
        .then_some(prefix)?;
    Some((address.parse().ok()?, prefix))
}

fn mask4(prefix: u8) -> u32 {
    u32::MAX
        .checked_shl(32 - u32::from(prefix.min(32)))
        .unwrap_or(0)
}

fn mask6(prefix: u8) -> u128 {
    u128::MAX
        .checked_shl(128 - u32::from(prefix.min(128)))
        .unwrap_or(0)
}

/// A name as Proxmox VE's format `dns-name` has it.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        edge(label.bytes().next())
            && edge(label.bytes().next_back())
            && label.len() <= 63
            && label.bytes().all(inside)
    };
    text.len() <= 253 && text.split('.').all(label)
}

impl Network {
    /// By DHCP on the host entry's bridge, and nothing else.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// The same in words, such that a check of them gives it back. Where its addresses come from is always said.
    #[must_use]
    pub fn words(&self) -> NetworkWish {
        let (ipv4, gateway) = match self.ipv4 {
            Ipv4::Dhcp => ("dhcp".to_owned(), None),
            Ipv4::Static {
                address,
                prefix,
                gateway,
            } => (format!("{address}/{prefix}"), gateway),
        };
        let (ipv6, gateway6) = match self.ipv6 {
            Ipv6::None => ("none".to_owned(), None),
            Ipv6::Auto => ("auto".to_owned(), None),
            Ipv6::Dhcp => ("dhcp".to_owned(), None),
            Ipv6::Static {
                address,
                prefix,
                gateway,
            } => (format!("{address}/{prefix}"), gateway),
        };
        NetworkWish {
            bridge: self.bridge.as_ref().map(ToString::to_string),
            vlan: self.vlan.map(u32::from),
            ipv4: Some(ipv4),
            gateway: gateway.map(|gateway| gateway.to_string()),
            ipv6: Some(ipv6),
            gateway6: gateway6.map(|gateway| gateway.to_string()),
            dns: self.dns.iter().map(ToString::to_string).collect(),
            search: self.search.clone(),
        }
    }

    /// The addresses that are given: nobody else may have them.
    #[must_use]
    pub fn given(&self) -> Vec<IpAddr> {
        let v4 = match self.ipv4 {
            Ipv4::Static { address, .. } => Some(IpAddr::V4(address)),
            Ipv4::Dhcp => None,
        };
        let v6 = match self.ipv6 {
            Ipv6::Static { address, .. } => Some(IpAddr::V6(address)),
            Ipv6::None | Ipv6::Auto | Ipv6::Dhcp => None,
        };
        v4.into_iter().chain(v6).collect()
    }
}

/// What a container is attached to, as far as it is told by names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The host entry.
    pub host: HostId,
    /// What its host entry calls the network that its bridges lead to, if it says.
    pub lan: Option<&'a LanName>,
    /// Bridge on the node.
    pub bridge: &'a BridgeName,
    /// VLAN tag.
    pub vlan: Option<u16>,
}

impl Segment<'_> {
    /// Two containers with one address would be in each other's way: on one host entry whatever they are attached to; on two only where both
    /// entries say that they share a network, by bridge and VLAN.
    #[must_use]
    pub fn meets(&self, other: &Segment<'_>) -> bool {
        let is_shared = self.lan.is_some() && self.lan == other.lan;
        let is_same = self.bridge == other.bridge && self.vlan == other.vlan;
        self.host == other.host || (is_shared && is_same)
    }
}

/// Somebody who has addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Host name of the app; `None` if whoever asks may not see it.
    pub app: Option<String>,
    /// Which addresses.
    pub addresses: Vec<IpAddr>,
}

/// An address that somebody else has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub address: IpAddr,
    /// Host name of the app that has it; `None` if whoever asks may not see it.
    pub app: Option<String>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        match &self.app {
            Some(app) => write!(f, "the address {address} is that of {app}"),
            None => write!(f, "the address {address} is taken"),
        }
    }
}

/// The first address of `given` that one of these has.
#[must_use]
pub fn conflict(given: &[IpAddr], holders: &[Holder]) -> Option<Conflict> {
    given.iter().find_map(|address| {
        let holder = holders.iter().find(|it| it.addresses.contains(address))?;
        Some(Conflict {
            address: *address,
            app: holder.app.clone(),
        })
    })
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
