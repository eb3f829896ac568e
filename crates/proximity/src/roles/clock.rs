//! The machine's clock. The only place that reads it.

use std::time::{Instant, SystemTime};

use proximity_domain::time::{Clock, Monotonic, Timestamp};

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    #[allow(clippy::disallowed_methods)] // this is the implementation of the seam
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // this is the implementation of the seam
    fn now(&self) -> Timestamp {
        // A clock before 1970 counts backwards from there.
        let ms = |d: std::time::Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        Timestamp(
            match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
                Ok(since) => ms(since),
                Err(before) => -ms(before.duration()),
            },
        )
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}
