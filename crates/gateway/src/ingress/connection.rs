//! One connection: dial the guest, copy both ways, end as the peers end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::upstream::Upstream;

/// Buffered per direction of a connection.
const BUFFER_BYTES: usize = 16 * 1024;
/// A silent peer is asked after this time whether it is still there …
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// … then this often …
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// … and given up after this many unanswered questions.
const KEEPALIVE_PROBES: u32 = 4;

/// How many connections may be open at once.
#[derive(Debug)]
pub(crate) struct ConnectionSlots {
    free: Arc<Semaphore>,
    max: usize,
}

impl ConnectionSlots {
    pub(super) fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(max)),
            max,
        }
    }

    /// A slot, given back when it is dropped; `None` if all are taken.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    pub(crate) fn open(&self) -> u64 {
        self.max.saturating_sub(self.free.available_permits()) as u64
    }

    pub(crate) fn max(&self) -> u64 {
        self.max as u64
    }
}

/// Leads a client to the guest until both are done, one breaks off, or `cut` is cancelled.
pub(super) async fn lead(
    client: TcpStream,
    upstream: &Upstream,
    dial_timeout: Duration,
    cut: &CancellationToken,
) {
    let Some(target) = upstream.target() else {
        return reset(client);
    };
    let dialled = tokio::select! {
        () = cut.cancelled() => return reset(client),
        dialled = dial(target, dial_timeout) => dialled,
    };
    let guest = match dialled {
        Ok(guest) => guest,
        Err(error) => {
            tracing::debug!(app = %upstream.app_id(), %target, %error, "guest not reached");
            upstream.dial_failed(target, error.to_string());
            return reset(client);
        }
    };
    relay(client, guest, upstream, cut).await;
}

/// Closes a connection so that the peer sees an abort, not a regular end.
pub(super) fn reset(stream: TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "a connection could only be closed regularly");
    }
    drop(stream);
}

async fn dial(target: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    match tokio::time::timeout(patience, TcpStream::connect(target)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} ms", patience.as_millis()),
        )),
    }
}

async fn relay(
    mut client: TcpStream,
    mut guest: TcpStream,
    upstream: &Upstream,
    cut: &CancellationToken,
) {
    for stream in [&client, &guest] {
        if let Err(error) = tune(stream) {
            tracing::debug!(%error, "a connection goes on without its socket options");
        }
    }
    let (client_broken, guest_broken) = (AtomicBool::new(false), AtomicBool::new(false));
    let ended = {
        let (client_in, client_out) = client.split();
        let (guest_in, guest_out) = guest.split();
        let counters = &upstream.counters;
        let to_guest = Direction {
            from_broken: &client_broken,
            to_broken: &guest_broken,
            counter: &counters.bytes_to_guest,
        };
        let to_client = Direction {
            from_broken: &guest_broken,
            to_broken: &client_broken,
            counter: &counters.bytes_to_clients,
        };
        let both = async {
            tokio::try_join!(
                to_guest.copy(client_in, guest_out),
                to_client.copy(guest_in, client_out)
            )
        };
        tokio::select! {
            () = cut.cancelled() => false,
            ended = both => ended.is_ok(),
        }
    };
    // What one side did not finish must not look finished to the other.
    let broken = client_broken.into_inner() || guest_broken.into_inner();
    if broken || !ended {
        reset(client);
        reset(guest);
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    Ok(())
}

/// One direction of a connection.
struct Direction<'a> {
    /// Set once writing to the socket we read from has failed.
    from_broken: &'a AtomicBool,
    /// Set once writing to the socket we write to has failed.
    to_broken: &'a AtomicBool,
    counter: &'a AtomicU64,
}

impl Direction<'_> {
    /// Copies to the end and passes the end on. `Err` if the reading side broke.
    ///
    /// If writing breaks, this direction is over, but the other one goes on: a guest that answers
    /// and closes before it has read everything is still heard. The system reports a reset only
    /// once, so an end read after a failed write to the same socket is taken as that reset.
    async fn copy(
        self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 && self.from_broken.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let written = match length {
                0 => to.shutdown().await,
                _ => to.write_all(&buffer[..length]).await,
            };
            if written.is_err() {
                self.to_broken.store(true, Ordering::Relaxed);
            }
            if length == 0 || written.is_err() {
                return Ok(());
            }
            self.counter.fetch_add(length as u64, Ordering::Relaxed);
        }
    }
}
