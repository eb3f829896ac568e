//! What a system of traces is told of requests. Which one there is, if any, the program knows.

use proximity_domain::ids::OperationId;
use tracing::Span;

/// Who traces requests.
#[derive(Debug, Clone, Copy)]
pub struct RequestTraces {
    /// Told of each request before anything is done within its span: the span, and the header `traceparent` if one was sent.
    pub begun: fn(&Span, Option<&str>),
    /// Told of how the request ended, still within its span.
    pub answered: fn(&Span, &RequestEnd<'_>),
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestEnd<'a> {
    /// The method, `other` if it is none that HTTP has.
    pub method: &'static str,
    /// The route's template, or `none`.
    pub route: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// The operation it asked for, or found.
    pub operation: Option<OperationId>,
}
