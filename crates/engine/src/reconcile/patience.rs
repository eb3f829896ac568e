//! How long a pass waits for one node. One that hangs must hold up nobody else, and is left alone for a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proximity_domain::ids::HostId;
use proximity_domain::names::NodeName;
use proximity_domain::time::Timestamp;
use proximity_pve::Error;
use tokio::time::timeout;

/// For an answer of one node. A configuration takes a node that is well some milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);
/// So long a node that did not answer is asked nothing by passes, unless the sweep hears of it, milliseconds.
const LEFT_FOR_MS: i64 = 60_000;

/// The answer, or `None` after three seconds without one.
pub(super) async fn patiently<T>(
    answer: impl Future<Output = Result<T, Error>>,
) -> Option<Result<T, Error>> {
    timeout(PATIENCE, answer).await.ok()
}

/// The nodes that did not answer, with the steady moments at which that was found.
#[derive(Debug, Default)]
pub(super) struct Hung(Mutex<HashMap<(HostId, NodeName), Timestamp>>);

impl Hung {
    /// It did not answer.
    pub(super) fn note(&self, host: HostId, node: &NodeName, now: Timestamp) {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.insert((host, node.clone()), now);
    }

    /// It answered.
    pub(super) fn end(&self, host: HostId, node: &NodeName) {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !nodes.is_empty() {
            nodes.remove(&(host, node.clone()));
        }
    }

    /// Whether it is left alone.
    pub(super) fn is_left(&self, host: HostId, node: &NodeName, now: Timestamp) -> bool {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|_, since| now.0.saturating_sub(since.0) < LEFT_FOR_MS);
        !nodes.is_empty() && nodes.contains_key(&(host, node.clone()))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_node_that_hangs_is_left_for_a_minute_or_until_it_answers() {
        let (hung, host) = (Hung::default(), HostId(Uuid::from_u128(1)));
        let (one, other): (NodeName, NodeName) = ("pve1".parse().unwrap(), "pve2".parse().unwrap());
        assert!(!hung.is_left(host, &one, Timestamp(0)));
        hung.note(host, &one, Timestamp(0));
        hung.note(host, &other, Timestamp(0));
        assert!(hung.is_left(host, &one, Timestamp(LEFT_FOR_MS - 1)));
        hung.end(host, &one);
        assert!(!hung.is_left(host, &one, Timestamp(1)));
        assert!(hung.is_left(host, &other, Timestamp(1)));
        assert!(!hung.is_left(host, &other, Timestamp(LEFT_FOR_MS)));
    }

    #[tokio::test(start_paused = true)]
    async fn three_seconds_and_no_longer() {
        let never = std::future::pending::<Result<(), Error>>();
        let begun = tokio::time::Instant::now();
        assert!(patiently(never).await.is_none());
        assert_eq!(begun.elapsed(), PATIENCE);
        assert!(matches!(patiently(async { Ok(7) }).await, Some(Ok(7))));
    }
}
