//! What a step is: a row in a saga's table with an action that intends, acts and undoes.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::saga::StepRecord;
use proximity_store::StepOutput;
use proximity_store::effects::Effects;
use proximity_store::error::StoreError;
use serde::Serialize;
use serde_json::Value;

use super::context::Cx;
use crate::vmids::Chosen;

/// One row of a step table.
pub(crate) struct Row {
    /// Name in the log of steps; never reused for something else.
    pub(crate) name: &'static str,
    /// Progress of the operation when this step begins.
    pub(crate) percent: u8,
    /// Line in the app's log when this step begins.
    pub(crate) log: &'static str,
    /// Cancelling is still possible before this step.
    pub(crate) cancellable: bool,
    /// What it changes outside of our records.
    pub(crate) calls: Calls,
    /// What it does.
    pub(crate) action: &'static dyn StepAction,
}

/// What a step changes outside of our records: each is a place at which a crash leaves something to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Nothing on PVE and in the guest (it may change routes).
    Nothing,
    /// A call that is done when it is answered.
    Call,
    /// A call that PVE answers with a task.
    Task,
}

/// A saga: its table, and what is committed at its end.
pub(crate) struct Saga {
    /// Steps in order.
    pub(crate) steps: &'static [Row],
    /// What its end means for the app.
    pub(crate) ending: &'static dyn Ending,
}

/// What is committed with the end of an operation.
#[async_trait]
pub(crate) trait Ending: Sync {
    /// All steps succeeded.
    async fn succeeded(&self, cx: &Cx) -> StepResult<Effects>;
    /// All undos are done.
    async fn unwound(&self, cx: &Cx) -> StepResult<Effects>;
}

/// One step. Each part looks before it acts, so that each may be repeated at any point.
#[async_trait]
pub(crate) trait StepAction: Sync {
    /// Reads only: chooses what the effect will use. Committed before [`StepAction::act`].
    async fn intend(&self, _cx: &Cx) -> StepResult<Intent> {
        Ok(Intent::none())
    }

    /// Looks, then brings about the effect if it is not there, and gives what was read back.
    async fn act(&self, cx: &Cx, intent: &Value) -> StepResult<Done>;

    /// Looks, then takes back whatever of the effect is there. The step may have run wholly, in part, or not at all.
    async fn undo(&self, _cx: &Cx, _row: &StepRecord) -> StepResult<Effects> {
        Ok(Effects::default())
    }

    /// The undo waits for a person from now on: looks, then puts back what the undo itself took off on its way. Gives what is to
    /// be said in the next step where that did not come about. Repeated where a crash came before the wait was on record.
    async fn rest(&self, _cx: &Cx) -> StepResult<Option<String>> {
        Ok(None)
    }
}

/// What was decided before the effect.
pub(crate) struct Intent {
    /// Stored in the step's row.
    pub(crate) value: Value,
    /// Committed in the same transaction.
    pub(crate) effects: Effects,
    /// A VMID that is kept from this process's other operations until the intent is committed.
    pub(crate) chosen: Option<Chosen>,
}

impl Intent {
    pub(crate) fn none() -> Self {
        Self {
            value: Value::Null,
            effects: Effects::default(),
            chosen: None,
        }
    }
}

/// What was read back after the effect.
pub(crate) struct Done {
    /// Stored in the step's row.
    pub(crate) output: StepOutput,
    /// Committed in the same transaction.
    pub(crate) effects: Effects,
}

impl Done {
    /// Nothing to keep.
    pub(crate) fn nothing() -> Self {
        Self {
            output: StepOutput::Open(Value::Null),
            effects: Effects::default(),
        }
    }

    /// Keeps `output`.
    pub(crate) fn with<T: Serialize>(output: &T) -> StepResult<Self> {
        Self::keeping(output, StepOutput::Open)
    }

    /// Keeps `output` sealed: secrets are to be expected in it.
    pub(crate) fn with_sealed<T: Serialize>(output: &T) -> StepResult<Self> {
        Self::keeping(output, StepOutput::Sealed)
    }

    fn keeping<T: Serialize>(output: &T, how: fn(Value) -> StepOutput) -> StepResult<Self> {
        let output = serde_json::to_value(output).map_err(|e| {
            StepError::Failed(Failure::new(
                "internal",
                format!("a step's output cannot be stored: {e}"),
                "report this as a bug",
            ))
        })?;
        Ok(Self {
            output: how(output),
            effects: Effects::default(),
        })
    }
}

pub(crate) type StepResult<T> = Result<T, StepError>;

/// How a step did not succeed.
#[derive(Debug)]
pub(crate) enum StepError {
    /// It will not work; unwind.
    Failed(Failure),
    /// It did not happen now; looking again later may help.
    Transient(Failure),
    /// It may have happened; look again before anything else.
    Uncertain(Failure),
    /// Neither forwards nor backwards is safe without a person.
    Stuck(Failure),
    /// A person cancelled it, and it was cut off at a safe point; turn back.
    Cancelled,
    /// The worker must let go at once.
    Halt(Halt),
}

impl StepError {
    /// The same, with more in its next step, where there is one.
    pub(crate) fn with_hint(self, more: &str) -> Self {
        let told = |failure: Failure| Failure {
            hint: format!("{}; {more}", failure.hint),
            ..failure
        };
        match self {
            Self::Failed(failure) => Self::Failed(told(failure)),
            Self::Transient(failure) => Self::Transient(told(failure)),
            Self::Uncertain(failure) => Self::Uncertain(told(failure)),
            Self::Stuck(failure) => Self::Stuck(told(failure)),
            other @ (Self::Cancelled | Self::Halt(_)) => other,
        }
    }

    /// What is told of it; nothing where nothing failed.
    pub(crate) fn into_failure(self) -> Option<Failure> {
        match self {
            Self::Failed(failure)
            | Self::Transient(failure)
            | Self::Uncertain(failure)
            | Self::Stuck(failure) => Some(failure),
            Self::Cancelled | Self::Halt(_) => None,
        }
    }
}

/// Why a worker lets go of an operation without deciding anything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Halt {
    /// The claim is stale, or could not be renewed in time.
    #[error("the lease was lost")]
    LeaseLost,
    /// The process shuts down; the next one takes over.
    #[error("the worker is shutting down")]
    ShuttingDown,
    /// The next attempt is due later; the claim is given back.
    #[error("it waits for its next attempt")]
    Waits,
    /// The store cannot be written.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for StepError {
    fn from(e: StoreError) -> Self {
        Self::Halt(e.into())
    }
}

impl From<StoreError> for Halt {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::LeaseLost { .. } => Self::LeaseLost,
            other => Self::Store(other),
        }
    }
}
