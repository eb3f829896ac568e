//! How long a pass waits for one node. One that hangs must hold up nobody else, and is left alone for a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proximity_domain::ids::HostId;
use proximity_domain::names::NodeName;
use proximity_domain::time::Monotonic;
use proximity_pve::Error;
use tokio::time::timeout;

/// For an answer of one node. A configuration takes a node that is well some milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// So long a node that did not answer is asked nothing by passes, unless the sweep hears of it, and what is [`Kept`] is not looked
/// at again, milliseconds.
const LEFT_FOR_MS: u64 = 60_000;

/// For a list of tasks, which a busy node reads from its disk: what it says decides whether a person is called.
const PATIENCE_FOR_TASKS: Duration = Duration::from_secs(15);

/// The answer, or `None` after three seconds without one.
pub(super) async fn patiently<T>(
    answer: impl Future<Output = Result<T, Error>>,
) -> Option<Result<T, Error>> {
    timeout(PATIENCE, answer).await.ok()
}

/// The answer, or `None` after fifteen seconds without one.
pub(super) async fn very_patiently<T>(
    answer: impl Future<Output = Result<T, Error>>,
) -> Option<Result<T, Error>> {
    timeout(PATIENCE_FOR_TASKS, answer).await.ok()
}

/// The nodes that did not answer, with the moments at which that was found.
#[derive(Debug, Default)]
pub(super) struct Hung(Mutex<HashMap<(HostId, NodeName), Monotonic>>);

impl Hung {
    /// It did not answer.
    pub(super) fn note(&self, host: HostId, node: &NodeName, now: Monotonic) {
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
    pub(super) fn is_left(&self, host: HostId, node: &NodeName, now: Monotonic) -> bool {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|_, since| now.since_ms(*since) < LEFT_FOR_MS);
        !nodes.is_empty() && nodes.contains_key(&(host, node.clone()))
    }
}

/// What was found of somebody, for as long as it is taken to be so yet.
#[derive(Debug)]
pub(super) struct Kept<K, V>(Mutex<HashMap<K, (V, Monotonic)>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    /// This was found now.
    pub(super) fn note(&self, of: K, found: V, now: Monotonic) {
        self.lock().insert(of, (found, now));
    }

    /// What was found of it, if that was not long ago.
    pub(super) fn of(&self, of: &K, now: Monotonic) -> Option<V> {
        let mut kept = self.lock();
        kept.retain(|_, (_, since)| now.since_ms(*since) < LEFT_FOR_MS);
        kept.get(of).map(|(found, _)| found.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (V, Monotonic)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert!(!hung.is_left(host, &one, Monotonic(0)));
        hung.note(host, &one, Monotonic(0));
        hung.note(host, &other, Monotonic(0));
        assert!(hung.is_left(host, &one, Monotonic(LEFT_FOR_MS - 1)));
        hung.end(host, &one);
        assert!(!hung.is_left(host, &one, Monotonic(1)));
        assert!(hung.is_left(host, &other, Monotonic(1)));
        assert!(!hung.is_left(host, &other, Monotonic(LEFT_FOR_MS)));
    }

    #[test]
    fn what_was_found_is_kept_for_a_minute() {
        let kept = Kept::default();
        kept.note(1, "one", Monotonic(0));
        kept.note(2, "other", Monotonic(10));
        assert_eq!(kept.of(&1, Monotonic(LEFT_FOR_MS - 1)), Some("one"));
        assert_eq!(kept.of(&3, Monotonic(0)), None);
        assert_eq!(kept.of(&1, Monotonic(LEFT_FOR_MS)), None);
        assert_eq!(kept.of(&2, Monotonic(LEFT_FOR_MS)), Some("other"));
        kept.note(2, "anew", Monotonic(LEFT_FOR_MS));
        assert_eq!(kept.of(&2, Monotonic(LEFT_FOR_MS + 10)), Some("anew"));
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
