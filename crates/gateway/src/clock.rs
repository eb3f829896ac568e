//! The one place of this crate that asks for the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01 UTC; 0 if the clock stands before that.
///
/// Used for reports to people only (when a dial failed, since when the gateway runs). No decision
/// depends on it; time limits use the runtime's monotonic clock.
#[allow(clippy::disallowed_methods)] // the seam itself: this crate uses no other crate of ours
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}
