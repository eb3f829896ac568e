//! What a saga's executor does next: decided here from the log alone, carried out elsewhere.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::ids::Epoch;
use crate::operation::{OperationState, UnwindCause};
use crate::time::Timestamp;

/// State of one step. The intent is committed before the effect, the output after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Intent committed; whether the effect happened must be looked up.
    Started,
    /// Output committed.
    Succeeded,
    /// It failed for good.
    Failed,
    /// Undo begun.
    UndoStarted,
    /// Undone.
    UndoFinished,
    /// Undo failed; a person is needed.
    UndoFailed,
}

impl StepState {
    /// All states.
    pub const ALL: [Self; 6] = [
        Self::Started,
        Self::Succeeded,
        Self::Failed,
        Self::UndoStarted,
        Self::UndoFinished,
        Self::UndoFailed,
    ];

    /// Stable text, as stored.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::UndoStarted => "undo_started",
            Self::UndoFinished => "undo_finished",
            Self::UndoFailed => "undo_failed",
        }
    }

    /// The state with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.label() == label)
    }
}

/// One row of the step log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Place in the saga's step table, from 0.
    pub index: u32,
    /// Name in the step table.
    pub name: String,
    /// State.
    pub state: StepState,
    /// Epoch of the last write.
    pub epoch: Epoch,
    /// What was decided before the effect (chosen VMID, MAC, mark …).
    pub intent: serde_json::Value,
    /// PVE's task of this step, as soon as it is known.
    pub upid: Option<String>,
    /// What was read back.
    pub output: Option<serde_json::Value>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// When the intent was committed.
    pub started_at: Timestamp,
    /// When the last state was committed.
    pub changed_at: Timestamp,
}

/// What the executor must do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Commit the intent of step `index`, then act.
    Begin(u32),
    /// The intent of step `index` is there: look, then act.
    Resume(u32),
    /// Undo step `index` (it may have run, wholly or in part).
    Undo(u32),
    /// All steps are done.
    Succeed,
    /// All undos are done.
    EndUnwound,
    /// Not ours to move: final, queued, or a person is needed.
    Rest,
}

/// Decides from state and log. `epoch` is the claim's; a person's retry raises it, so a failed undo is tried again.
#[must_use]
pub fn next(state: &OperationState, steps_in_table: u32, log: &[StepRecord], epoch: Epoch) -> Next {
    match state {
        OperationState::Running => forwards(steps_in_table, log),
        OperationState::Unwinding {
            cause: UnwindCause::Failure { .. } | UnwindCause::Cancel,
        } => backwards(log, epoch),
        OperationState::Queued
        | OperationState::Succeeded
        | OperationState::Failed { .. }
        | OperationState::Cancelled
        | OperationState::Stuck { .. } => Next::Rest,
    }
}

fn forwards(steps_in_table: u32, log: &[StepRecord]) -> Next {
    for index in 0..steps_in_table {
        let Some(row) = log.iter().find(|r| r.index == index) else {
            return Next::Begin(index);
        };
        match row.state {
            StepState::Succeeded => {}
            StepState::Started => return Next::Resume(index),
            // A failed or undone step while the operation runs forwards means that a person retried it.
            StepState::Failed
            | StepState::UndoStarted
            | StepState::UndoFinished
            | StepState::UndoFailed => return Next::Resume(index),
        }
    }
    Next::Succeed
}

fn backwards(log: &[StepRecord], epoch: Epoch) -> Next {
    let mut rows: Vec<&StepRecord> = log.iter().collect();
    rows.sort_by_key(|r| std::cmp::Reverse(r.index));
    for row in rows {
        match row.state {
            StepState::UndoFinished => {}
            StepState::UndoFailed if row.epoch >= epoch => return Next::Rest,
            StepState::Started
            | StepState::Succeeded
            | StepState::Failed
            | StepState::UndoStarted
            | StepState::UndoFailed => return Next::Undo(row.index),
        }
    }
    Next::EndUnwound
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(index: u32, state: StepState, epoch: i64) -> StepRecord {
        StepRecord {
            index,
            name: format!("s{index}"),
            state,
            epoch: Epoch(epoch),
            intent: serde_json::Value::Null,
            upid: None,
            output: None,
            failure: None,
            started_at: Timestamp(0),
            changed_at: Timestamp(0),
        }
    }

    fn unwinding() -> OperationState {
        OperationState::Unwinding {
            cause: UnwindCause::Cancel,
        }
    }

    #[test]
    fn forwards_begins_resumes_and_ends() {
        let run = OperationState::Running;
        assert_eq!(next(&run, 2, &[], Epoch(1)), Next::Begin(0));
        assert_eq!(
            next(&run, 2, &[row(0, StepState::Started, 1)], Epoch(1)),
            Next::Resume(0)
        );
        assert_eq!(
            next(&run, 2, &[row(0, StepState::Succeeded, 1)], Epoch(1)),
            Next::Begin(1)
        );
        let done = [
            row(0, StepState::Succeeded, 1),
            row(1, StepState::Succeeded, 1),
        ];
        assert_eq!(next(&run, 2, &done, Epoch(1)), Next::Succeed);
    }

    #[test]
    fn a_failed_undo_rests_until_a_new_epoch() {
        let log = [row(0, StepState::UndoFailed, 3)];
        assert_eq!(next(&unwinding(), 1, &log, Epoch(3)), Next::Rest);
        assert_eq!(next(&unwinding(), 1, &log, Epoch(4)), Next::Undo(0));
    }

    proptest! {
        // Whatever the log: following the decisions and letting each succeed ends within one visit per step.
        #[test]
        fn unwinding_undoes_each_begun_step_once_last_first(states in proptest::collection::vec(0..6_usize, 0..9)) {
            let mut log: Vec<StepRecord> = states.iter().enumerate()
                .map(|(i, s)| row(u32::try_from(i).unwrap(), StepState::ALL[*s], 1)).collect();
            let mut undone = Vec::new();
            loop {
                match next(&unwinding(), 9, &log, Epoch(2)) {
                    Next::Undo(i) => {
                        undone.push(i);
                        prop_assert!(undone.len() <= log.len());
                        log[i as usize].state = StepState::UndoFinished;
                    }
                    other => { prop_assert_eq!(other, Next::EndUnwound); break; }
                }
            }
            prop_assert!(undone.windows(2).all(|w| w[0] > w[1]));
        }
    }
}
