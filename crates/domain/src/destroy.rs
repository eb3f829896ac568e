//! The only way to a destroy call: [`NativeGuest::verify`] → [`VerifiedContainer`] → [`DestroyPermit`].
//!
//! A prepared template, which is no guest of an app, has a way of its own: [`Kept::permit`].
//!
//! There is no `verify` for adopted guests, so there is no path in types from an adopted guest to a
//! permit. Permit and verification cannot be copied, stored or sent: after a crash one must look again.

use crate::guest::{Conflict, ContainerRef, NativeGuest, ObservedContainer, Ownership};
use crate::ids::{Epoch, OperationId, Vmid};
use crate::operation::OperationKind;
use crate::prepared::{Kept, is_over};
use crate::time::Monotonic;

/// How long a permit is good for, from the start of the last identity read to the last byte sent.
pub const PERMIT_VALID_MS: u64 = 5_000;

/// Why a guest may be destroyed; each must be durably in the log before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestroyIntent {
    /// A request on record names the app; this operation carries it out.
    RemovalRequested(OperationId),
    /// The same, and the request consents to PVE's `purge`: the guest's number is taken out of jobs of PVE too.
    PurgeRequested(OperationId),
    /// The operation that itself created the guest is unwinding.
    CreatorUnwinding(OperationId),
}

/// Why no permit is given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPermit {
    /// It is not our container, or not provably.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// PVE has not written the description yet.
    #[error("container {0} is still being created; its mark is not there yet")]
    BeingCreated(Vmid),
    /// PVE's HA would fight the removal.
    #[error("container {0} is managed by PVE's HA")]
    HaManaged(Vmid),
    /// PVE copies it to other nodes; a `purge` would take those copies along.
    #[error("container {0} has replication jobs in PVE")]
    Replicated(Vmid),
    /// PVE holds a lock on it.
    #[error("container {vmid} is locked by PVE ({lock})")]
    Locked {
        /// The container.
        vmid: Vmid,
        /// PVE's lock.
        lock: String,
    },
    /// The configuration is still protected.
    #[error("container {0} is protected in PVE")]
    Protected(Vmid),
    /// Without quorum PVE frees the disks and then fails.
    #[error("the cluster has no quorum; PVE would delete the disks and then fail")]
    NotQuorate,
    /// This kind of operation has no right to destroy for this reason.
    #[error("a {kind} operation may not destroy a container for this reason")]
    NotThisOperation {
        /// The kind that asked.
        kind: &'static str,
    },
    /// Containers are still made of the template, or something hangs on it.
    #[error("template {0} is still needed")]
    StillNeeded(Vmid),
    /// The guest was made by another operation.
    #[error("the container was made by operation {created_by}, not by the one that unwinds")]
    NotTheCreator {
        /// Who made it.
        created_by: OperationId,
    },
}

/// A guest that was read under the current epoch and showed every factor of its identity.
#[derive(Debug)]
#[must_use = "a verification is only good for a few seconds"]
pub struct VerifiedContainer {
    place: ContainerRef,
    created_by: OperationId,
    read_started: Monotonic,
    epoch: Epoch,
}

impl NativeGuest {
    /// Proves by an observation, whose read began at `read_started`, that this is our guest and may be destroyed now.
    ///
    /// # Errors
    /// [`NoPermit`] with the reason; nothing may be sent then.
    pub fn verify(
        &self,
        seen: &ObservedContainer,
        read_started: Monotonic,
        epoch: Epoch,
    ) -> Result<VerifiedContainer, NoPermit> {
        ours_and_free(self.identity.vmid, self.owns(seen), seen)?;
        Ok(VerifiedContainer {
            place: seen.place.clone(),
            created_by: self.created_by,
            read_started,
            epoch,
        })
    }
}

/// Whether a container is provably ours, by an earlier look too, and nothing of Proxmox VE's speaks against its destroy.
fn ours_and_free(vmid: Vmid, owned: Ownership, seen: &ObservedContainer) -> Result<(), NoPermit> {
    match owned {
        Ownership::Owned => {}
        Ownership::OwnedUnconfirmed { rootfs_volid } => {
            // The volume must have been recorded by an earlier look before anything is destroyed.
            return Err(NoPermit::Conflict(Conflict {
                what: "created",
                vmid,
                differences: vec![format!(
                    "its root volume {rootfs_volid} was not recorded before"
                )],
            }));
        }
        Ownership::BeingCreated => return Err(NoPermit::BeingCreated(vmid)),
        Ownership::Conflict(c) => return Err(c.into()),
    }
    if seen.ha_managed {
        return Err(NoPermit::HaManaged(vmid));
    }
    if seen.replicated {
        return Err(NoPermit::Replicated(vmid));
    }
    if let Some(lock) = &seen.lock {
        return Err(NoPermit::Locked {
            vmid,
            lock: lock.clone(),
        });
    }
    if seen.protection {
        return Err(NoPermit::Protected(vmid));
    }
    Ok(())
}

impl Kept {
    /// The permit to destroy a prepared template, by an observation whose read began at `read_started`; `template` says what its
    /// configuration says of that. There is one only for a template whose purpose has ended ([`is_over`]): that is durably on record
    /// before, and nothing leads back from it.
    ///
    /// # Errors
    /// [`NoPermit`] with the reason; nothing may be sent then.
    pub fn permit(
        &self,
        seen: &ObservedContainer,
        template: bool,
        read_started: Monotonic,
        quorate: Quorate,
    ) -> Result<DestroyPermit, NoPermit> {
        let vmid = self.prepared.identity.vmid;
        if !is_over(self) {
            return Err(NoPermit::StillNeeded(vmid));
        }
        ours_and_free(vmid, self.prepared.owns(seen, template), seen)?;
        if !quorate.0 {
            return Err(NoPermit::NotQuorate);
        }
        Ok(DestroyPermit {
            place: seen.place.clone(),
            expires: read_started.plus_ms(PERMIT_VALID_MS),
            purges: false,
            // There is no claim on a template: one process alone makes and destroys them.
            epoch: Epoch::default(),
        })
    }
}

/// Whether the cluster had quorum when it was last asked, within the permit's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorate(pub bool);

impl VerifiedContainer {
    /// What was verified, when, and under which epoch: for permits of less than a destroy.
    pub(crate) fn into_parts(self) -> (ContainerRef, Monotonic, Epoch) {
        (self.place, self.read_started, self.epoch)
    }

    /// The permit, if this kind of operation may destroy for this reason.
    ///
    /// # Errors
    /// [`NoPermit`] when the table below says no, or the cluster is not quorate.
    pub fn permit(
        self,
        kind: OperationKind,
        intent: DestroyIntent,
        quorate: Quorate,
    ) -> Result<DestroyPermit, NoPermit> {
        if !quorate.0 {
            return Err(NoPermit::NotQuorate);
        }
        if !may_destroy(kind, intent) {
            return Err(NoPermit::NotThisOperation { kind: kind.label() });
        }
        if let DestroyIntent::CreatorUnwinding(operation) = intent
            && operation != self.created_by
        {
            return Err(NoPermit::NotTheCreator {
                created_by: self.created_by,
            });
        }
        Ok(DestroyPermit {
            place: self.place,
            expires: self.read_started.plus_ms(PERMIT_VALID_MS),
            epoch: self.epoch,
            purges: consents_to_purge(intent),
        })
    }
}

/// Whether the request on record consents to PVE's `purge`. Nothing but a person's request does.
fn consents_to_purge(intent: DestroyIntent) -> bool {
    match intent {
        DestroyIntent::PurgeRequested(_) => true,
        DestroyIntent::RemovalRequested(_) | DestroyIntent::CreatorUnwinding(_) => false,
    }
}

/// Which saga may ask for which class of destroy. The one table.
#[must_use]
pub fn may_destroy(kind: OperationKind, intent: DestroyIntent) -> bool {
    match (kind, intent) {
        (
            OperationKind::Remove,
            DestroyIntent::RemovalRequested(_) | DestroyIntent::PurgeRequested(_),
        )
        | (OperationKind::Deploy, DestroyIntent::CreatorUnwinding(_)) => true,
        (OperationKind::Remove, DestroyIntent::CreatorUnwinding(_))
        | (
            OperationKind::Deploy,
            DestroyIntent::RemovalRequested(_) | DestroyIntent::PurgeRequested(_),
        )
        | (
            OperationKind::Start
            | OperationKind::Stop
            | OperationKind::Restart
            | OperationKind::Adopt
            | OperationKind::Forget
            | OperationKind::RestoreKeys
            | OperationKind::Update,
            DestroyIntent::RemovalRequested(_)
            | DestroyIntent::PurgeRequested(_)
            | DestroyIntent::CreatorUnwinding(_),
        ) => false,
    }
}

/// The right to send one DELETE for one container, within [`PERMIT_VALID_MS`] of the last identity read.
///
/// Not `Clone`, not `Default`, not serialisable. One per attempt.
#[derive(Debug)]
#[must_use = "a permit that is not used expires"]
pub struct DestroyPermit {
    place: ContainerRef,
    expires: Monotonic,
    purges: bool,
    epoch: Epoch,
}

impl DestroyPermit {
    /// The container it is for.
    #[must_use]
    pub fn place(&self) -> &ContainerRef {
        &self.place
    }

    /// The last moment at which a byte of the call may be sent.
    #[must_use]
    pub fn expires(&self) -> Monotonic {
        self.expires
    }

    /// The epoch under which the identity was read.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether PVE may take the container's number out of its jobs too: the request on record consents to that.
    #[must_use]
    pub fn purges(&self) -> bool {
        self.purges
    }
}
