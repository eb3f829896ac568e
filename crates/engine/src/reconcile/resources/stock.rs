//! Which clusters are to be read anew.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proximity_domain::ids::HostId;
use proximity_domain::resource::ResourceKey;
use proximity_domain::time::Monotonic;
use proximity_store::records::HostRecord;
use tokio::sync::Notify;

/// After the first failure a cluster is left alone for so long, after each further one twice as long, milliseconds.
const FIRST_PAUSE_MS: u64 = 10_000;
/// And never longer than this.
const LONGEST_PAUSE_MS: u64 = 300_000;

/// Which clusters are to be read anew. In memory: after a restart all are.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    hosts: Mutex<BTreeMap<HostId, Standing>>,
    due: Notify,
}

#[derive(Debug, Default)]
struct Standing {
    /// Checksum of what was recorded; none is of what never was.
    recorded: Option<u64>,
    is_due: bool,
    /// Why it could not be recorded, as it was said last.
    said: Option<String>,
    /// How often it could not be, one after the other.
    failures: u32,
    /// It is left alone until then.
    rests_until: Option<Monotonic>,
    /// Up to this one it was asked whether what no list shows may be seen.
    asked_to: Option<ResourceKey>,
}

impl Stock {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<HostId, Standing>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look shows the cluster with this checksum.
    pub(crate) fn shown(&self, host: HostId, sum: u64) {
        let mut hosts = self.lock();
        let standing = hosts.entry(host).or_default();
        if standing.recorded != Some(sum) {
            standing.is_due = true;
            self.due.notify_one();
        }
    }

    /// All of them, for what no look shows.
    pub(crate) fn all_due(&self) {
        let mut hosts = self.lock();
        for standing in hosts.values_mut() {
            standing.is_due = true;
        }
        if !hosts.is_empty() {
            self.due.notify_one();
        }
    }

    /// Forgets entries that are no more.
    pub(crate) fn retain(&self, hosts: &[HostRecord]) {
        let is_there = |id: &HostId| hosts.iter().any(|entry| entry.id == *id);
        self.lock().retain(|host, _| is_there(host));
    }

    /// Returns when some may be due.
    pub(super) async fn notified(&self) {
        self.due.notified().await;
    }

    /// Takes those that are due, but for those that are left alone.
    pub(super) fn take(&self, now: Monotonic) -> Vec<HostId> {
        let mut hosts = self.lock();
        let due = hosts.iter_mut().filter(|(_, standing)| {
            standing.is_due && standing.rests_until.is_none_or(|until| until <= now)
        });
        let taken = due.map(|(host, standing)| {
            standing.is_due = false;
            *host
        });
        taken.collect()
    }

    /// These were taken, and not begun.
    pub(super) fn again(&self, rest: impl Iterator<Item = HostId>) {
        let mut hosts = self.lock();
        for host in rest {
            if let Some(standing) = hosts.get_mut(&host) {
                standing.is_due = true;
                self.due.notify_one();
            }
        }
    }

    /// Up to which resource it was asked whether it may be seen; none while that begins anew.
    pub(super) fn asked_to(&self, host: HostId) -> Option<ResourceKey> {
        self.lock().get(&host)?.asked_to.clone()
    }

    /// It was recorded as a look with this checksum shows it.
    pub(super) fn recorded(&self, host: HostId, sum: u64) {
        self.succeeded(host, Some(sum), None);
    }

    /// It was, but for what is gone beyond this resource: the next pass that sees it hands it over again.
    pub(super) fn recorded_up_to(&self, host: HostId, asked_to: ResourceKey) {
        self.succeeded(host, None, Some(asked_to));
    }

    fn succeeded(&self, host: HostId, sum: Option<u64>, asked_to: Option<ResourceKey>) {
        if let Some(standing) = self.lock().get_mut(&host) {
            *standing = Standing {
                recorded: sum,
                is_due: standing.is_due,
                asked_to,
                ..Standing::default()
            };
        }
    }

    /// It could not be: it is left alone for a while, and then the next pass that sees it hands it over again. True if that was not
    /// said before.
    pub(super) fn failed(&self, host: HostId, why: &str, now: Monotonic) -> bool {
        let mut hosts = self.lock();
        let Some(standing) = hosts.get_mut(&host) else {
            return false;
        };
        standing.recorded = None;
        standing.rests_until = Some(now.plus_ms(pause_ms(standing.failures)));
        standing.failures = standing.failures.saturating_add(1);
        let is_new = standing.said.as_deref() != Some(why);
        standing.said = Some(why.to_owned());
        is_new
    }
}

/// How long a cluster is left alone after so many failures before this one.
fn pause_ms(failures: u32) -> u64 {
    let doubled = 2_u64.saturating_pow(failures);
    FIRST_PAUSE_MS.saturating_mul(doubled).min(LONGEST_PAUSE_MS)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const HOST: HostId = HostId(Uuid::from_u128(1));
    const OTHER: HostId = HostId(Uuid::from_u128(2));
    const NOW: Monotonic = Monotonic(1_000);

    #[test]
    fn a_cluster_is_due_until_it_was_recorded_as_it_is_shown() {
        let stock = Stock::default();
        assert_eq!(stock.take(NOW), []);
        stock.shown(HOST, 7);
        assert_eq!(stock.take(NOW), [HOST]);
        assert_eq!(stock.take(NOW), [], "it is being recorded");
        stock.shown(HOST, 7);
        assert_eq!(stock.take(NOW), [HOST], "it was not recorded");
        stock.recorded(HOST, 7);
        stock.shown(HOST, 7);
        assert_eq!(stock.take(NOW), []);
        stock.shown(HOST, 8);
        assert_eq!(stock.take(NOW), [HOST]);
        stock.recorded(HOST, 8);
        stock.all_due();
        assert_eq!(stock.take(NOW), [HOST]);
        stock.retain(&[]);
        stock.all_due();
        assert_eq!(stock.take(NOW), []);
    }

    #[test]
    fn why_it_failed_is_said_once() {
        let stock = Stock::default();
        stock.shown(HOST, 7);
        stock.take(NOW);
        let said = ["silent", "silent", "refused"].map(|why| stock.failed(HOST, why, NOW));
        assert_eq!(said, [true, false, true]);
        stock.recorded(HOST, 7);
        assert!(stock.failed(HOST, "refused", NOW));
    }

    #[test]
    fn what_fails_is_left_alone_twice_as_long_each_time_and_at_once_due_when_it_is_over() {
        let stock = Stock::default();
        let mut now = NOW;
        for pause in [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000] {
            stock.shown(HOST, 7);
            assert_eq!(stock.take(now), [HOST]);
            stock.failed(HOST, "silent", now);
            stock.shown(HOST, 7);
            stock.all_due();
            assert_eq!(stock.take(now.plus_ms(pause - 1)), []);
            now = now.plus_ms(pause);
        }
        assert_eq!(stock.take(now), [HOST]);
        stock.recorded(HOST, 7);
        stock.all_due();
        assert_eq!(stock.take(NOW), [HOST], "nothing is left of it");
        assert_eq!(pause_ms(u32::MAX), LONGEST_PAUSE_MS);
    }

    #[test]
    fn what_was_taken_and_not_begun_is_due_again() {
        let stock = Stock::default();
        for host in [HOST, OTHER] {
            stock.shown(host, 7);
            stock.recorded(host, 7);
        }
        stock.all_due();
        let mut due = stock.take(NOW).into_iter();
        assert_eq!(due.next(), Some(HOST));
        stock.failed(HOST, "disk full", NOW);
        stock.again(due);
        assert_eq!(stock.take(NOW), [OTHER]);
    }

    #[test]
    fn what_was_asked_in_part_is_due_again_and_goes_on_there() {
        let stock = Stock::default();
        stock.shown(HOST, 7);
        stock.take(NOW);
        let key = ResourceKey::task("UPID:x");
        stock.recorded_up_to(HOST, key.clone());
        assert_eq!(stock.asked_to(HOST), Some(key));
        stock.shown(HOST, 7);
        assert_eq!(stock.take(NOW), [HOST]);
        stock.recorded(HOST, 7);
        assert_eq!(stock.asked_to(HOST), None);
    }
}
