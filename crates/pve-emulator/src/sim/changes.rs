//! Copying, keeping, rolling back, moving and changing simulated guests.

use super::driver::{Log, SimDriver, now_s};
use super::guest::{Faults, Guest};
use super::room::{Change, files};
use crate::core::guest::{GuestChange, GuestError, GuestKey, GuestSource, GuestSpec, Kept};

impl SimDriver {
    /// Carries out one change; every one may be repeated.
    pub(super) async fn carry_out_change(&self, key: &GuestKey, change: GuestChange) -> Log {
        let changed = match change {
            GuestChange::Copy { from, spec } => self.copy(key, from, &spec).await,
            GuestChange::Keep { kept } => self.keep(key, kept).await,
            GuestChange::Rollback { snapshot } => self.roll_back(key, snapshot).await,
            GuestChange::Drop { kept } => self.drop_kept(key, kept).await,
            GuestChange::Move { to } => self.move_to(key, to).await,
            GuestChange::Apply { spec } => return self.apply(key, &spec).await,
        };
        changed.map(|()| Vec::new()).map_err(GuestError::Failed)
    }

    async fn copy(
        &self,
        key: &GuestKey,
        from: GuestSource,
        spec: &GuestSpec,
    ) -> Result<(), String> {
        let shape = self.shape(key, spec)?;
        let source = self.source(key, from).await?;
        let (disk, own) = (self.inner.house.disk.clone(), key.clone());
        // What is copied over is replaced, with all that was kept of it.
        files(move || disk.drop_snapshots(&own)).await?;
        self.room(key).put(Guest { shape, ..source }).await
    }

    /// What a copy for `to` begins with.
    async fn source(&self, to: &GuestKey, from: GuestSource) -> Result<Guest, String> {
        let disk = self.inner.house.disk.clone();
        let found = match from.clone() {
            GuestSource::Guest(guest) => self.room(&guest).look(Guest::on_disk).await,
            GuestSource::Snapshot(guest, name) => {
                files(move || disk.read_kept(&guest, &Kept::Snapshot(name))).await?
            }
            GuestSource::Backup { volid, .. } => {
                let to = to.clone();
                files(move || disk.read_kept(&to, &Kept::Backup(volid))).await?
            }
        };
        found.ok_or_else(|| from.is_missing())
    }

    async fn keep(&self, key: &GuestKey, kept: Kept) -> Result<(), String> {
        let copy = self.room(key).look(Guest::on_disk).await;
        let copy = copy.ok_or_else(|| format!("there is no guest {}", key.vmid))?;
        let (disk, key) = (self.inner.house.disk.clone(), key.clone());
        files(move || disk.keep(&key, &kept, &copy)).await
    }

    async fn roll_back(&self, key: &GuestKey, snapshot: String) -> Result<(), String> {
        let room = self.room(key);
        let now = room
            .look(|guest| (guest.running, guest.faults.clone()))
            .await;
        let faults = match now {
            Some((true, _)) => return Err(format!("container '{}' is running", key.vmid)),
            Some((false, faults)) => faults,
            None => Faults::default(),
        };
        let source = self
            .source(key, GuestSource::Snapshot(key.clone(), snapshot))
            .await?;
        room.put(Guest { faults, ..source }).await
    }

    async fn drop_kept(&self, key: &GuestKey, kept: Vec<Kept>) -> Result<(), String> {
        let (disk, key) = (self.inner.house.disk.clone(), key.clone());
        files(move || kept.iter().try_for_each(|kept| disk.drop_kept(&key, kept))).await
    }

    /// Whatever moment it is cut off at, the guest is in one of the two places, and asking again ends it.
    async fn move_to(&self, key: &GuestKey, node: String) -> Result<(), String> {
        let to = GuestKey {
            node,
            vmid: key.vmid,
        };
        if to == *key {
            return Ok(());
        }
        let here = self.room(key).look(Guest::clone).await;
        match here {
            Some(guest) if guest.running => {
                return Err(format!("container '{}' is running", key.vmid));
            }
            Some(guest) => {
                self.inner.leases.follow(key, &to)?;
                self.room(&to).put(guest).await?;
            }
            None if self.room(&to).look(|_| ()).await.is_none() => {
                return Err(format!("there is no guest {}", key.vmid));
            }
            None => {}
        }
        let (disk, from) = (self.inner.house.disk.clone(), key.clone());
        files(move || disk.move_snapshots(&from, &to)).await?;
        self.clear_out(key).await
    }

    async fn apply(&self, key: &GuestKey, spec: &GuestSpec) -> Log {
        let shape = self.shape(key, spec).map_err(GuestError::Failed)?;
        let room = self.room(key);
        let changed = room.change(now_s(), |guest, world| {
            guest.reshape(world, shape.clone());
            Change::Keep(())
        });
        changed.await.map_err(GuestError::Failed)?;
        Ok(Vec::new())
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
