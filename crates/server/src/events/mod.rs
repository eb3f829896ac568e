//! Events as they are told: one feed that reads the log once for everybody, and a stream per client that takes from it
//! at the client's own pace.

mod feed;
mod filter;
mod page;
mod stream;
mod told;

pub(crate) use feed::EventFeed;
pub(crate) use filter::EventFilter;
pub(crate) use page::{Extent, page};
pub(crate) use stream::{NoStream, stream};

use std::time::Duration;

/// Bounds of the streams of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLimits {
    /// Clients that follow at once; a further one is told to come back later.
    pub clients: usize,
    /// How often the log is looked at when nobody rings, while anybody follows: other processes write to it too.
    pub poll: Duration,
    /// Longest silence of a stream.
    pub silence: Duration,
    /// Longest life of a stream; the client then comes back, and shows its token again.
    pub life: Duration,
    /// How often it is looked whether a stream's client is still let in, those of programs in containers included.
    pub recheck: Duration,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            clients: 256,
            poll: Duration::from_secs(1),
            silence: Duration::from_secs(15),
            life: Duration::from_secs(60 * 60),
            recheck: Duration::from_secs(15),
        }
    }
}
