//! Figures of what the engine does by itself or takes long for: passes of the reconciliation, plans, and changes of applies.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use proximity_domain::apply::ChangeState;
use proximity_engine::reconcile::PassEnd;

use super::labels::Passed;
use super::seconds;

/// They begin with the process.
#[derive(Debug)]
pub(super) struct WorkMetrics {
    passes: Family<Passed, Counter>,
    pass_times: Histogram,
    plan_times: Histogram,
    changes: Family<Passed, Counter>,
}

impl Default for WorkMetrics {
    fn default() -> Self {
        Self {
            passes: Family::default(),
            pass_times: seconds(),
            plan_times: seconds(),
            changes: Family::default(),
        }
    }
}

impl WorkMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "reconcile_passes",
            "Passes over all clusters: success, incomplete (something could not be seen or done), failed (the record could not be read or written)",
            self.passes.clone(),
        );
        registry.register(
            "reconcile_seconds",
            "How long passes over all clusters took",
            self.pass_times.clone(),
        );
        registry.register(
            "plan_seconds",
            "How long plans took that were made",
            self.plan_times.clone(),
        );
    }

    /// Those that tell of what becomes of everybody's apps.
    pub(super) fn register_changes(&self, registry: &mut Registry) {
        registry.register(
            "apply_changes",
            "Changes of applies that ended: done, failed, held_up (what it depends on failed), not_started (the apply was stopped)",
            self.changes.clone(),
        );
    }

    /// A change of an apply has ended so.
    pub(super) fn change(&self, state: ChangeState) {
        let result = state.label();
        self.changes.get_or_create(&Passed { result }).inc();
    }

    /// A pass has ended.
    pub(super) fn pass(&self, end: PassEnd) {
        let passed = Passed { result: end.result };
        self.passes.get_or_create(&passed).inc();
        self.pass_times.observe(end.took.as_secs_f64());
    }

    /// A plan was made.
    pub(super) fn plan(&self, took: Duration) {
        self.plan_times.observe(took.as_secs_f64());
    }

    /// One series of each result: what has not happened yet is 0, so that the first time is a rise.
    pub(super) fn show_all(&self) {
        for result in PassEnd::RESULTS {
            drop(self.passes.get_or_create(&Passed { result }));
        }
        // What has nothing to do never ends.
        let ends = ChangeState::ALL.into_iter().filter(|state| state.is_over());
        for state in ends.filter(|state| *state != ChangeState::Quiet) {
            let result = state.label();
            drop(self.changes.get_or_create(&Passed { result }));
        }
    }
}
