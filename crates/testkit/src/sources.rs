//! Time and ids for tests.

use std::sync::atomic::{AtomicU64, Ordering};

use proximity_domain::time::{Clock, Monotonic, Timestamp};
use proximity_engine::seams::IdSource;
use uuid::Uuid;

/// The machine's clock.
#[derive(Debug, Default)]
pub struct RealClock;

impl Clock for RealClock {
    #[allow(clippy::disallowed_methods)] // the test's one implementation of the seam
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(u64::try_from(self.now().0).unwrap_or(0))
    }
}

/// Ids that can be repeated: counted up from a seed.
#[derive(Debug)]
pub struct CountedIds(AtomicU64);

impl CountedIds {
    /// Starts at `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl IdSource for CountedIds {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) << 8 | 7)
    }

    fn nonce(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed)).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C)
    }
}

/// The machine's clock, and what a test lets pass or sets it by.
#[derive(Debug, Default)]
pub struct MovedClock {
    passed_ms: AtomicU64,
    set_forward_ms: AtomicU64,
}

impl MovedClock {
    /// So much time passes at once.
    pub fn pass(&self, ms: u64) {
        self.passed_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Somebody sets the wall clock forward; no time passes.
    pub fn set_forward(&self, ms: u64) {
        self.set_forward_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Somebody sets the wall clock back, by no more than it was set forward; no time passes.
    ///
    /// # Panics
    /// It was not set forward so far.
    pub fn set_back(&self, ms: u64) {
        let before = self.set_forward_ms.fetch_sub(ms, Ordering::SeqCst);
        assert!(before >= ms, "it was set forward by {before} ms alone");
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        let moved =
            self.passed_ms.load(Ordering::SeqCst) + self.set_forward_ms.load(Ordering::SeqCst);
        let moved = i64::try_from(moved).unwrap_or(i64::MAX);
        Timestamp(RealClock.now().0.saturating_add(moved))
    }

    fn monotonic(&self) -> Monotonic {
        let Monotonic(ms) = RealClock.monotonic();
        Monotonic(ms + self.passed_ms.load(Ordering::SeqCst))
    }
}
