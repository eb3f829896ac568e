//! Errors of PVE calls. Each says whether the call may have happened.

use std::collections::BTreeMap;

use crate::transport::https::Fingerprint;
use crate::transport::{TransportError, after_sending, wanted};
use crate::wording;

/// Result of a PVE call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a PVE call gave no usable answer. `call` is method and path, never a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The call did not reach PVE: it did not happen.
    #[error("{call}: not sent: {why}")]
    NotSent {
        /// Method and path.
        call: String,
        /// What was in the way.
        why: String,
    },
    /// The server's certificate is not the expected one: it did not happen.
    #[error("{call}: not sent, the server is not trusted: {why}")]
    Untrusted {
        /// Method and path.
        call: String,
        /// What did not match.
        why: String,
        /// Fingerprint of the certificate the server showed.
        seen: Option<Fingerprint>,
    },
    /// A change was sent and its outcome is not known: look before anything else.
    #[error("{call}: sent, but the outcome is not known: {why}")]
    MaybeApplied {
        /// Method and path.
        call: String,
        /// Why the outcome is not known.
        why: String,
    },
    /// PVE answered no.
    #[error("{call}: PVE answered {status}: {}", refusal(message, errors))]
    Refused {
        /// Method and path.
        call: String,
        /// HTTP status, also 595 to 599.
        status: u16,
        /// Reason phrase of the status line.
        reason: String,
        /// PVE's message without the newline at its end; the reason if the body had none.
        message: String,
        /// What is wrong with which parameter.
        errors: BTreeMap<String, String>,
    },
    /// The token is unknown, expired or wrong, or the user cannot log in (401).
    #[error("{call}: PVE does not accept the token or login: {reason}")]
    Unauthorized {
        /// Method and path.
        call: String,
        /// PVE's reason.
        reason: String,
    },
    /// The user's login needs a second factor that was not given, or was used already: it did not happen.
    #[error(
        "{call}: not sent, the login needs a second factor: {}",
        wanted(accepts)
    )]
    SecondFactor {
        /// Method and path.
        call: String,
        /// What PVE would take, e.g. `totp`.
        accepts: Vec<String>,
    },
    /// A read was answered with something that cannot be understood.
    #[error("{call}: cannot read PVE's answer: {why}")]
    Unreadable {
        /// Method and path.
        call: String,
        /// What was wrong with it.
        why: String,
    },
    /// The permit was too old to send the call: it did not happen.
    #[error("the permit expired before the call was sent")]
    PermitExpired,
}

fn refusal(message: &str, errors: &BTreeMap<String, String>) -> String {
    let mut text = message.to_owned();
    for (parameter, error) in errors {
        text.push_str(&format!(" [{parameter}: {}]", error.trim_end()));
    }
    text
}

impl Error {
    pub(crate) fn from_transport(call: &str, is_read: bool, error: TransportError) -> Self {
        let call = call.to_owned();
        match error {
            TransportError::NotSent(why) => Self::NotSent { call, why },
            TransportError::Untrusted { why, seen } => Self::Untrusted { call, why, seen },
            TransportError::LoginRefused(reason) => Self::Unauthorized { call, reason },
            TransportError::SecondFactor(accepts) => Self::SecondFactor { call, accepts },
            // A read changes nothing, so it is never in doubt: it just was not answered.
            TransportError::MaybeApplied(why) if is_read => Self::NotSent {
                call,
                why: after_sending(why),
            },
            TransportError::MaybeApplied(why) => Self::MaybeApplied { call, why },
        }
    }

    /// The call certainly changed nothing and may be sent again.
    #[must_use]
    pub fn is_not_sent(&self) -> bool {
        match self {
            Self::NotSent { .. }
            | Self::Untrusted { .. }
            | Self::SecondFactor { .. }
            | Self::PermitExpired => true,
            Self::MaybeApplied { .. }
            | Self::Refused { .. }
            | Self::Unauthorized { .. }
            | Self::Unreadable { .. } => false,
        }
    }

    /// The outcome is not known.
    #[must_use]
    pub fn is_maybe_applied(&self) -> bool {
        matches!(self, Self::MaybeApplied { .. })
    }

    fn refused_with(&self, says: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Refused {
                message,
                reason,
                errors,
                ..
            } => says(message) || says(reason) || errors.values().any(|e| says(e)),
            Self::NotSent { .. }
            | Self::Untrusted { .. }
            | Self::MaybeApplied { .. }
            | Self::Unauthorized { .. }
            | Self::SecondFactor { .. }
            | Self::Unreadable { .. }
            | Self::PermitExpired => false,
        }
    }

    fn refused_status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::NotSent { .. }
            | Self::Untrusted { .. }
            | Self::MaybeApplied { .. }
            | Self::Unauthorized { .. }
            | Self::SecondFactor { .. }
            | Self::Unreadable { .. }
            | Self::PermitExpired => None,
        }
    }

    /// The guest has no configuration on the node that was asked: gone, never there, or moved.
    #[must_use]
    pub fn is_missing_config(&self) -> bool {
        self.refused_with(wording::says_missing_config)
    }

    /// The VMID belongs to another guest.
    #[must_use]
    pub fn is_vmid_taken(&self) -> bool {
        self.refused_with(wording::says_vmid_taken)
    }

    /// The guest is locked; gives the lock, e.g. `backup`.
    #[must_use]
    pub fn is_locked(&self) -> Option<String> {
        match self {
            Self::Refused { message, .. } => wording::says_locked(message),
            Self::NotSent { .. }
            | Self::Untrusted { .. }
            | Self::MaybeApplied { .. }
            | Self::Unauthorized { .. }
            | Self::SecondFactor { .. }
            | Self::Unreadable { .. }
            | Self::PermitExpired => None,
        }
    }

    /// The guest's configuration was not free in time; nothing was done.
    #[must_use]
    pub fn is_lock_timeout(&self) -> bool {
        self.refused_with(wording::says_lock_timeout)
    }

    /// The configuration was changed by somebody since it was read.
    #[must_use]
    pub fn is_digest_mismatch(&self) -> bool {
        self.refused_with(wording::says_digest_mismatch)
    }

    /// The node that was asked about did not answer the node that was asked (595 to 599).
    #[must_use]
    pub fn is_node_unreachable(&self) -> bool {
        self.refused_status()
            .is_some_and(|s| (595..=599).contains(&s))
    }

    /// The token lacks a privilege (403); the message names path and privilege.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        self.refused_status() == Some(403)
    }

    /// `protection` is on.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.refused_with(wording::says_protected)
    }

    /// The guest runs already.
    #[must_use]
    pub fn is_already_running(&self) -> bool {
        self.refused_with(wording::says_already_running)
    }

    /// The guest does not run; PVE also says so of a guest that does not exist.
    #[must_use]
    pub fn is_not_running(&self) -> bool {
        self.refused_with(wording::says_not_running)
    }

    /// The cluster has no quorum.
    #[must_use]
    pub fn is_no_quorum(&self) -> bool {
        self.refused_with(wording::says_no_quorum)
    }
}
