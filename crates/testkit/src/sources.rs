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
