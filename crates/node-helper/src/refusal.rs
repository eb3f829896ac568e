//! Why nothing was done, or why it is not known what was.

use serde::{Deserialize, Serialize};

/// What went wrong, for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct Trouble {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
    /// How large it is that is too large, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl Trouble {
    /// With this text.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            bytes: None,
        }
    }
}

/// The kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request cannot be read, or asks for what no process could get.
    BadRequest,
    /// It is of another version of the protocol.
    OtherProtocol,
    /// The node has no such container.
    NotThere,
    /// The container is not the caller's: no mark, another one's, or another container has the number by now.
    NotYours,
    /// The container was adopted, and root has not allowed it on this node.
    NotAllowed,
    /// The container does not run.
    NotRunning,
    /// Too many commands are at work.
    Busy,
    /// The input did not arrive whole.
    CutShort,
    /// The node could not: no room, no such tool, no audit.
    Node,
    /// The file is larger than the caller takes.
    TooLarge,
    /// A command was over its time and was ended, as far as the node sees it.
    TimedOut,
    /// What the guest's own tools said.
    Guest,
}
