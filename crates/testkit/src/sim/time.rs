//! Virtual time, and ids out of the seed.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use proximity_domain::time::{Clock, Monotonic, Timestamp};
use proximity_engine::seams::IdSource;
use tokio::time::Instant;
use uuid::Uuid;

use super::chance::Chance;

/// Where the wall clock of every simulation begins, milliseconds since 1970.
const BEGIN_MS: i64 = 1_750_000_000_000;

/// The engine's clock: the runtime's paused one, and a wall clock that can be made to jump.
#[derive(Debug, Clone)]
pub(super) struct SimClock {
    begun: Instant,
    ahead_ms: Arc<AtomicI64>,
}

impl SimClock {
    /// A clock that begins now, on a runtime whose time is paused.
    #[must_use]
    pub(super) fn start() -> Self {
        Self {
            begun: Instant::now(),
            ahead_ms: Arc::default(),
        }
    }

    /// Virtual milliseconds since the beginning.
    #[must_use]
    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What everybody else's clocks say: those that do not jump.
    #[must_use]
    pub(super) fn true_ms(&self) -> u64 {
        u64::try_from(BEGIN_MS)
            .unwrap_or(0)
            .saturating_add(self.elapsed_ms())
    }

    /// The machine's wall clock jumps.
    pub(super) fn jump(&self, by_ms: i64) {
        self.ahead_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let true_ms = i64::try_from(self.true_ms()).unwrap_or(i64::MAX);
        Timestamp(true_ms.saturating_add(self.ahead_ms.load(Ordering::Relaxed)))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.elapsed_ms())
    }
}

/// Ids and marks out of the seed.
#[derive(Debug)]
pub(super) struct SimIds(Mutex<Chance>);

impl SimIds {
    /// Those of this seed.
    #[must_use]
    pub(super) fn of(seed: u64) -> Self {
        Self(Mutex::new(Chance::of(seed, "ids")))
    }

    fn wide(&self) -> u128 {
        let mut chance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (u128::from(chance.next()) << 64) | u128::from(chance.next())
    }
}

impl IdSource for SimIds {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(self.wide())
    }

    fn nonce(&self) -> u128 {
        self.wide()
    }
}
