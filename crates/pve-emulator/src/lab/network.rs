//! The guests' network: a bridge of the lab's own in the current network namespace, with NAT by an own nft table.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::program::Program;
use super::route::{Ipv4Net, default_mtu, device_exists, used_networks};
use crate::lxc::Place;

/// What the names of bridges begin with.
const BRIDGE: &str = "pxlab";

/// What a lab's network is called and which addresses it has; kept in the state directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Network {
    /// Name of the bridge and of the nft table.
    pub(crate) bridge: String,
    /// The lab's own address on it; the network is its /24.
    pub(crate) gateway: Ipv4Addr,
}

impl Network {
    /// Chooses a free /24 out of 10.77.0.0/16 for the lab `id`, starting at a place given by the id.
    ///
    /// # Errors
    /// All are in use here.
    pub(crate) async fn choose(id: &str) -> Result<Self, LabError> {
        let used = used_networks().await?;
        let first = u8::from_str_radix(id.get(..2).unwrap_or("0"), 16).unwrap_or(0);
        let free = (0..=255u8)
            .map(|step| Ipv4Addr::new(10, 77, first.wrapping_add(step), 1))
            .find(|address| {
                !used
                    .iter()
                    .any(|net| net.overlaps(Ipv4Net::new(*address, 24)))
            })
            .ok_or_else(|| LabError::Network("all of 10.77.0.0/16 is in use".to_owned()))?;
        Ok(Self {
            bridge: format!("{BRIDGE}{id}"),
            gateway: free,
        })
    }

    /// Its addresses.
    pub(crate) fn net(&self) -> Ipv4Net {
        Ipv4Net::new(self.gateway, 24)
    }

    /// Whether nobody else uses these addresses here.
    ///
    /// # Errors
    /// `ip` failed.
    pub(crate) async fn is_free(&self) -> Result<bool, LabError> {
        let own = self.net();
        Ok(!used_networks().await?.iter().any(|net| net.overlaps(own)))
    }

    /// Makes bridge and NAT; what is there already stays. Gives back the MTU.
    ///
    /// # Errors
    /// `ip` or `nft` refused.
    pub(crate) async fn up(&self) -> Result<u32, LabError> {
        let mtu = default_mtu().await?;
        if !device_exists(&self.bridge) {
            ip(&["link", "add", "name", &self.bridge, "type", "bridge"]).await?;
        }
        ip(&["link", "set", "dev", &self.bridge, "mtu", &mtu.to_string()]).await?;
        ip(&[
            "addr",
            "replace",
            &format!("{}/24", self.gateway),
            "dev",
            &self.bridge,
        ])
        .await?;
        ip(&["link", "set", "dev", &self.bridge, "up"]).await?;
        Program::new("nft")
            .args(["-f", "-"])
            .stdin(self.rules())
            .succeed()
            .await?;
        Ok(mtu)
    }

    /// Removes bridge and NAT, and what is left of guests' devices; what is gone already is fine. No guest may run.
    ///
    /// # Errors
    /// `ip` or `nft` refused.
    pub(crate) async fn down(&self) -> Result<(), LabError> {
        // Declaring the table first makes its removal succeed whether or not it was there.
        let remove = format!("table ip {0} {{\n}}\ndelete table ip {0}\n", self.bridge);
        Program::new("nft")
            .args(["-f", "-"])
            .stdin(remove)
            .succeed()
            .await?;
        let id = self.bridge.strip_prefix(BRIDGE).unwrap_or(&self.bridge);
        for device in devices_of(id)? {
            // The other end of a pair goes with the first.
            if device_exists(&device) {
                ip(&["link", "del", "dev", &device]).await?;
            }
        }
        if device_exists(&self.bridge) {
            ip(&["link", "del", "dev", &self.bridge]).await?;
        }
        Ok(())
    }

    fn rules(&self) -> String {
        let [a, b, c, _] = self.gateway.octets();
        let net = format!("{a}.{b}.{c}.0/24");
        let name = &self.bridge;
        format!(
            "table ip {name} {{\n}}\ndelete table ip {name}\ntable ip {name} {{\n\
             chain post {{\n\
             type nat hook postrouting priority srcnat; policy accept;\n\
             ip saddr {net} ip daddr != {net} masquerade\n\
             }}\n}}\n"
        )
    }
}

/// The guests' devices that are on this machine.
fn devices_of(id: &str) -> Result<Vec<String>, LabError> {
    const DEVICES: &str = "/sys/class/net";
    let failed = || LabError::io(DEVICES);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(DEVICES).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        let name = name.to_string_lossy();
        if Place::is_device_of(id, &name) {
            found.push(name.into_owned());
        }
    }
    Ok(found)
}

async fn ip(args: &[&str]) -> Result<(), LabError> {
    Program::new("ip").args(args).succeed().await.map(drop)
}
