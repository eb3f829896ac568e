//! Bridges of a node and network devices of a guest.

use proximity_domain::names::{BridgeName, Mac, NodeName};
use serde::Deserialize;

use crate::call::Call;
use crate::error::Result;
use crate::lenient;
use crate::property::PropertyString;
use crate::read::ReadClient;

/// One bridge a guest can be attached to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Bridge {
    /// Its name.
    #[serde(rename = "iface")]
    pub name: BridgeName,
    /// `bridge`, `OVSBridge` or, for SDN, `vnet`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Whether it is up.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub active: bool,
    /// Its own address with prefix length, if it has one.
    #[serde(default)]
    pub cidr: Option<String>,
}

/// A network device of a guest as configured (`net0` …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDevice {
    /// Name inside the guest, e.g. `eth0`.
    pub name: Option<String>,
    /// Bridge on the node.
    pub bridge: Option<String>,
    /// Its MAC; `None` if there is none or it cannot be read.
    pub hwaddr: Option<Mac>,
    /// `dhcp`, `manual` or an address with prefix length.
    pub ip: Option<String>,
    /// Gateway.
    pub gw: Option<String>,
    /// VLAN.
    pub tag: Option<String>,
}

impl NetDevice {
    /// Reads PVE's property string; keeps what it knows.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pairs = PropertyString::parse(text);
        let owned = |key| pairs.get(key).map(str::to_owned);
        Self {
            name: owned("name"),
            bridge: owned("bridge"),
            hwaddr: pairs.get("hwaddr").and_then(|mac| mac.parse().ok()),
            ip: owned("ip"),
            gw: owned("gw"),
            tag: owned("tag"),
        }
    }
}

impl ReadClient {
    /// The bridges of a node a guest can be attached to, as far as the token may see them.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn bridges(&self, node: &NodeName) -> Result<Vec<Bridge>> {
        let call = Call::get(&["nodes", node.as_str(), "network"]).with("type", "any_bridge");
        let mut bridges: Vec<Bridge> = self.get(call).await?;
        bridges.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(bridges)
    }
}
