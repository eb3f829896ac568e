//! Replication jobs: which containers are copied to other nodes, again and again. Here they are only told of; nothing is copied.

use serde::{Deserialize, Serialize};

use super::world::World;

/// One job; its id is that of the guest, and a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplicationJob {
    /// The guest.
    pub(crate) guest: u32,
    /// Which of its jobs.
    pub(crate) number: u32,
    /// The node it is copied to.
    pub(crate) target: String,
}

impl World {
    /// Somebody has a container copied to that node from now on, past the API. Gives the job's id.
    pub fn replicate(&mut self, vmid: u32, target: &str) -> String {
        let of = |job: &&ReplicationJob| job.guest == vmid;
        let last = self
            .replication_jobs
            .values()
            .filter(of)
            .map(|job| job.number);
        let number = last.max().map_or(0, |last| last + 1);
        let id = format!("{vmid}-{number}");
        let job = ReplicationJob {
            guest: vmid,
            number,
            target: target.to_owned(),
        };
        self.replication_jobs.insert(id.clone(), job);
        id
    }

    /// Why a guest is not destroyed that high availability or a replication job is about, unless it is purged. Asked by the call,
    /// and once more by its task (pve-container, `API2/LXC.pm`, `destroy_vm`).
    pub(crate) fn check_unused(&self, vmid: u32, purge: bool) -> Result<(), String> {
        if purge {
            return Ok(());
        }
        if self.ha.of(vmid).is_some() {
            return Err(format!(
                "unable to remove CT {vmid} - used in HA resources and purge parameter not set."
            ));
        }
        let mut jobs = self.replication_jobs.iter();
        match jobs.find(|(_, job)| job.guest == vmid) {
            Some((job, _)) => Err(format!(
                "There is a replication job '{job}' for guest '{vmid}' - Please remove that first."
            )),
            None => Ok(()),
        }
    }
}
