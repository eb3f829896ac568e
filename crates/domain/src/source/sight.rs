//! What is known of a source after a look, and what of that is told.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::ids::{ApplyId, PlanId};
use crate::names::CommitId;
use crate::time::Timestamp;

use super::{FOLLOW_MS, LONGEST_PAUSE_MS, NUDGE_REST_MS, SourceState};

/// Something that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceProblem {
    /// File, line and column, or which app it is about.
    pub place: String,
    /// What is wrong, and what to do about it.
    pub message: String,
}

/// What is known of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Where it stands.
    pub state: SourceState,
    /// The commit that was looked at last.
    pub commit: Option<CommitId>,
    /// The last commit as which all was.
    pub applied: Option<CommitId>,
    /// The plan that waits, or that is or was applied.
    pub plan: Option<PlanId>,
    /// Its apply.
    pub apply: Option<ApplyId>,
    /// Why it does not go on.
    pub why: Option<Failure>,
    /// What is wrong with the documents.
    pub problems: Vec<SourceProblem>,
    /// Looks in a row that came to nothing.
    pub failures: u32,
    /// When it was looked at last.
    pub looked_at: Option<Timestamp>,
    /// When it is looked at next.
    pub due_at: Timestamp,
}

/// When a look was, and how far apart they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The moment of the look.
    pub now: Timestamp,
    /// Seconds from one to the next.
    pub every_s: u32,
}

impl Due {
    /// When it is looked at again after so many failures in a row: twice as late each time.
    #[must_use]
    pub fn after(self, failures: u32) -> Timestamp {
        let every_ms = i64::from(self.every_s).saturating_mul(1_000);
        let pause = every_ms.saturating_mul(1_i64 << failures.min(10));
        let pause = pause.min(LONGEST_PAUSE_MS.max(every_ms));
        Timestamp(self.now.0.saturating_add(pause))
    }
}

impl Sight {
    /// Of a source that nobody has looked at; it is due at once.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            state: SourceState::New,
            commit: None,
            applied: None,
            plan: None,
            apply: None,
            why: None,
            problems: Vec::new(),
            failures: 0,
            looked_at: None,
            due_at: now,
        }
    }

    /// It could not be read, or what was read is wrong: `state` says which. Whatever was applied stays as it is.
    #[must_use]
    pub fn troubled(
        &self,
        state: SourceState,
        commit: Option<CommitId>,
        why: Failure,
        due: Due,
    ) -> Self {
        let failures = self.failures.saturating_add(1);
        // Who cannot be reached is asked less and less often; a commit that is wrong is soon followed by another one.
        let late = match state {
            SourceState::Unreachable => failures,
            _ => 0,
        };
        // Plan and apply are those of the commit.
        let is_other = commit.is_some() && commit != self.commit;
        Self {
            state,
            commit: commit.or_else(|| self.commit.clone()),
            plan: self.plan.filter(|_| !is_other),
            apply: self.apply.filter(|_| !is_other),
            why: Some(why),
            problems: Vec::new(),
            failures,
            looked_at: Some(due.now),
            due_at: due.after(late),
            ..self.clone()
        }
    }

    /// The same, with what is wrong with the documents.
    #[must_use]
    pub fn with(mut self, problems: Vec<SourceProblem>) -> Self {
        self.problems = problems;
        self
    }

    /// A plan of this commit waits for a person.
    #[must_use]
    pub fn waits(&self, commit: CommitId, plan: PlanId, why: Failure, due: Due) -> Self {
        Self {
            plan: Some(plan),
            apply: None,
            why: Some(why),
            ..self.went_well(SourceState::Waiting, commit, due)
        }
    }

    /// A plan of this commit is being applied.
    #[must_use]
    pub fn applies(&self, commit: CommitId, plan: PlanId, apply: ApplyId, due: Due) -> Self {
        Self {
            plan: Some(plan),
            apply: Some(apply),
            ..self
                .went_well(SourceState::Applying, commit, due)
                .soon(due.now)
        }
    }

    /// All is as this commit wants it.
    #[must_use]
    pub fn as_wanted(&self, commit: CommitId, due: Due) -> Self {
        Self {
            applied: Some(commit.clone()),
            ..self.went_well(SourceState::AsWanted, commit, due)
        }
    }

    /// The apply of the commit failed or was stopped. The next commit is another try, and so is a look that a person asks for.
    #[must_use]
    pub fn failed(&self, why: Failure, due: Due) -> Self {
        Self {
            state: SourceState::Failed,
            why: Some(why),
            failures: 0,
            looked_at: Some(due.now),
            due_at: due.after(0),
            ..self.clone()
        }
    }

    /// It was looked at, and nothing is new.
    #[must_use]
    pub fn still(&self, due: Due) -> Self {
        Self {
            looked_at: Some(due.now),
            due_at: due.after(0),
            failures: 0,
            ..self.clone()
        }
    }

    /// Whether a commit that was wrong is read again, though it is the same: what it names may be there by now. Less and less often.
    #[must_use]
    pub fn reads_again(&self) -> bool {
        self.failures <= 2 || self.failures.is_power_of_two()
    }

    /// The commit that is wrong is still the newest one.
    #[must_use]
    pub fn still_wrong(&self, due: Due) -> Self {
        Self {
            failures: self.failures.saturating_add(1),
            ..self.still(due)
        }
    }

    /// It is looked at again as soon as an apply is.
    #[must_use]
    pub fn soon(self, now: Timestamp) -> Self {
        Self {
            due_at: Timestamp(now.0.saturating_add(FOLLOW_MS)),
            ..self
        }
    }

    /// When it is looked at once somebody says that there may be something new: at once, but no sooner after the look before than looks
    /// may follow each other; never later than it was due.
    #[must_use]
    pub fn nudged(&self, now: Timestamp) -> Timestamp {
        let rested = self
            .looked_at
            .map_or(now.0, |at| at.0.saturating_add(NUDGE_REST_MS));
        // A clock that was set back makes nobody wait.
        let rested = rested.min(now.0.saturating_add(NUDGE_REST_MS));
        Timestamp(self.due_at.0.min(rested.max(now.0)))
    }

    /// What a person asks for: as [`Sight::nudged`], and what was done with the commit before is done anew. What is under way goes on.
    #[must_use]
    pub fn asked(&self, now: Timestamp) -> Self {
        let state = match self.state {
            SourceState::AsWanted | SourceState::Failed => SourceState::New,
            SourceState::New
            | SourceState::Unreachable
            | SourceState::Wrong
            | SourceState::Waiting
            | SourceState::Applying => self.state,
        };
        Self {
            state,
            failures: 0,
            due_at: self.nudged(now),
            ..self.clone()
        }
    }

    /// Whether it is to be looked at. One that is due later than any look ever is was recorded by a clock that has been set back since.
    #[must_use]
    pub fn is_due(&self, due: Due) -> bool {
        self.due_at <= due.now || self.due_at > due.after(u32::MAX)
    }

    fn went_well(&self, state: SourceState, commit: CommitId, due: Due) -> Self {
        Self {
            state,
            commit: Some(commit),
            why: None,
            problems: Vec::new(),
            ..self.still(due)
        }
    }
}

/// What is told of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It came into trouble, or into another one.
    Failed,
    /// It came out of trouble.
    Recovered,
    /// A commit waits for a person.
    Waits,
    /// All is as another commit wants it.
    Applied,
}

/// What is told of what a look has changed, in order: each thing once.
#[must_use]
pub fn told(before: &Sight, after: &Sight) -> Vec<Told> {
    let code = |sight: &Sight| sight.why.as_ref().map(|why| why.code.clone());
    let is_same =
        (before.state, &before.commit, code(before)) == (after.state, &after.commit, code(after));
    let mut told = Vec::new();
    if after.state.is_trouble() {
        // One that cannot be reached is so whichever commit it was at.
        let is_known = is_same
            || after.state == SourceState::Unreachable
                && before.state == after.state
                && code(before) == code(after);
        if !is_known {
            told.push(Told::Failed);
        }
        return told;
    }
    if before.state.is_trouble() {
        told.push(Told::Recovered);
    }
    let waited = before.state == SourceState::Waiting && before.commit == after.commit;
    if after.state == SourceState::Waiting && !waited {
        told.push(Told::Waits);
    }
    if after.applied.is_some() && after.applied != before.applied {
        told.push(Told::Applied);
    }
    told
}
