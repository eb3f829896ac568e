//! Containers that may be others than those on record, by what a list shows: the slow sweep reads them before all others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::{GuestId, HostId, Vmid};
use proximity_domain::names::NodeName;
use proximity_store::observation::WatchedGuest;

/// One container to read.
pub(super) struct Target {
    pub(super) place: ContainerRef,
    pub(super) guest: Option<GuestId>,
}

/// Those of one node, by their number.
type OfNode = BTreeMap<Vmid, GuestId>;

/// What is read before all others on its node: containers whose power changed without their having been looked at, and those that
/// show another face.
#[derive(Debug, Default)]
pub(super) struct Doubtful {
    nodes: Mutex<BTreeMap<(HostId, NodeName), OfNode>>,
    /// One came since the last round began.
    new: AtomicBool,
}

impl Doubtful {
    /// This guest is.
    pub(super) fn add(&self, guest: &WatchedGuest) {
        let place = &guest.watched.place;
        let mut nodes = self.lock();
        let of_node = nodes.entry((place.host, place.node.clone())).or_default();
        of_node.insert(place.vmid, guest.watched.guest);
        self.new.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(HostId, NodeName), OfNode>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A round that reads them begins.
    pub(super) fn begin(&self) {
        self.new.store(false, Ordering::Relaxed);
    }

    /// One came since that, or could not be read.
    pub(super) fn is_due(&self) -> bool {
        self.new.load(Ordering::Relaxed)
    }

    /// Not all could be read.
    pub(super) fn again(&self) {
        self.new.store(true, Ordering::Relaxed);
    }

    /// All of them, by cluster.
    pub(super) fn guests(&self) -> BTreeMap<HostId, BTreeSet<GuestId>> {
        let mut all: BTreeMap<HostId, BTreeSet<GuestId>> = BTreeMap::new();
        for ((host, _), of_node) in self.lock().iter() {
            all.entry(*host).or_default().extend(of_node.values());
        }
        all
    }

    /// Whether there is one on this node.
    pub(super) fn is_any_on(&self, host: HostId, node: &NodeName) -> bool {
        self.lock().contains_key(&(host, node.clone()))
    }

    /// Those that are on no record any more are dropped.
    pub(super) fn keep(&self, is_there: impl Fn(GuestId) -> bool) {
        self.lock().retain(|_, of_node| {
            of_node.retain(|_, guest| is_there(*guest));
            !of_node.is_empty()
        });
    }

    /// It was taken, and is in doubt still.
    pub(super) fn put_back(&self, target: &Target) {
        let Some(guest) = target.guest else { return };
        let place = &target.place;
        let mut nodes = self.lock();
        let of_node = nodes.entry((place.host, place.node.clone())).or_default();
        of_node.insert(place.vmid, guest);
    }

    /// Takes one of a node, among those that can be judged now.
    pub(super) fn take(
        &self,
        host: HostId,
        node: &NodeName,
        is_known: impl Fn(GuestId) -> bool,
    ) -> Option<Target> {
        let mut nodes = self.lock();
        if nodes.is_empty() {
            return None;
        }
        let key = (host, node.clone());
        let of_node = nodes.get_mut(&key)?;
        let known = of_node.iter().find(|(_, guest)| is_known(**guest));
        let (vmid, guest) = known.map(|(vmid, guest)| (*vmid, *guest))?;
        of_node.remove(&vmid);
        if of_node.is_empty() {
            nodes.remove(&key);
        }
        let (host, node) = key;
        Some(Target {
            place: ContainerRef { host, node, vmid },
            guest: Some(guest),
        })
    }
}

#[cfg(test)]
mod tests {
    use proximity_domain::app::StatusLabel;
    use proximity_domain::ids::AppId;
    use proximity_domain::observe::Watched;
    use uuid::Uuid;

    use super::*;

    const HOST: HostId = HostId(Uuid::from_u128(1));

    fn guest(vmid: u32) -> WatchedGuest {
        WatchedGuest {
            watched: Watched {
                guest: GuestId(Uuid::from_u128(u128::from(vmid))),
                app: AppId(Uuid::from_u128(7)),
                place: ContainerRef {
                    host: HOST,
                    node: "pve1".parse().unwrap(),
                    vmid: vmid.try_into().unwrap(),
                },
                confirmed: true,
            },
            adopted: false,
            hostname: "web".parse().unwrap(),
            status: StatusLabel::Running,
            operation: None,
        }
    }

    fn taken(doubtful: &Doubtful, is_known: impl Fn(GuestId) -> bool) -> Vec<u32> {
        let node = "pve1".parse().unwrap();
        let taken = std::iter::from_fn(|| doubtful.take(HOST, &node, &is_known));
        taken.map(|target| target.place.vmid.get()).collect()
    }

    #[test]
    fn what_is_doubtful_is_taken_once_on_its_node() {
        let other: NodeName = "pve2".parse().unwrap();
        let doubtful = Doubtful::default();
        for vmid in [102, 101, 102] {
            doubtful.add(&guest(vmid));
        }
        assert!(doubtful.take(HOST, &other, |_| true).is_none());
        assert_eq!(taken(&doubtful, |_| true), [101, 102]);
    }

    #[test]
    fn what_came_after_a_round_began_waits_for_the_next_one() {
        let doubtful = Doubtful::default();
        doubtful.add(&guest(101));
        doubtful.begin();
        let of_round = doubtful.guests().remove(&HOST).unwrap();
        assert!(!doubtful.is_due());
        doubtful.add(&guest(100));
        assert!(doubtful.is_due());
        let is_of_round = |guest: GuestId| of_round.contains(&guest);
        assert_eq!(taken(&doubtful, is_of_round), [101]);
        assert!(doubtful.is_any_on(HOST, &"pve1".parse().unwrap()));
        assert_eq!(taken(&doubtful, |_| true), [100]);
        assert!(!doubtful.is_any_on(HOST, &"pve1".parse().unwrap()));
    }
}
