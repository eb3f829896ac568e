//! Figures of operations: those that live from the records, those that ended from their events.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use proximity_api::events::Event;
use proximity_domain::event::EventKind;
use proximity_store::{Reader, StoreError};

use super::labels::{Failed, Operation};

/// Codes that get a series of their own; the rest is `other`.
const CODES: usize = 100;
/// Operations whose beginning is remembered.
const BEGINNINGS: usize = 4096;

/// Counters of operations.
#[derive(Debug)]
pub(crate) struct OperationMetrics {
    live: Family<Operation, Gauge>,
    ended: Family<Operation, Counter>,
    times: Family<Operation, Histogram, fn() -> Histogram>,
    failures: Family<Failed, Counter>,
    taken_over: Counter,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    queued_at: HashMap<String, Timestamp>,
    codes: BTreeSet<String>,
    seen_live: HashSet<Operation>,
}

impl Default for OperationMetrics {
    fn default() -> Self {
        Self {
            live: Family::default(),
            ended: Family::default(),
            times: Family::new_with_constructor(minutes),
            failures: Family::default(),
            taken_over: Counter::default(),
            memory: Mutex::default(),
        }
    }
}

impl OperationMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "operations_live",
            "Operations that have not ended, by kind and state; `queued` is the queue",
            self.live.clone(),
        );
        registry.register(
            "operations_ended",
            "Operations that ended, by kind and state",
            self.ended.clone(),
        );
        registry.register(
            "operation_seconds",
            "How long operations took, from being asked for to the end",
            self.times.clone(),
        );
        registry.register(
            "step_failures",
            "Steps that failed for good, by code",
            self.failures.clone(),
        );
        registry.register(
            "operations_taken_over",
            "Operations claimed in place of a worker that died or fell silent",
            self.taken_over.clone(),
        );
    }

    /// One series of each figure: without any a figure is not told.
    pub(super) fn show_all(&self) {
        let operation = Operation {
            kind: String::new(),
            state: String::new(),
        };
        drop(self.live.get_or_create(&operation));
        drop(self.ended.get_or_create(&operation));
        drop(self.times.get_or_create(&operation));
        let code = String::new();
        drop(self.failures.get_or_create(&Failed { code }));
    }

    /// Counts those that live.
    pub(super) async fn look(&self, reader: &Reader) -> Result<(), StoreError> {
        let live = reader.live_operations().await?;
        self.show(live.iter().map(|operation| Operation {
            kind: operation.kind.label().to_owned(),
            state: operation.state.label().to_owned(),
        }));
        Ok(())
    }

    /// Sets each figure to what is counted here, those of which there are none any more to 0. Several may look at once:
    /// nothing is taken away in between, and nothing added up in place.
    fn show(&self, live: impl Iterator<Item = Operation>) {
        let mut counts: HashMap<Operation, i64> = HashMap::new();
        for labels in live {
            *counts.entry(labels).or_default() += 1;
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.seen_live.extend(counts.keys().cloned());
        for labels in &memory.seen_live {
            let count = counts.get(labels).copied().unwrap_or_default();
            self.live.get_or_create(labels).set(count);
        }
    }

    /// Takes note of an event, once.
    #[rustfmt::skip] // several kinds in a line
    pub(crate) fn take(&self, kind: EventKind, event: &Event) {
        match kind {
            EventKind::OperationQueued => self.begin(event),
            EventKind::OperationTakenOver => self.take_over(event),
            EventKind::OperationTurnedBack | EventKind::OperationGotStuck => self.fail(event),
            EventKind::OperationSucceeded
            | EventKind::OperationFailed
            | EventKind::OperationCancelled => self.end(event),
            EventKind::AppCreated | EventKind::AppStatusChanged | EventKind::AppDeployed | EventKind::AppDeployFailed
            | EventKind::AppStarted | EventKind::AppStartFailed | EventKind::AppStopped | EventKind::AppStopFailed
            | EventKind::AppRestartFailed | EventKind::AppRemoved | EventKind::AppRemoveFailed | EventKind::AppAdopted
            | EventKind::AppAdoptFailed | EventKind::AppForgotten | EventKind::AppForgetFailed
            | EventKind::AppKeysRestored | EventKind::AppKeysRestoreFailed | EventKind::AppUpdated
            | EventKind::AppUpdateFailed | EventKind::AppExposed | EventKind::AppHidden | EventKind::AppGuarded
            | EventKind::AppUnguarded | EventKind::DriftDetected | EventKind::DriftEnded | EventKind::OperationStarted
            | EventKind::OperationProgressed | EventKind::OperationCancelRequested | EventKind::OperationRetried
            | EventKind::OperationAbandoned | EventKind::HostAdded | EventKind::HostUpdated | EventKind::HostRemoved
            | EventKind::HostLearned | EventKind::HostNodeForgotten | EventKind::GuestMoved | EventKind::PortsFreed
            | EventKind::OrphanSuspected | EventKind::OrphanAmongMany | EventKind::OrphansSuspected
            | EventKind::GuestSeenAgain | EventKind::ExpectedOrphanArchived | EventKind::AnomalousOrphanDetected
            | EventKind::AppLostWithNode | EventKind::GuestConflicted | EventKind::GuestConflictEnded
            | EventKind::GuestTwinFound | EventKind::GuestTwinGone | EventKind::AdoptedEnteredPool
            | EventKind::AdoptedLeftPool | EventKind::GuestIdentityLearned | EventKind::GuestIdentityRestored
            | EventKind::GuestReidentified | EventKind::MassBrakeStopped | EventKind::MassBrakeReleased
            | EventKind::MassBrakeEnded | EventKind::AppDiagnosedStuck | EventKind::AppResolved
            | EventKind::ApplyStarted | EventKind::ApplyEnded | EventKind::ApplyFailed | EventKind::DesiredChanged
            | EventKind::ReconciliationStarted | EventKind::ReconciliationCompleted | EventKind::ResourceDiscovered
            | EventKind::ResourceUpdated | EventKind::ResourceDeleted | EventKind::DesiredDrifted
            | EventKind::DesiredDriftEnded | EventKind::DesiredAccepted | EventKind::SourceFailed
            | EventKind::SourceRecovered | EventKind::SourceWaits | EventKind::SourceApplied
            | EventKind::RevisionRejected => {}
        }
    }

    /// A claim after a wait, or after a worker has ended in good order, takes nothing from anybody.
    fn take_over(&self, event: &Event) {
        if event.body["silent"].as_bool() == Some(true) {
            self.taken_over.inc();
        }
    }

    fn begin(&self, event: &Event) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.queued_at.len() >= BEGINNINGS {
            memory.queued_at.clear();
        }
        if let Some(id) = &event.operation_id {
            memory.queued_at.insert(id.clone(), event.at);
        }
    }

    fn fail(&self, event: &Event) {
        let Some(code) = event.body["problem"]["code"].as_str() else {
            return;
        };
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let known = memory.codes.contains(code);
        let code = if known || memory.codes.len() < CODES {
            memory.codes.insert(code.to_owned());
            code
        } else {
            "other"
        };
        let labels = Failed {
            code: code.to_owned(),
        };
        self.failures.get_or_create(&labels).inc();
    }

    fn end(&self, event: &Event) {
        let text = |name: &str| event.body[name].as_str().unwrap_or_default().to_owned();
        let labels = Operation {
            kind: text("kind"),
            state: text("state"),
        };
        self.ended.get_or_create(&labels).inc();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let id = event.operation_id.as_ref();
        let Some(begun) = id.and_then(|id| memory.queued_at.remove(id)) else {
            return;
        };
        let took = event.at.duration_since(begun).as_secs_f64();
        self.times.get_or_create(&labels).observe(took.max(0.0));
    }
}

/// From a tenth of a second to an hour.
fn minutes() -> Histogram {
    Histogram::new([0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn queued() -> Operation {
        Operation {
            kind: "deploy".to_owned(),
            state: "queued".to_owned(),
        }
    }

    #[test]
    fn only_what_a_silent_worker_had_is_counted_as_taken_over() {
        let metrics = OperationMetrics::default();
        for body in [json!({"silent": false}), json!({"silent": true}), json!({})] {
            let kind = EventKind::OperationTakenOver;
            let event = Event {
                seq: 1,
                at: Timestamp::UNIX_EPOCH,
                kind: kind.label().to_owned(),
                app_id: None,
                operation_id: None,
                body,
            };
            metrics.take(kind, &event);
        }
        assert_eq!(metrics.taken_over.get(), 1);
    }

    #[test]
    fn what_has_ended_is_counted_no_more() {
        let metrics = OperationMetrics::default();
        metrics.show([queued(), queued()].into_iter());
        assert_eq!(metrics.live.get_or_create(&queued()).get(), 2);
        metrics.show([].into_iter());
        assert_eq!(metrics.live.get_or_create(&queued()).get(), 0);
    }

    #[test]
    fn two_that_look_at_once_count_nothing_twice() {
        let metrics = OperationMetrics::default();
        let look = || {
            for _ in 0..20_000 {
                metrics.show([queued(), queued()].into_iter());
                assert_eq!(metrics.live.get_or_create(&queued()).get(), 2);
            }
        };
        std::thread::scope(|threads| {
            threads.spawn(look);
            threads.spawn(look);
        });
    }
}
