//! Which operation is claimed next: decided purely, from what the record shows, what this process is at work on, and what
//! it has seen before.

use std::collections::HashMap;

use proximity_domain::ids::{Epoch, HolderId, HostId, OperationId};
use proximity_domain::time::{Monotonic, Timestamp};
use proximity_store::records::Claimable;

use crate::saga::{Guard, is_off};

/// What a worker remembers of the claims of others.
///
/// No lock is broken because a clock says so: a claim is over when its holder is known to be dead, or when it has shown no
/// sign of life for as long as its lease lasts, measured here by a clock that does not jump.
#[derive(Debug)]
pub(crate) struct Lookout {
    holder: HolderId,
    /// Every other holder is dead: this process has the lock of the data directory.
    exclusive: bool,
    /// Longest wait between two attempts; one that seems longer comes from a wall clock that was set back.
    longest_wait_ms: i64,
    silent: HashMap<OperationId, Silence>,
}

/// A lease as it was first seen.
#[derive(Debug, Clone, Copy)]
struct Silence {
    epoch: Epoch,
    until: Timestamp,
    since: Monotonic,
}

/// The moment of a look at the record, on both clocks.
///
/// What was read may be as old as `before` and as new as `after`. A silence is therefore counted from the `after` of the
/// look that began it to the `before` of a later one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) before: Monotonic,
    pub(crate) after: Monotonic,
    pub(crate) wall: Timestamp,
}

/// How many operations at the same time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slots {
    /// In all. Each host has one beyond, so that no number of hosts that hang holds up the others.
    pub(crate) total: usize,
    /// Per host.
    pub(crate) per_host: usize,
}

impl Lookout {
    pub(crate) fn new(holder: HolderId, exclusive: bool, longest_wait_ms: u64) -> Self {
        Self {
            holder,
            exclusive,
            longest_wait_ms: i64::try_from(longest_wait_ms).unwrap_or(i64::MAX),
            silent: HashMap::new(),
        }
    }

    /// What may be claimed now, in the order of `rows` (oldest first).
    pub(crate) fn free(
        &mut self,
        rows: Vec<Claimable>,
        at_work: &HashMap<OperationId, HostId>,
        now: Moment,
    ) -> Vec<Claimable> {
        self.silent.retain(|id, _| rows.iter().any(|r| r.id == *id));
        rows.into_iter()
            .filter(|row| !at_work.contains_key(&row.id) && self.is_free(row, now))
            .collect()
    }

    fn is_free(&mut self, row: &Claimable, now: Moment) -> bool {
        let Some(lease) = row.lease else {
            return row
                .due_at
                .is_none_or(|due| due <= now.wall || due.0 - now.wall.0 > self.longest_wait_ms);
        };
        if is_off(Guard::Takeover) {
            return false;
        }
        if self.exclusive && lease.holder != self.holder {
            return true;
        }
        let first = Silence {
            epoch: row.epoch,
            until: lease.until,
            since: now.after,
        };
        let seen = self.silent.entry(row.id).or_insert(first);
        if (seen.epoch, seen.until) != (first.epoch, first.until) {
            *seen = first;
        }
        if is_off(Guard::Silence) {
            return lease.until <= now.wall;
        }
        let lease_ms = u64::try_from(lease.lease_ms).unwrap_or(0);
        now.before.since_ms(seen.since) >= lease_ms
    }
}

/// The oldest of the host that has the fewest at work, as long as there are slots.
pub(crate) fn next<'a>(
    free: &'a [Claimable],
    at_work: &HashMap<OperationId, HostId>,
    slots: Slots,
) -> Option<&'a Claimable> {
    let mut busy: HashMap<HostId, usize> = HashMap::new();
    for host in at_work.values() {
        *busy.entry(*host).or_default() += 1;
    }
    let load = |row: &Claimable| busy.get(&row.host).copied().unwrap_or(0);
    free.iter()
        .filter(|row| load(row) == 0 || (load(row) < slots.per_host && at_work.len() < slots.total))
        // The first of several with the same load is the oldest.
        .min_by_key(|row| load(row))
}

#[cfg(test)]
mod tests {
    use proximity_store::records::Lease;
    use uuid::Uuid;

    use super::*;

    const LEASE_MS: i64 = 1_000;

    fn me() -> HolderId {
        HolderId(Uuid::from_u128(1))
    }

    fn other() -> HolderId {
        HolderId(Uuid::from_u128(2))
    }

    fn row(n: u128, host: u128, holder: Option<HolderId>) -> Claimable {
        Claimable {
            id: OperationId(Uuid::from_u128(n)),
            host: HostId(Uuid::from_u128(host)),
            epoch: Epoch(1),
            lease: holder.map(|holder| Lease {
                holder,
                until: Timestamp(50),
                lease_ms: LEASE_MS,
            }),
            due_at: None,
        }
    }

    fn at(monotonic: u64, wall: i64) -> Moment {
        Moment {
            before: Monotonic(monotonic),
            after: Monotonic(monotonic),
            wall: Timestamp(wall),
        }
    }

    fn ids(rows: &[Claimable]) -> Vec<u128> {
        rows.iter().map(|r| r.id.0.as_u128()).collect()
    }

    #[test]
    fn a_leap_of_the_wall_clock_breaks_no_lease() {
        let mut lookout = Lookout::new(me(), false, 60_000);
        let none = HashMap::new();
        for wall in [0, 10_i64.pow(12), -10_i64.pow(12)] {
            let free = lookout.free(vec![row(1, 1, Some(other()))], &none, at(0, wall));
            assert!(free.is_empty(), "{wall}");
        }
    }

    #[test]
    fn a_holder_is_over_after_its_own_lease_of_silence() {
        let mut lookout = Lookout::new(me(), false, 60_000);
        let none = HashMap::new();
        let mut rows = vec![row(1, 1, Some(other()))];
        assert!(lookout.free(rows.clone(), &none, at(10, 0)).is_empty());
        assert!(lookout.free(rows.clone(), &none, at(1_009, 0)).is_empty());
        // A sign of life, also one of a clock that went back.
        rows[0].lease.as_mut().unwrap().until = Timestamp(49);
        assert!(lookout.free(rows.clone(), &none, at(1_010, 0)).is_empty());
        assert!(lookout.free(rows.clone(), &none, at(2_009, 0)).is_empty());
        assert_eq!(ids(&lookout.free(rows, &none, at(2_010, 0))), [1]);
    }

    /// The record was read slowly: the lease may have been renewed right before it was read.
    #[test]
    fn the_time_a_look_takes_is_no_silence() {
        let mut lookout = Lookout::new(me(), false, 60_000);
        let (none, rows) = (HashMap::new(), vec![row(1, 1, Some(other()))]);
        let slow = Moment {
            after: Monotonic(500),
            ..at(0, 0)
        };
        assert!(lookout.free(rows.clone(), &none, slow).is_empty());
        let slow = Moment {
            after: Monotonic(9_000),
            ..at(1_499, 0)
        };
        assert!(lookout.free(rows.clone(), &none, slow).is_empty());
        assert_eq!(ids(&lookout.free(rows, &none, at(1_500, 0))), [1]);
    }

    #[test]
    fn what_is_at_work_here_is_never_claimed_again() {
        let mut lookout = Lookout::new(me(), true, 60_000);
        let rows = vec![row(1, 1, Some(me())), row(2, 1, Some(other()))];
        let working = HashMap::from([(rows[0].id, rows[0].host)]);
        assert_eq!(ids(&lookout.free(rows.clone(), &working, at(0, 0))), [2]);
        let later = at(u64::MAX, i64::MAX);
        assert_eq!(ids(&lookout.free(rows.clone(), &working, later)), [2]);
        // Claimed here, and given up without a word.
        let none = HashMap::new();
        assert_eq!(ids(&lookout.free(rows.clone(), &none, at(0, 0))), [2]);
        assert_eq!(ids(&lookout.free(rows, &none, at(1_000, 0))), [1, 2]);
    }

    #[test]
    fn a_wait_lasts_until_it_is_due_and_no_leap_makes_it_endless() {
        let mut lookout = Lookout::new(me(), true, 60_000);
        let mut waits = row(1, 1, None);
        waits.due_at = Some(Timestamp(5_000));
        let none = HashMap::new();
        let mut free = |wall| lookout.free(vec![waits.clone()], &none, at(0, wall)).len();
        assert_eq!((free(4_999), free(5_000)), (0, 1));
        assert_eq!(free(-10_i64.pow(12)), 1, "the clock was set back");
    }

    #[test]
    fn hosts_take_turns_and_one_that_hangs_holds_up_itself_alone() {
        let slots = Slots {
            total: 4,
            per_host: 3,
        };
        let mut queue: Vec<Claimable> = (1..=10).map(|n| row(n, 1, None)).collect();
        queue.extend((11..=20).map(|n| row(n, 2, None)));
        queue.push(row(21, 3, None));
        let mut at_work = HashMap::new();
        let mut order = Vec::new();
        while let Some(chosen) = next(&queue, &at_work, slots).cloned() {
            queue.retain(|r| r.id != chosen.id);
            at_work.insert(chosen.id, chosen.host);
            order.push(chosen.id.0.as_u128());
        }
        assert_eq!(order, [1, 11, 21, 2], "fewest first, oldest first");
        // All slots are taken by hosts that hang; a new host still gets one.
        queue.push(row(30, 4, None));
        let chosen = next(&queue, &at_work, slots).unwrap();
        assert_eq!(chosen.id.0.as_u128(), 30);
    }
}
