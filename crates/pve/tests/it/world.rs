//! Values the tests share: ids, a clock that is set, a permit made the only way there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proximity_domain::backup::{
    BackupListing, BackupPermit, Keep, OwnBackup, PrunePermit, SeenBackup, UnprotectPermit,
};
use proximity_domain::destroy::{DestroyIntent, DestroyPermit, Quorate, VerifiedContainer};
use proximity_domain::guest::{ContainerIdentity, ContainerRef, NativeGuest, ObservedContainer};
use proximity_domain::guest_snapshot::{
    GuestSnapshotPermit, SeenGuestSnapshot, TakenGuestSnapshot,
};
use proximity_domain::ids::{AppId, Epoch, GuestId, HostId, InstallationId, OperationId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::{NodeName, Volid};
use proximity_domain::operation::OperationKind;
use proximity_domain::time::{Clock, Monotonic, Timestamp};
use proximity_pve::Warrant;

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub(crate) struct SetClock {
    ms: AtomicU64,
}

impl SetClock {
    pub(crate) fn advance(&self, ms: u64) {
        self.ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.ms.load(Ordering::SeqCst))
    }
}

/// The clock of the runtime, which can be paused.
#[derive(Debug)]
pub(crate) struct RuntimeClock(tokio::time::Instant);

impl RuntimeClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(tokio::time::Instant::now()))
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(u64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

/// A warrant that lasts.
pub(crate) fn warrant() -> Warrant {
    Warrant {
        send_by: Monotonic(60_000),
        reference: "test".to_owned(),
    }
}

pub(crate) fn vmid(n: u32) -> Vmid {
    Vmid::try_from(n).unwrap()
}

pub(crate) fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

pub(crate) fn host() -> HostId {
    HostId(
        "0190a000-0000-7000-8000-000000000001"
            .parse::<HostId>()
            .unwrap()
            .0,
    )
}

/// The operation that asks for permits.
fn operation() -> OperationId {
    OperationId(host().0)
}

fn mark() -> Mark {
    let uuid = host().0;
    Mark {
        installation: InstallationId(uuid),
        app: AppId(uuid),
        nonce: 7,
    }
}

/// A permit for a container of the cluster `host()`, whose identity was read at `read_started`.
pub(crate) fn permit(at_node: &str, id: u32, read_started: Monotonic) -> DestroyPermit {
    verified(at_node, id, read_started)
        .permit(
            OperationKind::Remove,
            DestroyIntent::RemovalRequested(operation()),
            Quorate(true),
        )
        .unwrap()
}

/// The same for a request that consents to `purge`.
pub(crate) fn purging_permit(at_node: &str, id: u32, read_started: Monotonic) -> DestroyPermit {
    verified(at_node, id, read_started)
        .permit(
            OperationKind::Remove,
            DestroyIntent::PurgeRequested(operation()),
            Quorate(true),
        )
        .unwrap()
}

/// A permit for a snapshot of that container.
pub(crate) fn guest_snapshot_permit<What>(
    at_node: &str,
    id: u32,
    name: &str,
    read_started: Monotonic,
) -> GuestSnapshotPermit<What> {
    let taken = TakenGuestSnapshot {
        vmid: vmid(id),
        name: name.parse().unwrap(),
        taken_by: operation(),
        taken_s: 1,
    };
    let seen = SeenGuestSnapshot {
        name: taken.name.clone(),
        taken_s: 1,
    };
    verified(at_node, id, read_started)
        .guest_snapshot_permit(&taken, &seen, operation(), Quorate(true))
        .unwrap()
}

/// One backup of ours on record, and the listing that shows it.
fn backup(
    at_node: &str,
    volid: &Volid,
    id: u32,
    read_started: Monotonic,
) -> (OwnBackup, BackupListing) {
    let own = OwnBackup {
        volid: volid.clone(),
        vmid: vmid(id),
        mark: mark(),
        made_s: 1,
        verified: false,
    };
    let seen = SeenBackup {
        volid: volid.clone(),
        vmid: Some(vmid(id)),
        mark: Some(mark()),
        made_s: Some(1),
        protected: false,
    };
    let listing = BackupListing {
        host: host(),
        node: node(at_node),
        storage: volid.as_str().split(':').next().unwrap().parse().unwrap(),
        read_started,
        epoch: Epoch(1),
        backups: vec![seen],
    };
    (own, listing)
}

/// A permit to delete a backup.
pub(crate) fn backup_permit(
    at_node: &str,
    volid: &Volid,
    id: u32,
    read_started: Monotonic,
) -> BackupPermit {
    let (own, listing) = backup(at_node, volid, id, read_started);
    listing.permit(&[own], volid).unwrap()
}

/// A permit to take a backup's protection away.
pub(crate) fn unprotect_permit(
    at_node: &str,
    volid: &Volid,
    id: u32,
    read_started: Monotonic,
) -> UnprotectPermit {
    let (own, listing) = backup(at_node, volid, id, read_started);
    listing.unprotect_permit(&[own], volid).unwrap()
}

/// A permit to prune by this rule what would take this backup.
pub(crate) fn prune_permit(
    at_node: &str,
    volid: &Volid,
    id: u32,
    keep: Keep,
    read_started: Monotonic,
) -> PrunePermit {
    let (own, listing) = backup(at_node, volid, id, read_started);
    listing
        .prune_permit(&[own], vmid(id), keep, std::slice::from_ref(volid))
        .unwrap()
}

/// A container of the cluster `host()` that showed itself as ours.
fn verified(at_node: &str, id: u32, read_started: Monotonic) -> VerifiedContainer {
    let uuid = host().0;
    let app = AppId(uuid);
    let place = ContainerRef {
        host: host(),
        node: node(at_node),
        vmid: vmid(id),
    };
    let identity = ContainerIdentity {
        vmid: vmid(id),
        mark: mark(),
        net0_mac: "BC:24:11:00:00:01".parse().unwrap(),
        rootfs_volid: Some("local:100/vm-100-disk-0.raw".parse().unwrap()),
    };
    let seen = ObservedContainer {
        place: place.clone(),
        mark: Some(identity.mark),
        net0_mac: Some(identity.net0_mac),
        rootfs_volid: identity.rootfs_volid.clone(),
        lock: None,
        protection: false,
        digest: "d".to_owned(),
        ha_managed: false,
        replicated: false,
    };
    let guest = NativeGuest {
        id: GuestId(uuid),
        app,
        created_by: operation(),
        place,
        identity,
        learned: None,
    };
    guest.verify(&seen, read_started, Epoch(1)).unwrap()
}
