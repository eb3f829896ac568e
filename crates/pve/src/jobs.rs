//! Jobs of the cluster that name guests: of backups, and of replication.

use std::fmt;

use proximity_domain::ids::Vmid;
use serde::Deserialize;

use crate::call::Call;
use crate::error::Result;
use crate::lenient;
use crate::read::ReadClient;

/// One job of backups, as far as it names guests one by one. One that takes a pool or all guests names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupJob {
    /// Its id.
    pub id: String,
    /// The guests it backs up, in PVE's order.
    pub guests: Vec<Vmid>,
    /// The guests it leaves out, of one that takes all.
    pub excluded: Vec<Vmid>,
}

impl BackupJob {
    /// Whether it has this number in one of its lists.
    #[must_use]
    pub fn names(&self, vmid: Vmid) -> bool {
        self.guests.contains(&vmid) || self.excluded.contains(&vmid)
    }

    /// Whether it is there for this guest alone. PVE removes such a job when the guest is purged (pve-guest-common,
    /// `VZDump/Plugin.pm`, `remove_vmid_from_job`).
    #[must_use]
    pub fn is_only_for(&self, vmid: Vmid) -> bool {
        !self.guests.is_empty() && self.guests.iter().all(|guest| *guest == vmid)
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(deserialize_with = "lenient::text")]
    id: String,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    vmid: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    exclude: Option<String>,
}

impl From<Wire> for BackupJob {
    fn from(wire: Wire) -> Self {
        Self {
            id: wire.id,
            guests: numbers(wire.vmid.as_deref()),
            excluded: numbers(wire.exclude.as_deref()),
        }
    }
}

/// The numbers of a list as PVE splits it (pve-common, `PVE::Tools::split_list`); what is no number of a guest is none.
fn numbers(list: Option<&str>) -> Vec<Vmid> {
    let between = |c: char| [',', ';', '\0'].contains(&c) || c.is_whitespace();
    let parts = list.unwrap_or_default().split(between);
    parts.filter_map(|part| part.parse().ok()).collect()
}

/// One replication job: a guest whose volumes PVE copies to another node, again and again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReplicationJob {
    /// Its id, e.g. `100-0`.
    #[serde(deserialize_with = "lenient::text")]
    pub id: String,
    /// The guest.
    #[serde(deserialize_with = "lenient::vmid")]
    pub guest: Vmid,
    /// The node it is copied to.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub target: Option<String>,
}

/// For people: `100-0 to pve2`.
impl fmt::Display for ReplicationJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        match &self.target {
            Some(target) => write!(f, " to {target}"),
            None => Ok(()),
        }
    }
}

impl ReadClient {
    /// All jobs of backups of the cluster. Needs `Sys.Audit` on `/`.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn backup_jobs(&self) -> Result<Vec<BackupJob>> {
        let jobs: Vec<Wire> = self.get(Call::quick(&["cluster", "backup"])).await?;
        Ok(jobs.into_iter().map(BackupJob::from).collect())
    }

    /// Replication jobs of the guests on which the token has `VM.Audit`; those of others are not shown, without a word.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn replication_jobs(&self) -> Result<Vec<ReplicationJob>> {
        self.get(Call::get(&["cluster", "replication"])).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn vmid(number: u32) -> Vmid {
        Vmid::try_from(number).unwrap()
    }

    fn job(of: Value) -> BackupJob {
        let wire: Wire = serde_json::from_value(of).unwrap();
        wire.into()
    }

    #[test]
    fn a_job_names_guests_one_by_one_or_none() {
        let two = job(json!({"id": "backup-1", "vmid": "100, 105", "type": "vzdump"}));
        assert_eq!(two.guests, [vmid(100), vmid(105)]);
        assert!(two.names(vmid(105)) && !two.names(vmid(101)));
        assert!(!two.is_only_for(vmid(105)));
        // Once is enough, and so is twice.
        let twice = job(json!({"id": "backup-5", "vmid": "105,105"}));
        assert!(twice.is_only_for(vmid(105)));
        // A single number may come as one.
        let one = job(json!({"id": "backup-2", "vmid": 105}));
        assert!(one.is_only_for(vmid(105)) && !one.is_only_for(vmid(100)));
        let all = job(json!({"id": "backup-3", "all": 1, "exclude": "105;x"}));
        assert!(all.names(vmid(105)) && !all.is_only_for(vmid(105)));
        let pool = job(json!({"id": "backup-4", "pool": "apps"}));
        assert!(!pool.names(vmid(105)) && !pool.is_only_for(vmid(105)));
    }
}
