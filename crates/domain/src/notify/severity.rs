//! How grave each kind of event is: one table.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::EventKind;
use crate::resource::{ResourceKind, SnapshotChange};

/// How grave what happened is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something did not work; it can wait until morning.
    Warning,
    /// A person is needed now. Quiet hours do not hold it back.
    Critical,
}

impl Severity {
    /// All, the least grave first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// Stable label, as stored, configured and sent.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.label() == label)
    }
}

/// What a kind of event is as a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeSpec {
    /// How grave.
    pub severity: Severity,
    /// What happened, as the title says it after the name of what it happened to.
    pub headline: &'static str,
}

impl EventKind {
    /// What people are told of an event of this kind. `None`: a part of what another kind tells.
    #[must_use]
    #[rustfmt::skip] // one line per kind is what makes it a table
    pub fn notice(self) -> Option<NoticeSpec> {
        let row = |severity, headline| Some(NoticeSpec { severity, headline });
        match self {
            Self::AppStatusChanged | Self::OperationQueued | Self::OperationStarted | Self::OperationProgressed
            | Self::OperationTurnedBack | Self::OperationSucceeded
            // Of those of an app's operation the app's own event tells, with the reason.
            // Of all of those that are missing together one event tells.
            | Self::OperationFailed | Self::OperationCancelled | Self::OrphanAmongMany
            // The end of the apply, or of the pass, tells.
            | Self::DesiredChanged | Self::ReconciliationStarted => None,
            Self::AppCreated => row(Severity::Info, "new app asked for"),
            Self::AppDeployed => row(Severity::Info, "deployed"),
            Self::AppDeployFailed => row(Severity::Warning, "deploy failed"),
            Self::AppStarted => row(Severity::Info, "started"),
            Self::AppStartFailed => row(Severity::Warning, "start failed"),
            Self::AppStopped => row(Severity::Info, "stopped"),
            Self::AppStopFailed => row(Severity::Warning, "stop failed"),
            Self::AppRestartFailed => row(Severity::Warning, "restart failed"),
            Self::AppRemoved => row(Severity::Info, "removed"),
            Self::AppRemoveFailed => row(Severity::Warning, "removal failed"),
            Self::AppAdopted => row(Severity::Info, "adopted"),
            Self::AppAdoptFailed => row(Severity::Warning, "adoption failed"),
            Self::AppForgotten => row(Severity::Info, "forgotten, its container left as it is"),
            Self::AppForgetFailed => row(Severity::Warning, "removal failed"),
            Self::AppKeysRestored => row(Severity::Info, "keys restored to the day of adoption"),
            Self::AppKeysRestoreFailed => row(Severity::Warning, "restore of keys failed"),
            Self::AppUpdated => row(Severity::Info, "changed in place"),
            Self::AppUpdateFailed => row(Severity::Warning, "change in place failed"),
            Self::AppExposed => row(Severity::Info, "exposed"),
            Self::AppHidden => row(Severity::Info, "no longer exposed"),
            Self::AppGuarded => row(Severity::Info, "guarded: its drift is told"),
            Self::AppUnguarded => row(Severity::Info, "no longer guarded"),
            Self::DriftDetected => row(Severity::Warning, "container is configured otherwise than at its adoption"),
            Self::DriftEnded => row(Severity::Info, "container is configured as at its adoption again"),
            Self::OperationTakenOver => row(Severity::Info, "operation taken over"),
            Self::OperationGotStuck => row(Severity::Critical, "operation is stuck: a person is needed"),
            Self::OperationCancelRequested => row(Severity::Info, "cancel asked for"),
            Self::OperationRetried => row(Severity::Info, "stuck operation goes on"),
            Self::OperationAbandoned => row(Severity::Warning, "stuck operation abandoned"),
            Self::HostAdded => row(Severity::Info, "host added"),
            Self::HostUpdated => row(Severity::Info, "host changed"),
            Self::HostRemoved => row(Severity::Info, "host removed"),
            Self::HostLearned => row(Severity::Info, "host learned from its cluster"),
            Self::HostNodeForgotten => row(Severity::Warning, "node declared gone for good"),
            Self::GuestMoved => row(Severity::Info, "container moved to another node"),
            Self::PortsFreed => row(Severity::Info, "rest of ports ended"),
            // Alerts come once, with the proof (doctrine 2).
            Self::OrphanSuspected => row(Severity::Info, "container missing"),
            Self::OrphansSuspected => row(Severity::Info, "many containers missing"),
            Self::GuestSeenAgain => row(Severity::Info, "container is there again"),
            Self::ExpectedOrphanArchived => row(Severity::Info, "orphan archived"),
            Self::AnomalousOrphanDetected => row(Severity::Critical, "container was deleted by hand"),
            Self::AppLostWithNode => row(Severity::Warning, "declared lost with its node"),
            Self::GuestConflicted => row(Severity::Critical, "container is another one"),
            Self::GuestConflictEnded => row(Severity::Info, "container is the app's again"),
            Self::GuestTwinFound => row(Severity::Warning, "another container bears the app's mark"),
            Self::GuestTwinGone => row(Severity::Info, "the other container with the app's mark is gone, or bears it no more"),
            Self::AdoptedEnteredPool => row(Severity::Warning, "adopted container is in our pool, where it may be destroyed"),
            Self::AdoptedLeftPool => row(Severity::Info, "adopted container is out of our pool again"),
            Self::GuestIdentityLearned => row(Severity::Warning, "container's identity has changed"),
            Self::GuestIdentityRestored => row(Severity::Info, "container's identity is as recorded again"),
            Self::GuestReidentified => row(Severity::Info, "container re-identified"),
            Self::MassBrakeStopped => row(Severity::Critical, "too many containers missing"),
            Self::MassBrakeReleased => row(Severity::Info, "missing containers confirmed"),
            Self::MassBrakeEnded => row(Severity::Info, "no longer too many containers missing"),
            Self::AppDiagnosedStuck => row(Severity::Warning, "app was stuck"),
            Self::AppResolved => row(Severity::Info, "app resolved"),
            Self::ApplyStarted | Self::ApplyEnded | Self::ApplyFailed | Self::DesiredDrifted | Self::DesiredDriftEnded
            | Self::DesiredAccepted | Self::ReconciliationCompleted | Self::ResourceDiscovered | Self::ResourceUpdated
            | Self::ResourceDeleted | Self::SourceFailed | Self::SourceRecovered | Self::SourceWaits
            | Self::SourceApplied | Self::RevisionRejected => self.notice_of_state(),
        }
    }

    /// The row of what is wanted, of a pass or of a resource.
    #[rustfmt::skip] // likewise
    fn notice_of_state(self) -> Option<NoticeSpec> {
        let row = |severity, headline| Some(NoticeSpec { severity, headline });
        match self {
            Self::DesiredDrifted => row(Severity::Warning, "container was changed in Proxmox VE, and is not as wanted"),
            Self::DesiredDriftEnded => row(Severity::Info, "container is as wanted again"),
            Self::DesiredAccepted => row(Severity::Info, "change made in Proxmox VE was accepted"),
            Self::RevisionRejected => row(Severity::Warning, "what is wanted was rejected, and is not applied by itself"),
            Self::ApplyStarted => row(Severity::Info, "apply started"),
            Self::ApplyEnded => row(Severity::Info, "apply ended"),
            Self::ApplyFailed => row(Severity::Warning, "apply ended with changes that failed"),
            Self::ReconciliationCompleted => row(Severity::Info, "record held against the clusters"),
            Self::SourceFailed | Self::SourceRecovered | Self::SourceWaits | Self::SourceApplied | Self::ResourceDiscovered
            | Self::ResourceUpdated | Self::ResourceDeleted => self.notice_from_outside(),
            // No other kind is asked for here.
            _ => None,
        }
    }

    /// The same of what repositories and clusters say.
    #[rustfmt::skip] // likewise
    fn notice_from_outside(self) -> Option<NoticeSpec> {
        let row = |severity, headline| Some(NoticeSpec { severity, headline });
        match self {
            Self::SourceFailed => row(Severity::Warning, "documents of a source are not carried out"),
            Self::SourceRecovered => row(Severity::Info, "documents of a source can be carried out again"),
            Self::SourceWaits => row(Severity::Warning, "changes of a source wait for a person"),
            Self::SourceApplied => row(Severity::Info, "all is as a source wants it"),
            Self::ResourceDiscovered => row(Severity::Info, "new on its cluster"),
            Self::ResourceUpdated => row(Severity::Info, "changed on its cluster"),
            Self::ResourceDeleted => row(Severity::Info, "gone from its cluster"),
            // No other kind is asked for here.
            _ => None,
        }
    }

    /// What people are told of an event of this kind with this body: what [`EventKind::notice`] says, but nothing of resources that a
    /// look was the first to see, which are thousands at once and were there before, nor of Proxmox VE's tasks, each of which is an
    /// act on something else.
    #[must_use]
    pub fn notice_of(self, body: &Value) -> Option<NoticeSpec> {
        let says = |field: &str, label: &str| {
            let said = body.get(field).and_then(Value::as_str);
            said == Some(label)
        };
        let is_left_out = match self {
            Self::ResourceDiscovered | Self::ResourceUpdated | Self::ResourceDeleted => {
                says("kind", ResourceKind::Task.label())
                    || says("change", SnapshotChange::Discovered.label())
            }
            _ => false,
        };
        self.notice().filter(|_| !is_left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_back_and_rise() {
        for severity in Severity::ALL {
            assert_eq!(Severity::parse(severity.label()), Some(severity));
        }
        assert_eq!(Severity::parse("loud"), None);
        assert!(Severity::Critical > Severity::Warning && Severity::Warning > Severity::Info);
    }

    #[test]
    fn headlines_are_one_short_line() {
        for kind in EventKind::ALL {
            let Some(spec) = kind.notice() else { continue };
            let fine = spec.headline.len() <= 80 && !spec.headline.contains(char::is_control);
            assert!(fine && !spec.headline.is_empty(), "{kind:?}");
        }
    }

    #[test]
    fn what_needs_a_person_is_critical() {
        let of = |kind: EventKind| kind.notice().map(|spec| spec.severity);
        assert_eq!(of(EventKind::OperationGotStuck), Some(Severity::Critical));
        assert_eq!(of(EventKind::AppDeployFailed), Some(Severity::Warning));
        assert_eq!(of(EventKind::OperationProgressed), None);
        assert_eq!(of(EventKind::AdoptedEnteredPool), Some(Severity::Warning));
        assert_eq!(of(EventKind::OrphanAmongMany), None, "many are told as one");
    }

    #[test]
    fn what_a_first_look_sees_and_tasks_are_no_notices() {
        let notice = |event: EventKind, kind: &str, change: &str| {
            let body = serde_json::json!({ "kind": kind, "change": change });
            event.notice_of(&body).map(|spec| spec.severity)
        };
        let (found, info) = (EventKind::ResourceDiscovered, Some(Severity::Info));
        assert_eq!(notice(found, "container", "discovered"), None);
        assert_eq!(notice(found, "container", "created"), info);
        assert_eq!(notice(EventKind::ResourceUpdated, "node", "updated"), info);
        assert_eq!(notice(EventKind::ResourceUpdated, "task", "updated"), None);
        let removed = EventKind::AppRemoved;
        assert_eq!(
            notice(removed, "task", "discovered"),
            info,
            "of no resource"
        );
    }
}
