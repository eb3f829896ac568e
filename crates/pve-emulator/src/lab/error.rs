//! Why the lab could not do something on the machine it runs on.

use std::path::PathBuf;

/// Errors of the lab; each text says what to do where a person can do something.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Containers, bridges and namespaces need root.
    #[error("real containers need root: a bridge, mounts, namespaces")]
    NotRoot,
    /// Programs are missing; the packages that hold them on Debian are named.
    #[error("missing on this machine; run: apt-get install -y --no-install-recommends {packages}")]
    MissingPackages {
        /// Debian package names, separated by blanks.
        packages: String,
    },
    /// A program ended with an error.
    #[error("{program} failed with {status}: {stderr}")]
    ProgramFailed {
        /// Program name.
        program: String,
        /// Its exit status in words.
        status: String,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// A program did not end in time and was killed.
    #[error("{program} did not end within {limit_ms} ms")]
    ProgramTimedOut {
        /// Program name.
        program: String,
        /// The limit, milliseconds.
        limit_ms: u128,
    },
    /// A file or process call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, with the path or program.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A file of the state directory cannot be understood.
    #[error("{path}: {reason}", path = .path.display())]
    BadState {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another lab holds the state directory.
    #[error("another lab runs on {path} (lock is held)", path = .0.display())]
    Busy(PathBuf),
    /// The machine's network leaves no room.
    #[error("no free network: {0}")]
    Network(String),
    /// A limit of the lab was reached or a setting makes no sense.
    #[error("{0}")]
    Refused(String),
    /// TLS, SSH or HTTP could not be set up.
    #[error("{what}: {reason}")]
    Service {
        /// Which part.
        what: String,
        /// Its message.
        reason: String,
    },
}

impl LabError {
    /// Wraps an IO error with what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> LabError {
        let what = what.into();
        move |source| LabError::Io { what, source }
    }
}
