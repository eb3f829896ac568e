//! What an event is about, as far as that is told once: one table.

use serde_json::Value;

use crate::event::EventKind;
use crate::ids::AppId;

/// Longest value that tells two subjects apart, characters of its JSON.
const LONGEST: usize = 64;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Itself: what a person or an operation did, or what was committed together with it. Each is told.
    Event,
    /// The end of its app, which has one. Told once.
    App,
    /// What lasts from a moment on, which whoever tells of it keeps until it is over and gives each event (`since`), or the end of
    /// that. Told once for that moment; what begins anew after its end has another one. Beside it these fields tell two subjects
    /// apart.
    Since(&'static [&'static str]),
}

/// Fields that tell two containers apart.
const CONTAINER: &[&str] = &["host", "vmid"];

impl EventKind {
    /// What an event of this kind is about.
    #[must_use]
    #[rustfmt::skip] // several kinds in a line
    pub fn subject(self) -> Subject {
        match self {
            Self::AppCreated | Self::AppStatusChanged | Self::AppDeployed | Self::AppDeployFailed | Self::AppStarted
            | Self::AppStartFailed | Self::AppStopped | Self::AppStopFailed | Self::AppRestartFailed | Self::AppRemoved
            | Self::AppRemoveFailed | Self::AppAdopted | Self::AppAdoptFailed | Self::AppForgotten
            | Self::AppForgetFailed | Self::AppKeysRestored | Self::AppKeysRestoreFailed | Self::AppUpdated
            | Self::AppUpdateFailed | Self::AppExposed | Self::AppHidden | Self::AppGuarded | Self::AppUnguarded
            | Self::OperationQueued | Self::OperationStarted | Self::OperationTakenOver | Self::OperationProgressed
            | Self::OperationTurnedBack | Self::OperationSucceeded | Self::OperationFailed | Self::OperationCancelled
            | Self::OperationGotStuck | Self::OperationCancelRequested | Self::OperationRetried
            | Self::OperationAbandoned | Self::HostAdded | Self::HostUpdated | Self::HostRemoved | Self::HostLearned
            | Self::HostNodeForgotten | Self::GuestMoved | Self::PortsFreed
            // Those that begin to be missing at once: others than those of the event before.
            | Self::OrphansSuspected
            // Committed with what was learned before being forgotten, once.
            | Self::GuestIdentityRestored
            | Self::GuestReidentified
            | Self::AppDiagnosedStuck
            | Self::AppResolved
            | Self::ApplyStarted
            | Self::ApplyEnded
            | Self::ApplyFailed
            | Self::DesiredChanged
            | Self::DesiredAccepted
            // Told once by the loop that reads sources.
            | Self::SourceFailed
            | Self::SourceRecovered
            | Self::SourceWaits
            | Self::SourceApplied
            | Self::RevisionRejected
            | Self::ReconciliationStarted
            | Self::ReconciliationCompleted
            | Self::ResourceDiscovered
            | Self::ResourceUpdated
            | Self::ResourceDeleted => Subject::Event,
            Self::ExpectedOrphanArchived
            | Self::AnomalousOrphanDetected
            | Self::AppLostWithNode => Subject::App,
            Self::OrphanSuspected
            | Self::OrphanAmongMany
            | Self::GuestSeenAgain
            | Self::GuestConflicted
            | Self::GuestConflictEnded
            | Self::GuestTwinFound
            | Self::GuestTwinGone
            | Self::AdoptedEnteredPool
            | Self::AdoptedLeftPool
            | Self::DriftDetected
            | Self::DriftEnded
            | Self::DesiredDrifted
            | Self::DesiredDriftEnded => Subject::Since(CONTAINER),
            Self::GuestIdentityLearned => Subject::Since(&["host", "vmid", "factor"]),
            // Told anew while it lasts when twice as many are missing.
            Self::MassBrakeStopped => Subject::Since(&["missing"]),
            Self::MassBrakeReleased | Self::MassBrakeEnded => Subject::Since(&[]),
        }
    }
}

/// What tells the subject of an event from all others. `None`: the event is its own, or does not say since when it is so, as one
/// of an older program; it is told whatever was told before.
#[must_use]
pub fn subject_key(kind: EventKind, app: Option<AppId>, body: &Value) -> Option<String> {
    let own = match kind.subject() {
        Subject::Event => return None,
        Subject::App => return app.map(|app| format!("{} {app}", kind.label())),
        Subject::Since(own) => own,
    };
    let app = app.map(|app| app.to_string()).unwrap_or_default();
    let mut key = format!("{} {app}", kind.label());
    for field in std::iter::once(&"since").chain(own) {
        key.push(' ');
        key.push_str(&told(body.get(field)?)?);
    }
    Some(key)
}

/// What keeps the order of its events: its app, else the resource or the host entry it is of, else the installation as a whole.
#[must_use]
pub fn order_key(app: Option<AppId>, body: &Value) -> String {
    let field = |name: &str| body.get(name).and_then(told);
    if let Some(app) = app {
        return format!("app {app}");
    }
    if let Some(resource) = field("resource") {
        return format!("resource {resource}");
    }
    // Of those without an app host entries alone have a label.
    match field("id").filter(|_| body.get("label").is_some()) {
        Some(host) => format!("host {host}"),
        None => "installation".to_owned(),
    }
}

fn told(value: &Value) -> Option<String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(_) => value.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (text.chars().count() <= LONGEST).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn key(kind: EventKind, body: &Value) -> Option<String> {
        subject_key(kind, Some(AppId(Uuid::from_u128(7))), body)
    }

    fn missing(since: i64) -> Value {
        json!({ "since": since, "host": "lab", "vmid": 101, "status": "running" })
    }

    #[test]
    fn whatever_lasts_says_since_when_and_nothing_else_does() {
        for kind in EventKind::ALL {
            let fields = kind.spec().fields;
            let own = match kind.subject() {
                Subject::Since(own) => own,
                Subject::Event | Subject::App => {
                    assert!(!fields.contains(&"since"), "{kind:?}");
                    continue;
                }
            };
            for field in std::iter::once(&"since").chain(own) {
                assert!(fields.contains(field), "{kind:?} has no {field}");
            }
        }
    }

    #[test]
    fn the_same_since_is_the_same_subject_and_a_new_one_is_told_anew() {
        let suspected = EventKind::OrphanSuspected;
        let first = key(suspected, &missing(5));
        assert!(first.is_some());
        let mut again = missing(5);
        again["status"] = json!("stopped");
        assert_eq!(key(suspected, &again), first, "another word on the same");
        assert_ne!(key(suspected, &missing(6)), first, "it begins anew");
        assert_ne!(
            key(EventKind::GuestSeenAgain, &missing(5)),
            first,
            "its end"
        );
        let other = AppId(Uuid::from_u128(8));
        assert_ne!(subject_key(suspected, Some(other), &missing(5)), first);
        let mut twin = missing(5);
        twin["vmid"] = json!(102);
        assert_ne!(key(suspected, &twin), first, "of two containers each");
    }

    #[test]
    fn an_app_ends_once_whatever_is_said_of_it() {
        let anomalous = EventKind::AnomalousOrphanDetected;
        let first = key(anomalous, &json!({ "missing_since": 5 }));
        assert!(first.is_some());
        assert_eq!(key(anomalous, &json!({ "missing_since": 6 })), first);
        assert_eq!(subject_key(anomalous, None, &json!({})), None);
    }

    #[test]
    fn the_brake_is_told_of_anew_for_twice_as_many() {
        let stops = |missing, since| {
            let body = json!({ "missing": missing, "done": 0, "limit": 3, "since": since });
            subject_key(EventKind::MassBrakeStopped, None, &body)
        };
        assert_eq!(stops(4, 1), stops(4, 1));
        assert_ne!(stops(4, 1), stops(8, 1));
        assert_ne!(stops(4, 1), stops(4, 2));
    }

    #[test]
    fn each_event_is_in_order_with_those_of_its_app_resource_or_host_entry() {
        let app = Some(AppId(Uuid::from_u128(7)));
        let resource = json!({ "resource": "a", "host": "lab", "key": "101" });
        let host = json!({ "id": "b", "label": "lab" });
        let other = json!({ "missing": 3, "since": 1 });
        let all = [
            order_key(app, &resource),
            order_key(None, &resource),
            order_key(None, &host),
            order_key(None, &other),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:?}");
        assert_eq!(order_key(app, &host), all[0], "whatever it says");
        assert_eq!(order_key(None, &json!({})), all[3]);
    }

    #[test]
    fn what_does_not_say_enough_is_told_each_time() {
        for odd in [
            json!({}),
            json!({ "since": null, "host": "lab", "vmid": 101 }),
            json!({ "since": 5, "host": "lab" }),
            json!({ "since": "x".repeat(65), "host": "lab", "vmid": 101 }),
        ] {
            assert_eq!(key(EventKind::OrphanSuspected, &odd), None, "{odd}");
        }
        assert_eq!(key(EventKind::AppRemoved, &missing(5)), None);
    }
}
