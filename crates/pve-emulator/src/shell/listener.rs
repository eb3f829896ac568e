//! Accepts a node's connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection;
use super::driver::GuestDriver;
use super::keeper::Door;
use crate::core::Front;

/// Connections of one node at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 500;
/// After an error that does not pass at once.
const BREATH: Duration = Duration::from_millis(100);
const HANDSHAKE: Duration = Duration::from_secs(5);
/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// What serves one node.
#[derive(Clone)]
pub(super) struct NodeListener {
    pub(super) node: String,
    pub(super) tls: TlsAcceptor,
    pub(super) door: Door,
    pub(super) driver: Arc<dyn GuestDriver>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// Accepts until told to stop. While its node refuses, nothing listens at the address; while the node is silent,
/// connections are taken and left alone.
pub(super) async fn run(listener: TcpListener, service: NodeListener) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let Ok(address) = listener.local_addr() else {
        return;
    };
    let mut open = Some(listener);
    let mut outside = service.door.outside();
    loop {
        let front = outside.borrow_and_update().front(&service.node);
        if front == Front::Refuses {
            open = None;
        }
        let turn = async {
            match &open {
                Some(listener) => accept_until_changed(listener, &service, &slots, front).await,
                None if front == Front::Refuses => std::future::pending().await,
                None => open_again(address, &service.node).await,
            }
        };
        tokio::select! {
            opened = turn => open = opened.or(open),
            changed = outside.changed() => if changed.is_err() {
                return;
            },
            () = service.stop.cancelled() => return,
        }
    }
}

/// The node listens again, once nobody else has its port.
async fn open_again(address: SocketAddr, node: &str) -> Option<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(%error, node, "a node cannot listen again yet");
            tokio::time::sleep(BREATH).await;
            None
        }
    }
}

/// Accepts; ends only by being dropped.
async fn accept_until_changed(
    listener: &TcpListener,
    service: &NodeListener,
    slots: &Arc<Semaphore>,
    front: Front,
) -> Option<TcpListener> {
    loop {
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, node = service.node, "cannot accept a connection");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let connection = service.clone();
        service.tasks.spawn(async move {
            let stop = connection.stop.clone();
            let mut outside = connection.door.outside();
            let turned = async {
                // The keeper has stopped: the connection ends as well.
                let _ = outside
                    .wait_for(|now| now.front(&connection.node) != front)
                    .await;
            };
            tokio::select! {
                () = meet(stream, &connection, front) => {}
                // A node that goes down takes its connections along.
                () = turned => {}
                () = stop.cancelled() => {}
            }
            drop(slot);
        });
    }
}

async fn meet(stream: TcpStream, service: &NodeListener, front: Front) {
    match front {
        Front::Answers => talk(stream, service).await,
        Front::Refuses | Front::Silent => std::future::pending().await,
    }
}

async fn talk(stream: TcpStream, service: &NodeListener) {
    // Small answers must not wait for acknowledgements; when it cannot be set they are only slower.
    let _ = stream.set_nodelay(true);
    let mut first = [0_u8; 1];
    match timeout(HANDSHAKE, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first[0] == TLS_HANDSHAKE => {}
        Ok(Ok(1)) => return connection::redirect(stream, &service.door).await,
        Ok(_) | Err(_) => return,
    }
    match timeout(HANDSHAKE, service.tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            connection::serve(stream, &service.node, &service.door, &service.driver).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, node = service.node, "TLS handshake failed"),
        Err(_) => tracing::debug!(node = service.node, "TLS handshake took too long"),
    }
}
