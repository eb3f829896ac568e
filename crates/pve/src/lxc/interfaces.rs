//! The live network interfaces of a running container: the only way to learn a DHCP address.

use std::net::IpAddr;

use proximity_domain::ids::Vmid;
use proximity_domain::interface::GuestInterface;
use proximity_domain::names::{Mac, NodeName};
use serde::Deserialize;

use super::segment;
use crate::call::Call;
use crate::error::Result;
use crate::read::ReadClient;

/// One interface inside a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct Interface {
    /// Name inside, e.g. `eth0`.
    pub name: String,
    /// Its MAC, if it has one that can be read.
    pub mac: Option<Mac>,
    /// Its addresses, link-local ones too.
    pub addresses: Vec<IpAddr>,
}

#[derive(Deserialize)]
struct Wire {
    name: String,
    #[serde(default)]
    hwaddr: Option<String>,
    #[serde(default, rename = "hardware-address")]
    hardware_address: Option<String>,
    #[serde(default, rename = "ip-addresses")]
    ip_addresses: Option<Vec<WireAddress>>,
    #[serde(default)]
    inet: Option<String>,
    #[serde(default)]
    inet6: Option<String>,
}

#[derive(Deserialize)]
struct WireAddress {
    #[serde(rename = "ip-address")]
    ip: IpAddr,
}

/// `10.0.0.1/24`, the form of PVE before 8.3.
fn from_cidr(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

impl From<Wire> for Interface {
    fn from(wire: Wire) -> Self {
        let mac = wire
            .hwaddr
            .or(wire.hardware_address)
            .and_then(|mac| mac.parse().ok());
        let addresses = match wire.ip_addresses {
            Some(list) => list.iter().map(|a| a.ip).collect(),
            None => [wire.inet, wire.inet6]
                .iter()
                .flatten()
                .filter_map(|t| from_cidr(t))
                .collect(),
        };
        Self {
            name: wire.name,
            mac,
            addresses,
        }
    }
}

impl From<Interface> for GuestInterface {
    fn from(shown: Interface) -> Self {
        Self {
            name: shown.name,
            mac: shown.mac,
            addresses: shown.addresses,
        }
    }
}

impl ReadClient {
    /// The interfaces of a running container; `None` if it does not run (or does not exist: PVE does not tell).
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn lxc_interfaces(
        &self,
        node: &NodeName,
        vmid: Vmid,
    ) -> Result<Option<Vec<Interface>>> {
        let call = Call::get(&["nodes", node.as_str(), "lxc", &segment(vmid), "interfaces"]);
        self.get(call).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_addresses_are_read() {
        let new: Interface = serde_json::from_value(json!({"name": "eth0", "hwaddr": "bc:24:11:00:00:01",
            "ip-addresses": [{"ip-address": "10.0.0.5", "prefix": "24", "ip-address-type": "inet"}], "inet": "10.0.0.5/24"}))
        .unwrap();
        let old: Interface = serde_json::from_value(
            json!({"name": "eth0", "hwaddr": "bc:24:11:00:00:01", "inet": "10.0.0.5/24"}),
        )
        .unwrap();
        assert_eq!(new, old);
        assert_eq!(new.addresses, ["10.0.0.5".parse::<IpAddr>().unwrap()]);
        assert_eq!(new.mac, Some("BC:24:11:00:00:01".parse().unwrap()));
    }
}
