//! The janitor: marks apps that have been on their way for too long with nobody at work, and does nothing else.
//!
//! It takes the store and a clock: there is no client here, and so no way to a cluster.

use std::sync::Arc;
use std::time::Duration;

use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::janitor::{Diagnosis, Limits, Pulse, diagnose, hours_minutes};
use proximity_domain::time::{Anchor, Clock};
use proximity_store::diagnosis::Transitional;
use proximity_store::effects::NewEvent;
use proximity_store::{Store, StoreError};
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// How often it looks, unless it is said otherwise.
pub const JANITOR_EVERY: Duration = Duration::from_secs(60 * 60);

/// What is said of what becomes of the container.
pub const LEFT_LINE: &str = "Container (if any) will be handled by ReconciliationService";

/// The seeds' result object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct JanitorResult {
    /// Apps on their way to somewhere.
    pub total_transitional: usize,
    /// Of these, for too long with nobody at work.
    pub stuck_found: usize,
    /// Of these, marked *error* by this pass.
    pub stuck_marked_error: usize,
}

/// What it found, app by app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct JanitorReport {
    /// The seeds' object.
    #[serde(flatten)]
    pub result: JanitorResult,
    /// The lines that were said.
    pub lines: Vec<String>,
}

/// The janitor.
#[derive(Debug)]
pub struct Janitor {
    store: Store,
    clock: Arc<dyn Clock>,
    anchor: Anchor,
    limits: Limits,
    every: Duration,
}

impl Janitor {
    /// A janitor; the wall clock is held to the time that passes from now on.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, limits: Limits, every: Duration) -> Self {
        Self {
            every,
            anchor: Anchor::of(clock.as_ref()),
            store,
            clock,
            limits,
        }
    }

    /// Looks every so often until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep(self.every) => {}
                () = shutdown.cancelled() => return,
            }
            match self.pass(false).await {
                Ok(JanitorReport { result, .. }) => tracing::info!(
                    total_transitional = result.total_transitional,
                    stuck_found = result.stuck_found,
                    stuck_marked_error = result.stuck_marked_error,
                    "looked for apps that are stuck"
                ),
                Err(e) => tracing::warn!(error = %e, "could not look for apps that are stuck"),
            }
        }
    }

    /// One pass; a dry one marks nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn pass(&self, dry: bool) -> Result<JanitorReport, StoreError> {
        let now = self.anchor.now(self.clock.as_ref());
        let apps = self.store.transitional_apps().await?;
        let mut report = JanitorReport::default();
        report.result.total_transitional = apps.len();
        for app in apps {
            let found = diagnose(app.status, app.since, pulse_of(&app), &self.limits, now);
            match found {
                Diagnosis::Settled | Diagnosis::UnderWay => {}
                Diagnosis::StuckFor { ms } => self.mark(&app, ms, dry, &mut report).await?,
            }
        }
        Ok(report)
    }

    async fn mark(
        &self,
        app: &Transitional,
        ms: i64,
        dry: bool,
        report: &mut JanitorReport,
    ) -> Result<(), StoreError> {
        let (name, was) = (&app.hostname, app.status.label());
        report.result.stuck_found += 1;
        let line = format!("DIAGNOSING: {name} ({was}) Stuck for {}", hours_minutes(ms));
        tracing::warn!("{line}");
        report.lines.push(line);
        if dry {
            return Ok(());
        }
        let event = NewEvent {
            kind: EventKind::AppDiagnosedStuck,
            body: json!({"app": app.app, "hostname": name, "was": was, "stuck_for_ms": ms}),
        };
        let marked = self
            .store
            .mark_stuck(app, why(was, ms), &event, self.clock.now());
        if !marked.await? {
            return Ok(());
        }
        report.result.stuck_marked_error += 1;
        let line = format!("DIAGNOSED AS ERROR: {name} (was: {was})");
        tracing::error!("{line}");
        tracing::info!("{LEFT_LINE}");
        report.lines.push(line);
        report.lines.push(LEFT_LINE.to_owned());
        Ok(())
    }
}

#[cfg(feature = "bug-switches")]
thread_local! {
    static ALL_ARE_DEAD: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Takes what is alive for dead, in janitors of this thread; or no longer.
#[cfg(feature = "bug-switches")]
pub fn take_all_for_dead(yes: bool) {
    ALL_ARE_DEAD.set(yes);
}

fn pulse_of(app: &Transitional) -> Pulse {
    #[cfg(feature = "bug-switches")]
    if ALL_ARE_DEAD.get() {
        return Pulse::None;
    }
    app.pulse
}

fn why(was: &str, ms: i64) -> Failure {
    Failure::new(
        "timed_out",
        format!(
            "it was {was} for {} with nobody at work on it",
            hours_minutes(ms)
        ),
        "Retry its last operation or remove the app; of one that had served before, the state of its container can be accepted (resolve).",
    )
}
