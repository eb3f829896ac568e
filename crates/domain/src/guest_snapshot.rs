//! The only way to roll a guest back or to delete a snapshot of it: both throw away what cannot be had again.
//!
//! A snapshot that no operation of ours took, or another one than the one that asks, has no path to a permit. One to roll back
//! is none to delete, nor the other way round.

use std::marker::PhantomData;

use crate::destroy::{NoPermit, PERMIT_VALID_MS, Quorate, VerifiedContainer};
use crate::guest::ContainerRef;
use crate::ids::{Epoch, OperationId, Vmid};
use crate::names::GuestSnapshotName;
use crate::time::Monotonic;

/// A snapshot on record: an operation of ours took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenGuestSnapshot {
    /// The guest it is of.
    pub vmid: Vmid,
    /// Its name.
    pub name: GuestSnapshotName,
    /// The operation that took it.
    pub taken_by: OperationId,
    /// When PVE took it, seconds since 1970 by the node's clock, as it was read back.
    pub taken_s: u64,
}

/// A snapshot as PVE lists it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenGuestSnapshot {
    /// Its name.
    pub name: GuestSnapshotName,
    /// When it was taken, seconds since 1970 by the node's clock.
    pub taken_s: u64,
}

/// Why nothing may be done with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoGuestSnapshotPermit {
    /// The container is not in a state in which it may be rolled back.
    #[error(transparent)]
    Container(#[from] NoPermit),
    /// Another operation took it.
    #[error("the snapshot {name} was taken by operation {taken_by}, not by the one that asks")]
    NotTaker {
        /// The snapshot.
        name: GuestSnapshotName,
        /// Who took it.
        taken_by: OperationId,
    },
    /// It is of another container, or the one that is listed under its name is another one.
    #[error("the snapshot {0} is not the one on record")]
    NotTheSame(GuestSnapshotName),
}

/// Of a permit: to roll the container back to the snapshot.
#[derive(Debug)]
pub enum Rollback {}

/// Of a permit: to delete the snapshot.
#[derive(Debug)]
pub enum Deletion {}

/// The right to do one thing with one snapshot of one container, [`Rollback`] or [`Deletion`], within [`PERMIT_VALID_MS`] of
/// the last identity read.
///
/// Not `Clone`, not `Default`, not serialisable. One per attempt.
#[derive(Debug)]
#[must_use = "a permit that is not used expires"]
pub struct GuestSnapshotPermit<What> {
    place: ContainerRef,
    name: GuestSnapshotName,
    expires: Monotonic,
    epoch: Epoch,
    what: PhantomData<What>,
}

impl VerifiedContainer {
    /// The permit, if the operation that asks took the snapshot, and what PVE lists now under its name is that one.
    ///
    /// # Errors
    /// [`NoGuestSnapshotPermit`] with the reason; nothing may be sent then.
    pub fn guest_snapshot_permit<What>(
        self,
        snapshot: &TakenGuestSnapshot,
        seen: &SeenGuestSnapshot,
        operation: OperationId,
        quorate: Quorate,
    ) -> Result<GuestSnapshotPermit<What>, NoGuestSnapshotPermit> {
        let (place, read_started, epoch) = self.into_parts();
        if !quorate.0 {
            return Err(NoPermit::NotQuorate.into());
        }
        let name = snapshot.name.clone();
        if snapshot.taken_by != operation {
            let taken_by = snapshot.taken_by;
            return Err(NoGuestSnapshotPermit::NotTaker { name, taken_by });
        }
        let same = seen.name == name && seen.taken_s == snapshot.taken_s;
        if !same || place.vmid != snapshot.vmid {
            return Err(NoGuestSnapshotPermit::NotTheSame(name));
        }
        Ok(GuestSnapshotPermit {
            place,
            name,
            expires: read_started.plus_ms(PERMIT_VALID_MS),
            epoch,
            what: PhantomData,
        })
    }
}

impl<What> GuestSnapshotPermit<What> {
    /// The container it is for.
    #[must_use]
    pub fn place(&self) -> &ContainerRef {
        &self.place
    }

    /// The snapshot it is for.
    #[must_use]
    pub fn name(&self) -> &GuestSnapshotName {
        &self.name
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
}
