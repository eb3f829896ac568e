//! What a step may use: the operation's record, the app, the cluster, and fenced access to the store.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use proximity_domain::app::AppClass;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::operation::OperationState;
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::saga::{Next, StepRecord, next};
use proximity_domain::time::{Monotonic, Timestamp};
use proximity_pve::{Client, Warrant};
use proximity_store::Store;
use proximity_store::effects::{Effects, MutationAudit, NewLogLine};
use proximity_store::records::{AppRecord, Fence, LogLevel, OperationRecord};

use super::crash;
use super::cut::Cuts;
use super::guards::{Guard, is_off};
use super::reins::Reins;
use super::step::{Halt, StepError, StepResult};
use crate::cluster::Cluster;
use crate::engine::{Engine, EngineLimits};

/// The context of one claimed operation.
pub(crate) struct Cx {
    pub(crate) engine: Engine,
    pub(crate) op: OperationRecord,
    pub(crate) app: AppRecord,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) fence: Fence,
    /// What the outside wants of the work, and until when it may act.
    pub(crate) reins: Reins,
    /// Whether it may be cut off now.
    pub(crate) cuts: Cuts,
    pub(crate) log: RwLock<Vec<StepRecord>>,
    pub(crate) index: AtomicU32,
    pub(crate) step_name: RwLock<&'static str>,
}

impl Cx {
    pub(crate) fn store(&self) -> &Store {
        self.engine.store()
    }

    pub(crate) fn limits(&self) -> &EngineLimits {
        &self.engine.inner.parts.limits
    }

    /// How far apart the looks are that prove that no create call of ours comes any more, milliseconds.
    pub(crate) fn late_ms(&self) -> u64 {
        if is_off(Guard::Late) {
            return 0;
        }
        self.limits().late_ms
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.engine.now()
    }

    pub(crate) fn step_index(&self) -> u32 {
        self.index.load(Ordering::Relaxed)
    }

    pub(crate) fn step_name(&self) -> &'static str {
        *self
            .step_name
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, index: u32, name: &'static str) {
        self.index.store(index, Ordering::Relaxed);
        *self
            .step_name
            .write()
            .unwrap_or_else(PoisonError::into_inner) = name;
    }

    /// The log of steps as last read.
    pub(crate) fn steps(&self) -> Vec<StepRecord> {
        self.log
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the log of steps again.
    pub(crate) async fn reload(&self) -> Result<(), Halt> {
        let steps = self.store().steps(self.op.id).await?;
        *self.log.write().unwrap_or_else(PoisonError::into_inner) = steps;
        Ok(())
    }

    /// The row of the step that is at work.
    pub(crate) fn row(&self) -> Option<StepRecord> {
        let index = self.step_index();
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        log.iter().find(|r| r.index == index).cloned()
    }

    /// What is to be done next, by the log of steps as last read, in a saga of so many steps.
    pub(crate) fn next(&self, state: &OperationState, steps: u32) -> Next {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        next(state, steps, &log, self.fence.epoch)
    }

    /// The app's guest as recorded, if it has one that is not gone.
    pub(crate) async fn guest(&self) -> StepResult<Option<NativeGuest>> {
        if is_off(Guard::App) {
            let guests = self.store().host_guests(self.app.host).await?;
            return Ok(guests.into_iter().next());
        }
        Ok(self
            .store()
            .native_guests(self.app.id)
            .await?
            .into_iter()
            .next())
    }

    /// The app's guest; without one the step cannot work.
    pub(crate) async fn must_have_guest(&self) -> StepResult<NativeGuest> {
        self.guest().await?.ok_or_else(|| self.no_guest())
    }

    /// The app's guest of whichever class: for what may be done with both.
    pub(crate) async fn recorded(&self) -> StepResult<Option<RecordedGuest>> {
        if is_off(Guard::App) {
            return Ok(self.guest().await?.map(RecordedGuest::Native));
        }
        let guests = self.store().recorded_guests(self.app.id).await?;
        Ok(guests.into_iter().next())
    }

    /// The same; without one the step cannot work.
    pub(crate) async fn must_have_recorded(&self) -> StepResult<RecordedGuest> {
        self.recorded().await?.ok_or_else(|| self.no_guest())
    }

    fn no_guest(&self) -> StepError {
        StepError::Failed(Failure::new(
            "no_guest",
            format!("{} has no container", self.app.hostname),
            "retry the deploy, or remove the app",
        ))
    }

    /// Writes the audit entry of a mutation, and what is said of it; fails when the claim is stale. The call may be sent only
    /// after this.
    pub(crate) async fn record_mutation(
        &self,
        audit: MutationAudit,
        effects: Effects,
    ) -> StepResult<()> {
        if let Some(halt) = self.reins.halt() {
            return Err(StepError::Halt(halt));
        }
        if is_off(Guard::Audit) {
            return Ok(());
        }
        self.store()
            .record_mutation(&self.fence, self.step_index(), audit, effects, self.now())
            .await?;
        Ok(())
    }

    /// Adds a line to the app's log.
    pub(crate) async fn say(&self, level: LogLevel, message: impl Into<String>) -> StepResult<()> {
        self.note_line(self.line(level, message)).await
    }

    /// Adds this line to the app's log.
    pub(crate) async fn note_line(&self, line: NewLogLine) -> StepResult<()> {
        let effects = Effects {
            log: vec![line],
            ..Effects::default()
        };
        self.store().note(&self.fence, effects, self.now()).await?;
        Ok(())
    }

    /// A log line of the step that is at work.
    pub(crate) fn line(&self, level: LogLevel, message: impl Into<String>) -> NewLogLine {
        NewLogLine {
            level,
            step: Some(self.step_name().to_owned()),
            message: message.into(),
            percent: None,
        }
    }

    /// Waits. Like everything in a step it is cut off when the worker must let go, or a person cancels.
    pub(crate) async fn pause_ms(&self, ms: u64) {
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
    }

    /// Runs `work` until it is done, or until it is to be cut off and stands at a safe point.
    pub(crate) async fn until_cut<T>(
        &self,
        work: impl Future<Output = StepResult<T>>,
    ) -> StepResult<T> {
        tokio::select! {
            biased;
            result = work => result,
            why = self.cuts.cut(&self.reins) => Err(why),
        }
    }

    /// Under what a change is sent now: until shortly before others may take the operation over.
    pub(crate) fn warrant(&self) -> Warrant {
        self.warrant_until(self.reins.lease.good_until())
    }

    fn warrant_until(&self, send_by: Monotonic) -> Warrant {
        Warrant {
            send_by: crash::send_by(send_by),
            reference: self.reference(),
        }
    }

    /// What a change says of where it comes from.
    fn reference(&self) -> String {
        let claimed = self.fence.epoch.0;
        let epoch = if is_off(Guard::Epoch) {
            claimed.saturating_sub(1)
        } else {
            claimed
        };
        if is_off(Guard::Named) {
            return String::new();
        }
        format!("operation {}; epoch {epoch}", self.op.id)
    }

    /// The client for one change.
    pub(crate) fn changes(&self) -> Client {
        self.changes_under(self.warrant())
    }

    /// The client for one change that is sent within so many milliseconds from now or not at all: taken before the change is
    /// audited, it says how late after its audit the call can leave.
    pub(crate) fn changes_within(&self, ms: u64) -> Client {
        let now = self.engine.inner.parts.clock.monotonic();
        let send_by = now.plus_ms(ms).min(self.reins.lease.good_until());
        self.changes_under(self.warrant_until(send_by))
    }

    fn changes_under(&self, warrant: Warrant) -> Client {
        let client = self.cluster.client(warrant);
        match self.app.class {
            AppClass::Native => client,
            AppClass::Adopted => client.of_adopted(),
        }
    }

    pub(crate) fn crash_point(&self, place: &str) {
        crash::point(self.op.kind.label(), self.step_name(), place);
    }
}
