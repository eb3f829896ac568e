//! What comes from the caller: lines of a limited length, and the bytes between them.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

use crate::clock::{Deadline, timespec};
use crate::limits::REQUEST_BYTES;

/// How long a caller may be silent before its session ends, milliseconds.
const SILENCE_MS: u64 = 600_000;
const CHUNK_BYTES: usize = 32 * 1024;

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// It is longer than a request may be.
    TooLong,
    /// There is nothing more.
    End,
}

/// The caller's bytes.
#[derive(Debug)]
pub struct Inbox<R> {
    from: R,
    /// Read and not yet taken.
    ahead: Vec<u8>,
}

impl<R: AsFd> Inbox<R> {
    /// Reads from this pipe.
    pub fn new(from: R) -> Self {
        Self {
            from,
            ahead: Vec::new(),
        }
    }

    /// The next line. What follows the last end of a line is none.
    ///
    /// # Errors
    /// The pipe broke, or was silent for too long.
    pub fn line(&mut self) -> io::Result<Line> {
        let mut looked_at = 0;
        loop {
            let fresh = self.ahead.get(looked_at..).unwrap_or_default();
            if let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
                let end = looked_at + end;
                if end > REQUEST_BYTES {
                    return Ok(Line::TooLong);
                }
                let rest = self.ahead.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.ahead, rest);
                line.truncate(end);
                return Ok(Line::Whole(line));
            }
            looked_at = self.ahead.len();
            if looked_at > REQUEST_BYTES {
                return Ok(Line::TooLong);
            }
            let more = self.read(CHUNK_BYTES, Deadline::after_ms(SILENCE_MS))?;
            if more.is_empty() {
                return Ok(Line::End);
            }
            self.ahead.extend_from_slice(&more);
        }
    }

    /// Some of the next bytes, at most so many; empty at the end.
    ///
    /// # Errors
    /// The pipe broke, or nothing came until then: [`io::ErrorKind::TimedOut`].
    pub fn piece(&mut self, at_most: u64, until: Deadline) -> io::Result<Vec<u8>> {
        let count = usize::try_from(at_most)
            .unwrap_or(CHUNK_BYTES)
            .min(CHUNK_BYTES);
        if self.ahead.is_empty() {
            return self.read(count, until);
        }
        let rest = self.ahead.split_off(count.min(self.ahead.len()));
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    /// Passes over so many bytes.
    ///
    /// # Errors
    /// They did not come.
    pub fn skip(&mut self, mut bytes: u64) -> io::Result<()> {
        while bytes > 0 {
            let piece = self.piece(bytes, Deadline::after_ms(SILENCE_MS))?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes -= piece.len() as u64;
        }
        Ok(())
    }

    fn read(&mut self, at_most: usize, until: Deadline) -> io::Result<Vec<u8>> {
        loop {
            let mut fds = [PollFd::new(&self.from, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(until.left()))) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        let mut buffer = vec![0; at_most];
        let count = rustix::io::read(&self.from, &mut buffer)?;
        buffer.truncate(count);
        Ok(buffer)
    }
}
