//! The driver: one method per command, each idempotent, one at a time per guest where it changes something.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio_util::task::TaskTracker;

use super::config::{Address, Plan, address_of};
use super::lease::Leases;
use super::place::Place;
use super::{disk, hotplug, look, power};
use crate::core::ConsoleMode;
use crate::core::guest::{
    GuestCommand, GuestDone, GuestError, GuestKey, GuestLook, GuestNet, GuestOutcome, GuestSpec,
    JobId,
};
use crate::lab::{Layout, remove_group, write_atomically};
use crate::shell::{GuestDriver, Terminal, not_running, terminal};

/// What the lab prepared for its guests.
#[derive(Debug)]
pub struct DriverSetup {
    /// Names and paths.
    pub place: Place,
    /// The unpacked template with shifted owners, as the lab's mount namespace sees it.
    pub base: PathBuf,
    /// File name of the one template there is.
    pub template: String,
    /// The bridge on this machine.
    pub bridge: String,
    /// What configurations call that bridge, e.g. `vmbr0`.
    pub bridge_in_configurations: String,
    /// MTU of bridge and guests.
    pub mtu: u32,
    /// The address book.
    pub leases: Leases,
    /// Where backups are.
    pub backups: PathBuf,
    /// Text of the guests' `/etc/resolv.conf`.
    pub resolver: String,
    /// Control group layout of the machine.
    pub layout: Layout,
    /// Cores the machine has.
    pub cores_there: u32,
}

/// Runs guest commands on LXC; cheap to clone.
#[derive(Debug, Clone)]
pub struct LxcDriver {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) setup: DriverSetup,
    /// Commands under way; they run to their end even if nobody waits for the answer any more.
    commands: TaskTracker,
    locks: Mutex<HashMap<GuestKey, Arc<AsyncMutex<()>>>>,
}

#[async_trait]
impl GuestDriver for LxcDriver {
    async fn run(&self, command: GuestCommand) -> GuestDone {
        let (driver, job) = (self.clone(), command.job());
        // A task of its own: dropping the answer must not leave a start or a removal half way.
        let work = self
            .inner
            .commands
            .spawn(async move { driver.carry_out(command).await });
        work.await.unwrap_or_else(|error| GuestDone {
            job,
            result: Err(GuestError::Failed(format!("the command was lost: {error}"))),
        })
    }

    async fn open_console(&self, guest: &GuestKey, mode: ConsoleMode) -> Result<Terminal, String> {
        let place = &self.inner.setup.place;
        if !place.is_running(guest) {
            return Err(not_running(guest.vmid));
        }
        let opened = super::terminal::open(place, guest, mode)
            .map_err(|error| format!("no terminal in {}: {error}", guest.vmid))?;
        let (user, end) = terminal();
        self.inner.commands.spawn(opened.serve(end));
        Ok(user)
    }
}

pub(super) type Log = Result<Vec<String>, GuestError>;

impl LxcDriver {
    /// A driver on what the lab prepared.
    pub fn new(setup: DriverSetup) -> Self {
        Self {
            inner: Arc::new(Inner {
                setup,
                commands: TaskTracker::new(),
                locks: Mutex::default(),
            }),
        }
    }

    /// Carries out one command.
    ///
    /// Flow: commands that change a guest wait for each other, except that `Kill` does not wait for a `Shutdown`
    /// under way. Guarantees: exactly one answer; every command may be repeated. Errors are in the answer.
    pub async fn carry_out(&self, command: GuestCommand) -> GuestDone {
        match command {
            GuestCommand::Create { job, guest, spec } => {
                done(job, self.create(&guest, &spec).await)
            }
            GuestCommand::Start { job, guest, spec } => done(job, self.start(&guest, &spec).await),
            GuestCommand::Shutdown {
                job,
                guest,
                timeout_ms,
            } => done(
                job,
                self.shutdown(&guest, Duration::from_millis(timeout_ms))
                    .await,
            ),
            GuestCommand::Kill { job, guest } => done(job, self.kill(&guest).await),
            GuestCommand::Destroy { job, guest } => done(job, self.destroy(&guest).await),
            GuestCommand::Change { job, guest, change } => {
                done(job, self.carry_out_change(&guest, change).await)
            }
            GuestCommand::Inspect { job, guest } => {
                let result = self.inspect(&guest).await.map(GuestOutcome::Inspected);
                GuestDone { job, result }
            }
        }
    }

    /// The guests of this lab that run now, whoever started them.
    pub fn running(&self) -> Vec<GuestKey> {
        self.inner.setup.place.running()
    }

    /// Ends all running guests and waits for the commands under way; gives back what could not be ended.
    ///
    /// For the end of a lab: nobody may give commands any more.
    pub async fn end_all(&self) -> Vec<(GuestKey, GuestError)> {
        self.inner.commands.close();
        loop {
            let failed = self.kill_running().await;
            // A command under way may start a guest yet, and a shutdown waits for one to end.
            if self.inner.commands.is_empty() || !failed.is_empty() {
                return if self.running().is_empty() {
                    Vec::new()
                } else {
                    failed
                };
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn kill_running(&self) -> Vec<(GuestKey, GuestError)> {
        let ends = self
            .running()
            .into_iter()
            .map(|guest| async move { self.kill(&guest).await.err().map(|error| (guest, error)) });
        futures::future::join_all(ends)
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    async fn create(&self, guest: &GuestKey, spec: &GuestSpec) -> Log {
        let _turn = self.turn(guest).await;
        let setup = &self.inner.setup;
        self.check(spec)?;
        if setup.place.is_running(guest) {
            power::kill(&setup.place, guest).await?;
        }
        let directory = setup.place.directory(guest);
        let (login, base) = (spec.login.clone(), setup.base.clone());
        self.write_guest(guest, spec, move || {
            disk::make_anew(&directory)?;
            login.map_or(Ok(()), |login| disk::write_login(&directory, &base, &login))
        })
        .await?;
        Ok(vec![
            format!(
                "extracting archive '/var/lib/vz/template/cache/{}'",
                spec.template
            ),
            "Detected container architecture: amd64".to_owned(),
        ])
    }

    async fn start(&self, guest: &GuestKey, spec: &GuestSpec) -> Log {
        let _turn = self.turn(guest).await;
        let setup = &self.inner.setup;
        power::wait_for_other_start(&setup.place, guest).await?;
        if setup.place.is_running(guest) {
            return Ok(Vec::new());
        }
        self.check(spec)?;
        let directory = setup.place.directory(guest);
        self.write_guest(guest, spec, move || {
            match disk::delta(&directory).is_dir() {
                true => Ok(()),
                false => Err(format!("no disk at {}", directory.display())),
            }
        })
        .await?;
        remove_group(&setup.place.cgroup(guest));
        let cleared = hotplug::clear_all(&setup.place, guest).await;
        cleared.map_err(GuestError::Failed)?;
        power::start(&setup.place, guest).await?;
        Ok(Vec::new())
    }

    async fn shutdown(&self, guest: &GuestKey, limit: Duration) -> Log {
        let place = &self.inner.setup.place;
        if place.is_running(guest) {
            power::shutdown(place, guest, limit).await?;
        }
        Ok(Vec::new())
    }

    async fn kill(&self, guest: &GuestKey) -> Log {
        let place = &self.inner.setup.place;
        let _turn = self.turn(guest).await;
        if place.is_running(guest) {
            power::kill(place, guest).await?;
        }
        Ok(Vec::new())
    }

    async fn destroy(&self, guest: &GuestKey) -> Log {
        let _turn = self.turn(guest).await;
        let place = &self.inner.setup.place;
        if place.is_running(guest) {
            return Err(GuestError::Failed(format!(
                "container '{}' is running",
                guest.vmid
            )));
        }
        let directory = place.directory(guest);
        files(move || disk::remove(&directory)).await?;
        self.forget(guest).await?;
        Ok(Vec::new())
    }

    /// Gives back what a guest that is no longer there has.
    pub(super) async fn forget(&self, guest: &GuestKey) -> Result<(), GuestError> {
        let (inner, freed) = (Arc::clone(&self.inner), guest.clone());
        files(move || inner.setup.leases.free(&freed)).await?;
        remove_group(&self.inner.setup.place.cgroup(guest));
        self.inner
            .locks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(guest);
        Ok(())
    }

    async fn inspect(&self, guest: &GuestKey) -> Result<GuestLook, GuestError> {
        let setup = &self.inner.setup;
        look::look(&setup.place, setup.layout, guest)
            .await
            .map_err(GuestError::Failed)
    }

    /// Refuses what this lab cannot do, in one line.
    pub(super) fn check(&self, spec: &GuestSpec) -> Result<(), GuestError> {
        let setup = &self.inner.setup;
        let refuse = |text: String| Err(GuestError::Failed(text));
        if !spec.unprivileged {
            return refuse("the lab runs unprivileged guests only; set unprivileged=1".to_owned());
        }
        if spec.template != setup.template {
            return refuse(format!("no template '{}' in the lab", spec.template));
        }
        let known = |net: &GuestNet| net.bridge == setup.bridge_in_configurations;
        match spec.nets.values().find(|net| !known(net)) {
            Some(net) => refuse(format!("bridge '{}' does not exist", net.bridge)),
            None => Ok(()),
        }
    }

    /// Runs `prepare`, then writes configuration and identity files from the specification.
    pub(super) async fn write_guest(
        &self,
        guest: &GuestKey,
        spec: &GuestSpec,
        prepare: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> Result<(), GuestError> {
        let (inner, guest, spec) = (Arc::clone(&self.inner), guest.clone(), spec.clone());
        files(move || {
            prepare()?;
            inner.write_files(&guest, &spec)
        })
        .await
    }

    /// Waits for this guest's turn; first come, first served.
    pub(super) async fn turn(&self, guest: &GuestKey) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self
                .inner
                .locks
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(guest.clone()).or_default())
        };
        lock.lock_owned().await
    }
}

impl Inner {
    fn write_files(&self, guest: &GuestKey, spec: &GuestSpec) -> Result<(), String> {
        let setup = &self.setup;
        let addresses = self.addresses(guest, spec)?;
        let plan = Plan {
            place: &setup.place,
            guest,
            spec,
            base: &setup.base,
            bridge: &setup.bridge,
            mtu: setup.mtu,
            layout: setup.layout,
            cores_there: setup.cores_there,
            addresses: &addresses,
        };
        let directory = setup.place.directory(guest);
        write_atomically(&directory.join("config"), plan.render().as_bytes(), 0o644)
            .map_err(|error| error.to_string())?;
        disk::write_identity(&directory, &spec.hostname, &setup.resolver)
    }

    pub(super) fn addresses(
        &self,
        guest: &GuestKey,
        spec: &GuestSpec,
    ) -> Result<BTreeMap<u8, Address>, String> {
        let leases = &self.setup.leases;
        let mut addresses = BTreeMap::new();
        for (index, net) in &spec.nets {
            let lease = || Ok((leases.lease(guest, *index)?, leases.net().gateway()));
            let address = address_of(net, lease)?;
            if let Address::Static { address, .. } = &address {
                leases.note(guest, *index, *address)?;
            }
            addresses.insert(*index, address);
        }
        Ok(addresses)
    }
}

fn done(job: JobId, result: Log) -> GuestDone {
    GuestDone {
        job,
        result: result.map(|log| GuestOutcome::Done { log }),
    }
}

/// Runs file work on the pool made for it.
pub(super) async fn files(
    work: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Result<(), GuestError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended
        .unwrap_or_else(|error| Err(error.to_string()))
        .map_err(GuestError::Failed)
}
