//! Copying, keeping, rolling back, moving and changing real containers.

use std::path::PathBuf;

use tokio::sync::OwnedMutexGuard;

use super::driver::{Log, LxcDriver, files};
use super::{copies, disk, hotplug, power};
use crate::core::guest::{
    GuestChange, GuestError, GuestKey, GuestSource, GuestSpec, Kept, archive_name,
};

impl LxcDriver {
    /// Carries out one change; every one may be repeated.
    pub(super) async fn carry_out_change(&self, guest: &GuestKey, change: GuestChange) -> Log {
        match change {
            GuestChange::Copy { from, spec } => self.copy(guest, &from, &spec).await?,
            GuestChange::Keep { kept } => self.keep(guest, &kept).await?,
            GuestChange::Rollback { snapshot } => self.roll_back(guest, snapshot).await?,
            GuestChange::Drop { kept } => self.drop_kept(guest, kept).await?,
            GuestChange::Move { to } => self.move_to(guest, to).await?,
            GuestChange::Apply { spec } => self.apply(guest, &spec).await?,
        }
        Ok(Vec::new())
    }

    /// A guest that is there is replaced, with its snapshots.
    async fn copy(
        &self,
        guest: &GuestKey,
        from: &GuestSource,
        spec: &GuestSpec,
    ) -> Result<(), GuestError> {
        let _turns = self.turns(guest, from).await;
        self.check(spec)?;
        self.must_be_stopped(guest)?;
        let source = self.source(from);
        if !source.exists() {
            return Err(GuestError::Failed(from.is_missing()));
        }
        let directory = self.inner.setup.place.directory(guest);
        let made = directory.clone();
        files(move || disk::make_anew(&made)).await?;
        let delta = disk::delta(&directory);
        match from {
            GuestSource::Guest(of) => self.at_rest(of, copies::copy(&source, &delta)).await,
            GuestSource::Snapshot(..) => copies::copy(&source, &delta).await,
            GuestSource::Backup { .. } => copies::unpack(&source, &delta).await,
        }
        .map_err(GuestError::Failed)?;
        self.write_guest(guest, spec, || Ok(())).await
    }

    /// The turn of the guest that is made, and that of the one it is copied from.
    async fn turns(&self, guest: &GuestKey, from: &GuestSource) -> Vec<OwnedMutexGuard<()>> {
        let mut guests = vec![guest];
        match from {
            GuestSource::Guest(of) | GuestSource::Snapshot(of, _) => guests.push(of),
            GuestSource::Backup { .. } => {}
        }
        // In one order for all, so that two copies never wait for each other.
        guests.sort();
        guests.dedup();
        let mut turns = Vec::new();
        for guest in guests {
            turns.push(self.turn(guest).await);
        }
        turns
    }

    fn source(&self, from: &GuestSource) -> PathBuf {
        let setup = &self.inner.setup;
        match from {
            GuestSource::Guest(guest) => disk::delta(&setup.place.directory(guest)),
            GuestSource::Snapshot(guest, name) => setup.place.snapshots(guest).join(name),
            GuestSource::Backup { volid, .. } => setup.backups.join(archive_name(volid)),
        }
    }

    /// A snapshot is a copy in the guest's own directory; a backup is packed from such a copy, so that a running guest
    /// rests as briefly as for a snapshot.
    async fn keep(&self, guest: &GuestKey, kept: &Kept) -> Result<(), GuestError> {
        let _turn = self.turn(guest).await;
        let setup = &self.inner.setup;
        let directory = setup.place.directory(guest);
        let delta = disk::delta(&directory);
        let to = match kept {
            Kept::Snapshot(name) => setup.place.snapshots(guest).join(name),
            Kept::Backup(_) => directory.join("packed"),
        };
        let copied = self.at_rest(guest, copies::copy(&delta, &to)).await;
        let Kept::Backup(volid) = kept else {
            return copied.map_err(GuestError::Failed);
        };
        let packed = match copied {
            Ok(()) => copies::pack(&to, &setup.backups.join(archive_name(volid))).await,
            Err(error) => Err(error),
        };
        let cleared = files(move || copies::clear(&to)).await;
        packed.map_err(GuestError::Failed).and(cleared)
    }

    async fn roll_back(&self, guest: &GuestKey, snapshot: String) -> Result<(), GuestError> {
        let _turn = self.turn(guest).await;
        self.must_be_stopped(guest)?;
        let from = GuestSource::Snapshot(guest.clone(), snapshot);
        let source = self.source(&from);
        if !source.exists() {
            return Err(GuestError::Failed(from.is_missing()));
        }
        let directory = self.inner.setup.place.directory(guest);
        let rolled = copies::copy(&source, &disk::delta(&directory)).await;
        rolled.map_err(GuestError::Failed)
    }

    async fn drop_kept(&self, guest: &GuestKey, kept: Vec<Kept>) -> Result<(), GuestError> {
        let _turn = self.turn(guest).await;
        let setup = &self.inner.setup;
        let place = |kept: &Kept| match kept {
            Kept::Snapshot(name) => setup.place.snapshots(guest).join(name),
            Kept::Backup(volid) => setup.backups.join(archive_name(volid)),
        };
        let paths: Vec<PathBuf> = kept.iter().map(place).collect();
        files(move || paths.iter().try_for_each(|path| copies::clear(path))).await
    }

    /// All nodes of a lab are on one file system: what moves is the directory, in one step.
    async fn move_to(&self, guest: &GuestKey, node: String) -> Result<(), GuestError> {
        let to = GuestKey {
            node,
            vmid: guest.vmid,
        };
        if to == *guest {
            return Ok(());
        }
        let _turn = self.turn(guest).await;
        self.must_be_stopped(guest)?;
        let inner = &self.inner;
        let [old, new] = [guest, &to].map(|guest| inner.setup.place.directory(guest));
        if !old.exists() && !new.exists() {
            return Err(GuestError::Failed(format!("no disk at {}", old.display())));
        }
        let (moved, from) = (std::sync::Arc::clone(inner), guest.clone());
        files(move || {
            moved.setup.leases.follow(&from, &to)?;
            if old.exists() {
                copies::make_parent(&new)?;
                copies::clear(&new)?;
                copies::rename(&old, &new)?;
            }
            Ok(())
        })
        .await?;
        self.forget(guest).await
    }

    async fn apply(&self, guest: &GuestKey, spec: &GuestSpec) -> Result<(), GuestError> {
        let _turn = self.turn(guest).await;
        self.check(spec)?;
        let addresses = self.inner.addresses(guest, spec);
        let addresses = addresses.map_err(GuestError::Failed)?;
        hotplug::apply(&self.inner.setup, guest, spec, &addresses)
            .await
            .map_err(GuestError::Failed)
    }

    fn must_be_stopped(&self, guest: &GuestKey) -> Result<(), GuestError> {
        if self.inner.setup.place.is_running(guest) {
            let text = format!("container '{}' is running", guest.vmid);
            return Err(GuestError::Failed(text));
        }
        Ok(())
    }

    /// Does the work while the guest, if it runs, is frozen: what it was writing is in one piece in a copy.
    async fn at_rest(
        &self,
        guest: &GuestKey,
        work: impl Future<Output = Result<(), String>>,
    ) -> Result<(), String> {
        let place = &self.inner.setup.place;
        if !place.is_running(guest) {
            return work.await;
        }
        let done = match power::freeze(place, guest).await {
            Ok(()) => work.await,
            Err(error) => Err(error),
        };
        // However the work or the freezing ended, it goes on.
        let thawed = power::thaw(place, guest).await;
        done.and(thawed)
    }
}
