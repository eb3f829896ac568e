//! The ground a lab stands on: lock, kernel settings, network, template, driver; and its removal.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::cgroup;
use super::error::LabError;
use super::identity::Identity;
use super::kernel::{Kernel, KernelHold};
use super::lock::try_lock_exclusive;
use super::network::Network;
use super::program::check_programs;
use super::route::Ipv4Net;
use super::sim_ground::{BACKUPS, GUESTS};
use super::template::{TEMPLATE_NAME, Template, ensure_template, remove_tree};
use super::{mounts, resolver};
use crate::lxc::{DriverSetup, Leases, LxcDriver, Place, locks};
use crate::sim::Block;

/// What the guests' configurations call the lab's bridge.
pub const BRIDGE_IN_CONFIGURATIONS: &str = "vmbr0";

/// Whether settings of the whole machine may be raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    /// Yes; they are put back at the end.
    Raise,
    /// No: only what the network namespace has of its own.
    LeaveAlone,
}

/// A lab's ground while it is held.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) place: Place,
    pub(crate) driver: LxcDriver,
    pub(crate) template: Template,
    pub(crate) network: Network,
    state: PathBuf,
    hold: Option<KernelHold>,
    _lock: File,
}

impl Ground {
    /// Takes the lab at `state` and makes or finds everything its guests need.
    ///
    /// Flow: lock, template, kernel settings (on the host) or namespaced ones (in a private namespace), bridge,
    /// mounts. Guarantees: one holder per state directory; repeated after a kill it finds what is there.
    /// Assumptions: root, and the process is in the lab's mount namespace ([`mounts::ensure_namespace`]).
    ///
    /// # Errors
    /// Any of it failed; what was made is removed by [`clean`].
    pub(crate) async fn take(
        state: &Path,
        template_cache: &Path,
        machine: Machine,
    ) -> Result<Self, LabError> {
        check_programs()?;
        let lock = lock_state(state)?;
        let template = ensure_template(template_cache).await?;
        let identity = Identity::establish(state).await?;
        let hold = match machine {
            Machine::Raise => Some(Kernel::of_machine().hold(&identity.id).await?),
            Machine::LeaveAlone => {
                Kernel::of_machine().set_namespaced()?;
                None
            }
        };
        let place = Place::new(&identity.id, identity.scope.clone());
        match prepare(state, &template, &identity, &place).await {
            Ok(driver) => {
                let (state, network) = (state.to_owned(), identity.network);
                Ok(Self {
                    place,
                    driver,
                    template,
                    network,
                    state,
                    hold,
                    _lock: lock,
                })
            }
            Err(error) => {
                // Guests of an earlier run may still need the network; without any it goes again.
                if place.running().is_empty() {
                    remove_traces(&place, &identity.network).await?;
                }
                release(hold).await?;
                Err(error)
            }
        }
    }

    /// Ends all guests, removes network and control groups, puts kernel settings back. Disks and leases stay.
    ///
    /// # Errors
    /// The first thing that could not be removed; the others are tried all the same.
    pub(crate) async fn leave(self) -> Result<(), LabError> {
        let guests = kill_guests(&self.driver, &self.place).await;
        let traces = remove_traces(&self.place, &self.network).await;
        let settings = release(self.hold).await;
        tracing::debug!(state = %self.state.display(), "lab left");
        guests.and(traces).and(settings)
    }
}

/// Brings up network, mounts and driver.
async fn prepare(
    state: &Path,
    template: &Template,
    identity: &Identity,
    place: &Place,
) -> Result<LxcDriver, LabError> {
    let mtu = identity.network.up().await?;
    let base = mounts::mount_base(&template.base).await?;
    Ok(LxcDriver::new(DriverSetup {
        place: place.clone(),
        base,
        template: TEMPLATE_NAME.to_owned(),
        bridge: identity.network.bridge.clone(),
        bridge_in_configurations: BRIDGE_IN_CONFIGURATIONS.to_owned(),
        mtu,
        leases: open_leases(state, identity.network.net())?,
        backups: state.join(BACKUPS),
        resolver: resolver::guest_resolver(identity.scope.is_some()),
        layout: cgroup::layout(),
        cores_there: cores_there(),
    }))
}

async fn release(hold: Option<KernelHold>) -> Result<(), LabError> {
    match hold {
        Some(hold) => hold.release().await,
        None => Ok(()),
    }
}

/// What a lab keeps in its state directory. `authorized_keys` is not among it: others write that.
const OWN_FILES: [&str; 15] = [
    "block.json",
    "lab.json",
    "pct.sock",
    "control.sock",
    "world.json",
    "tokens.json",
    "pve-root-ca.pem",
    "pve-root-ca.key",
    "pve-ssl.pem",
    "pve-ssl.key",
    "pve-ssl.names",
    "subid",
    "leases.json",
    "identity.json",
    "lock",
];

/// Removes everything the lab at `state` made, running guests, disks and the cluster's state included; idempotent.
///
/// For a lab that was killed, or one that is no longer wanted. Touches only what the state directory records and the
/// lab's own files in it.
///
/// # Errors
/// A lab still runs there, or something could not be removed.
pub async fn clean(state: &Path) -> Result<(), LabError> {
    let mut real = true;
    if state.exists() {
        let state = state
            .canonicalize()
            .map_err(LabError::io(state.display().to_string()))?;
        let identity = Identity::read(&state)?;
        if identity.is_some() {
            mounts::ensure_namespace(&state)?;
        }
        let _lock = lock_state(&state)?;
        real = !Block::is_noted(&state);
        if let Some(identity) = identity {
            let place = Place::new(&identity.id, identity.scope.clone());
            kill_by_place(&place).await?;
            remove_traces(&place, &identity.network).await?;
        }
        remove_own_files(&state).await?;
    }
    if real {
        Kernel::of_machine().restore_if_unheld().await?;
    }
    Ok(())
}

async fn remove_own_files(state: &Path) -> Result<(), LabError> {
    for directory in ["lxc", "nodes", GUESTS, BACKUPS] {
        remove_tree(&state.join(directory)).await?;
    }
    for file in OWN_FILES {
        remove_file(&state.join(file))?;
    }
    crate::persist::remove_logs(state)
        .map_err(LabError::io("remove the logs of the cluster's state"))?;
    // Somebody else's files may be in it.
    let _ = std::fs::remove_dir(state);
    Ok(())
}

async fn kill_by_place(place: &Place) -> Result<(), LabError> {
    for guest in place.running() {
        crate::lxc::kill(place, &guest)
            .await
            .map_err(|error| LabError::Refused(format!("guest {}: {error:?}", guest.vmid)))?;
    }
    Ok(())
}

async fn kill_guests(driver: &LxcDriver, place: &Place) -> Result<(), LabError> {
    match driver.end_all().await.into_iter().next() {
        None => Ok(()),
        Some((guest, error)) => Err(LabError::Refused(format!(
            "guest {} of lab {} could not be ended: {error:?}",
            guest.vmid,
            place.id()
        ))),
    }
}

async fn remove_traces(place: &Place, network: &Network) -> Result<(), LabError> {
    let network = network.down().await;
    let groups = cgroup::remove_trees(&place.cgroup_root()).await;
    locks::remove(place.id());
    network.and(groups)
}

pub(super) fn lock_state(state: &Path) -> Result<File, LabError> {
    std::fs::create_dir_all(state).map_err(LabError::io(format!("create {}", state.display())))?;
    try_lock_exclusive(&state.join("lock"))?.ok_or_else(|| LabError::Busy(state.to_owned()))
}

pub(super) fn open_leases(state: &Path, net: Ipv4Net) -> Result<Leases, LabError> {
    let path = state.join("leases.json");
    Leases::open(path.clone(), net).map_err(|reason| LabError::BadState { path, reason })
}

pub(crate) fn cores_there() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores).unwrap_or(u32::MAX)
}

pub(crate) fn remove_file(path: &Path) -> Result<(), LabError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(LabError::Io {
            what: format!("remove {}", path.display()),
            source,
        }),
    }
}
