//! When each guest was verified last: the newest moment in memory, one a day on record, so that a sweep that finds nothing new
//! writes nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proximity_domain::ids::GuestId;
use proximity_domain::time::{Monotonic, Timestamp};

/// After so long a newer moment is put on record, milliseconds.
const KEPT_FOR_MS: i64 = 24 * 3_600_000;

/// Moments of one guest.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    /// The newest one by the wall clock.
    newest: Option<Timestamp>,
    kept: Option<Timestamp>,
    /// When the newest look that showed its identity was asked for.
    shown: Option<Monotonic>,
    /// When the newest look that did not show it in its place had ended.
    lost: Option<Monotonic>,
    /// When the newest look that did not have its number at all had ended.
    missed: Option<Monotonic>,
}

impl Moments {
    /// A complete look was without its number since it was verified last.
    fn is_missed(self) -> bool {
        self.missed.is_some() && self.missed >= self.shown
    }
}

/// When guests were verified in this process.
#[derive(Debug, Default)]
pub(super) struct Verified {
    guests: Mutex<BTreeMap<GuestId, Moments>>,
}

impl Verified {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<GuestId, Moments>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A guest showed its whole identity, to a read that was sent at the moment `asked`.
    pub(super) fn note(&self, guest: GuestId, now: Timestamp, asked: Monotonic) {
        let mut guests = self.lock();
        let moments = guests.entry(guest).or_default();
        moments.newest = Some(now);
        moments.shown = moments.shown.max(Some(asked));
    }

    /// A look that had `ended` then did not show them in their places, or something else in their stead: what was
    /// verified before does not speak for what is there now.
    pub(super) fn lose(&self, lost: impl IntoIterator<Item = GuestId>, ended: Monotonic) {
        let mut guests = self.lock();
        for guest in lost {
            guests.entry(guest).or_default().lost = Some(ended);
        }
    }

    /// A complete look that had `ended` then did not have their numbers at all. That they are verified again is put on record once they
    /// are, so that the next process does not take them for missed.
    pub(super) fn miss(&self, missed: impl IntoIterator<Item = GuestId>, ended: Monotonic) {
        let mut guests = self.lock();
        for guest in missed {
            let moments = guests.entry(guest).or_default();
            moments.missed = Some(ended);
            moments.kept = None;
        }
    }

    /// Whether a complete look was without its number since it was verified last, in this process.
    pub(super) fn is_missed(&self, guest: GuestId) -> bool {
        let moments = self.lock().get(&guest).copied().unwrap_or_default();
        moments.is_missed()
    }

    /// When it was verified last in this process, by the wall clock as it was then and as it is `now`, which is `moment` by the clock that
    /// nobody sets: the earlier of both, for one of them was set between.
    pub(super) fn since(
        &self,
        guest: GuestId,
        now: Timestamp,
        moment: Monotonic,
    ) -> Option<Timestamp> {
        let moments = self.lock().get(&guest).copied()?;
        let (newest, shown) = (moments.newest?, moments.shown?);
        let passed_ms = i64::try_from(moment.since_ms(shown)).unwrap_or(i64::MAX);
        Some(newest.min(Timestamp(now.0.saturating_sub(passed_ms))))
    }

    /// When it did last, in this process.
    pub(super) fn newest(&self, guest: GuestId) -> Option<Timestamp> {
        self.lock().get(&guest)?.newest
    }

    /// Since which moment it is known to be what is recorded: the newest read that showed it, if it was in its place in
    /// every look since.
    pub(super) fn shown(&self, guest: GuestId) -> Option<Monotonic> {
        let moments = self.lock().get(&guest).copied()?;
        moments.shown.filter(|_| moments.shown > moments.lost)
    }

    /// Guests whose newest moment is a day after that on record, or of which none is as far as this process knows; none whose number was
    /// missed after it. Others than `on_record` are forgotten.
    pub(super) fn due(&self, on_record: impl Fn(GuestId) -> bool) -> Vec<GuestId> {
        let mut guests = self.lock();
        guests.retain(|guest, _| on_record(*guest));
        let old = |moments: &Moments| {
            let since = |newest: Timestamp, kept: Timestamp| newest.0.saturating_sub(kept.0);
            let is_due = |newest| {
                let kept = moments.kept;
                kept.is_none_or(|kept| since(newest, kept) >= KEPT_FOR_MS)
            };
            !moments.is_missed() && moments.newest.is_some_and(is_due)
        };
        let due = guests.iter().filter(|(_, moments)| old(moments));
        let mut due: Vec<GuestId> = due.map(|(guest, _)| *guest).collect();
        due.sort_unstable();
        due
    }

    /// Their moments are on record, but for those whose number was missed meanwhile.
    pub(super) fn kept(&self, noted: &[GuestId], now: Timestamp) {
        let mut guests = self.lock();
        for guest in noted {
            let moments = guests.get_mut(guest);
            if let Some(moments) = moments.filter(|moments| !moments.is_missed()) {
                moments.kept = Some(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn once_a_day_is_put_on_record() {
        let guest = GuestId(Uuid::from_u128(1));
        let verified = Verified::default();
        assert_eq!(verified.newest(guest), None);
        verified.note(guest, Timestamp(10), Monotonic(1));
        assert_eq!(verified.due(|_| true), [guest]);
        verified.kept(&[guest], Timestamp(10));
        verified.note(guest, Timestamp(20), Monotonic(2));
        assert_eq!(verified.due(|_| true), []);
        assert_eq!(verified.newest(guest), Some(Timestamp(20)));
        verified.note(guest, Timestamp(10 + KEPT_FOR_MS), Monotonic(3));
        assert_eq!(verified.due(|_| true), [guest]);
        assert_eq!(verified.due(|_| false), []);
        assert_eq!(verified.newest(guest), None, "it is on record no more");
    }

    #[test]
    fn a_clock_that_was_set_makes_nothing_later_than_it_was() {
        let guest = GuestId(Uuid::from_u128(1));
        let verified = Verified::default();
        let since = |now| verified.since(guest, Timestamp(now), Monotonic(2_000));
        assert_eq!(since(0), None, "never");
        verified.note(guest, Timestamp(10_000), Monotonic(1_000));
        assert_eq!(since(11_000), Some(Timestamp(10_000)));
        // An hour back, and forward, in the second that has passed.
        assert_eq!(since(11_000 - 3_600_000), Some(Timestamp(-3_590_000)));
        assert_eq!(since(11_000 + 3_600_000), Some(Timestamp(10_000)));
    }

    #[test]
    fn a_number_that_was_missed_is_so_until_its_container_is_verified_again() {
        let guest = GuestId(Uuid::from_u128(1));
        let verified = Verified::default();
        assert!(!verified.is_missed(guest));
        verified.note(guest, Timestamp(0), Monotonic(5));
        verified.lose([guest], Monotonic(6));
        assert!(!verified.is_missed(guest), "it is elsewhere");
        verified.miss([guest], Monotonic(7));
        assert!(verified.is_missed(guest));
        verified.note(guest, Timestamp(0), Monotonic(6));
        assert!(verified.is_missed(guest), "asked before that look ended");
        verified.note(guest, Timestamp(0), Monotonic(8));
        assert!(!verified.is_missed(guest));
    }

    #[test]
    fn what_was_missed_is_put_on_record_as_soon_as_it_is_verified_again() {
        let guest = GuestId(Uuid::from_u128(1));
        let verified = Verified::default();
        let due = || verified.due(|_| true);
        verified.note(guest, Timestamp(10), Monotonic(1));
        verified.kept(&due(), Timestamp(10));
        verified.miss([guest], Monotonic(2));
        assert_eq!(due(), [], "it was verified before that alone");
        verified.note(guest, Timestamp(20), Monotonic(3));
        let noted = due();
        assert_eq!(noted, [guest], "within the day");
        verified.miss([guest], Monotonic(4));
        verified.kept(&noted, Timestamp(20));
        verified.note(guest, Timestamp(30), Monotonic(5));
        assert_eq!(due(), [guest], "it was missed before that was on record");
        verified.kept(&due(), Timestamp(30));
        assert_eq!(due(), []);
    }

    #[test]
    fn what_was_shown_speaks_until_a_look_without_it() {
        let guest = GuestId(Uuid::from_u128(1));
        let verified = Verified::default();
        verified.note(guest, Timestamp(0), Monotonic(5));
        assert_eq!(verified.shown(guest), Some(Monotonic(5)));
        verified.lose([guest], Monotonic(7));
        assert_eq!(verified.shown(guest), None);
        verified.note(guest, Timestamp(0), Monotonic(6));
        assert_eq!(verified.shown(guest), None, "asked before that look ended");
        verified.note(guest, Timestamp(0), Monotonic(8));
        assert_eq!(verified.shown(guest), Some(Monotonic(8)));
    }
}
