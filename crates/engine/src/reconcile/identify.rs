//! Whether a container whose identity differs from the record is still the recorded one, changed in one factor (doctrine
//! section 2, *drifted identity*), or another one.

use std::collections::BTreeSet;

use proximity_domain::event::EventKind;
use proximity_domain::guest::{Conflict, ObservedContainer};
use proximity_domain::identity::{Drifted, History, Judgement, Tasks};
use proximity_domain::ids::{AppId, GuestId, Vmid};
use proximity_domain::names::NodeName;
use proximity_domain::observe::NodeSeen;
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::time::Timestamp;
use proximity_pve::ReadClient;
use proximity_pve::task::{TaskFilter, TaskOutcome, TaskRow, TaskSource};
use proximity_pve::upid::Upid;
use proximity_store::effects::NewEvent;
use proximity_store::observation::WatchedGuest;
use proximity_store::views::OperationFilter;
use serde_json::json;

use super::patience::very_patiently;
use super::{Reconciler, Site, look};
use crate::error::EngineError;

/// Tasks by which another container comes under a number.
const MAKES_ANOTHER: [&str; 3] = ["vzdestroy", "vzcreate", "vzrestore"];
/// And those by which one goes to another cluster, which deletes it here, or comes from there: what has the number then may be a clone,
/// whose task names the number that it was made of. One that goes to another node of the cluster only has to be read itself.
const MOVES: [&str; 2] = ["vzmigrate", "vzmtunnel"];
/// What a node's list may hold since a moment. Proxmox VE rotates its lists: a longer one may have lost its beginning.
const TASKS: u32 = 500;
/// Clocks of nodes and ours may differ by so much, seconds.
const CLOCKS_APART_S: i64 = 60;
/// So many of an app's newest operations are looked through for tasks of ours.
const LOOKED_BACK: u32 = 50;
/// Said of a container that was not verified since the server started, where no task of ours tells since when it is what is recorded: the
/// moments on record are of a clock that may have been set.
const UNTOLD: &str = "it was not verified since the server started, and no task of ours on record tells what came after that";
/// And of one whose number was missing from a list before the server started, and that was not verified after that.
const MISSED_BEFORE: &str = "its number was missing from a list before the server started, and it was not verified after that";
/// Reading the tasks of others takes this.
const AUDIT: &str = "Sys.Audit";

/// What a differing container came to.
pub(super) enum Identified {
    /// It is the recorded one, as recorded or as learned.
    Same,
    /// It is not finished.
    Left,
    /// It is not the recorded one, or that cannot be told.
    Conflict(Conflict),
}

impl Reconciler {
    /// Judges what was read while nobody is at work on the app. What may be learned is learned, unless the pass is a dry one.
    pub(super) async fn identify(
        &self,
        site: &Site,
        nodes: &[NodeSeen],
        guest: &WatchedGuest,
        recorded: &RecordedGuest,
        seen: &ObservedContainer,
        dry: bool,
    ) -> Result<Identified, EngineError> {
        match recorded.judge(seen) {
            Judgement::Owned => {
                if recorded.learned().is_some() && !dry {
                    self.unlearn(site, guest).await?;
                }
                Ok(Identified::Same)
            }
            Judgement::Learned(_) => Ok(Identified::Same),
            Judgement::Unfinished(_) => Ok(Identified::Left),
            Judgement::Conflict(conflict) => Ok(Identified::Conflict(conflict)),
            Judgement::Drifted(drifted) => {
                let history = self.history(&site.read, nodes, guest).await?;
                if let Err(why) = history.explains() {
                    let mut conflict = drifted.conflict;
                    conflict.differences.push(why.to_string());
                    return Ok(Identified::Conflict(conflict));
                }
                if !dry {
                    self.learn(site, guest, &drifted).await?;
                }
                Ok(Identified::Same)
            }
        }
    }

    /// What is known of the guest's number since its container was verified last.
    async fn history(
        &self,
        read: &ReadClient,
        nodes: &[NodeSeen],
        guest: &WatchedGuest,
    ) -> Result<History, EngineError> {
        let watched = &guest.watched;
        let (id, vmid) = (watched.guest, watched.place.vmid);
        let own = self.own_tasks(watched.app, vmid).await?;
        let since = match self.since_in_process(id) {
            Some(since) => Ok(since),
            None => {
                let kept = self.store.guest_looks(id).await?;
                let began = began(&own).filter(|_| kept.verified_at.is_some());
                match kept.missed_at {
                    Some(_) => Err(MISSED_BEFORE),
                    None => began.ok_or(UNTOLD),
                }
            }
        };
        let tasks = match since {
            Err(why) => Tasks::Unreadable(why.to_owned()),
            Ok(since) => but_for(&own, tasks_since(read, nodes, vmid, since).await),
        };
        let is_missed = self.verified.is_missed(id);
        Ok(History { is_missed, tasks })
    }

    fn since_in_process(&self, guest: GuestId) -> Option<Timestamp> {
        self.verified.since(guest, self.clock.now(), self.moment())
    }

    /// The tasks of ours about this number that are on record of its app, but for those that destroyed. Each was begun after a look that
    /// showed the recorded container, and is in its node's own order among all others, whatever our clock said.
    async fn own_tasks(&self, app: AppId, vmid: Vmid) -> Result<Vec<Upid>, EngineError> {
        let filter = OperationFilter {
            app: Some(app),
            limit: LOOKED_BACK,
            ..OperationFilter::default()
        };
        let (mut own, number) = (Vec::new(), vmid.to_string());
        for operation in self.store.operations(filter).await? {
            for step in self.store.steps(operation.id).await? {
                let upid = step.upid.and_then(|text| text.parse::<Upid>().ok());
                let is_of_it = |upid: &Upid| upid.id() == number && upid.kind() != "vzdestroy";
                own.extend(upid.filter(is_of_it));
            }
        }
        Ok(own)
    }

    /// What the task lists of all nodes of a cluster that is seen whole show of a guest's number since its container was verified last, or
    /// since this moment where that cannot be told.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn evidence(
        &self,
        site: &Site,
        (app, guest, vmid): (AppId, GuestId, Vmid),
        otherwise: Timestamp,
    ) -> Result<Tasks, EngineError> {
        let own = self.own_tasks(app, vmid).await?;
        let since = self.since_in_process(guest).or_else(|| began(&own));
        let since = since.unwrap_or(otherwise);
        Ok(match look::look(site).await {
            Ok(inventory) => {
                let tasks = tasks_since(&site.read, inventory.nodes(), vmid, since).await;
                but_for(&own, tasks)
            }
            Err(why) => Tasks::Unreadable(why),
        })
    }

    async fn learn(
        &self,
        site: &Site,
        guest: &WatchedGuest,
        drifted: &Drifted,
    ) -> Result<(), EngineError> {
        let now = self.clock.now();
        let event = NewEvent {
            kind: EventKind::GuestIdentityLearned,
            body: json!({
                "app": guest.watched.app,
                "hostname": guest.hostname,
                "host": site.host.label,
                "vmid": guest.watched.place.vmid,
                "factor": drifted.factor.label(),
                "was": drifted.was,
                "now": drifted.now,
                "since": now,
            }),
        };
        let (id, app) = (guest.watched.guest, guest.watched.app);
        let learned = self
            .store
            .learn_identity(id, app, Some(&drifted.shown), &event, now)
            .await?;
        if learned {
            tracing::warn!(
                app = %guest.hostname,
                factor = drifted.factor.label(),
                was = drifted.was,
                now = drifted.now,
                "DRIFTED IDENTITY: one factor changed and was learned; what destroys waits for: proximity reidentify"
            );
        }
        Ok(())
    }

    async fn unlearn(&self, site: &Site, guest: &WatchedGuest) -> Result<(), EngineError> {
        let event = NewEvent {
            kind: EventKind::GuestIdentityRestored,
            body: json!({
                "app": guest.watched.app,
                "hostname": guest.hostname,
                "host": site.host.label,
                "vmid": guest.watched.place.vmid,
            }),
        };
        let (id, app) = (guest.watched.guest, guest.watched.app);
        let now = self.clock.now();
        let unlearned = self.store.learn_identity(id, app, None, &event, now);
        if unlearned.await? {
            tracing::info!(app = %guest.hostname, "the container shows its recorded identity again");
        }
        Ok(())
    }
}

/// When the newest of these began, by its node's clock; `None`: there is none.
fn began(own: &[Upid]) -> Option<Timestamp> {
    let newest = own.iter().map(Upid::start_s).max()?;
    let ms = i64::try_from(newest).unwrap_or(i64::MAX);
    Some(Timestamp(ms.saturating_mul(1_000)))
}

/// The same tasks but for our own.
fn but_for(own: &[Upid], tasks: Tasks) -> Tasks {
    let Tasks::Found(mut found) = tasks else {
        return tasks;
    };
    found.retain(|text| own.iter().all(|upid| upid.as_str() != text));
    match found.is_empty() {
        true => Tasks::Quiet,
        false => Tasks::Found(found),
    }
}

/// What the task lists of all these nodes show of a number since this moment. One that cannot be read whole makes all of them
/// unreadable.
async fn tasks_since(read: &ReadClient, nodes: &[NodeSeen], vmid: Vmid, since: Timestamp) -> Tasks {
    let filter = all_since(since);
    let mut found = Vec::new();
    for node in nodes {
        match tasks_of(read, node, vmid, &filter).await {
            Ok(upids) => found.extend(upids),
            Err(why) => return Tasks::Unreadable(why),
        }
    }
    if found.is_empty() {
        Tasks::Quiet
    } else {
        Tasks::Found(found)
    }
}

/// The moment from which on a node's task may be later than this by ours, seconds since 1970.
pub(super) fn since_s(since: Timestamp) -> Option<u64> {
    let since_s = (since.0 / 1_000).saturating_sub(CLOCKS_APART_S);
    u64::try_from(since_s).ok()
}

fn all_since(since: Timestamp) -> TaskFilter {
    TaskFilter {
        since_s: since_s(since),
        source: TaskSource::All,
        limit: Some(TASKS),
        ..TaskFilter::default()
    }
}

async fn tasks_of(
    read: &ReadClient,
    node: &NodeSeen,
    vmid: Vmid,
    filter: &TaskFilter,
) -> Result<Vec<String>, String> {
    let name = &node.name;
    if !node.online {
        return Err(format!("node {name} is offline"));
    }
    let mut made = told_tasks(read, name, filter).await?;
    made.retain(|upid| MAKES_ANOTHER.contains(&upid.kind()));
    let number = vmid.to_string();
    let of_it = made.iter().filter(|upid| upid.id() == number);
    Ok(of_it.map(|upid| upid.as_str().to_owned()).collect())
}

/// The numbers under which a task of this node may have brought another container since this moment, in two requests at most.
///
/// # Errors
/// Why that cannot be told.
pub(super) async fn made_anew(
    read: &ReadClient,
    node: &NodeName,
    since: Timestamp,
) -> Result<BTreeSet<String>, String> {
    let tasks = told_tasks(read, node, &all_since(since)).await?;
    let made = tasks.iter().filter(|upid| may_make_another(upid));
    Ok(made.map(|upid| upid.id().to_owned()).collect())
}

/// The tasks of a node about a number since this moment, but for those that failed, in two requests at most.
///
/// # Errors
/// Why that cannot be told.
pub(super) async fn tasks_about(
    read: &ReadClient,
    node: &NodeName,
    vmid: Vmid,
    since: Timestamp,
) -> Result<Vec<Upid>, String> {
    let filter = TaskFilter {
        vmid: Some(vmid),
        ..all_since(since)
    };
    let tasks = tasks_seen(read, node, &filter).await?.into_iter();
    let tasks = tasks.filter(|task| !matches!(task.outcome, Some(TaskOutcome::Failed(_))));
    Ok(tasks.map(|task| task.upid).collect())
}

/// The tasks of a node that were begun since this moment, whoever began them and how they ended, in two requests at most.
///
/// # Errors
/// Why that cannot be told.
pub(crate) async fn tasks_lately(
    read: &ReadClient,
    node: &NodeName,
    since: Timestamp,
) -> Result<Vec<TaskRow>, String> {
    tasks_seen(read, node, &all_since(since)).await
}

/// Whether the number that this task names may be another container's after it.
fn may_make_another(task: &Upid) -> bool {
    MAKES_ANOTHER.contains(&task.kind()) || MOVES.contains(&task.kind())
}

/// The tasks of a node, of those that are wanted, whoever began them.
async fn told_tasks(
    read: &ReadClient,
    name: &NodeName,
    filter: &TaskFilter,
) -> Result<Vec<Upid>, String> {
    let tasks = tasks_seen(read, name, filter).await?.into_iter();
    Ok(tasks.map(|task| task.upid).collect())
}

/// The tasks of a node, of those that are wanted, if the token may see those of others and the list has all of them.
async fn tasks_seen(
    read: &ReadClient,
    name: &NodeName,
    filter: &TaskFilter,
) -> Result<Vec<TaskRow>, String> {
    let path = format!("/nodes/{name}");
    let silent = || format!("node {name} does not answer");
    let held = very_patiently(read.permissions(Some(&path))).await;
    let held = held
        .ok_or_else(silent)?
        .map_err(|e| format!("the rights on node {name} cannot be read: {e}"))?;
    if !held.get(&path).is_some_and(|p| p.contains(AUDIT)) {
        return Err(format!(
            "the token that looks lacks {AUDIT} on {path}, so that it is not shown the tasks of others"
        ));
    }
    let tasks = very_patiently(read.node_tasks(name, filter)).await;
    let tasks = tasks
        .ok_or_else(silent)?
        .map_err(|e| format!("the tasks of node {name} cannot be read: {e}"))?;
    if tasks.len() >= usize::try_from(TASKS).unwrap_or(usize::MAX) {
        return Err(format!(
            "node {name} had more than {TASKS} tasks since then"
        ));
    }
    Ok(tasks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upid(start_s: u32, kind: &str) -> Upid {
        let text = format!("UPID:pve1:000002F5:0006BA26:{start_s:08X}:{kind}:101:root@pam!gold:");
        text.parse().unwrap()
    }

    #[test]
    fn the_newest_task_of_ours_tells_since_when_and_ours_made_no_other_one() {
        assert_eq!(began(&[]), None);
        let own = [upid(20, "vzstart"), upid(10, "vzcreate")];
        assert_eq!(began(&own), Some(Timestamp(20_000)));
        let (ours, theirs) = (own[1].as_str(), upid(30, "vzcreate"));
        let found = |all: &[&str]| Tasks::Found(all.iter().map(ToString::to_string).collect());
        let both = but_for(&own, found(&[ours, theirs.as_str()]));
        assert_eq!(both, found(&[theirs.as_str()]));
        assert_eq!(but_for(&own, found(&[ours])), Tasks::Quiet);
        let unread = || Tasks::Unreadable("pve2 is offline".to_owned());
        assert_eq!(but_for(&own, unread()), unread());
    }

    /// One that went to another cluster and was deleted here leaves its number to a clone, which no task of that number tells.
    #[test]
    fn what_went_away_may_be_another_one_by_now() {
        let may = |kind: &str| {
            let text = format!("UPID:pve1:000002F5:0006BA26:00000001:{kind}:101:root@pam!gold:");
            may_make_another(&text.parse().unwrap())
        };
        for kind in MAKES_ANOTHER.into_iter().chain(MOVES) {
            assert!(may(kind), "{kind}");
        }
        for kind in ["vzstart", "vzstop", "vzdump", "vzclone"] {
            assert!(!may(kind), "{kind}");
        }
    }
}
