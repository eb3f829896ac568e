//! What a change is sent under: until when, and on whose behalf.

use proximity_domain::time::{Clock, Monotonic};
use tokio::time::{Duration, Instant};

/// Under what a change may be sent.
///
/// A process can be stopped between its last look at the record and the call, for any time. When it goes on, another may
/// have taken its work over. So no byte of a change leaves after `send_by`, which is not later than the end of the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warrant {
    /// No byte is sent from this moment on.
    pub send_by: Monotonic,
    /// On whose behalf, e.g. `operation 0197…, epoch 3`: goes with the call as part of its `User-Agent`, which PVE ignores.
    /// Printable ASCII; not secret.
    pub reference: String,
}

impl Warrant {
    /// The moment as the runtime counts it; `None` when it has passed.
    ///
    /// The runtime's clock is read first: a stop between the two readings makes the moment earlier, never later.
    #[must_use]
    pub fn send_before(&self, clock: &dyn Clock) -> Option<Instant> {
        send_before(self.send_by, clock)
    }
}

/// No change is worth sending later: a day.
const LONGEST_MS: u64 = 86_400_000;

/// See [`Warrant::send_before`].
pub(crate) fn send_before(send_by: Monotonic, clock: &dyn Clock) -> Option<Instant> {
    let anchor = Instant::now();
    match send_by.since_ms(clock.monotonic()) {
        0 => None,
        left_ms => Some(anchor + Duration::from_millis(left_ms.min(LONGEST_MS))),
    }
}
