//! Why a look does not come to a plan.

use proximity_domain::failure::Failure;
use proximity_domain::names::CommitId;
use proximity_domain::source::{SourceProblem, SourceState};
use proximity_store::error::StoreError;

use crate::error::EngineError;

/// A look ends.
#[derive(Debug)]
pub(super) enum Halt {
    /// With something that is told.
    Trouble(Box<Trouble>),
    /// The store failed: the look is as if it had not been.
    Store(StoreError),
}

/// What is told.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) state: SourceState,
    pub(super) commit: Option<CommitId>,
    pub(super) why: Failure,
    pub(super) problems: Vec<SourceProblem>,
}

impl Trouble {
    pub(super) fn new(state: SourceState, why: Failure) -> Self {
        Self {
            state,
            commit: None,
            why,
            problems: Vec::new(),
        }
    }

    /// Documents are wrong: each problem with its place.
    pub(super) fn wrong(
        message: String,
        problems: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let problems = problems.into_iter();
        let problems = problems.map(|(place, message)| SourceProblem { place, message });
        let why = Failure::new(
            "manifest_invalid",
            message,
            "correct them and push again; nothing was changed",
        );
        Self {
            problems: problems.collect(),
            ..Self::new(SourceState::Wrong, why)
        }
    }
}

impl Halt {
    /// It is about this commit.
    pub(super) fn at(self, commit: &CommitId) -> Self {
        match self {
            Self::Trouble(mut trouble) => {
                trouble.commit = Some(commit.clone());
                Self::Trouble(trouble)
            }
            Self::Store(_) => self,
        }
    }
}

impl From<Trouble> for Halt {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(Box::new(trouble))
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What keeps a plan from being made.
impl From<EngineError> for Halt {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => Self::Store(error),
            EngineError::Manifests { ref fields } => {
                Trouble::wrong(error.to_string(), fields.clone()).into()
            }
            other => {
                let why = Failure::new(other.code(), other.to_string(), other.hint());
                Trouble::new(SourceState::Wrong, why).into()
            }
        }
    }
}

/// As a command tells it.
impl From<Halt> for EngineError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Store(error) => Self::Store(error),
            Halt::Trouble(trouble) if !trouble.problems.is_empty() => {
                let problems = trouble.problems.into_iter();
                let fields = problems.map(|one| (one.place, one.message)).collect();
                Self::Manifests { fields }
            }
            Halt::Trouble(trouble) => Self::SourceTrouble(trouble.why),
        }
    }
}
