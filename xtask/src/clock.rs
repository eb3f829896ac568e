//! The one place that asks what time it is.

use std::time::{Duration, Instant};

/// A moment from which time is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts counting.
    pub(crate) fn start() -> Self {
        Self(now())
    }

    /// How long it has been counting.
    pub(crate) fn elapsed(self) -> Duration {
        now().duration_since(self.0)
    }
}

/// A moment at which something has to be over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// The moment `limit` from now.
    pub(crate) fn after(limit: Duration) -> Self {
        Self(now() + limit)
    }

    /// What is left; zero once it has passed.
    pub(crate) fn remaining(self) -> Duration {
        self.0.saturating_duration_since(now())
    }

    /// The earlier of this moment and `limit` from now.
    pub(crate) fn at_most(self, limit: Duration) -> Self {
        Self(self.0.min(now() + limit))
    }
}

/// This is the seam the ban on `Instant::now` points to: nothing else in xtask reads a clock.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}
