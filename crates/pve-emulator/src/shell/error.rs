//! Why the shell cannot run.

use std::io;
use std::path::PathBuf;

use crate::persist::PersistError;

/// What went wrong around the core.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The state cannot be read or written.
    #[error(transparent)]
    Persist(#[from] PersistError),
    /// A file of the state directory cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A listener cannot be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The certificate cannot be made or used.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// No randomness for secrets.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// A listener names a node that the cluster does not have, or the other way round.
    #[error("node '{0}' has no listener, or a listener has no such node")]
    Node(String),
    /// The shell has stopped.
    #[error("the emulator has stopped")]
    Stopped,
}
