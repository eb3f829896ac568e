//! A call as it arrives, and its answer as it leaves.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::world::OciImage;

/// Pairs an answer with its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Payload {
    /// No `Content-Length`, or 0.
    #[default]
    None,
    /// The bytes, at most 512 KiB.
    Bytes(Vec<u8>),
    /// Longer than 512 KiB; not read.
    TooLarge,
    /// A file, read and put away.
    Upload(Box<Upload>),
}

/// A file that was sent as `multipart/form-data`, and what came with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Upload {
    /// Fields of the form, and `filename`.
    pub fields: BTreeMap<String, String>,
    /// Bytes.
    pub size_bytes: u64,
    /// By algorithm, lower case hex.
    pub checksums: BTreeMap<String, String>,
    /// What it says about itself, if it is an OCI archive.
    pub image: Option<OciImage>,
}

/// One HTTP request, framing already taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiRequest {
    /// Chosen by the shell.
    pub id: RequestId,
    /// Node whose listener took it.
    pub via: String,
    /// Verb as sent.
    pub method: String,
    /// Path as sent (percent-encoded), without the query.
    pub path: String,
    /// What follows `?`, as sent.
    pub query: String,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Authorization`.
    pub authorization: Option<String>,
    /// `Cookie`.
    pub cookie: Option<String>,
    /// `User-Agent`; PVE ignores it, the journal keeps it.
    pub user_agent: Option<String>,
    /// `CSRFPreventionToken`.
    pub csrf: Option<String>,
    /// Body.
    pub payload: Payload,
}

impl ApiRequest {
    /// A call that comes from inside, over no connection.
    pub(crate) fn within(method: &str, path: &str, via: &str) -> Self {
        Self {
            id: RequestId(0),
            via: via.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            content_type: None,
            authorization: None,
            cookie: None,
            user_agent: None,
            csrf: None,
            payload: Payload::None,
        }
    }
}

/// Who worked on the answer; it shows in the `Connection` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    /// The API process itself.
    Direct,
    /// The privileged daemon of the same node.
    Daemon,
    /// Another node's API process.
    Remote,
    /// Another node's privileged daemon.
    RemoteDaemon,
}

impl Handed {
    /// The `Connection` headers of an answer. An answer of the daemon carries the daemon's own
    /// `close` along, one of another node that node's, joined into one header; the end of the
    /// connection replaces them all.
    pub fn connection_headers(self, keep_alive: bool) -> &'static [&'static str] {
        match (keep_alive, self) {
            (false, _) => &["close"],
            (true, Self::Direct) => &["Keep-Alive"],
            (true, Self::Daemon) => &["close", "Keep-Alive"],
            (true, Self::Remote) => &["Keep-Alive", "Keep-Alive"],
            (true, Self::RemoteDaemon) => &["close,Keep-Alive", "Keep-Alive"],
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Which request.
    pub request: RequestId,
    /// Three digits; 595 and 596 occur.
    pub status: u16,
    /// Reason phrase: the first line of the message.
    pub reason: String,
    /// Absent for plain text and empty bodies.
    pub content_type: Option<&'static str>,
    /// The name it is to be kept under, if it is a file.
    pub file_name: Option<String>,
    /// Empty means no body and no `Content-Length`.
    pub body: Bytes,
    /// For the `Connection` headers.
    pub handed: Handed,
    /// To be held back this long before it is sent, milliseconds.
    pub hold_ms: u64,
    /// Nothing of it is sent: the connection ends instead.
    pub cut: bool,
}

impl Response {
    /// A text answer of the HTTP layer; body and reason are the same.
    pub fn plain(request: RequestId, status: u16, message: &str) -> Self {
        Self {
            request,
            status,
            reason: first_line(message),
            content_type: None,
            file_name: None,
            body: Bytes::copy_from_slice(message.as_bytes()),
            handed: Handed::Direct,
            hold_ms: 0,
            cut: false,
        }
    }

    /// No answer: the connection ends without a byte.
    pub fn cut(request: RequestId) -> Self {
        Self {
            cut: true,
            ..Self::bare(request, 0, "", 0)
        }
    }

    /// An answer without body.
    pub fn bare(request: RequestId, status: u16, reason: &str, hold_ms: u64) -> Self {
        Self {
            body: Bytes::new(),
            hold_ms,
            ..Self::plain(request, status, reason)
        }
    }
}

/// The part of a message that fits into a status line.
pub(crate) fn first_line(message: &str) -> String {
    message
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .collect()
}
