//! The accept loop: TLS, limits, and an end that lets requests finish.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::MapRequest;

use crate::sign_ins::Peer;
use crate::stall::StallLimit;

/// Bounds of the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// How long a client may take for a TLS handshake or for the head of a request, idle time included.
    pub head: Duration,
    /// How long a client may take nothing of what it is sent.
    pub stall: Duration,
    /// How long requests may go on after the end was asked for.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head: Duration::from_secs(30),
            stall: Duration::from_secs(60),
            drain: Duration::from_secs(10),
        }
    }
}

/// Why listening ended.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system gives no more connections.
    #[error("cannot accept connections on {address}: {source}")]
    Accept {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Serves until `shutdown` is cancelled; then accepts nothing more and gives open requests the drain time.
///
/// # Errors
/// [`ListenError::Accept`] when the listener itself is broken. Faults of single connections are not errors.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(), ListenError> {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let open = TaskTracker::new();
    let result = loop {
        let slot = tokio::select! {
            () = shutdown.cancelled() => break Ok(()),
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break Ok(()),
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok((stream, from)) => (stream, from.ip()),
            Err(error) if belongs_to_one_client(&error) => continue,
            Err(error) if is_exhaustion(&error) => {
                tracing::warn!(%error, "cannot accept a connection now");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            Err(source) => {
                let address = listener
                    .local_addr()
                    .unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
                break Err(ListenError::Accept { address, source });
            }
        };
        let (router, tls, shutdown) = (router.clone(), tls.clone(), shutdown.clone());
        open.spawn(async move {
            converse((stream, peer), router, tls, limits, shutdown).await;
            drop(slot);
        });
    };
    drop(listener);
    open.close();
    if tokio::time::timeout(limits.drain, open.wait())
        .await
        .is_err()
    {
        tracing::warn!(open = open.len(), "requests were still running at the end");
    }
    result
}

fn belongs_to_one_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as K;
    matches!(
        error.kind(),
        K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted
    )
}

/// Out of files or memory: it passes when connections end.
fn is_exhaustion(error: &std::io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = 105;
    const ENOMEM: i32 = 12;
    matches!(
        error.raw_os_error(),
        Some(EMFILE | ENFILE | ENOBUFS | ENOMEM)
    )
}

async fn converse(
    (stream, peer): (TcpStream, IpAddr),
    router: Router,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    shutdown: CancellationToken,
) {
    // Answers are small; waiting to fill a packet only costs time. A failure costs that time, nothing else.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    match tls {
        None => http((stream, peer), router, limits, shutdown).await,
        Some(acceptor) => match tokio::time::timeout(limits.head, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => http((stream, peer), router, limits, shutdown).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        },
    }
}

async fn http<S>(
    (stream, peer): (S, IpAddr),
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let from = move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(Some(peer)));
        request
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(64 * 1024)
        .serve_connection(
            TokioIo::new(StallLimit::new(stream, limits.stall)),
            TowerToHyperService::new(MapRequest::new(router, from)),
        );
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
