//! What the gateway is started with.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Everything the gateway needs to know to start.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// Where the routes are kept. One gateway per file: a lock file `<name>.lock` lies beside it.
    pub route_file: PathBuf,
    /// Where the control socket is made, mode 0600.
    pub control_socket: PathBuf,
    /// The address public ports listen on when a route names none.
    pub public_bind: IpAddr,
    /// The address internal ports listen on when a route names none.
    pub internal_bind: IpAddr,
    /// Bounds of everything that could grow or wait.
    pub limits: Limits,
    /// Cancelled to end the gateway: listeners close, open connections get the drain time.
    pub shutdown: CancellationToken,
}

impl GatewayOptions {
    /// Options with the defaults: public ports on all IPv4 addresses, internal ones on 127.0.0.1.
    #[must_use]
    pub fn new(
        route_file: impl Into<PathBuf>,
        control_socket: impl Into<PathBuf>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            route_file: route_file.into(),
            control_socket: control_socket.into(),
            public_bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            internal_bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            limits: Limits::default(),
            shutdown,
        }
    }
}

/// Bounds of everything that could grow or wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Routes the table may hold.
    pub routes: usize,
    /// Connections open at once through one route, both ports together.
    pub connections_per_route: usize,
    /// Connections open at once through the whole gateway. Lowered at start to what the process's
    /// limit of open files allows (two per connection).
    pub connections: usize,
    /// How long a guest may take to accept a connection.
    pub dial_timeout: Duration,
    /// How long open connections may go on after their listener was closed.
    pub drain: Duration,
    /// Pause between two attempts to listen on a port that is taken.
    pub listen_retry: Duration,
    /// Control connections open at once.
    pub control_clients: usize,
    /// Longest request line on the control socket, in bytes without the line end.
    pub control_line_bytes: usize,
    /// How long a control client may stay silent before it is let go.
    pub control_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            routes: 2048,
            connections_per_route: 1024,
            connections: 16_384,
            dial_timeout: Duration::from_secs(5),
            drain: Duration::from_secs(5),
            listen_retry: Duration::from_secs(1),
            control_clients: 32,
            control_line_bytes: 64 * 1024,
            control_idle: Duration::from_secs(60),
        }
    }
}
