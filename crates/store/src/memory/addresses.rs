//! Addresses that deploys give by hand.

use super::state::State;
use crate::addresses::{Attached, meet, taken};
use crate::error::StoreError;
use crate::records::NewApp;

impl State {
    /// Refuses an address that another live app was given in the same network.
    pub(super) fn refuse_given(&self, app: &NewApp) -> Result<(), StoreError> {
        let network = &app.made_with.network;
        let hosts = self.hosts.values().map(|host| {
            let attached = Attached {
                bridge: host.bridge.clone(),
                placement: host.placement.clone(),
            };
            (host.id, attached)
        });
        let hosts = hosts.collect();
        for address in network.given() {
            for other in self.apps.values().filter(|other| other.is_live()) {
                let theirs = &other.asked.made_with.network;
                let there = (other.asked.host, theirs);
                if theirs.given().contains(&address) && meet(&hosts, (app.host, network), there) {
                    return Err(taken(address));
                }
            }
        }
        Ok(())
    }
}
