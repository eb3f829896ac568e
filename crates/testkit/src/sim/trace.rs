//! What a simulation did, line by line, with virtual times: what two runs of one seed are compared by.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use super::time::SimClock;

/// The lines so far, or their sum alone. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    inner: Arc<Mutex<Inner>>,
    clock: SimClock,
}

#[derive(Debug)]
struct Inner {
    /// FNV-1a over all lines.
    sum: u64,
    count: u64,
    lines: Option<String>,
}

impl Trace {
    /// An empty one. The lines themselves are kept only if somebody will read them.
    #[must_use]
    pub(super) fn new(clock: SimClock, keep: bool) -> Self {
        let inner = Inner {
            sum: 0xCBF2_9CE4_8422_2325,
            count: 0,
            lines: keep.then(String::new),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            clock,
        }
    }

    /// Adds a line.
    pub(super) fn say(&self, line: &str) {
        let at = self.clock.elapsed_ms();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.count += 1;
        let bytes = at.to_le_bytes().into_iter().chain(line.bytes());
        inner.sum = bytes.chain([b'\n']).fold(inner.sum, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        if let Some(lines) = &mut inner.lines {
            // Writing into a string cannot fail.
            let _ = writeln!(lines, "{:>4}.{:03} {line}", at / 1_000, at % 1_000);
        }
    }

    /// The sum over all lines and times, and how many there were.
    #[must_use]
    pub(super) fn sum(&self) -> (u64, u64) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.sum, inner.count)
    }

    /// The lines, if they were kept.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.lines.clone().unwrap_or_default()
    }
}
