//! Why a gateway could not start or had to end.

use std::io;
use std::path::PathBuf;

/// Why a gateway could not start or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// Another process holds the lock of this route file.
    #[error("another gateway (process {pid}) already serves the routes in {}", route_file.display())]
    AlreadyRunning {
        /// The route file both want.
        route_file: PathBuf,
        /// Process number the holder wrote into the lock file; `unknown` if it could not be read.
        pid: String,
    },
    /// The control socket's path is in use by a live process.
    #[error("the control socket {} is already answered by another process", path.display())]
    SocketInUse {
        /// The path.
        path: PathBuf,
    },
    /// Something that is no socket lies where the control socket should be.
    #[error("{} exists and is not a socket; move it away or choose another path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The route file was written by a newer version.
    #[error(
        "{} has format {found}, this version knows up to {supported}: run the newer version, \
         or move the file away and let the control plane send the routes again",
        path.display()
    )]
    NewerRouteFile {
        /// The route file.
        path: PathBuf,
        /// The format it says it has.
        found: u64,
        /// The newest format this version reads.
        supported: u64,
    },
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl GatewayError {
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}
