//! Where containers are reached: the slow sweep reads the network devices of those that run, after it recognised them. What
//! changed is put on record; where a route would lead is kept in memory for the sweep of the routes, which reads again. What is read
//! of a container for the first time is gathered for some seconds, and written by the next read of the sweep after them: a large cluster that
//! is new here is no commit for each.

use std::collections::BTreeMap;
use std::mem;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use proximity_domain::app::StatusLabel;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::{AppId, GuestId};
use proximity_domain::interface::{GuestInterface, in_order};
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::time::Monotonic;
use proximity_store::observation::WatchedGuest;

use super::Reconciler;
use super::sweep::Queue;
use crate::error::EngineError;
use crate::route_sweep::{our_mac, usable_address};

/// How many network devices of a container are kept: whoever is root in it can make any number.
const MOST_DEVICES: usize = 64;
/// The same of addresses of one device.
const MOST_ADDRESSES: usize = 64;

/// Of so many containers it is gathered at most what was read of them first.
const MOST_GATHERED: usize = 64;
/// And for so long, while others are read, milliseconds.
const GATHERED_FOR_MS: u64 = 10_000;

/// What was read in this process.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    seen: Mutex<Seen>,
    first: Mutex<First>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The address of each app as it was read last; `None` in it = its container had none that may be used.
    last: BTreeMap<AppId, Option<IpAddr>>,
    /// One of them is another than before, and the routes were not seen to since.
    new: bool,
}

/// What was read of containers of which nothing is on record.
#[derive(Debug, Default)]
struct First {
    devices: BTreeMap<GuestId, Vec<GuestInterface>>,
    /// When that was first gathered.
    since: Option<Monotonic>,
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
        match self.store.interfaces(recorded.id()).await? {
            Some(known) if known.interfaces == devices => {}
            Some(_) => {
                let now = self.clock.now();
                self.store
                    .note_interfaces(recorded.id(), &devices, now)
                    .await?;
            }
            None => {
                let now = self.moment();
                self.addresses.gather(recorded.id(), devices, now);
            }
        }
        Ok(())
    }

    /// Puts on record what was gathered. Side by side, for those who write at the same time share commits.
    pub(super) async fn write_first_addresses(&self) -> Result<(), EngineError> {
        let gathered = self.addresses.take_gathered();
        let now = self.clock.now();
        let mut notes = Vec::new();
        for (guest, devices) in &gathered {
            notes.push(self.store.note_interfaces(*guest, devices, now));
        }
        for noted in join_all(notes).await {
            noted?;
        }
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
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_first(&self) -> MutexGuard<'_, First> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what was gathered is to be written.
    pub(super) fn are_due(&self, now: Monotonic) -> bool {
        let first = self.lock_first();
        let is_old = |since| now.since_ms(since) >= GATHERED_FOR_MS;
        first.devices.len() >= MOST_GATHERED || first.since.is_some_and(is_old)
    }

    /// Keeps what was read first of a container.
    fn gather(&self, guest: GuestId, devices: Vec<GuestInterface>, now: Monotonic) {
        let mut first = self.lock_first();
        first.devices.insert(guest, devices);
        first.since.get_or_insert(now);
    }

    fn take_gathered(&self) -> BTreeMap<GuestId, Vec<GuestInterface>> {
        mem::take(&mut *self.lock_first()).devices
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn guest(n: usize) -> GuestId {
        GuestId(Uuid::from_u128(u128::try_from(n).unwrap()))
    }

    #[test]
    fn what_was_read_first_is_written_when_there_is_much_of_it_or_after_ten_seconds() {
        let addresses = Addresses::default();
        let gather = |n, ms| addresses.gather(guest(n), Vec::new(), Monotonic(ms));
        let are_due = |ms| addresses.are_due(Monotonic(ms));
        for n in 1..MOST_GATHERED {
            gather(n, 0);
        }
        assert!(!are_due(0));
        gather(0, 0);
        assert!(are_due(0));
        assert_eq!(addresses.take_gathered().len(), MOST_GATHERED);
        assert!(addresses.take_gathered().is_empty());
        assert!(!are_due(GATHERED_FOR_MS), "there is nothing");

        gather(1, 5);
        gather(2, 4 + GATHERED_FOR_MS);
        assert!(!are_due(4 + GATHERED_FOR_MS));
        assert!(are_due(5 + GATHERED_FOR_MS), "since the first of them");
        assert_eq!(addresses.take_gathered().len(), 2);
        gather(3, 5 + GATHERED_FOR_MS);
        assert!(!are_due(5 + GATHERED_FOR_MS));
    }
}
