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
