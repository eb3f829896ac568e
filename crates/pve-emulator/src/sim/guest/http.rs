//! Answering HTTP from a guest's files.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::machine::Guest;
use super::processes::Site;
use super::{busybox, nginx};

/// A request, its head read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// e.g. `GET`.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// The `Host` header.
    pub host: Option<String>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Headers but length, date and connection.
    pub headers: Vec<(String, String)>,
    /// Body; not to be sent for HEAD.
    pub body: Vec<u8>,
}

impl HttpResponse {
    pub(crate) fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), kind.to_owned())],
            body: body.into(),
        }
    }

    /// The status in words.
    pub fn reason(&self) -> &'static str {
        match self.status {
            200 => "OK",
            204 => "No Content",
            301 => "Moved Permanently",
            302 => "Moved Temporarily",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Not Allowed",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Temporarily Unavailable",
            _ => "Unknown",
        }
    }
}

/// What comes back when somebody connects here and asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An answer.
    Http(HttpResponse),
    /// The connection is accepted, and nothing ever comes.
    Nothing,
    /// The connection is closed without an answer.
    Closed,
}

/// The answer at this address of the guest; `None` when the connection is refused.
pub fn respond(guest: &Guest, at: SocketAddr, request: &HttpRequest) -> Option<Answer> {
    if !guest.running {
        return None;
    }
    let (_, listener) = guest.listener_at(at)?;
    if guest.faults.never_answers {
        return Some(Answer::Nothing);
    }
    Some(match &listener.site {
        Site::Nginx(servers) => Answer::Http(nginx::respond(&guest.files, servers, request)),
        Site::Directory(root) => Answer::Http(busybox::respond(&guest.files, root, request)),
        Site::Silent => Answer::Closed,
    })
}

/// The path of a request: without its query, percent signs decoded, `..` resolved; none when it leaves the root or is
/// no path.
pub(crate) fn path_of(target: &str) -> Option<String> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok())?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail.get(2..).unwrap_or_default();
    }
    let text = String::from_utf8(bytes).ok()?;
    if !text.starts_with('/') || text.contains('\0') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let end = if text.ends_with('/') && !parts.is_empty() {
        "/"
    } else {
        ""
    };
    Some(format!("/{}{end}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_and_stay_below_the_root() {
        assert_eq!(path_of("/a%20b/../c?x=/..").as_deref(), Some("/c"));
        assert_eq!(path_of("/a//b/").as_deref(), Some("/a/b/"));
        assert_eq!(path_of("/").as_deref(), Some("/"));
        assert_eq!(path_of("/../etc/passwd"), None);
        assert_eq!(path_of("/%2e%2e/x"), None);
        assert_eq!(path_of("/%zz"), None);
        assert_eq!(path_of("x"), None);
    }
}
