//! What goes back: frames of one kind, a length and that many bytes, the last of them with the end in JSON.
//!
//! A frame is one byte (`o` output, `e` error output, `.` the end), four bytes of length (big endian), then the content.
//! Never more than [`PIECE_BYTES`] at once, so that a caller who does not read holds nothing up beyond the time of the command.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};

use crate::clock::{Deadline, timespec};
use crate::refusal::Trouble;

/// Kind of a frame: what a command printed, or the content of a file.
pub const OUTPUT: u8 = b'o';
/// Kind of a frame: what a command complained.
pub const ERROR_OUTPUT: u8 = b'e';
/// Kind of a frame: the end, as JSON of an [`End`].
pub const END: u8 = b'.';
/// A pipe that can be written to takes so much without waiting.
pub const PIECE_BYTES: usize = 4_096;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Which program this is.
    Version {
        /// Of this program.
        version: String,
        /// Of the protocol.
        protocol: u32,
        /// The installation whose containers it acts in.
        installation: String,
    },
    /// The container is there and the caller's.
    Probe {
        /// Whether it runs.
        running: bool,
    },
    /// The program ran.
    Ended {
        /// Its exit code; of one that a signal ended, 128 and the signal's number.
        exit_code: i32,
        /// Whether some of its output was dropped.
        truncated: bool,
    },
    /// The file or tree is there.
    Pushed {},
    /// The file or tree has been given.
    Pulled {},
    /// Nothing was done in the container.
    Refused(Trouble),
    /// Something may have been done in the container.
    Failed(Trouble),
}

/// The way back to the caller.
#[derive(Debug)]
pub struct Answers<W> {
    to: W,
    /// The caller does not read any more. What was begun is brought to its end all the same.
    gone: bool,
}

impl<W: AsFd> Answers<W> {
    /// Writes to this pipe.
    pub fn new(to: W) -> Self {
        Self { to, gone: false }
    }

    /// Whether nobody reads any more.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Sends one frame, if the caller takes it in time.
    pub fn send(&mut self, kind: u8, content: &[u8], until: Deadline) {
        let Ok(length) = u32::try_from(content.len()) else {
            self.gone = true;
            return;
        };
        let mut frame = Vec::with_capacity(content.len() + 5);
        frame.push(kind);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(content);
        if !self.gone && self.write(&frame, until).is_err() {
            self.gone = true;
        }
    }

    /// Sends the end.
    pub fn end(&mut self, end: &End, until: Deadline) {
        match serde_json::to_vec(end) {
            Ok(json) => self.send(END, &json, until),
            Err(_) => self.gone = true,
        }
    }

    fn write(&mut self, mut left: &[u8], until: Deadline) -> io::Result<()> {
        while !left.is_empty() {
            let mut fds = [PollFd::new(&self.to, PollFlags::OUT)];
            match poll(&mut fds, Some(&timespec(until.left()))) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
            }
            let piece = left.get(..PIECE_BYTES).unwrap_or(left);
            match rustix::io::write(&self.to, piece) {
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}
