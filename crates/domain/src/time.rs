//! Time as values. The domain never reads a clock; [`Clock`] is the seam through which others do.

use serde::{Deserialize, Serialize};

/// A moment on the wall clock, milliseconds since 1970-01-01T00:00:00Z. For people and records.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A moment on a clock that never goes back, milliseconds since an arbitrary start of this process. For deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// This moment and `ms` milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment, 0 if it is not later.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where time comes from. Real one in the product, a set one in tests and in the simulator.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Wall clock; may jump.
    fn now(&self) -> Timestamp;
    /// Never goes back.
    fn monotonic(&self) -> Monotonic;
}

/// A pair of moments of both clocks, taken together when a process began. By it the wall clock is held to the time that
/// really passed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    wall: Timestamp,
    steady: Monotonic,
}

impl Anchor {
    /// Both clocks now.
    #[must_use]
    pub fn of(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.now(),
            steady: clock.monotonic(),
        }
    }

    /// The wall clock's moment, but no later than the time that passed since the anchor allows: a clock that is set forward
    /// makes nothing old. One that is set back is followed.
    #[must_use]
    pub fn now(&self, clock: &dyn Clock) -> Timestamp {
        let passed = clock.monotonic().since_ms(self.steady);
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        clock
            .now()
            .min(Timestamp(self.wall.0.saturating_add(passed)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};

    use super::*;

    #[derive(Debug, Default)]
    struct Hands {
        wall: AtomicI64,
        steady: AtomicU64,
    }

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp(self.wall.load(SeqCst))
        }

        fn monotonic(&self) -> Monotonic {
            Monotonic(self.steady.load(SeqCst))
        }
    }

    #[test]
    fn a_clock_that_jumps_makes_nothing_old() {
        let clock = Hands::default();
        clock.wall.store(1_000, SeqCst);
        let anchor = Anchor::of(&clock);
        clock.wall.store(1_500, SeqCst);
        clock.steady.store(500, SeqCst);
        assert_eq!(anchor.now(&clock), Timestamp(1_500));
        clock.wall.store(9_000_000, SeqCst);
        assert_eq!(anchor.now(&clock), Timestamp(1_500), "set forward");
        clock.wall.store(200, SeqCst);
        assert_eq!(anchor.now(&clock), Timestamp(200), "set back");
    }
}
