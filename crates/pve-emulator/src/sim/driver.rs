//! The emulator's guest commands on simulated guests.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::disk::Disk;
use super::guest::{Faults, Guest, Image, Net, Shape};
use super::room::{Change, House, Room, files};
use crate::core::ConsoleMode;
use crate::core::guest::{
    GuestCommand, GuestDone, GuestError, GuestInterface, GuestKey, GuestLook, GuestOutcome,
    GuestSpec, JobId,
};
use crate::lxc::Leases;
use crate::shell::{GuestDriver, Terminal, not_running, now_ms, terminal};

/// What the lab prepared for its simulated guests.
#[derive(Debug)]
pub struct SimSetup {
    /// Where guests are kept.
    pub guests: PathBuf,
    /// Where their backups are.
    pub backups: PathBuf,
    /// What they are made from.
    pub image: Image,
    /// What the nodes' paths of LXC begin with, on this machine of this lab alone: `PATH/NODE/VMID/command` is the socket that
    /// tells that a guest runs.
    pub lxc_path: PathBuf,
    /// File name of the one template there is.
    pub template: String,
    /// What configurations call the bridge, e.g. `vmbr0`.
    pub bridge_in_configurations: String,
    /// The address book.
    pub leases: Leases,
}

/// Runs guest commands on simulated guests; cheap to clone.
#[derive(Debug, Clone)]
pub struct SimDriver {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) house: Arc<House>,
    template: String,
    bridge: String,
    pub(super) leases: Leases,
    rooms: Mutex<HashMap<GuestKey, Arc<Room>>>,
    /// Commands under way; they run to their end even if nobody waits for the answer any more.
    commands: TaskTracker,
}

pub(super) type Log = Result<Vec<String>, GuestError>;

#[async_trait]
impl GuestDriver for SimDriver {
    async fn run(&self, command: GuestCommand) -> GuestDone {
        let (driver, job) = (self.clone(), command.job());
        // A task of its own: dropping the answer must not leave a change half way.
        let work = self
            .inner
            .commands
            .spawn(async move { driver.carry_out(command).await });
        work.await.unwrap_or_else(|error| GuestDone {
            job,
            result: Err(GuestError::Failed(format!("the command was lost: {error}"))),
        })
    }

    async fn meddle(&self, guest: &GuestKey, order: Value) -> Result<Value, String> {
        self.break_or_mend(guest, order).await
    }

    async fn open_console(&self, guest: &GuestKey, mode: ConsoleMode) -> Result<Terminal, String> {
        if !self.is_running(guest).await {
            return Err(not_running(guest.vmid));
        }
        let (user, end) = terminal();
        let served = super::terminal::serve(self.clone(), guest.clone(), mode, end);
        self.inner.commands.spawn(served);
        Ok(user)
    }
}

/// An order of the control socket for one guest.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// What is broken from now on; what is not named is whole.
    #[serde(default)]
    faults: Option<Faults>,
    /// Kill the main process of this unit.
    #[serde(default)]
    crash_unit: Option<String>,
    /// The guest dies at once, as by a power cut.
    #[serde(default)]
    die: bool,
}

impl SimDriver {
    /// Takes up the guests that are on disk; those that ran listen again when this returns.
    ///
    /// # Errors
    /// A guest's file cannot be read.
    pub async fn open(setup: SimSetup) -> Result<Self, String> {
        let disk = Disk {
            guests: setup.guests,
            backups: setup.backups,
        };
        let found = {
            let disk = disk.clone();
            files(move || disk.load()).await?
        };
        let house = Arc::new(House {
            image: setup.image,
            disk,
            lxc_path: setup.lxc_path,
        });
        let driver = Self {
            inner: Arc::new(Inner {
                house,
                template: setup.template,
                bridge: setup.bridge_in_configurations,
                leases: setup.leases,
                rooms: Mutex::default(),
                commands: TaskTracker::new(),
            }),
        };
        for (key, mut guest) in found {
            driver.readdress(&key, &mut guest)?;
            driver.room(&key).resume(guest, now_s()).await?;
        }
        Ok(driver)
    }

    /// A lab that had to move to another block leases anew; a guest's addresses are always those it holds.
    fn readdress(&self, key: &GuestKey, guest: &mut Guest) -> Result<(), String> {
        for (index, net) in (0_u8..).zip(guest.shape.nets.iter_mut()) {
            if net.address.is_some() {
                let leases = &self.inner.leases;
                net.address = Some((leases.lease(key, index)?, leases.net().prefix()));
            }
        }
        Ok(())
    }

    /// Carries out one command: exactly one answer, every command may be repeated.
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
            } => done(job, self.shutdown(&guest, timeout_ms).await),
            GuestCommand::Kill { job, guest } => done(job, self.halt(&guest).await),
            GuestCommand::Destroy { job, guest } => done(job, self.destroy(&guest).await),
            GuestCommand::Change { job, guest, change } => {
                done(job, self.carry_out_change(&guest, change).await)
            }
            GuestCommand::Inspect { job, guest } => GuestDone {
                job,
                result: Ok(GuestOutcome::Inspected(self.inspect(&guest).await)),
            },
        }
    }

    /// The room of a guest, whether or not there is one in it.
    pub(super) fn room(&self, guest: &GuestKey) -> Arc<Room> {
        let mut rooms = self
            .inner
            .rooms
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let fresh = || Room::new(guest.clone(), Arc::clone(&self.inner.house));
        Arc::clone(rooms.entry(guest.clone()).or_insert_with(fresh))
    }

    /// Whether the guest runs now.
    pub(crate) async fn is_running(&self, guest: &GuestKey) -> bool {
        let looked = self.room(guest).look(|guest| guest.running).await;
        looked.unwrap_or(false)
    }

    /// Halts every guest; for the end of a lab, when nobody gives commands any more.
    ///
    /// # Errors
    /// The first that could not be written.
    pub(crate) async fn end_all(&self) -> Result<(), String> {
        self.inner.commands.close();
        let rooms: Vec<GuestKey> = {
            let rooms = self
                .inner
                .rooms
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            rooms.keys().cloned().collect()
        };
        let mut first = Ok(());
        for key in rooms {
            if let Err(GuestError::Failed(error)) = self.halt(&key).await {
                first = first.and(Err(error));
            }
        }
        self.inner.commands.wait().await;
        first
    }

    async fn create(&self, key: &GuestKey, spec: &GuestSpec) -> Log {
        let shape = self.shape(key, spec).map_err(GuestError::Failed)?;
        let mut guest = Guest::new(&self.inner.house.image, shape);
        if let Some(login) = &spec.login {
            guest
                .let_log_in(login)
                .map_err(|error| GuestError::Failed(format!("write into the guest: {error:?}")))?;
        }
        self.room(key)
            .put(guest)
            .await
            .map_err(GuestError::Failed)?;
        Ok(vec![
            format!(
                "extracting archive '/var/lib/vz/template/cache/{}'",
                spec.template
            ),
            "Detected container architecture: amd64".to_owned(),
        ])
    }

    async fn start(&self, key: &GuestKey, spec: &GuestSpec) -> Log {
        let shape = self.shape(key, spec).map_err(GuestError::Failed)?;
        self.change(
            key,
            |guest| guest.running,
            |guest, world| guest.boot(world, shape.clone()),
        )
        .await
    }

    async fn shutdown(&self, key: &GuestKey, timeout_ms: u64) -> Log {
        let room = self.room(key);
        let mut changes = room.changes();
        let stubborn = |guest: &Guest| guest.running && guest.faults.ignores_shutdown;
        let waiting = async {
            while room.look(stubborn).await.unwrap_or(false) {
                // The room is held, so its sender lives.
                let _ = changes.changed().await;
            }
        };
        let limit = Duration::from_millis(timeout_ms);
        tokio::time::timeout(limit, waiting)
            .await
            .map_err(|_| GuestError::TimedOut)?;
        self.halt(key).await
    }

    async fn halt(&self, key: &GuestKey) -> Log {
        self.change(key, |guest| !guest.running, |guest, _| guest.halt())
            .await
    }

    /// Changes the guest unless it is so already. One that is not there has nothing to halt.
    pub(super) async fn change(
        &self,
        key: &GuestKey,
        is_so: impl Fn(&Guest) -> bool,
        act: impl Fn(&mut Guest, &super::guest::World<'_>),
    ) -> Log {
        let room = self.room(key);
        if room.look(&is_so).await.unwrap_or(false) {
            return Ok(Vec::new());
        }
        let changed = room.change(now_s(), |guest, world| {
            act(guest, world);
            Change::Keep(())
        });
        changed.await.map_err(GuestError::Failed)?;
        Ok(Vec::new())
    }

    async fn destroy(&self, key: &GuestKey) -> Log {
        let room = self.room(key);
        let failed = |text: String| Err(GuestError::Failed(text));
        match room
            .look(|guest| (guest.running, guest.faults.keeps_disk))
            .await
        {
            Some((true, _)) => return failed(format!("container '{}' is running", key.vmid)),
            Some((false, true)) => return failed("unable to free the root volume".to_owned()),
            Some((false, false)) | None => {}
        }
        self.clear_out(key).await.map_err(GuestError::Failed)?;
        Ok(Vec::new())
    }

    /// Takes the guest away with its snapshots and addresses.
    pub(super) async fn clear_out(&self, key: &GuestKey) -> Result<(), String> {
        self.room(key).clear().await?;
        self.inner.leases.free(key)?;
        let mut rooms = self
            .inner
            .rooms
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        rooms.remove(key);
        Ok(())
    }

    async fn inspect(&self, key: &GuestKey) -> GuestLook {
        let looked = self.room(key).look(look).await;
        looked.unwrap_or_default()
    }

    /// Refuses what this lab cannot do, in one line, and gives the guest its addresses.
    pub(super) fn shape(&self, key: &GuestKey, spec: &GuestSpec) -> Result<Shape, String> {
        if !spec.unprivileged {
            return Err("the lab runs unprivileged guests only; set unprivileged=1".to_owned());
        }
        // An image's layers are not unpacked: what is made of one has the files of the lab's own template.
        if spec.template != self.inner.template && spec.init.is_none() {
            return Err(format!("no template '{}' in the lab", spec.template));
        }
        let mut nets = Vec::new();
        for (index, net) in &spec.nets {
            if net.bridge != self.inner.bridge {
                return Err(format!("bridge '{}' does not exist", net.bridge));
            }
            let address = match net.ip.as_deref() {
                None | Some("manual" | "") => None,
                Some("dhcp") => {
                    let leases = &self.inner.leases;
                    Some((leases.lease(key, *index)?, leases.net().prefix()))
                }
                Some(text) => Some(self.own_address(key, *index, text)?),
            };
            nets.push(Net {
                name: net.name.clone(),
                hwaddr: net.hwaddr.to_lowercase(),
                address,
            });
        }
        Ok(Shape {
            hostname: spec.hostname.clone(),
            memory_mib: spec.memory_mib,
            cores: spec.cores.unwrap_or_else(cores_there),
            nets,
            init: spec.init.clone(),
        })
    }

    /// An address given by hand must be one of the lab's: others would not lead here.
    fn own_address(&self, key: &GuestKey, index: u8, text: &str) -> Result<(Ipv4Addr, u8), String> {
        let bad = || format!("invalid ip '{text}'");
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let address: Ipv4Addr = address.parse().map_err(|_| bad())?;
        let prefix = prefix
            .parse()
            .ok()
            .filter(|prefix| *prefix <= 32)
            .ok_or_else(bad)?;
        let net = self.inner.leases.net();
        if net.number(address).is_none() {
            return Err(format!(
                "a simulated guest takes ip=dhcp or an address of {net}, not {address}"
            ));
        }
        self.inner.leases.note(key, index, address)?;
        Ok((address, prefix))
    }

    async fn break_or_mend(&self, key: &GuestKey, order: Value) -> Result<Value, String> {
        let order: Order = serde_json::from_value(order).map_err(|error| error.to_string())?;
        let room = self.room(key);
        let crashed = room.change(now_s(), |guest, world| {
            if let Some(faults) = &order.faults {
                guest.set_faults(world, faults.clone());
            }
            let crashed = order
                .crash_unit
                .as_ref()
                .map(|unit| guest.crash_unit(world, unit));
            if order.die {
                guest.halt();
            }
            Change::Keep(crashed)
        });
        if crashed.await? == Some(false) {
            return Err(format!(
                "{} has no process",
                order.crash_unit.unwrap_or_default()
            ));
        }
        let seen = room.look(|guest| {
            let units = guest.units.iter().map(|(name, state)| {
                let value = serde_json::to_value(state).unwrap_or_default();
                (name.clone(), value)
            });
            json!({
                "running": guest.running, "faults": guest.faults, "used_mib": guest.used_mib(),
                "units": units.collect::<serde_json::Map<String, Value>>(), "listens": guest.reachable(),
            })
        });
        seen.await
            .ok_or_else(|| format!("there is no guest {}", key.vmid))
    }
}

/// What Proxmox sees of a guest.
fn look(guest: &Guest) -> GuestLook {
    if !guest.running {
        return GuestLook::default();
    }
    let lo = GuestInterface {
        name: "lo".to_owned(),
        hwaddr: "00:00:00:00:00:00".to_owned(),
        addresses: vec![(Ipv4Addr::LOCALHOST.into(), 8)],
    };
    let nets = guest.shape.nets.iter().map(|net| GuestInterface {
        name: net.name.clone(),
        hwaddr: net.hwaddr.clone(),
        addresses: net
            .address
            .map(|(address, prefix)| (address.into(), prefix))
            .into_iter()
            .collect(),
    });
    GuestLook {
        running: true,
        pid: Some(std::process::id()),
        mem_bytes: guest.used_mib() << 20,
        interfaces: std::iter::once(lo).chain(nets).collect(),
        ..GuestLook::default()
    }
}

fn done(job: JobId, result: Log) -> GuestDone {
    GuestDone {
        job,
        result: result.map(|log| GuestOutcome::Done { log }),
    }
}

fn cores_there() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores).unwrap_or(u32::MAX)
}

pub(super) fn now_s() -> u64 {
    now_ms() / 1_000
}

#[cfg(test)]
#[path = "driver_tests.rs"]
pub(super) mod tests;
