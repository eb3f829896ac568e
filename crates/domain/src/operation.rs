//! Operations: durable, user-visible units of work.

use serde::{Deserialize, Serialize};

use crate::app::AppClass;
use crate::failure::Failure;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the labels are the documentation
pub enum OperationKind {
    Deploy,
    Start,
    Stop,
    Restart,
    Remove,
    Adopt,
    Forget,
    RestoreKeys,
    Update,
}

impl OperationKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Deploy,
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Remove,
        Self::Adopt,
        Self::Forget,
        Self::RestoreKeys,
        Self::Update,
    ];

    /// Stable text, as stored.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Remove => "remove",
            Self::Adopt => "adopt",
            Self::Forget => "forget",
            Self::RestoreKeys => "restore_keys",
            Self::Update => "update",
        }
    }

    /// The kind with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.label() == label)
    }

    /// Whether it may be asked for on an app of this class: what destroys or changes the container is for native ones alone, and
    /// what gives back for adopted ones. An adoption begins with its app, and is none that is asked for later.
    #[must_use]
    pub fn is_for(self, class: AppClass) -> bool {
        match (self, class) {
            (Self::Start | Self::Stop | Self::Restart, AppClass::Native | AppClass::Adopted)
            | (Self::Deploy | Self::Remove | Self::Update, AppClass::Native)
            | (Self::Forget | Self::RestoreKeys, AppClass::Adopted) => true,
            (Self::Deploy | Self::Remove | Self::Update, AppClass::Adopted)
            | (Self::Forget | Self::RestoreKeys, AppClass::Native)
            | (Self::Adopt, AppClass::Native | AppClass::Adopted) => false,
        }
    }
}

/// Why an operation goes backwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "snake_case")]
pub enum UnwindCause {
    /// A step failed.
    Failure {
        /// What failed.
        failure: Failure,
    },
    /// A person cancelled it.
    Cancel,
}

/// Which way a stuck operation was going.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "snake_case")]
pub enum StuckWas {
    /// Forwards.
    Running,
    /// Backwards, for this cause.
    Unwinding {
        /// Why it went backwards.
        cause: UnwindCause,
    },
}

/// State of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum OperationState {
    /// Waits for a worker.
    Queued,
    /// A worker carries it out (the lease is beside it).
    Running,
    /// Its steps are being undone.
    Unwinding {
        /// Why.
        cause: UnwindCause,
    },
    /// Done.
    Succeeded,
    /// Ended without its result; what it had begun was undone.
    Failed {
        /// What failed.
        failure: Failure,
    },
    /// Ended because somebody cancelled it.
    Cancelled,
    /// A person is needed.
    Stuck {
        /// Which way it was going.
        was: StuckWas,
        /// What it could not get over.
        failure: Failure,
    },
}

/// What can happen to an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationEvent {
    /// A worker claimed it.
    Claimed,
    /// Every step is done.
    StepsDone,
    /// A step failed for good.
    StepFailed(Failure),
    /// A person cancels.
    CancelRequested,
    /// Every undo is done.
    UndosDone,
    /// Neither forwards nor backwards is safe.
    GotStuck(Failure),
    /// A person retries a stuck one.
    Retried,
    /// A person gives a stuck one up.
    Abandoned,
}

/// The transition does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an operation that is {from} cannot take {event}")]
pub struct IllegalTransition {
    /// Where it was.
    pub from: &'static str,
    /// What came.
    pub event: &'static str,
}

impl OperationState {
    /// Stable label, as stored.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Unwinding { .. } => "unwinding",
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
            Self::Stuck { .. } => "stuck",
        }
    }

    /// Nothing will happen to it any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Succeeded | Self::Failed { .. } | Self::Cancelled => true,
            Self::Queued | Self::Running | Self::Unwinding { .. } | Self::Stuck { .. } => false,
        }
    }

    /// The state after `event`.
    ///
    /// # Errors
    /// [`IllegalTransition`] if the table has no such cell.
    pub fn next(self, event: OperationEvent) -> Result<Self, IllegalTransition> {
        use OperationEvent as E;
        let from = self.label();
        let illegal = |event| Err(IllegalTransition { from, event });
        match (self, event) {
            (Self::Queued, E::Claimed) => Ok(Self::Running),
            (Self::Queued, E::CancelRequested) => Ok(Self::Cancelled),
            // A claim of a running one is a take-over after a crash: same state, new epoch.
            (s @ (Self::Running | Self::Unwinding { .. }), E::Claimed) => Ok(s),
            (Self::Running, E::StepsDone) => Ok(Self::Succeeded),
            (Self::Running, E::StepFailed(failure)) => Ok(Self::Unwinding {
                cause: UnwindCause::Failure { failure },
            }),
            (Self::Running, E::CancelRequested) => Ok(Self::Unwinding {
                cause: UnwindCause::Cancel,
            }),
            (Self::Running, E::GotStuck(failure)) => Ok(Self::Stuck {
                was: StuckWas::Running,
                failure,
            }),
            (
                Self::Unwinding {
                    cause: UnwindCause::Failure { failure },
                },
                E::UndosDone,
            ) => Ok(Self::Failed { failure }),
            (
                Self::Unwinding {
                    cause: UnwindCause::Cancel,
                },
                E::UndosDone,
            ) => Ok(Self::Cancelled),
            (Self::Unwinding { cause }, E::GotStuck(failure)) => Ok(Self::Stuck {
                was: StuckWas::Unwinding { cause },
                failure,
            }),
            (
                Self::Stuck {
                    was: StuckWas::Running,
                    ..
                },
                E::Retried,
            ) => Ok(Self::Running),
            (
                Self::Stuck {
                    was: StuckWas::Unwinding { cause },
                    ..
                },
                E::Retried,
            ) => Ok(Self::Unwinding { cause }),
            (Self::Stuck { failure, .. }, E::Abandoned) => Ok(Self::Failed { failure }),
            (
                Self::Queued
                | Self::Running
                | Self::Unwinding { .. }
                | Self::Succeeded
                | Self::Failed { .. }
                | Self::Cancelled
                | Self::Stuck { .. },
                event,
            ) => illegal(event.label()),
        }
    }
}

impl OperationEvent {
    fn label(&self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::StepsDone => "steps_done",
            Self::StepFailed(_) => "step_failed",
            Self::CancelRequested => "cancel_requested",
            Self::UndosDone => "undos_done",
            Self::GotStuck(_) => "got_stuck",
            Self::Retried => "retried",
            Self::Abandoned => "abandoned",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_destroys_is_for_an_adopted_app() {
        let kinds = |class| {
            let kinds = OperationKind::ALL.into_iter().filter(|k| k.is_for(class));
            kinds.map(OperationKind::label).collect::<Vec<_>>()
        };
        let adopted = ["start", "stop", "restart", "forget", "restore_keys"];
        assert_eq!(kinds(AppClass::Adopted), adopted);
        let native = ["deploy", "start", "stop", "restart", "remove", "update"];
        assert_eq!(kinds(AppClass::Native), native);
    }

    #[test]
    fn table_of_states_and_events() {
        let f = || Failure::new("f", "m", "h");
        let states = [
            OperationState::Queued,
            OperationState::Running,
            OperationState::Unwinding {
                cause: UnwindCause::Failure { failure: f() },
            },
            OperationState::Unwinding {
                cause: UnwindCause::Cancel,
            },
            OperationState::Succeeded,
            OperationState::Failed { failure: f() },
            OperationState::Cancelled,
            OperationState::Stuck {
                was: StuckWas::Running,
                failure: f(),
            },
            OperationState::Stuck {
                was: StuckWas::Unwinding {
                    cause: UnwindCause::Cancel,
                },
                failure: f(),
            },
        ];
        let events = [
            OperationEvent::Claimed,
            OperationEvent::StepsDone,
            OperationEvent::StepFailed(f()),
            OperationEvent::CancelRequested,
            OperationEvent::UndosDone,
            OperationEvent::GotStuck(f()),
            OperationEvent::Retried,
            OperationEvent::Abandoned,
        ];
        let mut table = String::new();
        for state in &states {
            for event in &events {
                let to = state
                    .clone()
                    .next(event.clone())
                    .map_or("illegal", |s| s.label());
                table.push_str(&format!(
                    "{:<10} {:<17} -> {to}\n",
                    state.label(),
                    event.label()
                ));
            }
        }
        insta::assert_snapshot!(table);
    }
}
