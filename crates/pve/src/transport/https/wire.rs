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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_written_after_the_set_moment() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut wire, state) = Wire::new(near);
        state.set_send_before(Some(Instant::now() + Duration::from_millis(100)));
        wire.write_all(b"in time").await.unwrap();
        advance(Duration::from_millis(100)).await;
        assert_eq!(
            wire.write_all(b"late").await.unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        assert_eq!(state.written_bytes(), 7);
        state.set_send_before(None);
        wire.write_all(b"!").await.unwrap();
        drop(wire);
        let mut arrived = String::new();
        far.read_to_string(&mut arrived).await.unwrap();
        assert_eq!(arrived, "in time!");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_other_side_does_not_take_is_not_counted() {
        let (near, _far) = tokio::io::duplex(4);
        let (mut wire, state) = Wire::new(near);
        wire.write_all(b"1234").await.unwrap();
        let stuck = tokio::time::timeout(Duration::from_secs(1), wire.write_all(b"5678")).await;
        assert!(stuck.is_err());
        assert_eq!(state.written_bytes(), 4);
    }
}
