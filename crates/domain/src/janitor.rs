//! The janitor's judgement: which apps have been on their way for too long, with nobody to take them there.
//!
//! Pure: no client, no clock. What it finds is marked *error* and nothing else; what becomes of a container the reconciler
//! says.

use crate::app::StatusLabel;
use crate::time::Timestamp;

/// How the operation of an app is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// The app has none.
    None,
    /// It waits for a worker or for its next attempt: somebody will come.
    Waiting,
    /// A worker holds it under an epoch until then.
    Leased {
        /// End of the lease.
        until: Timestamp,
    },
    /// It waits for a person.
    Stuck,
}

/// How long a lease may be over before its operation is taken for dead, milliseconds: workers take a silent one's place
/// within seconds.
pub const DEAD_AFTER_MS: i64 = 300_000;

impl Pulse {
    /// Somebody is at work, or will be without being asked.
    #[must_use]
    pub fn is_alive(self, now: Timestamp) -> bool {
        match self {
            Self::None | Self::Stuck => false,
            Self::Waiting => true,
            Self::Leased { until } => now.0.saturating_sub(until.0) < DEAD_AFTER_MS,
        }
    }
}

/// How long an app may be on its way, per kind of way, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the statuses' names
pub struct Limits {
    pub deploying_ms: i64,
    pub adopting_ms: i64,
    pub cloning_ms: i64,
    pub updating_ms: i64,
    pub removing_ms: i64,
}

/// One hour, the seeds' limit.
const DEFAULT_MS: i64 = 3_600_000;

impl Default for Limits {
    fn default() -> Self {
        Self::all(DEFAULT_MS)
    }
}

impl Limits {
    /// The same for every kind.
    #[must_use]
    pub const fn all(ms: i64) -> Self {
        Self {
            deploying_ms: ms,
            adopting_ms: ms,
            cloning_ms: ms,
            updating_ms: ms,
            removing_ms: ms,
        }
    }

    /// The limit of a status; `None` if it is no way to somewhere.
    #[must_use]
    pub fn of(&self, status: StatusLabel) -> Option<i64> {
        match status {
            StatusLabel::Deploying => Some(self.deploying_ms),
            StatusLabel::Adopting => Some(self.adopting_ms),
            StatusLabel::Cloning => Some(self.cloning_ms),
            StatusLabel::Updating => Some(self.updating_ms),
            StatusLabel::Removing => Some(self.removing_ms),
            StatusLabel::Running | StatusLabel::Stopped | StatusLabel::Error => None,
        }
    }
}

/// What the janitor finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diagnosis {
    /// Not on its way to anywhere.
    Settled,
    /// On its way, and within its time or in somebody's hands.
    UnderWay,
    /// On its way for too long, with nobody at work.
    StuckFor {
        /// How long, milliseconds.
        ms: i64,
    },
}

/// Judges one app. `now` must not run ahead of the time that really passed ([`crate::time::Anchor`]).
#[must_use]
pub fn diagnose(
    status: StatusLabel,
    since: Timestamp,
    pulse: Pulse,
    limits: &Limits,
    now: Timestamp,
) -> Diagnosis {
    let Some(limit) = limits.of(status) else {
        return Diagnosis::Settled;
    };
    let ms = now.0.saturating_sub(since.0);
    if ms <= limit || pulse.is_alive(now) {
        return Diagnosis::UnderWay;
    }
    Diagnosis::StuckFor { ms }
}

/// `Xh Ym`, as the seeds' log lines have it.
#[must_use]
pub fn hours_minutes(ms: i64) -> String {
    let minutes = ms.max(0) / 60_000;
    format!("{}h {}m", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(ms: i64, pulse: Pulse) -> Diagnosis {
        let limits = Limits::default();
        diagnose(
            StatusLabel::Deploying,
            Timestamp(0),
            pulse,
            &limits,
            Timestamp(ms),
        )
    }

    #[test]
    fn an_hour_is_the_limit_and_only_beyond_it_is_too_long() {
        assert_eq!(at(HOUR, Pulse::None), Diagnosis::UnderWay);
        assert_eq!(
            at(HOUR + 1, Pulse::None),
            Diagnosis::StuckFor { ms: HOUR + 1 }
        );
        assert_eq!(
            at(-HOUR, Pulse::None),
            Diagnosis::UnderWay,
            "a clock that went back"
        );
    }

    #[test]
    fn what_is_alive_is_left_alone_however_long_it_takes() {
        let day = 24 * HOUR;
        let leased = |until| {
            at(
                day,
                Pulse::Leased {
                    until: Timestamp(until),
                },
            )
        };
        assert_eq!(at(day, Pulse::Waiting), Diagnosis::UnderWay);
        assert_eq!(leased(day + 1), Diagnosis::UnderWay);
        assert_eq!(leased(day - DEAD_AFTER_MS + 1), Diagnosis::UnderWay);
        assert_eq!(leased(day - DEAD_AFTER_MS), Diagnosis::StuckFor { ms: day });
        assert_eq!(at(day, Pulse::Stuck), Diagnosis::StuckFor { ms: day });
    }

    #[test]
    fn only_ways_have_limits_and_each_its_own() {
        let limits = Limits {
            deploying_ms: 1,
            adopting_ms: 2,
            cloning_ms: 3,
            updating_ms: 4,
            removing_ms: 5,
        };
        let table: String = StatusLabel::ALL
            .into_iter()
            .map(|status| format!("{:<10} {:?}\n", status.label(), limits.of(status)))
            .collect();
        insta::assert_snapshot!(table, @r"
        deploying  Some(1)
        adopting   Some(2)
        cloning    Some(3)
        running    None
        stopped    None
        updating   Some(4)
        removing   Some(5)
        error      None
        ");
    }

    #[test]
    fn durations_read_as_the_seeds_have_them() {
        assert_eq!(hours_minutes(2 * HOUR + 5 * 60_000 + 59_999), "2h 5m");
        assert_eq!(hours_minutes(-1), "0h 0m");
    }

    proptest! {
        #[test]
        fn nothing_is_marked_before_its_limit_or_while_its_lease_lives(
            since in 0i64..10 * HOUR,
            now in 0i64..40 * HOUR,
            until in 0i64..40 * HOUR,
            limit in 1i64..10 * HOUR,
        ) {
            let limits = Limits::all(limit);
            let pulse = Pulse::Leased { until: Timestamp(until) };
            for status in StatusLabel::ALL {
                let found = diagnose(status, Timestamp(since), pulse, &limits, Timestamp(now));
                if let Diagnosis::StuckFor { ms } = found {
                    prop_assert!(ms > limit && now >= until + DEAD_AFTER_MS);
                    prop_assert!(limits.of(status).is_some());
                }
            }
        }
    }
}
