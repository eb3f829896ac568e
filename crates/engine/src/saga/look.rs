//! Looking at a guest of ours before anything is done to it.

use proximity_domain::failure::Failure;
use proximity_domain::guest::{NativeGuest, ObservedContainer, Ownership};
use proximity_domain::ids::Vmid;
use proximity_domain::names::Volid;
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::time::Monotonic;
use proximity_pve::cluster::GuestStatus;
use proximity_pve::error::Error as PveError;
use proximity_pve::lxc::LxcStatus;
use proximity_store::effects::{Effects, GuestChange};
use proximity_store::records::LogLevel;

use super::context::Cx;
use super::guards::{Guard, is_off};
use super::pve_calls::pve_failure;
use super::step::{StepError, StepResult};
use crate::view::Gap;
use crate::whereabouts::Elsewhere;

const READING: &str = "reading the container's configuration";

/// What a look at our guest's VMID showed.
#[derive(Debug)]
pub(crate) enum Look {
    /// PVE says that the configuration does not exist on that node, and the cluster lists no such number elsewhere.
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
    /// It carries our mark or our MAC, and something else differs, or no mark and no MAC at all: it may be ours, altered.
    Foreign(Failure),
    /// Another mark or MAC is on it, and nothing that was drawn for ours: another guest has the number.
    Stranger(Failure),
}

impl Cx {
    /// Reads the guest's configuration (no power, no HA state) and compares it with the record.
    ///
    /// A guest that is not on its node but elsewhere in the cluster is recorded there first; the step then starts anew.
    pub(crate) async fn look(&self, guest: impl Into<RecordedGuest>) -> StepResult<Look> {
        let guest = &guest.into();
        let read_started = self.engine.inner.parts.clock.monotonic();
        let place = guest.place();
        let config = match self
            .cluster
            .read()
            .lxc_config(&place.node, place.vmid)
            .await
        {
            Ok(config) => config,
            Err(e) if e.is_missing_config() || e.is_node_unreachable() => {
                return match (self.follow(guest, &e).await?, e) {
                    (Some(there), _) => Ok(there),
                    (None, e) if e.is_missing_config() => Ok(Look::Absent),
                    (None, e) => Err(pve_failure(READING, &e)),
                };
            }
            Err(_) if is_off(Guard::Reach) => return Ok(Look::Absent),
            Err(e) => return Err(pve_failure(READING, &e)),
        };
        let seen = crate::cluster::observed(place.clone(), &config, false);
        Ok(judge(guest, seen, read_started))
    }

    /// What the cluster lists under the guest's number on another node than the recorded one; `None` if nothing. `missing` is
    /// what reading it on its own node said.
    ///
    /// If it is ours, its new place is committed and the step has to start anew: that is an error, which is tried again.
    async fn follow(&self, guest: &RecordedGuest, missing: &PveError) -> StepResult<Option<Look>> {
        let read_started = self.engine.inner.parts.clock.monotonic();
        let found = crate::whereabouts::elsewhere(&self.cluster, guest)
            .await
            .map_err(|e| pve_failure("looking for the container on the other nodes", &e))?;
        match found {
            Elsewhere::Nowhere => Ok(None),
            // Its own node says nothing either: that it is not there would be too much to say.
            Elsewhere::Unknown(_) if !missing.is_missing_config() => {
                Err(pve_failure(READING, missing))
            }
            Elsewhere::Unknown(gap) => Err(StepError::Transient(self.untold(guest, &gap))),
            Elsewhere::Machine { node } => Ok(Some(Look::Stranger(Failure::new(
                "identity_conflict",
                format!(
                    "number {} belongs to a virtual machine on node {node}",
                    guest.place().vmid
                ),
                // As long as it has the number not even a removal goes on: it cannot prove that ours is gone.
                "nothing was done to it; give that machine another number in PVE (back it up, restore it under a free \
                 one, remove the first), then repeat this, or remove the app if its container is gone for good",
            )))),
            Elsewhere::Container(seen) => match judge(guest, *seen, read_started) {
                Look::Ours { seen, .. } => {
                    let node = seen.place.node;
                    let from = &guest.place().node;
                    let effects = Effects {
                        log: vec![self.line(
                            LogLevel::Warning,
                            crate::whereabouts::moved_text(guest, &node),
                        )],
                        ..crate::whereabouts::moved(guest, &node)
                    };
                    self.store().note(&self.fence, effects, self.now()).await?;
                    tracing::info!(app = %self.app.hostname, vmid = %guest.place().vmid, %from, %node, "a container was followed");
                    Err(StepError::Transient(Failure::new(
                        "container_elsewhere",
                        crate::whereabouts::moved_text(guest, &node),
                        "the new place is recorded; retry goes on there",
                    )))
                }
                // Ours would be made on its own node.
                Look::BeingCreated => Ok(Some(Look::Stranger(Failure::new(
                    "identity_conflict",
                    format!(
                        "container {} is being created on another node by somebody else",
                        guest.place().vmid
                    ),
                    "nothing was done to it",
                )))),
                other @ (Look::Absent | Look::Foreign(_) | Look::Stranger(_)) => Ok(Some(other)),
            },
        }
    }

    /// The guest is not on its node, and the answer does not say where it is.
    fn untold(&self, guest: &RecordedGuest, gap: &Gap) -> Failure {
        let (vmid, node) = (guest.place().vmid, &guest.place().node);
        match gap {
            Gap::NoQuorum => Failure::new(
                "no_quorum",
                format!(
                    "container {vmid} is not on node {node}, and the cluster has no quorum to say where it is"
                ),
                "bring the cluster back to quorum first; nothing was sent",
            ),
            Gap::OtherCluster { .. } | Gap::Unlisted(_) => Failure::new(
                "view_incomplete",
                format!(
                    "container {vmid} is not on node {node}, and where it is cannot be told: {}",
                    gap.text(self.cluster.label())
                ),
                "nothing was sent, and nobody was followed; mend the cluster, then retry",
            ),
        }
    }

    /// The guest must be there and ours.
    pub(crate) async fn must_be_ours(
        &self,
        guest: impl Into<RecordedGuest>,
    ) -> StepResult<(ObservedContainer, Monotonic)> {
        let guest = &guest.into();
        if is_off(Guard::Look) {
            let now = self.engine.inner.parts.clock.monotonic();
            return Ok((as_recorded(guest), now));
        }
        match self.look(guest).await? {
            Look::Ours {
                seen, read_started, ..
            } => Ok((seen, read_started)),
            Look::Absent => Err(StepError::Failed(Failure::new(
                "container_missing",
                format!(
                    "container {} is not on node {}",
                    guest.place().vmid,
                    guest.place().node
                ),
                "look for it in PVE; if it is gone for good, remove the app",
            ))),
            Look::BeingCreated => Err(StepError::Transient(Failure::new(
                "container_being_created",
                format!("container {} is still being created", guest.place().vmid),
                "wait for PVE's create task to end",
            ))),
            Look::Foreign(f) | Look::Stranger(f) => Err(StepError::Failed(f)),
        }
    }

    /// Whether it runs, as `status/current` says.
    pub(crate) async fn is_running(&self, guest: impl Into<RecordedGuest>) -> StepResult<bool> {
        let guest = guest.into();
        let place = guest.place();
        let status = self
            .cluster
            .read()
            .lxc_status(&place.node, place.vmid)
            .await
            .map_err(|e| pve_failure("reading the container's status", &e))?;
        runs(&status, place.vmid)
    }
}

/// What an observed container is to the record.
fn judge(guest: &RecordedGuest, seen: ObservedContainer, read_started: Monotonic) -> Look {
    if is_off(Guard::Identity) {
        return Look::Ours {
            seen,
            read_started,
            first_seen: None,
        };
    }
    let seen = as_far_as_compared(guest, seen);
    match guest.compare(&seen) {
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
        Ownership::Conflict(c) => {
            let failure = Failure::new(
                "identity_conflict",
                c.to_string(),
                "nothing was done to it; compare the container with the app's record and decide by hand",
            );
            if guest.shares_nothing_with(&seen) {
                Look::Stranger(failure)
            } else {
                Look::Foreign(failure)
            }
        }
    }
}

/// What was seen, with a factor that is not compared as it is on record: all of them are, unless a simulation takes one off.
pub(crate) fn as_far_as_compared(
    guest: &RecordedGuest,
    mut seen: ObservedContainer,
) -> ObservedContainer {
    if is_off(Guard::Mark) {
        seen.mark = as_recorded(guest).mark.or(seen.mark);
    }
    if is_off(Guard::Mac) {
        seen.net0_mac = Some(guest.net0_mac());
    }
    if is_off(Guard::Volume) {
        seen.rootfs_volid = guest.rootfs_volid().cloned().or(seen.rootfs_volid);
    }
    seen
}

/// What a look would show if nothing had changed.
fn as_recorded(guest: &RecordedGuest) -> ObservedContainer {
    let mark = match guest {
        RecordedGuest::Native(guest) => Some(guest.identity.mark),
        RecordedGuest::Adopted(_) => None,
    };
    ObservedContainer {
        place: guest.place().clone(),
        mark,
        net0_mac: Some(guest.net0_mac()),
        rootfs_volid: guest.rootfs_volid().cloned(),
        lock: None,
        protection: false,
        digest: String::new(),
        ha_managed: false,
        replicated: false,
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
