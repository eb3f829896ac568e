//! Where containers are reached: the slow sweep reads the network devices of those that run, after it recognised them. What
//! changed is put on record; where a route would lead is kept in memory for the sweep of the routes, which reads again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proximity_domain::app::StatusLabel;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::AppId;
use proximity_domain::interface::{GuestInterface, in_order};
use proximity_domain::recorded::RecordedGuest;
use proximity_store::observation::WatchedGuest;

use super::Reconciler;
use super::sweep::Queue;
use crate::error::EngineError;
use crate::route_sweep::{our_mac, usable_address};

/// How many network devices of a container are kept: whoever is root in it can make any number.
const MOST_DEVICES: usize = 64;
/// The same of addresses of one device.
const MOST_ADDRESSES: usize = 64;

/// The address of each app as it was read last; `None` in it = its container had none that may be used.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    last: BTreeMap<AppId, Option<IpAddr>>,
    /// One of them is another than before, and the routes were not seen to since.
    new: bool,
}

impl Reconciler {
    /// Reads the network devices of a container that was recognised and should be running. That it cannot be done, or that it
    /// does not run, says nothing.
    pub(super) async fn read_addresses(
        &self,
        queue: &Queue<'_>,
        (guest, recorded): (&WatchedGuest, &RecordedGuest),
        place: &ContainerRef,
    ) -> Result<(), EngineError> {
        let site = queue.site;
        if guest.status != StatusLabel::Running {
            return Ok(());
        }
        self.pace.turn().await;
        let read = site.read.lxc_interfaces(&place.node, place.vmid).await;
        let shown = match read {
            Ok(Some(shown)) => shown,
            Ok(None) => return Ok(()),
            Err(e) => {
                tracing::debug!(app = %guest.hostname, error = %e, "network devices could not be swept");
                if matches!(e, proximity_pve::Error::NotSent { .. }) {
                    queue.strike();
                }
                return Ok(());
            }
        };
        let address = usable_address(&shown, our_mac(recorded), site.on_this_machine);
        self.addresses.note(guest.watched.app, address);
        let ours = our_mac(recorded);
        let mut devices = in_order(shown.into_iter().map(GuestInterface::from).collect());
        // The one that is known first, whatever else there is.
        devices.sort_by_key(|device| device.mac != Some(ours));
        devices.truncate(MOST_DEVICES);
        for device in &mut devices {
            device.addresses.truncate(MOST_ADDRESSES);
        }
        // Also a commit that writes nothing wakes everybody who waits for commits.
        let known = self.store.interfaces(recorded.id()).await?;
        if known.is_some_and(|known| known.interfaces == devices) {
            return Ok(());
        }
        let now = self.clock.now();
        self.store
            .note_interfaces(recorded.id(), &devices, now)
            .await?;
        Ok(())
    }

    /// The addresses of all apps as they were read last; none is new any more.
    pub(crate) fn last_addresses(&self) -> BTreeMap<AppId, Option<IpAddr>> {
        let mut seen = self.addresses.lock();
        seen.new = false;
        seen.last.clone()
    }

    /// Whether one was read since that is another than before.
    pub(crate) fn has_new_addresses(&self) -> bool {
        self.addresses.lock().new
    }

    /// What a newer read found.
    pub(crate) fn address_found(&self, app: AppId, address: Option<IpAddr>) {
        self.addresses.lock().last.insert(app, address);
    }
}

impl Addresses {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, app: AppId, address: Option<IpAddr>) {
        let mut seen = self.lock();
        seen.new |= seen.last.insert(app, address) != Some(address);
    }

    /// Those of apps that are no longer there are dropped.
    pub(super) fn keep(&self, is_there: impl Fn(AppId) -> bool) {
        let mut seen = self.lock();
        seen.last.retain(|app, _| is_there(*app));
    }
}
