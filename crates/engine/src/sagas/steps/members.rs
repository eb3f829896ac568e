//! What PVE's high availability or replication is about is not removed: the one would fight it, the other keeps copies elsewhere.

use proximity_domain::failure::Failure;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::Vmid;
use proximity_pve::jobs::ReplicationJob;

use crate::saga::{Cx, StepError, StepResult, pve_failure};

pub(crate) const HA_HINT: &str = "take it out of HA in PVE first: Datacenter, HA, Resources";
pub(crate) const REPLICATION_HINT: &str =
    "remove its replication jobs in PVE first: Datacenter, Replication";

/// The container's replication jobs. The list lacks, without a word, those of guests that the token may not look at: read it
/// of a container whose configuration the same token has read.
pub(crate) async fn replication_jobs(cx: &Cx, vmid: Vmid) -> StepResult<Vec<ReplicationJob>> {
    let jobs = cx.cluster.read().replication_jobs().await;
    let mut jobs = jobs.map_err(|e| pve_failure("reading the replication jobs", &e))?;
    jobs.retain(|job| job.guest == vmid);
    Ok(jobs)
}

/// Refuses members before anything is done to them: neither is their port closed, nor are they shut down.
pub(crate) async fn refuse_members(cx: &Cx, place: &ContainerRef) -> StepResult<()> {
    let (node, vmid) = (&place.node, place.vmid);
    let status = cx.cluster.read().lxc_status(node, vmid).await;
    let status = status.map_err(|e| pve_failure("reading the container's status", &e))?;
    let refused =
        |message: String, hint: &str| StepError::Failed(Failure::new("ha_managed", message, hint));
    if status.ha_managed {
        let text = format!("container {vmid} is managed by PVE's HA");
        return Err(refused(text, HA_HINT));
    }
    let jobs = replication_jobs(cx, vmid).await?;
    if jobs.is_empty() {
        return Ok(());
    }
    let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let text = format!(
        "container {vmid} has replication jobs in PVE ({})",
        jobs.join(", ")
    );
    Err(refused(text, REPLICATION_HINT))
}
