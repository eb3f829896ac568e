//! `GET /api/apps/{app}/addresses`: where an app's containers were seen on the network.

use proximity_domain::ids::Vmid;
use proximity_domain::interface::GuestInterface;
use proximity_domain::names::NodeName;
use proximity_domain::time::Timestamp;
use proximity_store::records::AppRecord;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::route_sweep::our_mac;

/// The network devices of an app's containers.
#[derive(Debug, Clone, PartialEq)]
pub struct AddressView {
    /// The app.
    pub app: AppRecord,
    /// Container by container.
    pub containers: Vec<ContainerAddresses>,
}

/// Those of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerAddresses {
    /// Its number.
    pub vmid: Vmid,
    /// Its node.
    pub node: NodeName,
    /// Since when it shows just these; `None` = it was never looked at while it ran.
    pub since: Option<Timestamp>,
    /// By name; each with whether its MAC is the one that the container is known by.
    pub interfaces: Vec<(GuestInterface, bool)>,
}

impl Engine {
    /// What the slow sweep read last of the app's containers: nothing is asked of Proxmox VE now.
    ///
    /// # Errors
    /// Unknown app.
    pub async fn addresses(&self, app: &str) -> Result<AddressView, EngineError> {
        let app = self.find_app(app).await?;
        let mut containers = Vec::new();
        for guest in self.store().recorded_guests(app.id).await? {
            let seen = self.store().interfaces(guest.id()).await?;
            let since = seen.as_ref().map(|seen| seen.since);
            let ours = our_mac(&guest);
            let shown = seen.map(|seen| seen.interfaces).unwrap_or_default();
            let marked = shown.into_iter().map(|interface| {
                let is_ours = interface.mac == Some(ours);
                (interface, is_ours)
            });
            containers.push(ContainerAddresses {
                vmid: guest.place().vmid,
                node: guest.place().node.clone(),
                since,
                interfaces: marked.collect(),
            });
        }
        Ok(AddressView { app, containers })
    }
}
