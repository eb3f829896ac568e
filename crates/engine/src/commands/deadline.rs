//! A limit of time for what a request asks of clusters, below the request's own: what was not asked by then is told as such, where
//! a request that is cut off tells nothing.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::EngineError;

/// How long clusters are asked; the API gives a request 60 s, and what is written takes its time too.
const ASKING: Duration = Duration::from_secs(45);

/// A moment after which no cluster is asked any more.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// For a request of the API that begins now: 45 s from now.
    #[must_use]
    pub fn of_request() -> Self {
        Self::within(ASKING)
    }

    /// So long from now.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// The answer, if it comes in time. What is too late already is not asked; what is dropped unanswered may only read.
    pub(super) async fn hold<T>(self, asked: impl Future<Output = T>) -> Option<T> {
        if Instant::now() >= self.0 {
            return None;
        }
        timeout_at(self.0, Box::pin(asked)).await.ok()
    }
}

/// A cluster was not asked everything, or has not answered, in time. `what` is what is not known for that.
pub(super) fn no_time(label: &str, what: &str) -> EngineError {
    EngineError::Upstream {
        code: "pve_unreachable",
        message: format!("host {label} has not answered in time, so that {what}"),
        hint: format!("see what hangs there: proximity doctor --host {label}; then ask again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_time_is_given_and_nothing_is_asked_after_it() {
        let deadline = Deadline::within(Duration::from_secs(5));
        assert_eq!(deadline.hold(async { 7 }).await, Some(7));
        let begun = Instant::now();
        assert_eq!(deadline.hold(std::future::pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        let mut is_asked = false;
        let late = deadline.hold(async { is_asked = true });
        assert_eq!(late.await, None);
        assert!(!is_asked);
    }
}
