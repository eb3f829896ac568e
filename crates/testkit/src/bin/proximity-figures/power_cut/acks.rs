//! What the work says it has committed, one line each.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::say;

/// One line of the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ack", rename_all = "snake_case")]
pub(crate) enum Ack {
    /// What the work begins with is there; nothing is cut before.
    Ready,
    /// The store was opened; from here on one transaction follows the other.
    Opened {
        installation: String,
        /// Digest of everything that is recorded.
        state: String,
    },
    /// One transaction more.
    Committed { state: String },
    /// From here on several write at once, until the store is opened again.
    Apart,
    /// One of them has recorded an app.
    App(AppAck),
}

/// An app that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppAck {
    pub(crate) id: String,
    pub(crate) operation: String,
    pub(crate) public: u16,
    pub(crate) internal: u16,
}

impl Ack {
    pub(crate) fn print(&self) -> Result<()> {
        say::line(&serde_json::to_string(self)?).context("printing an acknowledgement")
    }
}

/// What must be there after a cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The installation, once it was said.
    pub(crate) installation: Option<String>,
    /// One after the other: one of these digests. Empty while several write at once.
    pub(crate) states: Vec<String>,
    /// Apps that were acknowledged while several wrote.
    pub(crate) apps: Vec<AppAck>,
}

/// What must be there after a cut that follows on `before`, and comes before `next`.
pub(crate) fn expected(before: &[Ack], next: Option<&Ack>) -> Expected {
    let mut expected = Expected::default();
    let mut apart = false;
    for ack in before {
        match ack {
            Ack::Opened {
                installation,
                state,
            } => {
                apart = false;
                expected.installation = Some(installation.clone());
                expected.states = vec![state.clone()];
            }
            Ack::Ready => {}
            Ack::Committed { state } => expected.states = vec![state.clone()],
            Ack::Apart => {
                apart = true;
                expected.states.clear();
            }
            Ack::App(app) => expected.apps.push(app.clone()),
        }
    }
    // What was under way may be there already.
    if let (false, Some(Ack::Opened { state, .. } | Ack::Committed { state })) = (apart, next) {
        expected.states.push(state.clone());
    }
    expected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(state: &str) -> Ack {
        let state = state.to_owned();
        Ack::Committed { state }
    }

    fn opened(state: &str) -> Ack {
        Ack::Opened {
            installation: "i".to_owned(),
            state: state.to_owned(),
        }
    }

    #[test]
    fn the_last_commit_or_the_next_one() {
        let before = [opened("0"), committed("1")];
        let found = expected(&before, Some(&committed("2")));
        assert_eq!(found.states, ["1", "2"]);
        assert_eq!(found.installation.as_deref(), Some("i"));
        assert_eq!(expected(&[], Some(&opened("0"))).states, ["0"]);
        assert_eq!(expected(&before, None).states, ["1"]);
    }

    #[test]
    fn while_several_write_their_apps_count_and_later_too() {
        let app = AppAck {
            id: "a".to_owned(),
            operation: "o".to_owned(),
            public: 1,
            internal: 2,
        };
        let apart = [opened("0"), Ack::Apart, Ack::App(app.clone())];
        let found = expected(&apart, Some(&opened("9")));
        assert_eq!((found.states.len(), found.apps.len()), (0, 1));
        let mut later = apart.to_vec();
        later.push(opened("9"));
        let found = expected(&later, Some(&committed("10")));
        assert_eq!(found.states, ["9", "10"]);
        assert_eq!(found.apps, [app]);
    }
}
