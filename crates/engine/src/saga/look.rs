//! Looking at a guest of ours before anything is done to it.

use proximity_domain::failure::Failure;
use proximity_domain::guest::{NativeGuest, ObservedContainer, Ownership};
use proximity_domain::ids::Vmid;
use proximity_domain::names::Volid;
use proximity_domain::time::Monotonic;
use proximity_pve::cluster::GuestStatus;
use proximity_pve::lxc::LxcStatus;
use proximity_store::effects::GuestChange;

use super::context::Cx;
use super::pve_calls::pve_failure;
use super::step::{StepError, StepResult};

/// What a look at our guest's VMID showed.
#[derive(Debug)]
pub(crate) enum Look {
    /// PVE says that the configuration does not exist on that node.
    Absent,
    /// It is ours.
    Ours {
        /// As seen.
        seen: ObservedContainer,
        /// When the read began.
        read_started: Monotonic,
        /// The volume, if it is seen for the first time.
        first_seen: Option<Volid>,
    },
    /// PVE is still creating it.
    BeingCreated,
    /// It is not (provably) ours.
    Foreign(Failure),
}

impl Cx {
    /// Reads the guest's configuration (no power, no HA state) and compares it with the record.
    pub(crate) async fn look(&self, guest: &NativeGuest) -> StepResult<Look> {
        let read_started = self.engine.inner.parts.clock.monotonic();
        let place = &guest.place;
        let config = match self
            .cluster
            .read()
            .lxc_config(&place.node, place.vmid)
            .await
        {
            Ok(config) => config,
            Err(e) if e.is_missing_config() => return Ok(Look::Absent),
            Err(e) => return Err(pve_failure("reading the container's configuration", &e)),
        };
        let seen = crate::cluster::observed(place.clone(), &config, false);
        Ok(match guest.owns(&seen) {
            Ownership::Owned => Look::Ours {
                seen,
                read_started,
                first_seen: None,
            },
            Ownership::OwnedUnconfirmed { rootfs_volid } => Look::Ours {
                seen,
                read_started,
                first_seen: Some(rootfs_volid),
            },
            Ownership::BeingCreated => Look::BeingCreated,
            Ownership::Conflict(c) => Look::Foreign(Failure::new(
                "identity_conflict",
                c.to_string(),
                "nothing was done to it; compare the container with the app's record and decide by hand",
            )),
        })
    }

    /// The guest must be there and ours.
    pub(crate) async fn must_be_ours(
        &self,
        guest: &NativeGuest,
    ) -> StepResult<(ObservedContainer, Monotonic)> {
        match self.look(guest).await? {
            Look::Ours {
                seen, read_started, ..
            } => Ok((seen, read_started)),
            Look::Absent => Err(StepError::Failed(Failure::new(
                "container_missing",
                format!(
                    "container {} is not on node {}",
                    guest.place.vmid, guest.place.node
                ),
                "look for it in PVE; if it is gone for good, remove the app",
            ))),
            Look::BeingCreated => Err(StepError::Transient(Failure::new(
                "container_being_created",
                format!("container {} is still being created", guest.place.vmid),
                "wait for PVE's create task to end",
            ))),
            Look::Foreign(f) => Err(StepError::Failed(f)),
        }
    }

    /// Whether it runs, as `status/current` says.
    pub(crate) async fn is_running(&self, guest: &NativeGuest) -> StepResult<bool> {
        let place = &guest.place;
        let status = self
            .cluster
            .read()
            .lxc_status(&place.node, place.vmid)
            .await
            .map_err(|e| pve_failure("reading the container's status", &e))?;
        runs(&status, place.vmid)
    }
}

/// The change that records a volume seen for the first time.
pub(crate) fn confirm(guest: &NativeGuest, first_seen: Option<Volid>) -> Vec<GuestChange> {
    first_seen
        .map(|rootfs_volid| GuestChange::Confirm {
            guest: guest.id,
            rootfs_volid,
        })
        .into_iter()
        .collect()
}

/// Running or stopped; anything else is not known and never taken for stopped.
pub(crate) fn runs(status: &LxcStatus, vmid: Vmid) -> StepResult<bool> {
    match status.status {
        GuestStatus::Running => Ok(true),
        GuestStatus::Stopped => Ok(false),
        GuestStatus::Unknown => Err(StepError::Transient(Failure::new(
            "power_unknown",
            format!("PVE does not know whether container {vmid} runs"),
            "check its node; nothing was taken for stopped",
        ))),
    }
}
