//! Who is reached and does not answer as it should, told from who is not reached.

use std::fmt;

use proximity_pve::Error as PveError;
use proximity_pve::transport::says_sent;

/// What somebody did who was reached at an endpoint, in the place of an answer. Whoever that is may be a node of the cluster, and have what
/// others lack: it is not away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// It does not take our token (401).
    RefusesToken,
    /// It refuses what is asked (4xx).
    Refuses,
    /// It answers with an error (5xx), or with what cannot be read.
    Errs,
    /// A request was sent to it, and the connection broke off, or no answer came.
    BreaksOff,
}

impl Reached {
    /// What a read that failed at one endpoint tells of it; `None`: nobody was reached whom we trust, as far as that is known.
    pub(crate) fn of(error: &PveError) -> Option<Self> {
        match error {
            PveError::Unauthorized { .. } => Some(Self::RefusesToken),
            PveError::Refused { status, .. } if *status < 500 => Some(Self::Refuses),
            PveError::Refused { .. } | PveError::Unreadable { .. } => Some(Self::Errs),
            PveError::NotSent { why, .. } if says_sent(why) => Some(Self::BreaksOff),
            PveError::MaybeApplied { .. } => Some(Self::BreaksOff),
            PveError::NotSent { .. }
            | PveError::Untrusted { .. }
            | PveError::SecondFactor { .. }
            | PveError::PermitExpired => None,
        }
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RefusesToken => "it is reached, and does not take our token",
            Self::Refuses => "it is reached, and refuses what is asked",
            Self::Errs => "it is reached, and answers with an error",
            Self::BreaksOff => "it is reached, and gives no answer",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn who_answers_in_any_way_is_reached() {
        let call = || "GET /cluster/status".to_owned();
        let refused = |status| PveError::Refused {
            call: call(),
            status,
            reason: String::new(),
            message: String::new(),
            errors: BTreeMap::new(),
        };
        let not_sent = |why: &str| PveError::NotSent {
            call: call(),
            why: why.to_owned(),
        };
        let token = PveError::Unauthorized {
            call: call(),
            reason: "authentication failure".to_owned(),
        };
        let unreadable = PveError::Unreadable {
            call: call(),
            why: "half of it".to_owned(),
        };
        let untrusted = PveError::Untrusted {
            call: call(),
            why: "another certificate".to_owned(),
            seen: None,
        };
        for (error, reached) in [
            (token, Some(Reached::RefusesToken)),
            (refused(403), Some(Reached::Refuses)),
            (refused(500), Some(Reached::Errs)),
            (refused(596), Some(Reached::Errs)),
            (unreadable, Some(Reached::Errs)),
            (
                not_sent("https://pve2:8006: no answer after the request was sent: it broke off"),
                Some(Reached::BreaksOff),
            ),
            (not_sent("cannot connect: Connection refused"), None),
            (untrusted, None),
        ] {
            assert_eq!(Reached::of(&error), reached, "{error}");
        }
    }
}
