//! The control protocol, version 1: one JSON object per line and direction over a Unix socket.
//!
//! ```text
//! → {"v":1,"op":"set_route","args":{"route":{"app_id":"…","generation":3,"public":{"port":8100},…}}}
//! ← {"v":1,"ok":{"app_id":"…","generation":3,…}}
//! → {"v":1,"op":"remove_route","args":{"app_id":"…","generation":2}}
//! ← {"v":1,"error":{"code":"stale_generation","message":"…"}}
//! ```
//!
//! Answers come in the order of the requests. A request that is not understood is answered with an
//! error and the connection goes on; a line beyond the limit is answered and ends it.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::refusal::{Refusal, RefusalCode};
use crate::route::{AppId, Generation, Route};

/// The version this side speaks.
pub const VERSION: u32 = 1;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "op",
    content = "args",
    rename_all = "snake_case",
    deny_unknown_fields
)]
pub enum Request {
    /// Who are you? Answered with [`Hello`].
    Hello {},
    /// Add or replace the route of an app. Answered with its [`RouteReport`], after the route is on
    /// disk and its listeners were opened once.
    SetRoute {
        /// The whole new route.
        route: Route,
    },
    /// Take away the route of an app. Answered with [`RemovedReport`], after its listeners are closed.
    RemoveRoute {
        /// Whose route.
        app_id: AppId,
        /// The generation of this decision; it must not be older than the route's.
        generation: Generation,
    },
    /// All routes. Answered with [`RouteList`].
    ListRoutes {},
    /// The generation an app's next request has to exceed. Answered with [`KnownGeneration`].
    KnownGeneration {
        /// Which app.
        app_id: AppId,
    },
}

/// The labels of [`Request`].
const OPS: [&str; 5] = [
    "hello",
    "set_route",
    "remove_route",
    "list_routes",
    "known_generation",
];

/// What the gateway says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of the program.
    pub program_version: String,
    /// Oldest protocol version spoken.
    pub oldest_protocol: u32,
    /// Newest protocol version spoken.
    pub newest_protocol: u32,
    /// Process number.
    pub pid: u32,
    /// When it started, milliseconds since 1970-01-01 UTC.
    pub started_at_unix_ms: u64,
    /// Its route file.
    pub route_file: PathBuf,
    /// Route files that were found damaged, moved aside and never taken away since, newest first.
    /// If there are any, routes may be missing: compare the list with what should be there.
    pub damaged_route_files: Vec<PathBuf>,
    /// Routes in the table.
    pub routes: usize,
    /// Connections open now, those of removed routes that are still draining included.
    pub open_connections: u64,
    /// Connections that may be open at once.
    pub max_connections: u64,
}

/// A route and how it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteReport {
    /// The route as stored.
    #[serde(flatten)]
    pub route: Route,
    /// The listener on the public port.
    pub public_listener: ListenerReport,
    /// The listener on the internal port.
    pub internal_listener: ListenerReport,
    /// Connections open now through both ports.
    pub open_connections: u64,
    /// Counted since the gateway started or the route was added.
    pub totals: Totals,
    /// Dial failures since the route got its present target.
    pub target_dial_failures: u64,
    /// The last time a guest of this route could not be reached.
    pub last_dial_failure: Option<DialFailure>,
}

/// Where a listener listens and whether it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerReport {
    /// The effective address.
    pub address: SocketAddr,
    /// Whether it listens.
    #[serde(flatten)]
    pub state: ListenerState,
}

/// Whether a listener listens, and why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ListenerState {
    /// Connections are accepted.
    Listening,
    /// Another process has the port; tried again until it is free.
    PortTaken {
        /// What the system said.
        error: String,
    },
    /// The system refuses for another reason (no such address, no right to use the port); tried
    /// again as well.
    CannotListen {
        /// What the system said.
        error: String,
    },
    /// The route has no target, so clients are refused.
    NoTarget,
}

/// Sums over a route's life in this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Connections accepted, refused ones not counted.
    pub connections: u64,
    /// Connections closed at once because a limit was reached.
    pub refused_at_limit: u64,
    /// Connections closed because the guest could not be reached.
    pub dial_failures: u64,
    /// Bytes from clients to the guest.
    pub bytes_to_guest: u64,
    /// Bytes from the guest to clients.
    pub bytes_to_clients: u64,
}

/// A guest that could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialFailure {
    /// When, milliseconds since 1970-01-01 UTC.
    pub at_unix_ms: u64,
    /// Which address was dialled.
    pub target: SocketAddr,
    /// What the system said.
    pub error: String,
}

/// The answer to [`Request::RemoveRoute`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedReport {
    /// Whether there was a route; either way there is none now.
    pub had_route: bool,
}

/// The answer to [`Request::ListRoutes`], ordered by app id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteList {
    /// The routes.
    pub routes: Vec<RouteReport>,
}

/// The answer to [`Request::KnownGeneration`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownGeneration {
    /// Generation of the app's route, or of its removal; none if the gateway never heard of it, or
    /// so long ago that it forgot (thousands of removals).
    pub generation: Option<Generation>,
}

#[derive(Serialize, Deserialize)]
struct RequestLine {
    v: u32,
    #[serde(flatten)]
    request: Request,
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRequest {
    #[serde(rename = "v")]
    _v: u32,
    op: String,
    #[serde(default = "no_args")]
    args: serde_json::Value,
}

fn no_args() -> serde_json::Value {
    serde_json::json!({})
}

/// One line of the gateway to a client.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AnswerLine<T> {
    pub(crate) v: u32,
    #[serde(flatten)]
    pub(crate) answer: Answer<T>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer<T> {
    Ok(T),
    Error(Refusal),
}

/// A request as a line, its end included.
pub(crate) fn encode_request(request: &Request) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&RequestLine {
        v: VERSION,
        request: request.clone(),
    })?;
    line.push(b'\n');
    Ok(line)
}

/// An answer as a line, its end included.
pub(crate) fn encode_answer<T: Serialize>(answer: Answer<T>) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&AnswerLine { v: VERSION, answer })?;
    line.push(b'\n');
    Ok(line)
}

/// Understands a line of a client, or says why not.
pub(crate) fn decode_request(line: &[u8]) -> Result<Request, Refusal> {
    let bad = |error: serde_json::Error| {
        Refusal::new(
            RefusalCode::BadRequest,
            format!("cannot read the request: {error}"),
        )
    };
    let VersionOnly { v } = serde_json::from_slice(line).map_err(bad)?;
    if v != VERSION {
        let message = format!("version {v} is not spoken here, only {VERSION}");
        return Err(Refusal::new(RefusalCode::UnsupportedVersion, message));
    }
    let raw: RawRequest = serde_json::from_slice(line).map_err(bad)?;
    if !OPS.contains(&raw.op.as_str()) {
        let message = format!("no such request; there are {}", OPS.join(", "));
        return Err(Refusal::new(RefusalCode::UnknownOp, message));
    }
    let tagged = serde_json::json!({ "op": raw.op, "args": raw.args });
    serde_json::from_value(tagged).map_err(bad)
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
