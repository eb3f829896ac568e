//! What the machine's own network looks like: its way out and the addresses it uses.

use std::fmt;
use std::net::Ipv4Addr;

use serde::Deserialize;

use super::error::LabError;
use super::program::Program;

/// An IPv4 network, e.g. `10.77.3.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ipv4Net {
    address: u32,
    prefix: u8,
}

impl Ipv4Net {
    /// The network that holds `address`.
    pub(crate) fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self {
            address: u32::from(address) & mask(prefix),
            prefix,
        }
    }

    /// Parses `a.b.c.d/n` or `a.b.c.d`; `None` for anything else (`default`, IPv6).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
        Some(Self::new(address.parse().ok()?, prefix.parse().ok()?))
    }

    /// The address of this number in it; 1 is the gateway's in every network of a lab.
    pub(crate) fn host(self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.address | (number & !mask(self.prefix)))
    }

    /// The number of an address in it; `None` if it is of another network.
    pub(crate) fn number(self, address: Ipv4Addr) -> Option<u32> {
        let own = Self::new(address, self.prefix) == self;
        own.then_some(u32::from(address) & !mask(self.prefix))
    }

    /// The lab's own address in it.
    pub(crate) fn gateway(self) -> Ipv4Addr {
        self.host(1)
    }

    /// Length of its prefix.
    pub(crate) fn prefix(self) -> u8 {
        self.prefix
    }

    /// The number behind its last address.
    pub(crate) fn end(self) -> u32 {
        (!mask(self.prefix)).saturating_add(1)
    }

    /// Whether the two share any address.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        let shorter = mask(self.prefix.min(other.prefix));
        self.address & shorter == other.address & shorter
    }
}

impl fmt::Display for Ipv4Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.address), self.prefix)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

#[derive(Deserialize)]
struct Route {
    dst: String,
    dev: Option<String>,
}

#[derive(Deserialize)]
struct Link {
    mtu: u32,
}

/// The MTU of the device of the default route; 1500 when there is none.
///
/// # Errors
/// `ip` failed or said something unreadable.
pub(crate) async fn default_mtu() -> Result<u32, LabError> {
    let routes: Vec<Route> = ip(&["route", "show", "default"]).await?;
    let Some(device) = routes.into_iter().find_map(|route| route.dev) else {
        return Ok(1500);
    };
    let links: Vec<Link> = ip(&["link", "show", "dev", &device]).await?;
    Ok(links.first().map_or(1500, |link| link.mtu))
}

/// All networks this machine has a route to, except the default route.
///
/// # Errors
/// `ip` failed or said something unreadable.
pub(crate) async fn used_networks() -> Result<Vec<Ipv4Net>, LabError> {
    let routes: Vec<Route> = ip(&["-4", "route", "show", "table", "all"]).await?;
    Ok(routes
        .iter()
        .filter_map(|route| Ipv4Net::parse(&route.dst))
        .collect())
}

/// Whether a network device of this name exists here.
pub(crate) fn device_exists(name: &str) -> bool {
    std::path::Path::new("/sys/class/net").join(name).exists()
}

async fn ip<T: serde::de::DeserializeOwned>(args: &[&str]) -> Result<Vec<T>, LabError> {
    let ran = Program::new("ip").args(["-j"]).args(args).succeed().await?;
    // `ip -j` prints nothing at all for an empty list in some versions.
    let text = ran.text();
    let text = if text.trim().is_empty() {
        "[]"
    } else {
        text.trim()
    };
    serde_json::from_str(text).map_err(|error| LabError::Network(format!("ip {args:?}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_seen_both_ways() {
        let net = |text| Ipv4Net::parse(text).unwrap();
        assert!(net("10.0.0.0/8").overlaps(net("10.77.3.0/24")));
        assert!(net("10.77.3.0/24").overlaps(net("10.0.0.0/8")));
        assert!(net("10.77.3.9").overlaps(net("10.77.3.0/24")));
        assert!(!net("10.77.4.0/24").overlaps(net("10.77.3.0/24")));
        assert_eq!(Ipv4Net::parse("default"), None);
        assert_eq!(Ipv4Net::parse("fe80::/64"), None);
    }
}
