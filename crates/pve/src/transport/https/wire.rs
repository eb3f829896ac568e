//! A stream that counts what is written to it and stops writing at a set moment.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Seen from outside while the HTTP code owns the stream.
#[derive(Debug, Default)]
pub(super) struct WireState {
    written_bytes: AtomicU64,
    send_before: Mutex<Option<Instant>>,
}

impl WireState {
    /// Bytes of requests that were handed to TLS.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Acquire)
    }

    /// From that moment on nothing is written any more.
    pub(super) fn set_send_before(&self, limit: Option<Instant>) {
        *self
            .send_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = limit;
    }

    fn is_closed(&self) -> bool {
        let limit = *self
            .send_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        limit.is_some_and(|limit| Instant::now() >= limit)
    }
}

/// The stream itself.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    state: Arc<WireState>,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S) -> (Self, Arc<WireState>) {
        let state = Arc::new(WireState::default());
        (
            Self {
                stream,
                state: state.clone(),
            },
            state,
        )
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.state.is_closed() {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "too late to send it",
            )));
        }
        // Counted before the attempt, and taken back only when TLS took none of it: in doubt it counts as sent.
        let attempted = u64::try_from(buf.len()).unwrap_or(u64::MAX);
        self.state
            .written_bytes
            .fetch_add(attempted, Ordering::AcqRel);
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        if outcome.is_pending() {
            self.state
                .written_bytes
                .fetch_sub(attempted, Ordering::AcqRel);
        }
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
