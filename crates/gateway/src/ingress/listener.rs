//! One port of one route: listening, or trying to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, ConnectionSlots};
use super::upstream::Upstream;
use crate::options::Limits;
use crate::protocol::ListenerState;

/// Connections the system may hold for us before we accept them.
const BACKLOG: u32 = 1024;
/// Pause after the system could not give us a connection, for instance without free file numbers.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port that is listened on, or tried again and again until it can be.
#[derive(Debug)]
pub(super) struct Listener {
    address: SocketAddr,
    state: watch::Receiver<ListenerState>,
    stop: CancellationToken,
    connections: Connections,
    accepting: JoinHandle<()>,
}

/// The connections of one listener.
#[derive(Debug, Clone)]
struct Connections {
    open: TaskTracker,
    cut: CancellationToken,
}

/// A closed listener whose connections may still go on.
#[derive(Debug)]
pub(super) struct Draining {
    connections: Connections,
}

impl Listener {
    /// Tries to listen once, then goes on in the background until it is closed, or until `root` is
    /// cancelled, which cuts its connections as well.
    pub(super) fn open(
        address: SocketAddr,
        upstream: Arc<Upstream>,
        slots: Arc<ConnectionSlots>,
        limits: Limits,
        root: &CancellationToken,
    ) -> Self {
        let stop = root.child_token();
        let first = listen(address);
        let (state, watched) = watch::channel(state_of(&first));
        let connections = Connections {
            open: TaskTracker::new(),
            cut: root.child_token(),
        };
        let acceptor = Acceptor {
            address,
            upstream,
            slots,
            limits,
            stop: stop.clone(),
            state,
            connections: connections.clone(),
        };
        let accepting = tokio::spawn(acceptor.run(first));
        Self {
            address,
            state: watched,
            stop,
            connections,
            accepting,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn state(&self) -> ListenerState {
        self.state.borrow().clone()
    }

    /// When this returns, the port is closed; connections go on.
    pub(super) async fn close(self) -> Draining {
        self.stop.cancel();
        if let Err(error) = self.accepting.await {
            tracing::error!(address = %self.address, %error, "a listener ended by itself");
        }
        Draining {
            connections: self.connections,
        }
    }
}

impl Draining {
    /// Waits for the connections to end; after `patience` they are cut.
    pub(super) async fn finish(self, patience: Duration) {
        let Connections { open, cut } = self.connections;
        open.close();
        if tokio::time::timeout(patience, open.wait()).await.is_err() {
            cut.cancel();
            open.wait().await;
        }
    }
}

/// The task behind a listener.
struct Acceptor {
    address: SocketAddr,
    upstream: Arc<Upstream>,
    slots: Arc<ConnectionSlots>,
    limits: Limits,
    stop: CancellationToken,
    state: watch::Sender<ListenerState>,
    connections: Connections,
}

impl Acceptor {
    async fn run(self, first: io::Result<TcpListener>) {
        let mut attempt = first;
        let listener = loop {
            let error = match attempt {
                Ok(listener) => break listener,
                Err(error) => error,
            };
            self.report_failure(&error);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(self.limits.listen_retry) => {}
            }
            attempt = listen(self.address);
        };
        self.state.send_replace(ListenerState::Listening);
        tracing::info!(app = %self.upstream.app_id(), address = %self.address, "listening");
        self.accept_all(&listener).await;
    }

    /// Tells people once per cause, not once per attempt.
    fn report_failure(&self, error: &io::Error) {
        let state = failure_state(error);
        let changed = self.state.send_if_modified(|known| {
            let changed = *known != state;
            *known = state;
            changed
        });
        if changed {
            tracing::warn!(app = %self.upstream.app_id(), address = %self.address, %error,
                "cannot listen; trying again until it works");
        }
    }

    async fn accept_all(&self, listener: &TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((client, _)) => self.admit(client),
                Err(error) if belongs_to_the_client(&error) => {}
                Err(error) => {
                    tracing::warn!(address = %self.address, %error, "cannot accept a connection");
                    tokio::select! {
                        () = self.stop.cancelled() => return,
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
        }
    }

    fn admit(&self, client: TcpStream) {
        let Some(slot) = self.slots.take().zip(self.upstream.slots().take()) else {
            self.upstream.count_refused();
            connection::reset(client);
            return;
        };
        self.upstream.count_connection();
        let (upstream, limits) = (Arc::clone(&self.upstream), self.limits);
        let cut = self.connections.cut.clone();
        self.connections.open.spawn(async move {
            connection::lead(client, &upstream, limits.dial_timeout, &cut).await;
            drop(slot);
        });
    }
}

/// The client gave up before we accepted it; no fault of the listener.
fn belongs_to_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Connections of an earlier listener may still linger on the port; they are no reason to wait.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn state_of(attempt: &io::Result<TcpListener>) -> ListenerState {
    attempt
        .as_ref()
        .map_or_else(failure_state, |_| ListenerState::Listening)
}

fn failure_state(error: &io::Error) -> ListenerState {
    let text = error.to_string();
    if error.kind() == io::ErrorKind::AddrInUse {
        return ListenerState::PortTaken { error: text };
    }
    ListenerState::CannotListen { error: text }
}
