//! Network devices as running containers show them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::names::Mac;

/// A network device as the running container shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GuestInterface {
    /// Name inside, e.g. `eth0`.
    pub name: String,
    /// MAC, if it has one that can be read.
    pub mac: Option<Mac>,
    /// Addresses, link-local ones too.
    pub addresses: Vec<IpAddr>,
}

/// The devices that lead out of the container, by name, each with its addresses in order: what is shown in another order is the
/// same.
#[must_use]
pub fn in_order(mut interfaces: Vec<GuestInterface>) -> Vec<GuestInterface> {
    interfaces.retain(|interface| interface.name != "lo");
    for interface in &mut interfaces {
        interface.addresses.sort_unstable();
        interface.addresses.dedup();
    }
    interfaces.sort_unstable();
    interfaces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, addresses: &[&str]) -> GuestInterface {
        GuestInterface {
            name: name.to_owned(),
            mac: None,
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn the_order_in_which_they_are_shown_does_not_count_nor_does_the_loopback() {
        let shown = vec![
            interface("eth1", &["10.1.0.5"]),
            interface("lo", &["127.0.0.1", "::1"]),
            interface("eth0", &["fe80::1", "10.0.0.5", "10.0.0.5"]),
        ];
        let kept = [
            interface("eth0", &["10.0.0.5", "fe80::1"]),
            interface("eth1", &["10.1.0.5"]),
        ];
        assert_eq!(in_order(shown), kept);
    }
}
