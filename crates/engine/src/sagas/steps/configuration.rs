//! The configuration of an app's container, read as that of the recorded one.

use proximity_domain::failure::Failure;
use proximity_domain::guest::Ownership;
use proximity_domain::plan::size_bytes;
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::update::Limits;
use proximity_pve::lxc::{ConfigDigest, LxcConfig};

use crate::cluster::observed;
use crate::saga::{Cx, StepError, StepResult, as_far_as_compared, pve_failure};

const READING: &str = "reading the container's configuration";

/// The container's configuration, if it is the recorded one. One that is not on its node is not followed:
/// [`Cx::must_be_ours`] does that.
pub(crate) async fn read(cx: &Cx, guest: &RecordedGuest) -> StepResult<LxcConfig> {
    let place = guest.place();
    let read = cx.cluster.read().lxc_config(&place.node, place.vmid).await;
    of_guest(guest, read.map_err(|e| pve_failure(READING, &e))?)
}

/// The same with the variables of its program, which not everybody is shown, and without what waits for its next start.
pub(crate) async fn read_whole(cx: &Cx, guest: &RecordedGuest) -> StepResult<LxcConfig> {
    let (place, read) = (guest.place(), cx.cluster.read());
    let read = read.lxc_config_whole(&place.node, place.vmid).await;
    of_guest(guest, read.map_err(|e| pve_failure(READING, &e))?)
}

fn of_guest(guest: &RecordedGuest, config: LxcConfig) -> StepResult<LxcConfig> {
    let place = guest.place();
    let seen = as_far_as_compared(guest, observed(place.clone(), &config, false));
    if let Ownership::Conflict(conflict) = guest.compare(&seen) {
        return Err(StepError::Failed(Failure::new(
            "identity_conflict",
            conflict.to_string(),
            "compare the container with the app's record and decide by hand",
        )));
    }
    Ok(config)
}

/// Memory and cores, as the configuration has them.
pub(crate) fn limits_of(config: &LxcConfig) -> Limits {
    Limits {
        memory_mib: config.memory_mib,
        cores: config.cores,
    }
}

/// How large the root file system is, bytes; `None` where the configuration does not say.
pub(crate) fn disk_bytes(config: &LxcConfig) -> Option<u64> {
    size_bytes(config.rootfs.as_ref()?.size.as_deref()?)
}

/// What guards a change of the configuration.
pub(crate) fn digest_of(config: &LxcConfig) -> StepResult<&ConfigDigest> {
    config.digest.as_ref().ok_or_else(|| {
        StepError::Transient(Failure::new(
            "pve_unreadable",
            "the container's configuration was read without a digest, so a change of it would be unguarded",
            "retry reads it again",
        ))
    })
}
