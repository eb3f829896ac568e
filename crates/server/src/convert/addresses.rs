//! Where apps' containers are on the network.

use proximity_api::addresses::{AppAddresses, ContainerAddresses, ObservedInterface};
use proximity_domain::interface::GuestInterface;
use proximity_engine::commands;

use super::moment;

/// What was seen.
pub(crate) fn addresses(view: commands::AddressView) -> AppAddresses {
    AppAddresses {
        app_id: view.app.id.to_string(),
        hostname: view.app.hostname.to_string(),
        containers: view.containers.into_iter().map(container).collect(),
    }
}

fn container(seen: commands::ContainerAddresses) -> ContainerAddresses {
    ContainerAddresses {
        vmid: seen.vmid.get(),
        node: seen.node.to_string(),
        since: seen.since.map(moment),
        interfaces: seen.interfaces.into_iter().map(interface).collect(),
    }
}

fn interface((seen, known): (GuestInterface, bool)) -> ObservedInterface {
    ObservedInterface {
        name: seen.name,
        mac: seen.mac.map(|mac| mac.to_string()),
        known,
        addresses: seen.addresses.iter().map(ToString::to_string).collect(),
    }
}
