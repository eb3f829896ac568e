//! The one seam to PVE: a request goes out, status, reason and bytes come back.

pub mod https;
pub mod in_process;
pub mod tokens;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, timeout};

use proximity_domain::names::NodeName;

use crate::transport::https::Fingerprint;

/// HTTP methods PVE's API knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads; may be repeated.
    Get,
    /// Creates or triggers.
    Post,
    /// Changes.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// As on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Whether a repetition changes nothing.
    #[must_use]
    pub fn is_read(self) -> bool {
        match self {
            Self::Get => true,
            Self::Post | Self::Put | Self::Delete => false,
        }
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One call of PVE's API, before any encoding of its parameters. Shows the names of its parameters alone: a value may be a
/// password.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path below `/api2/json`, its segments already percent-encoded, e.g. `/nodes/pve1/lxc`.
    pub path: String,
    /// Parameters, not encoded; in the query for GET and DELETE, in the body otherwise.
    pub params: Vec<(String, String)>,
    /// How long the whole call may take.
    pub timeout_ms: u64,
    /// How long the answer may take from the moment on at which it is this call's turn; only [`Request::timeout_ms`] counts
    /// the wait for that. Where nothing but calls that were given up has the turns, the node is waited for as long.
    pub answer_ms: Option<u64>,
    /// No byte of the request may be sent from this moment on; every change has one.
    /// A transport that cannot keep it must answer [`TransportError::NotSent`].
    pub send_before: Option<Instant>,
    /// On whose behalf, as part of the `User-Agent`.
    pub reference: Option<String>,
    /// It is about a guest that was adopted: a host may have a token of its own for those.
    pub of_adopted: bool,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.params.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("params", &names)
            .field("timeout_ms", &self.timeout_ms)
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

/// PVE's answer as it came. Every status is one, also 595 to 599.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawResponse {
    /// Status code, 100 to 999.
    pub status: u16,
    /// Reason phrase: PVE puts the first line of its message there.
    pub reason: String,
    /// Body, whole.
    pub body: Bytes,
}

/// No answer came. The variants say how far the request got.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No byte of the request left this machine.
    #[error("nothing was sent: {0}")]
    NotSent(String),
    /// The other side is not who it should be; no byte of the request left this machine.
    #[error("the server is not trusted, nothing was sent: {why}")]
    Untrusted {
        /// What did not match.
        why: String,
        /// Fingerprint of the certificate the server showed, if it showed one.
        seen: Option<Fingerprint>,
    },
    /// PVE does not let this user in; no byte of the request left this machine.
    #[error("nothing was sent, PVE refused the login: {0}")]
    LoginRefused(String),
    /// The password was right, and PVE wants a second factor that was not given, or was used already; no byte of the request
    /// left this machine. Holds what PVE would take, e.g. `totp`.
    #[error("nothing was sent, the login needs a second factor: {}", wanted(.0))]
    SecondFactor(Vec<String>),
    /// At least a part of the request was sent and the answer is missing.
    #[error("no answer after the request was sent: {0}")]
    MaybeApplied(String),
}

/// The second factors that PVE would take, as a sentence has them.
pub(crate) fn wanted(kinds: &[String]) -> String {
    if kinds.is_empty() {
        "PVE did not say which".to_owned()
    } else {
        kinds.join(" or ")
    }
}

/// What a failure says when it is this process that may open no more files.
pub const OUT_OF_FILES: &str = "this process has as many files open as it may";

/// Whether a failure, as text, is for want of files here: nothing was sent, and the other side is not to blame.
#[must_use]
pub fn says_out_of_files(text: &str) -> bool {
    text.contains(OUT_OF_FILES)
}

/// What a failure says when at least a part of the request was sent ([`TransportError::MaybeApplied`]).
const SENT: &str = "no answer after the request was sent";

/// Whether the failure of a read at one endpoint, as text, came after a part of it was sent: somebody was reached there. Of several
/// endpoints it is said of any.
#[must_use]
pub fn says_sent(text: &str) -> bool {
    text.contains(SENT)
}

/// The reason of a failure that came after a part of the request was sent, saying so.
pub(crate) fn after_sending(why: String) -> String {
    if says_sent(&why) {
        why
    } else {
        format!("{SENT}: {why}")
    }
}

/// The reason of a failure without how far the request got: for questions, of which it makes no difference.
#[must_use]
pub fn apart_from_sent(text: &str) -> &str {
    let reason = text.strip_prefix(SENT);
    reason
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(text)
}

/// What is said of an endpoint that is none.
#[must_use]
pub fn no_endpoint(endpoint: usize) -> TransportError {
    TransportError::NotSent(format!("there is no endpoint {endpoint}"))
}

/// Waits for an answer as long as [`Request::answer_ms`] says; to be begun when it is the request's turn.
///
/// # Errors
/// The exchange's own, or that there was no answer in that time; what was sent until then may have arrived.
pub async fn answered(
    answer_ms: Option<u64>,
    exchange: impl Future<Output = Result<RawResponse, TransportError>> + Send,
) -> Result<RawResponse, TransportError> {
    let Some(ms) = answer_ms else {
        return exchange.await;
    };
    let patience = Duration::from_millis(ms);
    match timeout(patience, exchange).await {
        Ok(outcome) => outcome,
        Err(_) => Err(TransportError::MaybeApplied(not_within(patience))),
    }
}

/// What a failure says when the patience with an answer is over ([`Request::answer_ms`]).
const NOT_ANSWERED: &str = "it has not answered within";

/// What is said of one that was waited for so long.
pub(crate) fn not_within(patience: Duration) -> String {
    format!("{NOT_ANSWERED} {} s", patience.as_secs_f32())
}

/// Whether a failure, as text, is for want of an answer in the time that there was patience for. It is not said of
/// a call that waited for its turn behind calls that are being answered.
#[must_use]
pub fn says_not_answered(text: &str) -> bool {
    text.contains(NOT_ANSWERED)
}

/// Carries requests to PVE. Real ones: HTTPS and in-process.
#[async_trait]
pub trait Transport: Send + Sync + std::fmt::Debug {
    /// Sends one request and waits for the answer.
    ///
    /// Guarantees: a request that changes something is sent at most once, save one that was refused before anything looked at
    /// it. Reads may be sent again, also to another endpoint of the same cluster.
    ///
    /// # Errors
    /// [`TransportError`], which says how far the request got.
    async fn send(&self, request: Request) -> Result<RawResponse, TransportError>;

    /// How many endpoints there are that may say different things of the cluster.
    fn endpoints(&self) -> usize {
        1
    }

    /// Sends a read to this endpoint and to no other; they are counted from zero.
    ///
    /// # Errors
    /// [`TransportError`], also when there is no such endpoint.
    async fn read_from(
        &self,
        endpoint: usize,
        request: Request,
    ) -> Result<RawResponse, TransportError> {
        match endpoint {
            0 => self.send(request).await,
            _ => Err(no_endpoint(endpoint)),
        }
    }

    /// How often another endpoint was put first.
    fn moves(&self) -> u64 {
        0
    }

    /// The endpoint that is asked first now; they are counted from zero.
    fn first(&self) -> usize {
        0
    }

    /// From now on this endpoint is asked first.
    fn prefer(&self, _endpoint: usize) {}

    /// When this node last answered a call, as far as that is kept track of.
    fn heard(&self, _node: &NodeName) -> Option<Instant> {
        None
    }

    /// Nothing is about to be asked: what is kept for the next read is let go. Whoever asks all the same only takes longer.
    fn rest(&self) {}

    /// Whether the endpoint that is asked first was found, when [`Transport::rest`] was called last, to answer so soon over a connection
    /// that is there that several reads cost less one after the other than side by side, where each needs a connection.
    fn is_near(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_was_sent_is_known_by_its_text() {
        let why = || "it broke off".to_owned();
        let sent = TransportError::MaybeApplied(why()).to_string();
        assert!(says_sent(&sent), "{sent}");
        assert_eq!(after_sending(why()), sent);
        assert_eq!(after_sending(sent.clone()), sent, "it is said once");
        assert_eq!(apart_from_sent(&sent), why());
        assert_eq!(apart_from_sent(&why()), why());
        let not_sent = TransportError::NotSent(why()).to_string();
        assert!(!says_sent(&not_sent), "{not_sent}");
    }

    #[test]
    fn a_request_shows_no_value_of_its_parameters() {
        let request = Request {
            method: Method::Post,
            path: "/access/ticket".to_owned(),
            params: vec![("password".to_owned(), "correct horse".to_owned())],
            timeout_ms: 1,
            answer_ms: None,
            send_before: None,
            reference: None,
            of_adopted: false,
        };
        let shown = format!("{request:?}");
        assert!(
            !shown.contains("horse") && shown.contains("password"),
            "{shown}"
        );
    }
}
