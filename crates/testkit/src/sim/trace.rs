//! What a simulation did, line by line, with virtual times: what two runs of one seed are compared by.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::time::SimClock;

/// How much is told of what a simulation does. What it does is the same, and is looked at by the same rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// Nothing: nobody will ask.
    Nothing,
    /// The sum over all lines.
    Sum,
    /// The lines themselves, and their sum.
    Lines,
}

/// The lines so far, or their sum alone. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    /// None if nothing is told.
    inner: Option<Arc<Mutex<Inner>>>,
    clock: SimClock,
}

#[derive(Debug)]
struct Inner {
    /// FNV-1a over all lines.
    sum: u64,
    count: u64,
    lines: Option<String>,
    /// The line at hand.
    line: String,
}

impl Trace {
    /// An empty one.
    #[must_use]
    pub(super) fn new(clock: SimClock, telling: Telling) -> Self {
        let inner = Inner {
            sum: 0xCBF2_9CE4_8422_2325,
            count: 0,
            lines: (telling == Telling::Lines).then(String::new),
            line: String::new(),
        };
        Self {
            inner: (telling != Telling::Nothing).then(|| Arc::new(Mutex::new(inner))),
            clock,
        }
    }

    /// Whether anything is told at all: what is long is not even put together otherwise.
    #[must_use]
    pub(super) fn is_told(&self) -> bool {
        self.inner.is_some()
    }

    /// Adds a line, which is made only if somebody will read it.
    pub(super) fn say(&self, line: fmt::Arguments<'_>) {
        let Some(inner) = &self.inner else { return };
        let at = self.clock.elapsed_ms();
        let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.add(at, line);
    }

    /// The sum over all lines and times, and how many there were, if that is told.
    #[must_use]
    pub(super) fn sum(&self) -> Option<(u64, u64)> {
        let inner = self.inner.as_ref()?;
        let inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        Some((inner.sum, inner.count))
    }

    /// The lines, if they were kept.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let Some(inner) = &self.inner else {
            return String::new();
        };
        let inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.lines.clone().unwrap_or_default()
    }
}

impl Inner {
    fn add(&mut self, at: u64, line: fmt::Arguments<'_>) {
        self.line.clear();
        // Writing into a string cannot fail.
        let _ = self.line.write_fmt(line);
        self.count += 1;
        let bytes = at.to_le_bytes().into_iter().chain(self.line.bytes());
        self.sum = bytes.chain([b'\n']).fold(self.sum, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        if let Some(lines) = &mut self.lines {
            let _ = writeln!(lines, "{:>4}.{:03} {}", at / 1_000, at % 1_000, self.line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(telling: Telling) -> Trace {
        let trace = Trace::new(SimClock::start(), telling);
        for number in [1, 2] {
            trace.say(format_args!("line {number}"));
        }
        trace
    }

    #[tokio::test(start_paused = true)]
    async fn the_sum_is_the_same_whether_or_not_the_lines_are_kept() {
        let (sum, lines) = (told(Telling::Sum), told(Telling::Lines));
        assert_eq!(sum.sum(), lines.sum());
        assert_eq!(lines.sum().map(|(_, count)| count), Some(2));
        assert_eq!(lines.text(), "   0.000 line 1\n   0.000 line 2\n");
        assert_eq!(sum.text(), "");
        let other = Trace::new(SimClock::start(), Telling::Sum);
        other.say(format_args!("line 1"));
        assert_ne!(other.sum(), sum.sum());
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_is_told_no_line_is_made() {
        struct Never;
        impl fmt::Display for Never {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                unreachable!("nobody reads it")
            }
        }
        let trace = told(Telling::Nothing);
        let never = Never;
        trace.say(format_args!("{never}"));
        assert!(!trace.is_told());
        assert_eq!((trace.sum(), trace.text()), (None, String::new()));
    }
}
