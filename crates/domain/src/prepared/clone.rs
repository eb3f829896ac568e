//! Whether a clone is ours before it has the address that was chosen for it.

use crate::guest::{NativeGuest, ObservedContainer, Ownership};
use crate::names::Volid;

/// What a container is that a clone call of ours was sent for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloneStanding {
    /// Ours, with the MAC that Proxmox VE drew in place of the one on record. Only one call may be sent for it: the one that gives it
    /// the recorded MAC, guarded by this digest. Then it shows every factor, and not before may anything else be done with it.
    Unaddressed {
        /// Volume of its root file system: not to be recorded before the address was read back.
        rootfs_volid: Volid,
        /// SHA-1 of the configuration that was read.
        digest: String,
    },
    /// What every other guest is judged by.
    Whole(Ownership),
}

/// Judges a look at the number of a clone. `copied` says that a task of this operation, which is on its record, made a clone with this
/// number and ended well.
///
/// Proxmox VE draws the MACs of a clone, and takes none in the call. So between that call and the next one the container shows the
/// number and the mark, which is random and was in no other call, and a MAC that nobody recorded. That counts for the one call that
/// ends it, and only as long as no volume was recorded: a guest that showed every factor once is never judged so again.
#[must_use]
pub fn clone_standing(
    guest: &NativeGuest,
    seen: &ObservedContainer,
    copied: bool,
) -> CloneStanding {
    let identity = &guest.identity;
    let is_there = seen.place.host == guest.place.host && seen.place.vmid == identity.vmid;
    let is_new = identity.rootfs_volid.is_none() && guest.learned.is_none();
    let is_marked = seen.mark == Some(identity.mark);
    let has_other_mac = seen.net0_mac.is_some_and(|mac| mac != identity.net0_mac);
    let is_at_rest = seen.lock.is_none();
    match &seen.rootfs_volid {
        Some(rootfs_volid)
            if copied && is_there && is_new && is_marked && has_other_mac && is_at_rest =>
        {
            CloneStanding::Unaddressed {
                rootfs_volid: rootfs_volid.clone(),
                digest: seen.digest.clone(),
            }
        }
        Some(_) | None => CloneStanding::Whole(guest.owns(seen)),
    }
}
