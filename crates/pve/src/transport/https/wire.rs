//! A stream that counts what is written to it, stops writing at a set moment, and reads the head of an answer as it is meant.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::{io, mem};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::connection::LONGEST_HEAD_BYTES;
use super::head;
use super::hearing::Hearing;

/// So much is read at once of what begins with a head.
const PIECE_BYTES: usize = 4 * 1024;

/// Seen from outside while the HTTP code owns the stream.
#[derive(Debug, Default)]
pub(super) struct WireState {
    written_bytes: AtomicU64,
    send_before: Mutex<Option<Instant>>,
    /// What is read next begins with a head.
    head_due: AtomicBool,
    hearing: Mutex<Hearing>,
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

    /// A request is about to be written; what is read from now on is its answer.
    pub(super) fn expect_answer(&self, hearing: Hearing) {
        *self.hearing.lock().unwrap_or_else(PoisonError::into_inner) = hearing;
        self.head_due.store(true, Ordering::Release);
    }

    fn is_head_due(&self) -> bool {
        self.head_due.load(Ordering::Acquire)
    }

    fn head_came(&self) {
        self.head_due.store(false, Ordering::Release);
    }

    fn hear(&self) {
        self.hearing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note();
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
    /// What has come of a head that is not whole.
    head: Vec<u8>,
    /// What was read and is given next.
    ahead: Bytes,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S) -> (Self, Arc<WireState>) {
        let state = Arc::new(WireState::default());
        (
            Self {
                stream,
                state: state.clone(),
                head: Vec::new(),
                ahead: Bytes::new(),
            },
            state,
        )
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Reads on until the head of an answer is whole, if one is due, or no more comes of it. What was read is ahead then.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.state.is_head_due() {
            let mut room = [0_u8; PIECE_BYTES];
            let mut piece = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece))?;
            let came = piece.filled();
            if !came.is_empty() {
                self.state.hear();
            }
            self.head.extend_from_slice(came);
            let end = head::end(&self.head);
            if end.is_some() || came.is_empty() || self.head.len() >= LONGEST_HEAD_BYTES {
                self.state.head_came();
                let body = self.head.split_off(end.unwrap_or(0));
                let mut all = head::as_meant(mem::take(&mut self.head));
                all.extend_from_slice(&body);
                self.ahead = all.into();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_head(cx))?;
        if !this.ahead.is_empty() {
            let length = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.state.hear();
        }
        outcome
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

    /// As it comes, so that a head may come in any parts, with a body behind it or without.
    #[tokio::test(start_paused = true)]
    async fn the_head_of_each_answer_is_read_as_it_is_meant_and_its_body_as_it_is() {
        const HEAD: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: Keep-Alive\r\n";
        const LEFT: &str = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        let (near, mut far) = tokio::io::duplex(8);
        let (mut wire, state) = Wire::new(near);
        for body in ["", "Connection: close, keep-alive\r\n\r\n"] {
            let hearing = Hearing::default();
            state.expect_answer(hearing.clone());
            assert_eq!(hearing.last(), None);
            let sent = format!("{HEAD}A: b\r\n\r\n{body}");
            let mut read = vec![0; LEFT.len() + body.len()];
            let (written, taken) =
                tokio::join!(far.write_all(sent.as_bytes()), wire.read_exact(&mut read));
            written.unwrap();
            taken.unwrap();
            assert_eq!(String::from_utf8(read).unwrap(), format!("{LEFT}{body}"));
            assert_eq!(hearing.last(), Some(Instant::now()));
        }
    }

    #[tokio::test]
    async fn what_ends_within_a_head_is_given_as_far_as_it_came() {
        for sent in ["", "HTTP/1.1 200 OK\r\nConn"] {
            let (near, mut far) = tokio::io::duplex(64);
            let (mut wire, state) = Wire::new(near);
            state.expect_answer(Hearing::default());
            far.write_all(sent.as_bytes()).await.unwrap();
            drop(far);
            let mut read = String::new();
            wire.read_to_string(&mut read).await.unwrap();
            assert_eq!(read, sent);
        }
    }

    #[tokio::test]
    async fn a_head_without_an_end_is_given_when_it_is_too_long() {
        let (near, mut far) = tokio::io::duplex(PIECE_BYTES);
        let (mut wire, state) = Wire::new(near);
        state.expect_answer(Hearing::default());
        let sent = vec![b'a'; LONGEST_HEAD_BYTES];
        let mut read = vec![0; LONGEST_HEAD_BYTES];
        let (written, taken) = tokio::join!(far.write_all(&sent), wire.read_exact(&mut read));
        written.unwrap();
        taken.unwrap();
        assert_eq!(read, sent);
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
