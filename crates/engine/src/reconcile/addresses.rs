//! Where containers are reached: the slow sweep reads the network devices of those that run, after it recognised them. What
//! changed is put on record; where a route would lead is kept in memory for the sweep of the routes, which reads again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
pub(super) struct Addresses(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    last: BTreeMap<AppId, Option<IpAddr>>,
    /// Those that are new since their routes were seen to.
    new: BTreeSet<AppId>,
}

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

    /// Takes the addresses that are new since the routes were seen to.
    pub(crate) fn new_addresses(&self) -> BTreeMap<AppId, Option<IpAddr>> {
        let mut seen = self.addresses.lock();
        let new = std::mem::take(&mut seen.new).into_iter();
        new.filter_map(|app| Some((app, *seen.last.get(&app)?)))
            .collect()
    }

    /// Whether there are any.
    pub(crate) fn has_new_addresses(&self) -> bool {
        !self.addresses.lock().new.is_empty()
    }

    /// The app's route could not be seen to.
    pub(crate) fn address_left(&self, app: AppId) {
        self.addresses.lock().new.insert(app);
    }
}

impl Addresses {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, app: AppId, address: Option<IpAddr>) {
        let mut seen = self.lock();
        if seen.last.insert(app, address) != Some(address) {
            seen.new.insert(app);
        }
    }

    /// Those of apps that are no longer there are dropped.
    pub(super) fn keep(&self, is_there: impl Fn(AppId) -> bool) {
        let mut seen = self.lock();
        seen.last.retain(|app, _| is_there(*app));
        seen.new.retain(|app| is_there(*app));
    }
}
