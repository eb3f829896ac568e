//! A guest's listeners, opened on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::guest::Answer;
use super::room::Room;
use super::wire::{Heads, send};

/// Most connections of one listener at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 256;
/// Ports below are open inside the guest only: an ordinary user may not listen there.
pub(super) const FIRST_PORT: u16 = 1024;

/// The open ones.
#[derive(Debug, Default)]
pub(super) struct Doors(BTreeMap<SocketAddr, Door>);

#[derive(Debug)]
struct Door {
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

/// Sockets that are bound and not yet served.
#[derive(Debug, Default)]
pub(super) struct Bound(Vec<(SocketAddr, TcpListener)>);

impl Doors {
    /// Binds what of `wanted` is not open yet.
    ///
    /// # Errors
    /// The address that could not be bound, with the reason; nothing is bound then.
    pub(super) async fn bind(
        &self,
        wanted: &BTreeSet<SocketAddr>,
    ) -> Result<Bound, (SocketAddr, std::io::Error)> {
        let mut bound = Vec::new();
        for address in wanted
            .iter()
            .filter(|address| !self.0.contains_key(address))
        {
            match TcpListener::bind(address).await {
                Ok(listener) => bound.push((*address, listener)),
                Err(error) => return Err((*address, error)),
            }
        }
        Ok(Bound(bound))
    }

    /// Opens what was bound and closes what is no longer wanted; connections through closed doors end.
    pub(super) async fn set(
        &mut self,
        wanted: &BTreeSet<SocketAddr>,
        bound: Bound,
        room: &Arc<Room>,
    ) {
        let gone: Vec<SocketAddr> = self
            .0
            .keys()
            .filter(|address| !wanted.contains(address))
            .copied()
            .collect();
        for address in gone {
            if let Some(door) = self.0.remove(&address) {
                door.stop.cancel();
                // It ends at its next turn, and its socket with it; a panic in it closes it as well.
                let _ = door.accepting.await;
            }
        }
        for (address, listener) in bound.0 {
            let stop = CancellationToken::new();
            let accepting = tokio::spawn(accept(listener, Arc::clone(room), stop.clone()));
            self.0.insert(address, Door { stop, accepting });
        }
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        for door in self.0.values() {
            door.stop.cancel();
        }
    }
}

async fn accept(listener: TcpListener, room: Arc<Room>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let (room, stop) = (Arc::clone(&room), stop.clone());
                tokio::spawn(async move {
                    let _place = place;
                    tokio::select! {
                        () = stop.cancelled() => {}
                        served = serve(stream, &room) => if let Err(error) = served {
                            tracing::trace!(%error, "a guest's connection broke off");
                        },
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, for example: taking a breath keeps the loop from spinning.
                tracing::warn!(%error, "a guest's connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, room: &Room) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let at = stream.local_addr()?;
    let (reader, mut writer) = stream.split();
    let mut heads = Heads::new(reader);
    while let Some(asked) = heads.next().await? {
        match room.respond(at, &asked.request).await {
            Some(Answer::Http(response)) => send(&mut writer, &asked, &response).await?,
            Some(Answer::Nothing) => std::future::pending().await,
            Some(Answer::Closed) | None => break,
        }
        if !asked.stays {
            break;
        }
    }
    writer.shutdown().await
}
