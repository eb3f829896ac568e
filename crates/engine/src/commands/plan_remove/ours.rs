//! A container of ours as a removal would find it, and what it would do to it.

use proximity_domain::guest::{NativeGuest, ObservedContainer, Ownership};
use proximity_domain::ids::Vmid;
use proximity_pve::cluster::GuestStatus;
use proximity_pve::error::Error as PveError;
use proximity_pve::jobs::{BackupJob, ReplicationJob};

use super::volumes::{Volumes, volumes};
use super::{PlannedGuest, jobs};
use crate::cluster::Cluster;
use crate::commands::create_app::upstream;
use crate::error::EngineError;

/// One container, read just now.
pub(super) struct Looked {
    pub(super) planned: PlannedGuest,
    mounted: Volumes,
    vmid: Vmid,
    /// PVE says that its node has no such container: a removal proves that, and goes on without it.
    is_gone: bool,
}

/// Reads the container, and what speaks against destroying it.
pub(super) async fn look(cluster: &Cluster, guest: &NativeGuest) -> Result<Looked, EngineError> {
    let (place, read) = (&guest.place, cluster.read());
    let failed = |e: PveError| upstream(cluster.label(), &e);
    let mut looked = Looked {
        planned: PlannedGuest::unread(place),
        mounted: Volumes::default(),
        vmid: place.vmid,
        is_gone: false,
    };
    let config = match read.lxc_config(&place.node, place.vmid).await {
        Ok(config) => config,
        Err(e) if e.is_missing_config() => {
            looked.is_gone = true;
            looked.planned.trouble = Some("it is not there any more".to_owned());
            return Ok(looked);
        }
        Err(e) => return Err(failed(e)),
    };
    let (status, replication) = tokio::join!(
        read.lxc_status(&place.node, place.vmid),
        read.replication_jobs(),
    );
    let (status, replication) = (status.map_err(failed)?, replication.map_err(failed)?);
    let seen = crate::cluster::observed(place.clone(), &config, status.ha_managed);
    looked.mounted = volumes(&config.raw, place.vmid);
    let planned = &mut looked.planned;
    planned.protected = seen.protection;
    planned.running = status.status != GuestStatus::Stopped;
    planned.trouble = match guest.owns(&seen) {
        Ownership::Owned | Ownership::OwnedUnconfirmed { .. } => {
            planned.identity_ok = true;
            held(&seen, &replication)
        }
        Ownership::BeingCreated => Some("PVE is still creating it".to_owned()),
        Ownership::Conflict(c) => Some(c.to_string()),
    };
    Ok(looked)
}

/// What in PVE holds a container of ours: as long as it does, its removal is refused.
fn held(seen: &ObservedContainer, replication: &[ReplicationJob]) -> Option<String> {
    if seen.ha_managed {
        return Some("it is managed by PVE's HA".to_owned());
    }
    if let Some(lock) = &seen.lock {
        return Some(format!("PVE holds a lock on it ({lock})"));
    }
    let jobs = replication
        .iter()
        .filter(|job| job.guest == seen.place.vmid);
    let jobs: Vec<String> = jobs.map(ToString::to_string).collect();
    (!jobs.is_empty()).then(|| format!("it has replication jobs in PVE ({})", jobs.join(", ")))
}

/// That the removal would change nothing, and why, if something speaks against it.
pub(super) fn refusal(looked: &Looked) -> Option<String> {
    let PlannedGuest { node, vmid, .. } = &looked.planned;
    let trouble = looked.planned.trouble.as_ref()?;
    let text = format!("nothing: it would fail for container {vmid} on {node}: {trouble}");
    (!looked.is_gone).then_some(text)
}

/// What would be done to it, in order, and what of it would stay.
pub(super) fn steps(
    looked: &mut Looked,
    backup_jobs: Option<&[BackupJob]>,
    purge: bool,
) -> Vec<String> {
    let vmid = looked.vmid;
    let guest = &mut looked.planned;
    let at = format!("container {} on {}", guest.vmid, guest.node);
    guest.backup_jobs = backup_jobs.map(|all| jobs::naming(all, vmid));
    if looked.is_gone {
        return vec![format!("prove that {at} is gone")];
    }
    let mut steps = Vec::new();
    if guest.running {
        steps.push(format!("shut down {at}"));
    }
    if guest.protected {
        steps.push(format!("lift the protection of {at}"));
    }
    steps.push(format!(
        "destroy {at} with its snapshots, its firewall rules, its place in its pool and the rights on it"
    ));
    let destroyed = looked.mounted.destroyed.iter();
    steps.extend(destroyed.map(|volume| format!("destroy its volume {volume}")));
    steps.extend(jobs::steps(backup_jobs, vmid, purge));
    let kept = looked.mounted.kept.iter();
    steps.extend(kept.map(|mount| format!("keep what is mounted in it: {mount}")));
    steps.push("keep its backups".to_owned());
    steps
}
