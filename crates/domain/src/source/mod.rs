//! Sources: a branch of a Git repository with documents, and what is done with what it says. Pure.
//!
//! What is read of a source is not trusted: [`RepositoryUrl`] and the names in [`crate::names`] let nothing through that another program
//! could take for an option or for a way to run something. What may be applied without a person is decided by [`judge`], and what is told
//! of a look at a source by [`told`].

mod judge;
mod sight;
mod url;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use judge::{Verdict, held_back, judge, rejects, said_anew};
pub use sight::{Due, Sight, SourceProblem, Told, told};
pub use url::{RepositoryUrl, Scheme};

/// Shortest time between two looks, seconds.
pub const LEAST_EVERY_S: u32 = 30;
/// Longest time between two looks, seconds: a day.
pub const MOST_EVERY_S: u32 = 86_400;
/// Time between two looks unless somebody says otherwise, seconds.
pub const EVERY_S: u32 = 300;
/// Sources of an installation, at most.
pub const MOST_SOURCES: usize = 100;
/// How long a nudge waits for after the look before it, milliseconds.
pub const NUDGE_REST_MS: i64 = 10_000;
/// How long it is waited for after many failures, at most, milliseconds: an hour, or the time between two looks where that is longer.
pub const LONGEST_PAUSE_MS: i64 = 3_600_000;
/// How often an apply under way is looked at, milliseconds.
pub const FOLLOW_MS: i64 = 2_000;

/// What is done with what differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourcePolicy {
    /// A plan is made, kept and told; a person applies it.
    Plan,
    /// A plan that takes nothing away, and that nothing holds back, is applied; any other waits for a person.
    Apply,
}

impl SourcePolicy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Plan, Self::Apply];

    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
        }
    }

    /// The policy with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.label() == label)
    }
}

/// Where a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Nobody has looked yet.
    New,
    /// The repository or its branch cannot be read.
    Unreachable,
    /// What was read is not right: its documents, their amount, or the commit's signature.
    Wrong,
    /// A plan is kept, and waits for a person.
    Waiting,
    /// A plan is being applied.
    Applying,
    /// All is as the commit wants it.
    AsWanted,
    /// What was applied of it failed or was stopped.
    Failed,
}

impl SourceState {
    /// All of them, in the order of a source's life.
    pub const ALL: [Self; 7] = [
        Self::New,
        Self::Unreachable,
        Self::Wrong,
        Self::Waiting,
        Self::Applying,
        Self::AsWanted,
        Self::Failed,
    ];

    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Unreachable => "unreachable",
            Self::Wrong => "wrong",
            Self::Waiting => "waiting",
            Self::Applying => "applying",
            Self::AsWanted => "as_wanted",
            Self::Failed => "failed",
        }
    }

    /// The state with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.label() == label)
    }

    /// Nothing of the commit can be carried out, or not all of it could.
    #[must_use]
    pub fn is_trouble(self) -> bool {
        matches!(self, Self::Unreachable | Self::Wrong | Self::Failed)
    }
}
