//! The mass brake: too many at once, and a person is asked.

/// The hour that is looked back on, milliseconds.
pub const HOUR_MS: i64 = 3_600_000;

/// So many in an hour need nobody's word.
const FREE: u64 = 3;
/// Nor do so many of a hundred apps.
const FREE_PERCENT: u64 = 5;

/// What the brake counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Live apps now.
    pub live: u64,
    /// Records archived and native apps destroyed in the last hour, by plans, bulk requests and background loops; after the
    /// last baseline only.
    pub done: u64,
}

/// What the brake says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brake {
    /// Go on.
    Free,
    /// More than the limit: nothing is done until a person confirms the number.
    Stops {
        /// How many are missing now, proven or not yet.
        missing: u64,
        /// What were done in the last hour already.
        done: u64,
        /// What may be done in an hour.
        limit: u64,
    },
}

/// How many of so many apps may go in an hour: 3, or 5 % of them if that is more.
#[must_use]
pub fn limit(apps: u64) -> u64 {
    FREE.max(apps.saturating_mul(FREE_PERCENT) / 100)
}

impl Brake {
    /// Whether `missing` more may go. All of them or none: those that are only suspected yet count, so that a slow proof does
    /// not let them by in small parts.
    #[must_use]
    pub fn judge(tally: Tally, missing: u64) -> Self {
        let Tally { live, done } = tally;
        let limit = limit(live.saturating_add(done));
        if missing == 0 || done.saturating_add(missing) <= limit {
            Self::Free
        } else {
            Self::Stops {
                missing,
                done,
                limit,
            }
        }
    }

    /// Whether a person's number releases it: exactly as many as are missing, typed by hand.
    #[must_use]
    pub fn is_released_by(self, confirmed: u64) -> bool {
        match self {
            Self::Free => false,
            Self::Stops { missing, .. } => missing == confirmed,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(live: u64, done: u64, missing: u64) -> Brake {
        Brake::judge(Tally { live, done }, missing)
    }

    #[test]
    fn more_than_three_or_five_in_a_hundred_stop() {
        for (live, most) in [
            (1, 3),
            (10, 3),
            (60, 3),
            (79, 3),
            (80, 4),
            (100, 5),
            (10_000, 500),
        ] {
            assert_eq!(judge(live, 0, most), Brake::Free, "{live}");
            let stops = Brake::Stops {
                missing: most + 1,
                done: 0,
                limit: most,
            };
            assert_eq!(judge(live, 0, most + 1), stops, "{live}");
        }
    }

    #[test]
    fn what_was_done_in_the_hour_counts() {
        assert_eq!(judge(8, 2, 1), Brake::Free);
        assert!(judge(8, 2, 2) != Brake::Free);
        assert_eq!(judge(8, 9, 0), Brake::Free, "nothing to stop");
    }

    #[test]
    fn only_the_very_number_releases() {
        let stops = judge(10, 0, 7);
        assert!(stops.is_released_by(7));
        assert!(!stops.is_released_by(8) && !stops.is_released_by(6) && !stops.is_released_by(0));
        assert!(!Brake::Free.is_released_by(0));
    }

    proptest! {
        #[test]
        fn however_they_come_no_hour_sees_more_than_the_limit(
            apps in 1u64..20_000,
            batches in prop::collection::vec(1u64..400, 1..60),
        ) {
            let (mut live, mut done) = (apps, 0);
            for batch in batches {
                let batch = batch.min(live);
                if judge(live, done, batch) == Brake::Free {
                    live -= batch;
                    done += batch;
                }
            }
            prop_assert!(done <= limit(apps), "{done} of {apps}");
        }
    }
}
