//! What can go wrong between the command line and the server.

use super::token_file::TokenFileError;
use crate::error::{ErrorBody, ExitCode};

/// Why a call gave no answer of the documented shape, or a refusal.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base URL is not usable.
    #[error("{url:?} is not a server's URL: {why}")]
    BadUrl {
        /// As given.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The client could not be made.
    #[error("cannot prepare the connection: {0}")]
    Setup(String),
    /// The token file cannot be used.
    #[error(transparent)]
    TokenFile(#[from] TokenFileError),
    /// Nobody listens at the URL.
    #[error("no Proximity server answers at {url}: {why}")]
    NotRunning {
        /// The server's URL.
        url: String,
        /// What the system said.
        why: String,
    },
    /// There is no connection, though somebody may listen: a name, a route or a certificate is wrong.
    #[error("cannot connect to {url}: {why}")]
    Unreachable {
        /// The server's URL.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The connection broke or took too long; a change may have been made.
    #[error("the connection to {url} broke: {why}")]
    Broken {
        /// The server's URL.
        url: String,
        /// What happened.
        why: String,
    },
    /// The answer is not what a Proximity server of this version gives.
    #[error("{url} gave an answer that is not understood (HTTP {status}): {why}")]
    BadAnswer {
        /// The server's URL.
        url: String,
        /// HTTP status.
        status: u16,
        /// What is wrong with it.
        why: String,
    },
    /// The server refused.
    #[error("{}", body.message)]
    Refused {
        /// HTTP status.
        status: u16,
        /// The error as sent.
        body: Box<ErrorBody>,
    },
}

impl ClientError {
    /// The error in the form of the API, so that `--json` has one shape for all.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        let (code, hint) = match self {
            Self::Refused { body, .. } => return (**body).clone(),
            Self::BadUrl { .. } => (
                "bad_url",
                "give it with --url, or set client.url in the configuration file".to_owned(),
            ),
            Self::Setup(_) => (
                "client_setup",
                "check client.ca_file in the configuration file".to_owned(),
            ),
            Self::TokenFile(error) => ("token_file", error.hint()),
            Self::NotRunning { .. } => (
                "not_running",
                "start it with `proximity serve` (or `systemctl start proximity`), or name another with --url"
                    .to_owned(),
            ),
            Self::Unreachable { .. } => (
                "server_unreachable",
                "check the URL; if its certificate comes from an authority of your own, name that in client.ca_file"
                    .to_owned(),
            ),
            Self::Broken { .. } => (
                "connection_broken",
                "what was asked for may still be carried out; look with `proximity operations list`"
                    .to_owned(),
            ),
            Self::BadAnswer { .. } => (
                "bad_answer",
                "check that the URL is Proximity's and that both sides have the same version (`proximity version`)"
                    .to_owned(),
            ),
        };
        ErrorBody::new(code, self.to_string(), hint)
    }

    /// The exit code a command ends with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused { status, body } => body.exit_code(*status),
            Self::BadUrl { .. } => ExitCode::Usage,
            Self::Setup(_) | Self::TokenFile(_) => ExitCode::ConfigOrNotFound,
            Self::NotRunning { .. }
            | Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::BadAnswer { .. } => ExitCode::Error,
        }
    }
}
