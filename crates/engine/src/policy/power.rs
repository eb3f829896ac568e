//! Power that somebody switched otherwise than documents want it, switched back: by an ordinary start or stop. Not while Proxmox VE
//! itself switches: its high availability, or a node that goes down or comes up.

use proximity_domain::guest::ContainerRef;
use proximity_domain::manifest::{Policy, WantedPower};
use proximity_domain::merge::{Answer, Merged};
use proximity_domain::time::Timestamp;
use proximity_pve::cluster::GuestStatus;
use proximity_pve::task::TaskRow;
use proximity_store::records::{AppRecord, OperationRecord, RequestKey};

use super::{BECAUSE, REST_MS, Reverter};
use crate::cluster::Cluster;
use crate::commands::Action;
use crate::error::EngineError;
use crate::reconcile::{system, tasks_lately};
use crate::view;

/// The field of a plan that says whether an app is to run.
pub(super) const FIELD: &str = "power";
/// Tasks in which Proxmox VE switches all guests of a node, as it does when that goes down or comes up (pve-manager,
/// `PVE/API2/Nodes.pm`; its unit `pve-guests`).
const OF_ALL: [&str; 4] = ["startall", "stopall", "suspendall", "migrateall"];

/// The task of a backup (`PVE/API2/VZDump.pm`): of one guest it has the number, of a job none.
const BACKUP: &str = "vzdump";

/// What was told of an app's power, and how it is to be; `None`: nothing that is to be changed back.
fn due(drifted: &[Merged]) -> Option<(&Merged, WantedPower)> {
    let field = drifted.iter().find(|field| field.path == FIELD)?;
    let is_due = Answer::of(field.verdict, Policy::Revert) == Answer::Change;
    let wanted = serde_json::from_value(field.wanted.clone()).ok()?;
    is_due.then_some((field, wanted))
}

impl Reverter {
    /// Asks for the start or stop that makes an app's power what it is wanted to be, if it differs still and nothing at its node speaks
    /// against that.
    pub(super) async fn switch(
        &self,
        app: &AppRecord,
        drifted: &[Merged],
        key: RequestKey,
    ) -> Result<Option<OperationRecord>, EngineError> {
        let Some((told, to)) = due(drifted) else {
            return Ok(None);
        };
        let id = app.id.to_string();
        let (now, is_locked) = Box::pin(self.engine.drift_locked(&id)).await?;
        // What was told is some minutes old: a person may have asked for what is there now.
        if is_locked || !now.fields.contains(told) {
            return Ok(None);
        }
        if let Some(why) = Box::pin(self.speaks_against(app, to)).await? {
            tracing::info!(app = %app.hostname, why, "its power stays as it is for now, though its policy is revert");
            return Ok(None);
        }
        let action = match to {
            WantedPower::Running => Action::Start,
            WantedPower::Stopped => Action::Stop { force: false },
        };
        let (actor, because) = (system(), Some(BECAUSE.to_owned()));
        let made = self
            .engine
            .act_because(&actor, &id, action, Some(key), because);
        Ok(Some(Box::pin(made).await?))
    }

    /// Why this app is not switched so now; `None`: nothing speaks against it.
    async fn speaks_against(
        &self,
        app: &AppRecord,
        to: WantedPower,
    ) -> Result<Option<String>, EngineError> {
        let guests = self.engine.store().recorded_guests(app.id).await?;
        // Of several the newest is the app's.
        let Some(guest) = guests.last() else {
            return Ok(Some("it has no container on record".to_owned()));
        };
        let cluster = self.engine.inner.clusters.get(app.host).await?;
        let since = Timestamp(self.engine.now().0.saturating_sub(REST_MS));
        Ok(asked(&cluster, guest.place(), to, since).await.err())
    }
}

/// Asks the cluster and the container's node whether a container may be switched so.
///
/// # Errors
/// What speaks against it, or cannot be told, as a clause.
async fn asked(
    cluster: &Cluster,
    place: &ContainerRef,
    to: WantedPower,
    since: Timestamp,
) -> Result<(), String> {
    let (node, vmid, read) = (&place.node, place.vmid, cluster.read());
    let status = view::status(cluster).await.map_err(|e| e.to_string())?;
    view::is_whole(cluster.host(), &status).map_err(|gap| gap.text(cluster.label()))?;
    if !view::has_quorum(&status, node) {
        return Err(format!("node {node} is not online"));
    }
    let now = read.lxc_status(node, vmid).await;
    let now = now.map_err(|e| e.to_string())?;
    if now.ha_managed {
        return Err("Proxmox VE's high availability starts and stops it by itself".to_owned());
    }
    let other = match to {
        WantedPower::Running => GuestStatus::Stopped,
        WantedPower::Stopped => GuestStatus::Running,
    };
    if now.status != other {
        return Err("its node does not say any more that it is switched otherwise".to_owned());
    }
    let tasks = tasks_lately(read, node, since).await?;
    let vmid = vmid.to_string();
    match tasks.iter().find(|task| is_switching(task, &vmid)) {
        Some(task) => Err(format!(
            "task {} was begun on node {node} a short while ago",
            task.upid.kind()
        )),
        None => Ok(()),
    }
}

/// Whether this task, which was begun lately, may switch the container: of a node that goes down the last containers are stopped some
/// minutes after the first, and then the node is gone. A backup may stop it and start it again, also a job, which names none.
fn is_switching(task: &TaskRow, vmid: &str) -> bool {
    let (kind, id) = (task.upid.kind(), task.upid.id());
    let is_of_it = id == vmid && kind.starts_with("vz");
    let is_backup_of_many = id.is_empty() && kind == BACKUP;
    OF_ALL.contains(&kind) || ((is_of_it || is_backup_of_many) && task.is_running())
}

#[cfg(test)]
mod tests {
    use proximity_domain::merge::Verdict;
    use serde_json::json;

    use super::*;

    fn task(kind: &str, id: &str, status: Option<&str>) -> TaskRow {
        let upid = format!("UPID:pve1:000002F5:0006BA26:00000001:{kind}:{id}:root@pam:");
        let row = match status {
            Some(status) => json!({"upid": upid, "endtime": 2, "status": status}),
            None => json!({"upid": upid}),
        };
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn what_switches_a_container_is_let_be() {
        for (row, switches) in [
            (task("stopall", "", None), true),
            (task("stopall", "", Some("OK")), true),
            (task("startall", "", Some("OK")), true),
            (task("vzstart", "101", None), true),
            (task("vzstop", "101", Some("OK")), false),
            (task("vzstart", "102", None), false),
            (task("vzdump", "101", None), true),
            (task("vzdump", "", None), true),
            (task("vzdump", "", Some("OK")), false),
            (task("vzdump", "102", None), false),
            (task("vncproxy", "101", None), false),
            (task("aptupdate", "", None), false),
        ] {
            assert_eq!(is_switching(&row, "101"), switches, "{row:?}");
        }
    }

    #[test]
    fn what_somebody_else_switched_is_due() {
        let field = |path: &str, verdict| Merged {
            path: path.to_owned(),
            verdict,
            last: Some(json!("running")),
            wanted: json!("running"),
            actual: Some(json!("stopped")),
        };
        let to = |fields: &[Merged]| due(fields).map(|(_, to)| to);
        let running = Some(WantedPower::Running);
        assert_eq!(to(&[field("power", Verdict::Theirs)]), running);
        assert_eq!(to(&[field("power", Verdict::Conflict)]), running);
        assert_eq!(to(&[field("power", Verdict::BothSame)]), None);
        assert_eq!(to(&[field("memory", Verdict::Theirs)]), None);
    }
}
