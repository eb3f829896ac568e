//! Accepts a node's connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection;
use super::keeper::Door;

/// Connections of one node at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 500;
const HANDSHAKE: Duration = Duration::from_secs(5);
/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// What serves one node.
#[derive(Clone)]
pub(super) struct NodeListener {
    pub(super) node: String,
    pub(super) tls: TlsAcceptor,
    pub(super) door: Door,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// Accepts until told to stop.
pub(super) async fn run(listener: TcpListener, service: NodeListener) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = service.stop.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, node = service.node, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let connection = service.clone();
        service.tasks.spawn(async move {
            let stop = connection.stop.clone();
            tokio::select! {
                () = talk(stream, &connection) => {}
                () = stop.cancelled() => {}
            }
            drop(slot);
        });
    }
}

async fn talk(stream: TcpStream, service: &NodeListener) {
    // Small answers must not wait for acknowledgements; when it cannot be set they are only slower.
    let _ = stream.set_nodelay(true);
    let mut first = [0_u8; 1];
    match timeout(HANDSHAKE, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first[0] == TLS_HANDSHAKE => {}
        Ok(Ok(1)) => return connection::redirect(stream).await,
        Ok(_) | Err(_) => return,
    }
    match timeout(HANDSHAKE, service.tls.accept(stream)).await {
        Ok(Ok(stream)) => connection::serve(stream, &service.node, &service.door).await,
        Ok(Err(error)) => tracing::debug!(%error, node = service.node, "TLS handshake failed"),
        Err(_) => tracing::debug!(node = service.node, "TLS handshake took too long"),
    }
}
