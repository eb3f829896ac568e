//! A guest that complete looks do not show: counted, look by look.

use crate::time::Timestamp;

/// The newest look where none counts.
const NEVER: Timestamp = Timestamp(i64::MAX);

/// How often, and since when, a guest was missing from complete looks in a row. Survives a restart; whoever sees the guest
/// again drops it. A look that says nothing of the guest ends the row, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// The first complete look without the guest.
    pub since: Timestamp,
    /// How many were counted, each long enough after the one before.
    pub looks: u32,
    /// When the newest of them was; the end of time where they are counted anew from the next one on.
    pub last: Timestamp,
}

impl Suspicion {
    /// So many complete looks make it ripe.
    pub const LOOKS: u32 = 3;
    /// So far apart are looks that count, milliseconds.
    pub const APART_MS: i64 = 30_000;

    /// The first look without the guest.
    #[must_use]
    pub fn begun(now: Timestamp) -> Self {
        Self {
            since: now,
            looks: 1,
            last: now,
        }
    }

    /// Enough looks were counted; now a direct read may prove it.
    #[must_use]
    pub fn is_ripe(&self) -> bool {
        self.looks >= Self::LOOKS
    }

    /// The same after one more complete look without the guest, which `began` and has come to its end `now`, if that changes
    /// anything: a look that begins too soon after the end of the one before does not count, and beyond what is needed none is counted. A clock that went back begins the wait anew.
    #[must_use]
    pub fn counted(&self, began: Timestamp, now: Timestamp) -> Option<Self> {
        if self.is_ripe() {
            return None;
        }
        let apart = began.0.saturating_sub(self.last.0);
        if now < self.last {
            return Some(Self { last: now, ..*self });
        }
        (apart >= Self::APART_MS).then_some(Self {
            looks: self.looks + 1,
            last: now,
            ..*self
        })
    }

    /// The same after a complete look that says nothing of the guest, for its node is off, if that changes anything: since when it
    /// is missing stays, and the next look without it is the first that counts.
    #[must_use]
    pub fn interrupted(&self) -> Option<Self> {
        let interrupted = Self {
            looks: 1,
            // Later than any look, which by that begins the wait anew.
            last: NEVER,
            ..*self
        };
        (interrupted != *self).then_some(interrupted)
    }

    /// The newest look that could be counted said nothing of the guest: it is not missing from it.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.last == NEVER
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn looks_too_close_do_not_count() {
        let first = Suspicion::begun(Timestamp(0));
        assert!(!first.is_ripe());
        assert_eq!(
            first.counted(Timestamp(0), Timestamp(0)),
            None,
            "nothing to write"
        );
        assert_eq!(first.counted(Timestamp(29_999), Timestamp(29_999)), None);
        let second = first.counted(Timestamp(30_000), Timestamp(30_000)).unwrap();
        assert_eq!((second.looks, second.is_ripe()), (2, false));
        assert_eq!(second.counted(Timestamp(59_999), Timestamp(59_999)), None);
        let third = second
            .counted(Timestamp(60_000), Timestamp(60_000))
            .unwrap();
        assert!(third.is_ripe());
        assert_eq!(third.since, Timestamp(0));
        assert_eq!(
            third.counted(Timestamp(900_000), Timestamp(900_000)),
            None,
            "ripe writes nothing more"
        );
    }

    #[test]
    fn a_look_that_takes_long_counts_from_its_end_to_the_next_one_s_begin() {
        let first = Suspicion::begun(Timestamp(10_000));
        assert_eq!(first.counted(Timestamp(39_999), Timestamp(60_000)), None);
        let second = first.counted(Timestamp(40_000), Timestamp(60_000)).unwrap();
        assert_eq!((second.looks, second.last), (2, Timestamp(60_000)));
        assert_eq!(second.counted(Timestamp(89_999), Timestamp(95_000)), None);
    }

    #[test]
    fn a_clock_that_went_back_counts_nothing() {
        let late = Suspicion::begun(Timestamp(1_000_000));
        let again = late.counted(Timestamp(500), Timestamp(500)).unwrap();
        assert_eq!((again.looks, again.last), (1, Timestamp(500)));
        assert_eq!(again.counted(Timestamp(30_499), Timestamp(30_499)), None);
        assert_eq!(
            again
                .counted(Timestamp(30_500), Timestamp(30_500))
                .unwrap()
                .looks,
            2
        );
    }

    #[test]
    fn a_look_that_says_nothing_counts_anew_and_leaves_since_when() {
        let first = Suspicion::begun(Timestamp(0));
        let second = first.counted(Timestamp(30_000), Timestamp(30_000)).unwrap();
        let third = second
            .counted(Timestamp(60_000), Timestamp(60_000))
            .unwrap();
        for before in [first, second, third] {
            let off = before.interrupted().unwrap();
            assert!(off.is_interrupted() && !off.is_ripe());
            assert_eq!(off.interrupted(), None, "nothing to write");
            // As one that begins then, and no earlier.
            let (at, begun) = (Timestamp(90_000), Suspicion::begun(Timestamp(90_000)));
            let again = off.counted(at, at).unwrap();
            assert_eq!((again.looks, again.last), (begun.looks, begun.last));
            assert_eq!(again.since, Timestamp(0));
            assert!(!again.is_interrupted());
        }
    }

    proptest! {
        #[test]
        fn it_ripens_no_earlier_than_a_minute_after_the_first_look(steps in prop::collection::vec(0i64..40_000, 0..40)) {
            let mut now = 0;
            let mut suspicion = Suspicion::begun(Timestamp(0));
            for step in steps {
                now += step;
                suspicion = suspicion.counted(Timestamp(now), Timestamp(now)).unwrap_or(suspicion);
                prop_assert!(!suspicion.is_ripe() || now >= 60_000);
                prop_assert!(suspicion.looks <= Suspicion::LOOKS);
            }
        }
    }
}
