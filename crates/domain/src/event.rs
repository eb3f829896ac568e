//! What can be told as an event: one table of kinds, with the fields of each. A kind that is not here cannot be written.

use serde::{Deserialize, Serialize};

use crate::operation::{OperationEvent, OperationState};

/// What happened. The label is the variant's name; a label is never given another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)] // the table below says it
pub enum EventKind {
    AppCreated,
    AppStatusChanged,
    AppDeployed,
    AppDeployFailed,
    AppStarted,
    AppStartFailed,
    AppStopped,
    AppStopFailed,
    AppRestartFailed,
    AppRemoved,
    AppRemoveFailed,
    AppAdopted,
    AppAdoptFailed,
    AppForgotten,
    AppForgetFailed,
    AppKeysRestored,
    AppKeysRestoreFailed,
    AppUpdated,
    AppUpdateFailed,
    AppExposed,
    AppHidden,
    AppGuarded,
    AppUnguarded,
    DriftDetected,
    DriftEnded,
    DesiredDrifted,
    DesiredDriftEnded,
    DesiredAccepted,
    OperationQueued,
    OperationStarted,
    OperationTakenOver,
    OperationProgressed,
    OperationTurnedBack,
    OperationSucceeded,
    OperationFailed,
    OperationCancelled,
    OperationGotStuck,
    OperationCancelRequested,
    OperationRetried,
    OperationAbandoned,
    HostAdded,
    HostUpdated,
    HostRemoved,
    HostLearned,
    HostNodeForgotten,
    GuestMoved,
    PortsFreed,
    OrphanSuspected,
    OrphanAmongMany,
    OrphansSuspected,
    GuestSeenAgain,
    ExpectedOrphanArchived,
    AnomalousOrphanDetected,
    AppLostWithNode,
    GuestConflicted,
    GuestConflictEnded,
    GuestTwinFound,
    GuestTwinGone,
    AdoptedEnteredPool,
    AdoptedLeftPool,
    GuestIdentityLearned,
    GuestIdentityRestored,
    GuestReidentified,
    MassBrakeStopped,
    MassBrakeReleased,
    MassBrakeEnded,
    AppDiagnosedStuck,
    AppResolved,
    ApplyStarted,
    ApplyEnded,
    ApplyFailed,
    DesiredChanged,
    SourceFailed,
    SourceRecovered,
    SourceWaits,
    SourceApplied,
    RevisionRejected,
    ReconciliationStarted,
    ReconciliationCompleted,
    ResourceDiscovered,
    ResourceUpdated,
    ResourceDeleted,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSpec {
    /// Stable label.
    pub label: &'static str,
    /// Fields of the body. All are there, `null` where there is nothing to say.
    pub fields: &'static [&'static str],
    /// When it is written, one sentence.
    pub when: &'static str,
}

/// Fields of what an operation's end means for its app.
const OF_APP: &[&str] = &["app", "hostname", "operation"];
/// Fields of an operation's change of state.
const OF_STATE: &[&str] = &["kind", "state", "problem"];
/// Fields of a host entry, as far as they open no door.
const OF_HOST: &[&str] = &[
    "id",
    "label",
    "cluster_key",
    "endpoints",
    "token_id",
    "tokens",
    "guest_access",
    "placement",
    "known_nodes",
];
/// Fields of an adoption's result.
const OF_ADOPTION: &[&str] = &[
    "app",
    "hostname",
    "operation",
    "vmid",
    "config_snapshot_captured",
    "config_keys_count",
    "status_at_adoption",
    "missing_parts",
];
const OF_NEW_APP: &[&str] = &[
    "hostname",
    "owner",
    "catalog_id",
    "catalog_version",
    "host",
    "node",
    "ports",
];

/// Fields of a guest that is missing.
const OF_MISSING: &[&str] = &["app", "hostname", "host", "vmid", "status", "since"];
/// Fields of what becomes of an orphan.
const OF_ORPHAN: &[&str] = &[
    "app",
    "hostname",
    "host",
    "vmid",
    "status",
    "missing_since",
    "evidence",
];

/// Fields of the end of an apply.
const OF_APPLY: &[&str] = &[
    "apply",
    "plan",
    "state",
    "done",
    "failed",
    "held_up",
    "not_started",
];
/// Fields of what became of a source of documents.
const OF_SOURCE: &[&str] = &[
    "source", "branch", "commit", "state", "plan", "apply", "problem", "message",
];
/// Fields of a pass of the reconciler that told of something.
const OF_PASS: &[&str] = &[
    "pass",
    "began_at",
    "success",
    "total_apps",
    "real_vmids_count",
    "orphans_found",
    "expected_orphans",
    "anomalous_orphans",
    "orphans_purged",
    "suspected",
    "moved",
    "refreshed",
    "errors",
];
/// Fields of what a cluster has, as it was observed.
const OF_RESOURCE: &[&str] = &[
    "resource",
    "host",
    "cluster_key",
    "kind",
    "key",
    "name",
    "status",
    "change",
    "snapshot",
    "changes",
    "more_changes",
];

impl EventKind {
    /// All kinds, in the order of the reference.
    pub const ALL: [Self; 82] = [
        Self::AppCreated,
        Self::AppStatusChanged,
        Self::AppDeployed,
        Self::AppDeployFailed,
        Self::AppStarted,
        Self::AppStartFailed,
        Self::AppStopped,
        Self::AppStopFailed,
        Self::AppRestartFailed,
        Self::AppRemoved,
        Self::AppRemoveFailed,
        Self::AppAdopted,
        Self::AppAdoptFailed,
        Self::AppForgotten,
        Self::AppForgetFailed,
        Self::AppKeysRestored,
        Self::AppKeysRestoreFailed,
        Self::AppUpdated,
        Self::AppUpdateFailed,
        Self::AppExposed,
        Self::AppHidden,
        Self::AppGuarded,
        Self::AppUnguarded,
        Self::DriftDetected,
        Self::DriftEnded,
        Self::DesiredDrifted,
        Self::DesiredDriftEnded,
        Self::DesiredAccepted,
        Self::OperationQueued,
        Self::OperationStarted,
        Self::OperationTakenOver,
        Self::OperationProgressed,
        Self::OperationTurnedBack,
        Self::OperationSucceeded,
        Self::OperationFailed,
        Self::OperationCancelled,
        Self::OperationGotStuck,
        Self::OperationCancelRequested,
        Self::OperationRetried,
        Self::OperationAbandoned,
        Self::HostAdded,
        Self::HostUpdated,
        Self::HostRemoved,
        Self::HostLearned,
        Self::HostNodeForgotten,
        Self::GuestMoved,
        Self::PortsFreed,
        Self::OrphanSuspected,
        Self::OrphanAmongMany,
        Self::OrphansSuspected,
        Self::GuestSeenAgain,
        Self::ExpectedOrphanArchived,
        Self::AnomalousOrphanDetected,
        Self::AppLostWithNode,
        Self::GuestConflicted,
        Self::GuestConflictEnded,
        Self::GuestTwinFound,
        Self::GuestTwinGone,
        Self::AdoptedEnteredPool,
        Self::AdoptedLeftPool,
        Self::GuestIdentityLearned,
        Self::GuestIdentityRestored,
        Self::GuestReidentified,
        Self::MassBrakeStopped,
        Self::MassBrakeReleased,
        Self::MassBrakeEnded,
        Self::AppDiagnosedStuck,
        Self::AppResolved,
        Self::ApplyStarted,
        Self::ApplyEnded,
        Self::ApplyFailed,
        Self::DesiredChanged,
        Self::SourceFailed,
        Self::SourceRecovered,
        Self::SourceWaits,
        Self::SourceApplied,
        Self::RevisionRejected,
        Self::ReconciliationStarted,
        Self::ReconciliationCompleted,
        Self::ResourceDiscovered,
        Self::ResourceUpdated,
        Self::ResourceDeleted,
    ];

    /// A field of the table that events of this kind have had only since a later program: those that were written before lack it, and
    /// are read as they were written.
    #[must_use]
    pub fn later_field(self) -> Option<&'static str> {
        let came_later = matches!(
            self,
            Self::OrphanSuspected
                | Self::OrphanAmongMany
                | Self::GuestConflicted
                | Self::GuestIdentityLearned
                | Self::MassBrakeStopped
                | Self::MassBrakeReleased
        );
        came_later.then_some("since")
    }

    /// The row of this kind.
    #[must_use]
    #[rustfmt::skip] // one line per kind is what makes it a table
    pub fn spec(self) -> EventSpec {
        let row = |label, fields, when| EventSpec { label, fields, when };
        match self {
            Self::AppCreated => row("AppCreated", OF_NEW_APP, "An app was recorded, with its ports and its deploy or adoption."),
            Self::AppStatusChanged => row("AppStatusChanged", &["from", "to", "problem"], "An app's status changed."),
            Self::AppDeployed => row("AppDeployed", OF_APP, "A deploy succeeded: the app was read back as running."),
            Self::AppDeployFailed => row("AppDeployFailed", OF_APP, "A deploy failed or was cancelled, and what it had made is gone."),
            Self::AppStarted => row("AppStarted", OF_APP, "A start or restart succeeded."),
            Self::AppStartFailed => row("AppStartFailed", OF_APP, "A start failed or was cancelled, or a restart did after the shutdown."),
            Self::AppStopped => row("AppStopped", OF_APP, "A stop succeeded."),
            Self::AppStopFailed => row("AppStopFailed", OF_APP, "A stop failed or was cancelled."),
            Self::AppRestartFailed => row("AppRestartFailed", OF_APP, "A restart failed or was cancelled before the shutdown."),
            Self::AppRemoved => row("AppRemoved", OF_APP, "A removal succeeded: the container is proven absent and the record archived."),
            Self::AppRemoveFailed => row("AppRemoveFailed", OF_APP, "A removal failed or was cancelled."),
            Self::AppAdopted => row("AppAdopted", OF_ADOPTION, "An adoption succeeded: the configuration was captured, and the container was not touched."),
            Self::AppAdoptFailed => row("AppAdoptFailed", OF_APP, "An adoption failed or was cancelled, and nothing of it is kept but its history."),
            Self::AppForgotten => row("AppForgotten", &["app", "hostname", "operation", "deletion_type", "vmid_preserved"], "An adopted app was removed: its container was left as it is, and the record archived."),
            Self::AppForgetFailed => row("AppForgetFailed", OF_APP, "The removal of an adopted app failed or was cancelled."),
            Self::AppKeysRestored => row("AppKeysRestored", &["app", "hostname", "operation", "vmid", "keys", "waits"], "Keys of an adopted container's configuration were brought back to the day of its adoption, and read back; those of `waits` are in force after its next start."),
            Self::AppKeysRestoreFailed => row("AppKeysRestoreFailed", OF_APP, "A restore of keys failed, was cancelled, or was abandoned."),
            Self::AppUpdated => row("AppUpdated", &["app", "hostname", "operation", "vmid", "resources", "settings"], "An app was changed in place: `resources` are those on record from now on, `settings` the names of those with another value."),
            Self::AppUpdateFailed => row("AppUpdateFailed", OF_APP, "A change of an app in place failed, was cancelled, or was abandoned."),
            Self::AppExposed => row("AppExposed", &["hostname", "ports", "container_port"], "Somebody let the gateway lead an adopted app's ports to its container, or let an app be led to under a host name."),
            Self::AppHidden => row("AppHidden", &["hostname", "ports"], "Somebody ended that, or the host name of an app; the ports stay reserved."),
            Self::AppGuarded => row("AppGuarded", &["hostname"], "Somebody let the drift of an adopted app's container be told."),
            Self::AppUnguarded => row("AppUnguarded", &["hostname"], "Somebody ended that."),
            Self::DriftDetected => row("DriftDetected", &["app", "hostname", "host", "vmid", "keys", "since"], "Other `keys` of a guarded app's container than before differ from the day of its adoption: told once until that changes."),
            Self::DriftEnded => row("DriftEnded", &["app", "hostname", "host", "vmid", "since"], "A guarded app's container is configured as on the day of its adoption again; the drift was told `since` then."),
            Self::OperationQueued => row("OperationQueued", &["kind", "retry_of"], "An operation was asked for."),
            Self::OperationStarted => row("OperationStarted", OF_STATE, "A worker claimed a queued operation."),
            Self::OperationTakenOver => row("OperationTakenOver", &["kind", "state", "problem", "silent"], "A worker claimed an operation that is under way already: in place of one that died or fell `silent`, or of nobody, after a wait or an orderly end."),
            Self::OperationProgressed => row("OperationProgressed", &["kind", "percent", "step", "message"], "A step began, or said something: `step` and `message` are those of the newest log line."),
            Self::OperationTurnedBack => row("OperationTurnedBack", OF_STATE, "A step failed for good or a cancel was seen; what was done is being undone."),
            Self::OperationSucceeded => row("OperationSucceeded", OF_STATE, "Every step is done."),
            Self::OperationFailed => row("OperationFailed", OF_STATE, "It failed, and everything is undone; or it was abandoned."),
            Self::OperationCancelled => row("OperationCancelled", OF_STATE, "It was cancelled, and everything is undone."),
            Self::OperationGotStuck => row("OperationGotStuck", OF_STATE, "Neither forwards nor backwards is safe: a person is needed."),
            Self::OperationCancelRequested => row("OperationCancelRequested", &["started"], "Somebody asked to cancel an operation."),
            Self::OperationRetried => row("OperationRetried", &["goes_on"], "Somebody let a stuck operation go on, in the state `goes_on`."),
            Self::OperationAbandoned => row("OperationAbandoned", &["failure"], "Somebody gave a stuck operation up."),
            Self::HostAdded => row("HostAdded", OF_HOST, "A host entry was added."),
            Self::HostUpdated => row("HostUpdated", OF_HOST, "A host entry was changed."),
            Self::HostRemoved => row("HostRemoved", OF_HOST, "A host entry was removed."),
            Self::HostLearned => row("HostLearned", OF_HOST, "A host entry learned nodes, addresses, certificates or a version from its cluster."),
            Self::HostNodeForgotten => row("HostNodeForgotten", OF_HOST, "Somebody said that a node has left its cluster for good."),
            Self::GuestMoved => row("GuestMoved", &["app", "host", "vmid", "from", "to"], "An app's container was found on another node, and followed."),
            Self::PortsFreed => row("PortsFreed", &["ports"], "Somebody ended the rest of ports of orphans."),
            Self::OrphanSuspected => row("OrphanSuspected", OF_MISSING, "A complete look at a cluster was the first without an app's container, or it is one of few that are left of many; nothing is concluded yet."),
            Self::OrphanAmongMany => row("OrphanAmongMany", OF_MISSING, "The same of one of the many that `OrphansSuspected` told of at once, for whoever follows the app; it is told of by itself once few are left."),
            Self::OrphansSuspected => row("OrphansSuspected", &["count", "hosts", "hostnames"], "Complete looks were the first without so many containers that the mass brake would stop, `hostnames` has the first of them; nothing is concluded yet."),
            Self::GuestSeenAgain => row("GuestSeenAgain", OF_MISSING, "The list has a container with the number again that was told of by itself as missing `since` then; whose it is its identity tells."),
            Self::ExpectedOrphanArchived => row("ExpectedOrphanArchived", OF_ORPHAN, "The container of an app that was being removed or in trouble, or that an operation of the app had destroyed, is proven absent; its record is in the archive."),
            Self::AnomalousOrphanDetected => row("AnomalousOrphanDetected", OF_ORPHAN, "The container of an app that was to be there is proven absent: somebody removed it. Its record is in the archive."),
            Self::AppLostWithNode => row("AppLostWithNode", &["app", "hostname", "host", "node", "vmids", "class", "status"], "Somebody said that an app's container was lost with its node. Its record is in the archive."),
            Self::GuestConflicted => row("GuestConflicted", &["app", "hostname", "host", "vmid", "why", "since"], "What has the number of an app's container is not that container: no call is made, a person has to choose."),
            Self::GuestConflictEnded => row("GuestConflictEnded", &["app", "hostname", "host", "vmid", "since"], "What has the number of an app's container is that container again, as a read of it showed."),
            Self::GuestTwinFound => row("GuestTwinFound", &["app", "hostname", "host", "vmid", "node", "why", "since"], "Another container, `vmid` on `node`, bears the mark of an app's container: that one gets no call, the app goes on."),
            Self::GuestTwinGone => row("GuestTwinGone", &["app", "hostname", "host", "vmid", "since"], "The other container that bore the mark of an app's container is no longer listed, or does not bear it any more; it was told `since` then."),
            Self::AdoptedEnteredPool => row("AdoptedEnteredPool", &["app", "hostname", "host", "vmid", "pool", "why", "next", "since"], "An adopted app's container is in the pool of those that were made by us, where the operate token may destroy it: `next` takes it out."),
            Self::AdoptedLeftPool => row("AdoptedLeftPool", &["app", "hostname", "host", "vmid", "since"], "An adopted app's container is no longer in our pool; that it was there was told `since` then."),
            Self::GuestIdentityLearned => row("GuestIdentityLearned", &["app", "hostname", "host", "vmid", "factor", "was", "now", "since"], "One factor of the identity of an app's container changed and was learned: what destroys waits for a person's `reidentify`."),
            Self::GuestIdentityRestored => row("GuestIdentityRestored", &["app", "hostname", "host", "vmid"], "An app's container shows its recorded identity again; what was learned is forgotten."),
            Self::GuestReidentified => row("GuestReidentified", &["app", "hostname", "vmid", "factor", "was", "now", "tasks"], "Somebody accepted the changed factor of an app's container: it is known by that from now on."),
            Self::MassBrakeStopped => row("MassBrakeStopped", &["missing", "done", "limit", "since"], "More containers are missing than may be at once: no record is archived until a person confirms the number. Told once `since` then, and anew when twice as many are missing."),
            Self::MassBrakeReleased => row("MassBrakeReleased", &["confirmed", "archived", "since"], "Somebody confirmed how many containers are missing, and their records were archived."),
            Self::MassBrakeEnded => row("MassBrakeEnded", &["missing", "since"], "No more containers are missing than may be at once; that `missing` were was told last, the first time `since` then."),
            Self::ApplyStarted | Self::ApplyEnded | Self::ApplyFailed | Self::DesiredChanged | Self::DesiredDrifted
            | Self::DesiredDriftEnded | Self::DesiredAccepted | Self::ReconciliationStarted | Self::ReconciliationCompleted
            | Self::ResourceDiscovered | Self::ResourceUpdated | Self::ResourceDeleted | Self::AppResolved | Self::SourceFailed
            | Self::SourceRecovered | Self::SourceWaits | Self::SourceApplied | Self::RevisionRejected | Self::AppDiagnosedStuck => self.spec_of_state(),
        }
    }

    /// The row of one of the last kinds.
    #[rustfmt::skip] // likewise
    fn spec_of_state(self) -> EventSpec {
        let row = |label, fields, when| EventSpec { label, fields, when };
        match self {
            Self::AppDiagnosedStuck => row("AppDiagnosedStuck", &["app", "hostname", "was", "stuck_for_ms"], "An app was on its way for too long with nobody at work, and is in *error* now."),
            Self::AppResolved => row("AppResolved", &["app", "hostname", "was", "to"], "Somebody accepted the power state that was read for an app in *error*."),
            Self::DesiredDrifted => row("DesiredDrifted", &["app", "hostname", "host", "vmid", "fields", "by", "at", "since"], "Somebody changed an app's container in Proxmox VE, and it is not as documents want it: each of `fields` with its name (`field`), `from` (applied last), `to` (as it is), `wanted` and `source`; of an adopted container's keys only with name and source. `by` and `at` where a task of Proxmox VE tells, else `null`. Told once until that changes."),
            Self::DesiredDriftEnded => row("DesiredDriftEnded", &["app", "hostname", "host", "vmid", "since"], "An app's container is as documents want it again, or nothing else is wanted of it; the difference was told `since` then."),
            Self::DesiredAccepted => row("DesiredAccepted", &["app", "hostname", "host", "vmid", "fields", "by", "at"], "Somebody changed an app's container in Proxmox VE, and by its policy that is what is wanted from now on, as a new revision: `fields`, `by` and `at` as in `DesiredDrifted`."),
            Self::ApplyStarted => row("ApplyStarted", &["apply", "plan", "changes"], "Somebody let a plan be applied, with so many changes."),
            Self::ApplyEnded => row("ApplyEnded", OF_APPLY, "An apply ended: every change is done, or it was stopped before all were started."),
            Self::ApplyFailed => row("ApplyFailed", OF_APPLY, "An apply ended, and a change of it failed; what depends on that was not begun."),
            Self::DesiredChanged => row("DesiredChanged", &["app", "hostname", "revision", "ended", "apply", "plan"], "What is wanted of an app is another thing from now on, or nothing any more (`ended`)."),
            Self::SourceFailed => row("SourceFailed", OF_SOURCE, "A source of documents cannot be read, its documents are wrong, or what was applied of it failed: nothing was changed by it, or not all. Told once, and again where it is another `problem` or another commit that is wrong."),
            Self::SourceRecovered => row("SourceRecovered", OF_SOURCE, "A source of documents can be read again, and its documents are right."),
            Self::SourceWaits => row("SourceWaits", OF_SOURCE, "A commit of a source has changes that wait for a person: `plan` has them, `message` says why. Told once for each commit."),
            Self::SourceApplied => row("SourceApplied", OF_SOURCE, "All is as the commit of a source wants it: what differed was applied, or nothing did."),
            Self::RevisionRejected => row("RevisionRejected", &["app", "hostname", "by", "why"], "What is wanted of an app was rejected, by an account, or because it came to nothing when it was applied without a person: no source and no policy applies it by itself from now on. `app` is `null` where there is none of that name."),
            Self::ReconciliationStarted => row("ReconciliationStarted", &["pass", "began_at", "confirmed"], "A pass of the reconciler is about to tell of the first thing it found; `confirmed` is the number that a person let the mass brake go for. A pass that finds nothing new tells nothing."),
            Self::ReconciliationCompleted => row("ReconciliationCompleted", OF_PASS, "That pass came to its end, with the figures of its result; `errors` is how many sentences it has of what could not be seen or done. One that was interrupted has no such event."),
            Self::ResourceDiscovered => row("ResourceDiscovered", OF_RESOURCE, "Something of a cluster was recorded that is new (`change` is `created`) or may have been there before anybody looked (`discovered`)."),
            Self::ResourceUpdated => row("ResourceUpdated", OF_RESOURCE, "A resource is otherwise than it was: `changes` has the fields that differ, long values cut off, and `more_changes` counts those that it leaves out."),
            _ => row("ResourceDeleted", OF_RESOURCE, "A complete look at its cluster lacks a resource, and so does the list of everything; the rest is as it was seen last."),
        }
    }

    /// Stable label, as stored and sent.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.spec().label
    }

    /// Whether it tells of what the clusters have, or of what all apps come from, whosever they are, and not of an app or of a host
    /// entry: that is for whoever may look at the clusters.
    #[must_use]
    pub fn is_of_clusters(self) -> bool {
        matches!(
            self,
            Self::ReconciliationStarted
                | Self::ReconciliationCompleted
                | Self::SourceFailed
                | Self::SourceRecovered
                | Self::SourceWaits
                | Self::SourceApplied
                | Self::ResourceDiscovered
                | Self::ResourceUpdated
                | Self::ResourceDeleted
        )
    }

    /// The kind with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }

    /// What an operation's change of state is told as. `None`: whoever asked for it tells more (a retry).
    #[must_use]
    pub fn of_change(
        from: &OperationState,
        event: &OperationEvent,
        to: &OperationState,
    ) -> Option<Self> {
        match event {
            OperationEvent::Claimed if *from == OperationState::Queued => {
                Some(Self::OperationStarted)
            }
            OperationEvent::Claimed => Some(Self::OperationTakenOver),
            OperationEvent::Retried => None,
            OperationEvent::StepsDone
            | OperationEvent::StepFailed(_)
            | OperationEvent::CancelRequested
            | OperationEvent::UndosDone
            | OperationEvent::GotStuck(_)
            | OperationEvent::Abandoned => match to {
                OperationState::Queued | OperationState::Running => None,
                OperationState::Unwinding { .. } => Some(Self::OperationTurnedBack),
                OperationState::Succeeded => Some(Self::OperationSucceeded),
                OperationState::Failed { .. } => Some(Self::OperationFailed),
                OperationState::Cancelled => Some(Self::OperationCancelled),
                OperationState::Stuck { .. } => Some(Self::OperationGotStuck),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_and_read_back() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in EventKind::ALL {
            let spec = kind.spec();
            assert!(seen.insert(spec.label), "{} is there twice", spec.label);
            assert_eq!(EventKind::parse(spec.label), Some(kind));
            assert_eq!(format!("{kind:?}"), spec.label);
            assert!(spec.when.ends_with('.') && !spec.fields.is_empty());
        }
        assert_eq!(EventKind::parse("AppExploded"), None);
    }

    #[test]
    fn what_came_later_is_in_the_table() {
        for kind in EventKind::ALL {
            if let Some(field) = kind.later_field() {
                assert!(kind.spec().fields.contains(&field), "{kind:?}");
            }
        }
    }

    #[test]
    fn a_claim_tells_whether_somebody_had_begun() {
        let (queued, running) = (OperationState::Queued, OperationState::Running);
        let claimed = OperationEvent::Claimed;
        let kind = |from| EventKind::of_change(from, &claimed, &running);
        assert_eq!(kind(&queued), Some(EventKind::OperationStarted));
        assert_eq!(kind(&running), Some(EventKind::OperationTakenOver));
        let retried = EventKind::of_change(&running, &OperationEvent::Retried, &running);
        assert_eq!(retried, None);
    }
}
