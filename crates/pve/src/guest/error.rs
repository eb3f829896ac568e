//! Errors of guest access.

/// Why nothing, or nothing certain, came back from a guest. A command's own failure is not an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// The request itself is impossible; nothing was sent.
    #[error("impossible request: {0}")]
    Impossible(String),
    /// This node is not known to the access, so nothing was sent.
    #[error("there is no SSH access to node {0}")]
    UnknownNode(String),
    /// The node could not be reached, or did not let us in; nothing ran.
    #[error("node {node}: not reached: {why}")]
    NotSent {
        /// The node.
        node: String,
        /// What was in the way.
        why: String,
    },
    /// The node showed another host key than the pinned one; nothing ran.
    #[error("node {node}: its SSH host key is {seen}, pinned is {pinned}")]
    Untrusted {
        /// The node.
        node: String,
        /// Fingerprint of the key it showed.
        seen: String,
        /// Fingerprint of the pinned key.
        pinned: String,
    },
    /// The request was sent and its end is not known; it may still be running.
    #[error("node {node}: sent, but the end is not known: {why}")]
    MaybeApplied {
        /// The node.
        node: String,
        /// Why it is not known.
        why: String,
    },
    /// The container does not run, so nothing ran in it.
    #[error("node {node}: container is not running: {message}")]
    NotRunning {
        /// The node.
        node: String,
        /// PVE's message.
        message: String,
    },
    /// The node has no such container: gone, never there, or moved.
    #[error("node {node}: no such container there: {message}")]
    NotThere {
        /// The node.
        node: String,
        /// PVE's message.
        message: String,
    },
    /// The helper on the node refused: the container is not ours there.
    #[error("node {node}: its helper refused: {message}")]
    Refused {
        /// The node.
        node: String,
        /// What the helper said.
        message: String,
    },
    /// The helper on the node refused: the container was adopted, and the node's root has not allowed it.
    #[error("node {node}: its helper refused: {message}")]
    NotAllowed {
        /// The node.
        node: String,
        /// What the helper said, with the command that allows it.
        message: String,
    },
    /// The key leads to no helper, or to one of another protocol, so nothing ran.
    #[error("node {node}: it has no helper that we can ask: {message}")]
    NoHelper {
        /// The node.
        node: String,
        /// What the helper or the node's shell said.
        message: String,
    },
    /// The helper on the node could not take it now: no room, no place, no audit. Nothing ran in the container.
    #[error("node {node}: its helper could not take it: {message}")]
    Declined {
        /// The node.
        node: String,
        /// What the helper said.
        message: String,
    },
    /// The node's tools refused or failed.
    #[error("node {node}: {message}")]
    Failed {
        /// The node.
        node: String,
        /// What they said.
        message: String,
    },
    /// The file is larger than the request allows.
    #[error("the file has {size_bytes} bytes, at most {max_bytes} are taken")]
    TooLarge {
        /// Its size.
        size_bytes: u64,
        /// The limit of the request.
        max_bytes: u64,
    },
}

impl GuestError {
    /// Certainly nothing happened in the guest.
    #[must_use]
    pub fn is_not_sent(&self) -> bool {
        match self {
            Self::Impossible(_)
            | Self::UnknownNode(_)
            | Self::NotSent { .. }
            | Self::Untrusted { .. }
            | Self::NotRunning { .. }
            | Self::NotThere { .. }
            | Self::Refused { .. }
            | Self::NotAllowed { .. }
            | Self::NoHelper { .. }
            | Self::Declined { .. } => true,
            Self::MaybeApplied { .. } | Self::Failed { .. } | Self::TooLarge { .. } => false,
        }
    }
}
