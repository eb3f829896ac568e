//! One call of PVE's API, built from typed parts; path segments are encoded here.

use std::fmt::Display;

use tokio::time::Instant;

use crate::percent::encode;
use crate::transport::{Method, Request};

/// Answered by the node that is asked, from memory.
const QUICK_MS: u64 = 15_000;
/// PVE's own proxies give up after 30 s with a 596; wait for that answer rather than hang up before it.
const PROXIED_MS: u64 = 35_000;

/// A call being built. It is not shown: a value may be a password.
#[derive(Clone)]
pub(crate) struct Call {
    method: Method,
    path: String,
    params: Vec<(String, String)>,
    timeout_ms: u64,
}

impl Call {
    fn new(method: Method, segments: &[&str], timeout_ms: u64) -> Self {
        let mut path = String::new();
        for segment in segments {
            path.push('/');
            path.push_str(&encode(segment));
        }
        Self {
            method,
            path,
            params: Vec::new(),
            timeout_ms,
        }
    }

    /// A read that the asked node answers itself.
    pub(crate) fn quick(segments: &[&str]) -> Self {
        Self::new(Method::Get, segments, QUICK_MS)
    }

    /// A read that may be proxied to another node or to PVE's daemon.
    pub(crate) fn get(segments: &[&str]) -> Self {
        Self::new(Method::Get, segments, PROXIED_MS)
    }

    pub(crate) fn post(segments: &[&str]) -> Self {
        Self::new(Method::Post, segments, PROXIED_MS)
    }

    pub(crate) fn put(segments: &[&str]) -> Self {
        Self::new(Method::Put, segments, PROXIED_MS)
    }

    pub(crate) fn delete(segments: &[&str]) -> Self {
        Self::new(Method::Delete, segments, PROXIED_MS)
    }

    /// Adds a parameter.
    pub(crate) fn with(mut self, name: &str, value: impl Display) -> Self {
        self.params.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds a parameter if there is a value.
    pub(crate) fn with_some(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a boolean as PVE writes it.
    pub(crate) fn with_flag(self, name: &str, on: bool) -> Self {
        self.with(name, u8::from(on))
    }

    /// Method and path, for errors: parameters may hold what does not belong into a log.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(crate) fn is_read(&self) -> bool {
        self.method.is_read()
    }

    /// A request that reads.
    pub(crate) fn into_read(self) -> Request {
        self.into_request(None, None, false)
    }

    /// A request that changes something, under its warrant.
    pub(crate) fn into_change(
        self,
        send_before: Instant,
        reference: &str,
        of_adopted: bool,
    ) -> Request {
        self.into_request(Some(send_before), Some(reference.to_owned()), of_adopted)
    }

    fn into_request(
        self,
        send_before: Option<Instant>,
        reference: Option<String>,
        of_adopted: bool,
    ) -> Request {
        Request {
            method: self.method,
            path: self.path,
            params: self.params,
            timeout_ms: self.timeout_ms,
            answer_ms: None,
            send_before,
            reference,
            of_adopted,
        }
    }
}
