//! A container of ours as a removal would find it, and what it would do to it.

use proximity_domain::guest::{ContainerRef, NativeGuest, Ownership};
use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use proximity_domain::retry::RetryPolicy;
use proximity_pve::cluster::GuestStatus;
use proximity_pve::error::Error as PveError;
use proximity_pve::jobs::{BackupJob, ReplicationJob};
use proximity_pve::lxc::LxcConfig;

use super::volumes::{Volumes, volumes};
use super::{PlannedGuest, jobs};
use crate::cluster::{Cluster, observed};
use crate::commands::create_app::upstream;
use crate::error::EngineError;
use crate::whereabouts::{Elsewhere, elsewhere};

/// One container, read just now.
pub(super) struct Looked {
    pub(super) planned: PlannedGuest,
    mounted: Volumes,
    vmid: Vmid,
    fate: Fate,
    /// The node on record, where it is on another one by now: a removal follows it.
    moved_from: Option<NodeName>,
}

/// What a removal would come to.
enum Fate {
    /// Nothing speaks against it.
    Destroyed,
    /// PVE holds this lock on it: that is waited for.
    Locked(String),
    /// Its node has no such container, and the cluster lists its number nowhere else: that is proven, and it goes on without it.
    Gone,
    /// It would fail, and this says why.
    Refused(String),
}

/// Where a removal finds a container.
enum Found {
    /// There, configured like this.
    There(ContainerRef, Box<LxcConfig>),
    Nowhere,
    /// What it finds is nothing to go on with, and why.
    Not(String),
}

/// Reads the container, wherever it is, and what speaks against destroying it.
pub(super) async fn look(cluster: &Cluster, guest: &NativeGuest) -> Result<Looked, EngineError> {
    let failed = |e: PveError| upstream(cluster.label(), &e);
    let mut looked = Looked {
        planned: PlannedGuest::unread(&guest.place),
        mounted: Volumes::default(),
        vmid: guest.place.vmid,
        fate: Fate::Gone,
        moved_from: None,
    };
    match find(cluster, guest).await.map_err(failed)? {
        Found::There(place, config) => {
            let there = (&place, config.as_ref());
            let read = look_at(cluster, guest, there, &mut looked).await;
            read.map_err(failed)?;
        }
        Found::Nowhere => {}
        Found::Not(why) => looked.fate = Fate::Refused(why),
    }
    looked.planned.trouble = looked.fate.trouble();
    Ok(looked)
}

/// On its node, or where the cluster lists its number: as the removal itself looks for it.
async fn find(cluster: &Cluster, guest: &NativeGuest) -> Result<Found, PveError> {
    let (place, read) = (&guest.place, cluster.read());
    let missing = match read.lxc_config(&place.node, place.vmid).await {
        Ok(config) => return Ok(Found::There(place.clone(), Box::new(config))),
        Err(e) if e.is_missing_config() || e.is_node_unreachable() => e,
        Err(e) => return Err(e),
    };
    let is_missing = missing.is_missing_config();
    match elsewhere(cluster, &guest.into()).await? {
        Elsewhere::Container(seen) => {
            let there = seen.place;
            let config = read.lxc_config(&there.node, there.vmid).await?;
            Ok(Found::There(there, Box::new(config)))
        }
        Elsewhere::Machine { node } => Ok(Found::Not(format!(
            "its number belongs to a virtual machine on node {node}"
        ))),
        Elsewhere::Nowhere if is_missing => Ok(Found::Nowhere),
        Elsewhere::Unknown(gap) if is_missing => Ok(Found::Not(format!(
            "it is not on its node, and where it is cannot be told: {}",
            gap.text(cluster.label())
        ))),
        // Its node says nothing either: that it is not there would be too much to say.
        Elsewhere::Nowhere | Elsewhere::Unknown(_) => Err(missing),
    }
}

async fn look_at(
    cluster: &Cluster,
    guest: &NativeGuest,
    (place, config): (&ContainerRef, &LxcConfig),
    looked: &mut Looked,
) -> Result<(), PveError> {
    let read = cluster.read();
    let (status, replication) = tokio::join!(
        read.lxc_status(&place.node, place.vmid),
        read.replication_jobs(),
    );
    let (status, replication) = (status?, replication?);
    let seen = observed(place.clone(), config, status.ha_managed);
    looked.mounted = volumes(&config.raw, place.vmid);
    looked.moved_from = (place.node != guest.place.node).then(|| guest.place.node.clone());
    let planned = &mut looked.planned;
    planned.node = place.node.to_string();
    planned.protected = seen.protection;
    planned.running = status.status != GuestStatus::Stopped;
    looked.fate = match guest.owns(&seen) {
        Ownership::Owned | Ownership::OwnedUnconfirmed { .. } => {
            planned.identity_ok = true;
            match (member(&replication, place.vmid, seen.ha_managed), seen.lock) {
                (Some(why), _) => Fate::Refused(why),
                (None, Some(lock)) => Fate::Locked(lock),
                (None, None) => Fate::Destroyed,
            }
        }
        Ownership::BeingCreated => Fate::Refused("PVE is still creating it".to_owned()),
        Ownership::Conflict(c) => Fate::Refused(c.to_string()),
    };
    Ok(())
}

/// What in PVE holds a container of ours for good: as long as it does, its removal is refused.
fn member(replication: &[ReplicationJob], vmid: Vmid, ha_managed: bool) -> Option<String> {
    if ha_managed {
        return Some("it is managed by PVE's HA".to_owned());
    }
    let jobs = replication.iter().filter(|job| job.guest == vmid);
    let jobs: Vec<String> = jobs.map(ToString::to_string).collect();
    (!jobs.is_empty()).then(|| format!("it has replication jobs in PVE ({})", jobs.join(", ")))
}

impl Fate {
    /// What a person is told of it beside the steps.
    fn trouble(&self) -> Option<String> {
        match self {
            Self::Destroyed => None,
            Self::Locked(lock) => Some(format!("PVE holds a lock on it ({lock})")),
            Self::Gone => Some("it is not there any more".to_owned()),
            Self::Refused(why) => Some(why.clone()),
        }
    }
}

/// That the removal would change nothing, and why, if something speaks against it.
pub(super) fn refusal(looked: &Looked) -> Option<String> {
    let PlannedGuest { node, vmid, .. } = &looked.planned;
    match &looked.fate {
        Fate::Refused(why) => Some(format!(
            "nothing: it would fail for container {vmid} on {node}: {why}"
        )),
        Fate::Destroyed | Fate::Locked(_) | Fate::Gone => None,
    }
}

/// What would be done to it, in order, and what of it would stay.
pub(super) fn steps(
    looked: &mut Looked,
    backup_jobs: Option<&[BackupJob]>,
    purge: bool,
    retry: RetryPolicy,
) -> Vec<String> {
    let vmid = looked.vmid;
    let guest = &mut looked.planned;
    let at = format!("container {} on {}", guest.vmid, guest.node);
    guest.backup_jobs = backup_jobs.map(|all| jobs::naming(all, vmid));
    let mut steps = Vec::new();
    if let Some(from) = &looked.moved_from {
        let node = &guest.node;
        steps.push(format!(
            "follow container {vmid} to {node}, where it is by now; on record it is on {from}"
        ));
    }
    match &looked.fate {
        Fate::Gone => return vec![format!("prove that {at} is gone")],
        Fate::Locked(lock) => steps.push(wait(&at, lock, retry)),
        Fate::Destroyed | Fate::Refused(_) => {}
    }
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

/// That a lock is waited for, and for how long.
fn wait(at: &str, lock: &str, retry: RetryPolicy) -> String {
    let (attempts, seconds) = (retry.attempts, retry.in_all_ms().div_ceil(1_000));
    format!(
        "wait for PVE to take its lock ({lock}) off {at}: {attempts} attempts within some {seconds} s, after which the removal fails and \
         puts back what it changed"
    )
}
