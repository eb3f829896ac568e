//! Carrying a plan out: what a person has to agree to, which changes come next, and how it ends. Pure, and nothing is done here.

mod next;
mod refusal;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::names::Hostname;

pub use next::{Next, Order};
pub use refusal::{Consent, Refusal, may_apply};

/// So many changes at the same time, unless somebody says otherwise.
pub const PARALLEL: u32 = 4;
/// So many at most.
pub const MOST_PARALLEL: u32 = 32;

/// How far an apply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplyState {
    /// Changes are started as those before them are done.
    Running,
    /// Somebody stopped it: what was started goes on to its end, and no other change is started.
    Stopping,
    /// Every change is done.
    Done,
    /// A change failed, and what depends on it was not begun; all others are done.
    Failed,
    /// It was stopped before every change was started. What was started is done.
    Stopped,
}

impl ApplyState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Running,
        Self::Stopping,
        Self::Done,
        Self::Failed,
        Self::Stopped,
    ];

    /// Stable text, as stored and sent.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// The state with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.label() == label)
    }

    /// Nothing is done any more.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            Self::Running | Self::Stopping => false,
            Self::Done | Self::Failed | Self::Stopped => true,
        }
    }
}

/// How far one change of an apply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeState {
    /// It has not been started.
    Waiting,
    /// It was started, and has not ended. None is started twice.
    Started,
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// One that it depends on failed or was held up itself: it is not started.
    HeldUp,
    /// The apply was stopped before it was started.
    NotStarted,
    /// There is nothing to do.
    Quiet,
}

impl ChangeState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Started,
        Self::Done,
        Self::Failed,
        Self::HeldUp,
        Self::NotStarted,
        Self::Quiet,
    ];

    /// Stable text, as stored and sent.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Started => "started",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::HeldUp => "held_up",
            Self::NotStarted => "not_started",
            Self::Quiet => "quiet",
        }
    }

    /// The state with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.label() == label)
    }

    /// Nothing is done about it any more.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            Self::Waiting | Self::Started => false,
            Self::Done | Self::Failed | Self::HeldUp | Self::NotStarted | Self::Quiet => true,
        }
    }

    /// What depends on it may be started.
    fn lets_on(self) -> bool {
        match self {
            Self::Done | Self::Quiet => true,
            Self::Waiting | Self::Started | Self::Failed | Self::HeldUp | Self::NotStarted => false,
        }
    }

    /// What depends on it is not started any more.
    fn holds_up(self) -> bool {
        match self {
            Self::Failed | Self::HeldUp => true,
            Self::Waiting | Self::Started | Self::Done | Self::NotStarted | Self::Quiet => false,
        }
    }
}

/// How an apply with these changes ended: failed if one of them failed or was held up, else stopped if one was not started, else done.
/// `None` while one is open.
#[must_use]
pub fn ended(states: impl IntoIterator<Item = ChangeState>) -> Option<ApplyState> {
    let mut end = ApplyState::Done;
    for state in states {
        match state {
            ChangeState::Waiting | ChangeState::Started => return None,
            ChangeState::Done | ChangeState::Quiet => {}
            ChangeState::Failed | ChangeState::HeldUp => end = ApplyState::Failed,
            ChangeState::NotStarted if end == ApplyState::Done => end = ApplyState::Stopped,
            ChangeState::NotStarted => {}
        }
    }
    Some(end)
}

/// Why a change was not begun that depends on this one, which failed or was held up itself.
#[must_use]
pub fn held_up_by(by: &Hostname) -> Failure {
    Failure::new(
        "held_up",
        format!("it depends on {by}, which was not changed as planned"),
        format!("mend {by} first, then plan and apply again"),
    )
}
