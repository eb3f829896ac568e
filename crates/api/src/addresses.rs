//! Where apps' containers are on the network.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer of `GET /api/apps/{app}/addresses`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AppAddresses {
    /// The app's id.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// Its host name.
    pub hostname: String,
    /// Container by container.
    pub containers: Vec<ContainerAddresses>,
}

/// Network devices of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContainerAddresses {
    /// Its number in Proxmox VE.
    pub vmid: u32,
    /// Its node.
    pub node: String,
    /// Since when it shows just these; `null` = it was not looked at while it ran.
    pub since: Option<Timestamp>,
    /// As the running container showed them when it was looked at last; without the loopback.
    pub interfaces: Vec<ObservedInterface>,
}

/// A network device, observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObservedInterface {
    /// Name inside, e.g. `eth0`.
    pub name: String,
    /// MAC, if it has one that can be read.
    pub mac: Option<String>,
    /// It is the MAC by which the container is known: only addresses of this device are led to.
    pub known: bool,
    /// Addresses, link-local ones too.
    pub addresses: Vec<String>,
}
