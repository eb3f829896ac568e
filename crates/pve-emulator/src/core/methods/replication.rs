//! `/cluster/replication`: which guests are copied to other nodes.

use serde_json::{Value, json};

use super::super::call::{Call, Outcome};

/// The jobs of guests that the caller may see; of others without a word (pve-manager, `API2/ReplicationConfig.pm`).
pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let jobs = call.world.replication_jobs.iter();
    let shown = jobs.filter(|(_, job)| call.may(&format!("/vms/{}", job.guest), "VM.Audit"));
    let rows = shown.map(|(id, job)| {
        json!({
            "id": id, "type": "local", "guest": job.guest, "jobnum": job.number, "target": job.target,
        })
    });
    Ok(rows.collect::<Value>().into())
}
