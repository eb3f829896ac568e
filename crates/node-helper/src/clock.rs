//! The node's clocks. This program is no part of the simulated world, so it reads them itself, here alone.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::Timespec;

/// A point in time until which something may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    #[must_use]
    pub fn after_ms(ms: u64) -> Self {
        #[allow(clippy::disallowed_methods, reason = "the one place of the clock")]
        let now = Instant::now();
        // No limit of ours is anywhere near the end of the clock.
        Self(now.checked_add(Duration::from_millis(ms)).unwrap_or(now))
    }

    /// How long it still is; zero when it has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        #[allow(clippy::disallowed_methods, reason = "the one place of the clock")]
        let now = Instant::now();
        self.0.saturating_duration_since(now)
    }

    /// Whether it has passed.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.left().is_zero()
    }
}

/// For `poll`.
#[must_use]
pub fn timespec(left: Duration) -> Timespec {
    // Rounded up, so that nothing is looked at a moment too early again and again.
    let left = left + Duration::from_millis(1);
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    #[allow(clippy::disallowed_methods, reason = "the one place of the clock")]
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
