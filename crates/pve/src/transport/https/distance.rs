//! How far an endpoint is, by what it answers over connections that were there already: to open one tells more of its processor than
//! of the way.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// An endpoint that answers within so long is near.
const NEAR: Duration = Duration::from_millis(10);
/// No answer has come.
const NONE: u64 = u64::MAX;

/// What is known of one endpoint; far as long as nothing is.
#[derive(Debug)]
pub(super) struct Distance {
    /// The quickest answer since it was judged last, microseconds.
    quickest_us: AtomicU64,
    is_near: AtomicBool,
}

impl Default for Distance {
    fn default() -> Self {
        Self {
            quickest_us: AtomicU64::new(NONE),
            is_near: AtomicBool::new(false),
        }
    }
}

impl Distance {
    /// An answer came after so long, over a connection that was there.
    pub(super) fn note(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(NONE);
        self.quickest_us.fetch_min(took_us, Ordering::Relaxed);
    }

    /// Judges by the quickest of the answers since the last time: of a long one the most is the endpoint's work. Without any it stays
    /// as it is.
    pub(super) fn judge(&self) {
        let quickest_us = self.quickest_us.swap(NONE, Ordering::Relaxed);
        if quickest_us != NONE {
            let is_near = Duration::from_micros(quickest_us) <= NEAR;
            self.is_near.store(is_near, Ordering::Relaxed);
        }
    }

    pub(super) fn is_near(&self) -> bool {
        self.is_near.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_answer_since_the_last_time_tells() {
        let distance = Distance::default();
        distance.judge();
        assert!(!distance.is_near(), "nothing is known");
        distance.note(NEAR);
        assert!(!distance.is_near(), "it is not judged yet");
        distance.note(2 * NEAR);
        distance.judge();
        assert!(distance.is_near());
        distance.judge();
        assert!(distance.is_near(), "nothing else is known");
        distance.note(2 * NEAR);
        distance.judge();
        assert!(!distance.is_near());
    }
}
