//! Where containers are reached: the slow sweep reads the network devices of those that run, after it recognised them. What
//! changed is put on record; where a route would lead is kept in memory for the sweep of the routes, which reads again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use proximity_domain::app::StatusLabel;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::AppId;
use proximity_domain::interface::{GuestInterface, in_order};
use proximity_domain::recorded::RecordedGuest;
use proximity_store::observation::WatchedGuest;

use super::{Reconciler, Site};
use crate::error::EngineError;
use crate::route_sweep::{our_mac, usable_address};

/// The address of each app as it was read last; `None` in it = its container had none that may be used.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<BTreeMap<AppId, Option<IpAddr>>>);

impl Reconciler {
    /// Reads the network devices of a container that was recognised and should be running. That it cannot be done, or that it
    /// does not run, says nothing.
    pub(super) async fn read_addresses(
        &self,
        site: &Site,
        (guest, recorded): (&WatchedGuest, &RecordedGuest),
        place: &ContainerRef,
    ) -> Result<(), EngineError> {
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
                return Ok(());
            }
        };
        let address = usable_address(&shown, our_mac(recorded), site.on_this_machine);
        self.addresses.note(guest.watched.app, address);
        let devices = in_order(shown.into_iter().map(GuestInterface::from).collect());
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

    /// The address of an app's container as it was read last, until it was used.
    pub(crate) fn address_read(&self, app: AppId) -> Option<Option<IpAddr>> {
        self.addresses.lock().get(&app).copied()
    }

    /// The app's route was seen to since.
    pub(crate) fn address_used(&self, app: AppId) {
        self.addresses.lock().remove(&app);
    }
}

impl Addresses {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<AppId, Option<IpAddr>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, app: AppId, address: Option<IpAddr>) {
        self.lock().insert(app, address);
    }

    /// Those of apps that are no longer there are dropped.
    pub(super) fn keep(&self, is_there: impl Fn(AppId) -> bool) {
        self.lock().retain(|app, _| is_there(*app));
    }
}
