//! The only way to delete backups: a record of ours, held against what is listed now.
//!
//! A backup that we did not make has no path to a permit, and neither has the newest one that was verified.

use crate::destroy::PERMIT_VALID_MS;
use crate::ids::{Epoch, HostId, Vmid};
use crate::mark::Mark;
use crate::names::{NodeName, StorageName, Volid};
use crate::time::Monotonic;

/// A backup on record: an operation of ours made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnBackup {
    /// Its volume.
    pub volid: Volid,
    /// The guest it is of.
    pub vmid: Vmid,
    /// The mark that was given as its notes.
    pub mark: Mark,
    /// When it was made, seconds since 1970 by the node's clock, as it was read back.
    pub made_s: u64,
    /// Whether its checksum and manifest were read back and are right.
    pub verified: bool,
}

/// A backup as a storage lists it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenBackup {
    /// Its volume.
    pub volid: Volid,
    /// The guest it is of, if PVE can tell.
    pub vmid: Option<Vmid>,
    /// The mark in its notes, if there is one.
    pub mark: Option<Mark>,
    /// When it was made, seconds since 1970 by the node's clock.
    pub made_s: Option<u64>,
    /// Whether PVE keeps it from being removed.
    pub protected: bool,
}

/// Where backups are listed, and when and under which epoch that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupListing {
    /// The cluster.
    pub host: HostId,
    /// The node that was asked.
    pub node: NodeName,
    /// The storage.
    pub storage: StorageName,
    /// When the read began.
    pub read_started: Monotonic,
    /// The epoch under which it was read.
    pub epoch: Epoch,
    /// What is there.
    pub backups: Vec<SeenBackup>,
}

/// Why a backup may not be deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoBackupPermit {
    /// No record of ours says that we made it.
    #[error("the backup {0} is not on record: it is not ours to delete")]
    NotOurs(Volid),
    /// It is not listed any more.
    #[error("the backup {0} is not listed")]
    NotListed(Volid),
    /// What is listed under its name is not what is on record.
    #[error("the backup {0} is not the one on record: guest, time or notes differ")]
    NotTheSame(Volid),
    /// Somebody wants it kept.
    #[error("the backup {0} is protected in PVE")]
    Protected(Volid),
    /// It is the last one that is known to be good.
    #[error("the backup {0} is the newest verified one of its guest")]
    NewestVerified(Volid),
    /// There is nothing that would be deleted.
    #[error("nothing would be pruned")]
    Nothing,
}

/// The right to delete these backups of one storage, within [`PERMIT_VALID_MS`] of the read that showed them.
///
/// Not `Clone`, not `Default`, not serialisable. One per attempt, whatever is in it.
#[derive(Debug)]
#[must_use = "a permit that is not used expires"]
pub struct BackupPermit {
    host: HostId,
    node: NodeName,
    storage: StorageName,
    volid: Volid,
    vmid: Vmid,
    expires: Monotonic,
    epoch: Epoch,
}

/// The right to take PVE's protection from one backup of ours, within [`PERMIT_VALID_MS`] of the read that showed it.
///
/// Not `Clone`, not `Default`, not serialisable. One per attempt.
#[derive(Debug)]
#[must_use = "a permit that is not used expires"]
pub struct UnprotectPermit {
    host: HostId,
    node: NodeName,
    volid: Volid,
    expires: Monotonic,
}

/// The right to let PVE prune the backups of one guest, within [`PERMIT_VALID_MS`] of the read that showed what would go.
///
/// Not `Clone`, not `Default`, not serialisable. One per attempt.
#[derive(Debug)]
#[must_use = "a permit that is not used expires"]
pub struct PrunePermit {
    host: HostId,
    node: NodeName,
    storage: StorageName,
    vmid: Vmid,
    keep: Keep,
    expires: Monotonic,
    epoch: Epoch,
}

/// How many backups of a guest stay, counted as PVE counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// The newest ones.
    pub last: u32,
    /// The newest of each hour.
    pub hourly: u32,
    /// The newest of each day.
    pub daily: u32,
    /// The newest of each week.
    pub weekly: u32,
    /// The newest of each month.
    pub monthly: u32,
    /// The newest of each year.
    pub yearly: u32,
}

impl Keep {
    /// Whether it keeps nothing. PVE takes such a rule for "keep all", which nobody means.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl BackupListing {
    /// The permit to delete one backup that is in this listing.
    ///
    /// # Errors
    /// [`NoBackupPermit`] with the reason; nothing may be sent then.
    pub fn permit(&self, own: &[OwnBackup], volid: &Volid) -> Result<BackupPermit, NoBackupPermit> {
        let record = self.check(own, volid)?;
        Ok(BackupPermit {
            host: self.host,
            node: self.node.clone(),
            storage: self.storage.clone(),
            volid: record.volid.clone(),
            vmid: record.vmid,
            expires: self.read_started.plus_ms(PERMIT_VALID_MS),
            epoch: self.epoch,
        })
    }

    /// The permit to let a protected backup be removed again: only one that we made. That of somebody else stays as it is, or
    /// a rule by which we prune would take it.
    ///
    /// # Errors
    /// [`NoBackupPermit`] with the reason; nothing may be sent then.
    pub fn unprotect_permit(
        &self,
        own: &[OwnBackup],
        volid: &Volid,
    ) -> Result<UnprotectPermit, NoBackupPermit> {
        let (record, _) = self.ours(own, volid)?;
        Ok(UnprotectPermit {
            host: self.host,
            node: self.node.clone(),
            volid: record.volid.clone(),
            expires: self.read_started.plus_ms(PERMIT_VALID_MS),
        })
    }

    /// The permit to prune by `keep` the backups of a guest, of which PVE just said that `would_go` would be removed.
    ///
    /// PVE chooses anew when it prunes, so a backup that is made within the permit's time moves the choice on. Therefore each
    /// backup of the guest must be one that may be deleted, or be protected, which PVE never prunes: also the newest verified
    /// one, and those of others.
    ///
    /// # Errors
    /// [`NoBackupPermit`] if one of them is neither, or nothing would go.
    pub fn prune_permit(
        &self,
        own: &[OwnBackup],
        vmid: Vmid,
        keep: Keep,
        would_go: &[Volid],
    ) -> Result<PrunePermit, NoBackupPermit> {
        if keep.is_empty() || would_go.is_empty() {
            return Err(NoBackupPermit::Nothing);
        }
        for volid in would_go {
            if self.check(own, volid)?.vmid != vmid {
                return Err(NoBackupPermit::NotTheSame(volid.clone()));
            }
        }
        let of_guest = |seen: &&SeenBackup| seen.vmid == Some(vmid) && !seen.protected;
        for seen in self.backups.iter().filter(of_guest) {
            self.check(own, &seen.volid)?;
        }
        Ok(PrunePermit {
            host: self.host,
            node: self.node.clone(),
            storage: self.storage.clone(),
            vmid,
            keep,
            expires: self.read_started.plus_ms(PERMIT_VALID_MS),
            epoch: self.epoch,
        })
    }

    /// The record of a backup that may be deleted.
    fn check<'a>(
        &self,
        own: &'a [OwnBackup],
        volid: &Volid,
    ) -> Result<&'a OwnBackup, NoBackupPermit> {
        let (record, seen) = self.ours(own, volid)?;
        if seen.protected {
            return Err(NoBackupPermit::Protected(volid.clone()));
        }
        let newest = own
            .iter()
            .filter(|other| other.vmid == record.vmid && other.verified && self.lists(other))
            .max_by_key(|other| other.made_s);
        match newest {
            Some(newest) if newest.volid == record.volid => {
                Err(NoBackupPermit::NewestVerified(volid.clone()))
            }
            Some(_) | None => Ok(record),
        }
    }

    /// The record of a backup that is there and ours, and what is listed of it.
    fn ours<'a>(
        &self,
        own: &'a [OwnBackup],
        volid: &Volid,
    ) -> Result<(&'a OwnBackup, &SeenBackup), NoBackupPermit> {
        let record = own.iter().find(|record| record.volid == *volid);
        let record = record.ok_or_else(|| NoBackupPermit::NotOurs(volid.clone()))?;
        let seen = self
            .backups
            .iter()
            .find(|seen| seen.volid == *volid)
            .ok_or_else(|| NoBackupPermit::NotListed(volid.clone()))?;
        if !is_same(record, seen) {
            return Err(NoBackupPermit::NotTheSame(volid.clone()));
        }
        Ok((record, seen))
    }

    /// Whether it is really there: one that somebody removed is no good copy.
    fn lists(&self, record: &OwnBackup) -> bool {
        self.backups.iter().any(|seen| is_same(record, seen))
    }
}

fn is_same(record: &OwnBackup, seen: &SeenBackup) -> bool {
    seen.volid == record.volid
        && seen.vmid == Some(record.vmid)
        && seen.mark == Some(record.mark)
        && seen.made_s == Some(record.made_s)
}

impl BackupPermit {
    /// The cluster it is for.
    #[must_use]
    pub fn host(&self) -> HostId {
        self.host
    }

    /// The node that is asked.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// The storage it is on.
    #[must_use]
    pub fn storage(&self) -> &StorageName {
        &self.storage
    }

    /// The backup it is for.
    #[must_use]
    pub fn volid(&self) -> &Volid {
        &self.volid
    }

    /// The guest it is of.
    #[must_use]
    pub fn vmid(&self) -> Vmid {
        self.vmid
    }

    /// The last moment at which a byte of the call may be sent.
    #[must_use]
    pub fn expires(&self) -> Monotonic {
        self.expires
    }

    /// The epoch under which the backups were read.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

impl UnprotectPermit {
    /// The cluster it is of.
    #[must_use]
    pub fn host(&self) -> HostId {
        self.host
    }

    /// A node that reaches its storage.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// The backup it is for.
    #[must_use]
    pub fn volid(&self) -> &Volid {
        &self.volid
    }

    /// The last moment at which a byte of the call may be sent.
    #[must_use]
    pub fn expires(&self) -> Monotonic {
        self.expires
    }
}

impl PrunePermit {
    /// The cluster it is for.
    #[must_use]
    pub fn host(&self) -> HostId {
        self.host
    }

    /// The node that is asked.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// The storage it is for.
    #[must_use]
    pub fn storage(&self) -> &StorageName {
        &self.storage
    }

    /// The guest whose backups are pruned.
    #[must_use]
    pub fn vmid(&self) -> Vmid {
        self.vmid
    }

    /// What stays.
    #[must_use]
    pub fn keep(&self) -> Keep {
        self.keep
    }

    /// The last moment at which a byte of the call may be sent.
    #[must_use]
    pub fn expires(&self) -> Monotonic {
        self.expires
    }

    /// The epoch under which the backups were read.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}
