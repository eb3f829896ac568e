//! What is kept of the journals, and what of them may go.
//!
//! The journals are the log of events, and of each operation its steps with the lines of the app's log that it said. The
//! audit is none of them and is kept whole; so are records, those in the archive included, with their operations. Snapshots of
//! resources are no journal, and go by the same two rules.

use crate::ids::OperationId;
use crate::resource::ResourceId;
use crate::time::Timestamp;

/// How much is kept of one journal. What breaks either rule goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// How old it may become, milliseconds; `None` = as old as it likes.
    pub age_ms: Option<i64>,
    /// So many of the newest; `None` = all.
    pub most: Option<u64>,
}

/// How much is kept of the journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Of the log of events.
    pub events: Keep,
    /// Of the operations that have ended: how many keep their steps and lines.
    pub operations: Keep,
    /// Of the snapshots of each resource. The age is that of the moment from which on a snapshot was the state no more.
    pub snapshots: Keep,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How long what happened can be read: 90 days.
const KEPT_MS: i64 = 90 * DAY_MS;
/// Some 100 MB.
const EVENTS: u64 = 500_000;
/// Some 150 MB.
const OPERATIONS: u64 = 20_000;
/// Of one resource: some 200 KB.
const SNAPSHOTS: u64 = 200;

impl Default for Retention {
    fn default() -> Self {
        Self {
            events: Keep {
                age_ms: Some(KEPT_MS),
                most: Some(EVENTS),
            },
            operations: Keep {
                age_ms: Some(KEPT_MS),
                most: Some(OPERATIONS),
            },
            snapshots: Keep {
                age_ms: Some(KEPT_MS),
                most: Some(SNAPSHOTS),
            },
        }
    }
}

impl Keep {
    /// `days` and `most` as they are configured, where 0 is no bound.
    #[must_use]
    pub fn of(days: u32, most: u64) -> Self {
        Self {
            age_ms: (days > 0).then(|| i64::from(days) * DAY_MS),
            most: (most > 0).then_some(most),
        }
    }

    /// Whether what is of `at`, and has `newer` others after it, is more than is kept.
    fn is_over(&self, at: Timestamp, newer: u64, now: Timestamp) -> bool {
        let age_ms = now.0.saturating_sub(at.0);
        self.age_ms.is_some_and(|most_ms| age_ms > most_ms)
            || self.most.is_some_and(|most| newer >= most)
    }
}

/// The old end of the log of events, and who needs what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldEvents {
    /// Numbers and moments of the oldest that are there, oldest first, without a gap.
    pub oldest: Vec<(i64, Timestamp)>,
    /// Number of the newest event there is.
    pub newest: i64,
    /// The first one that a channel of notices may not have looked at; none is without channels.
    pub unseen: Option<i64>,
    /// The first one that a channel was to be told of, and was not yet.
    pub untold: Option<i64>,
}

/// What of the log of events goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsToClear {
    /// All up to this number; `None` = nothing.
    pub to: Option<i64>,
    /// More would go, but a channel has not been told of it.
    pub is_held: bool,
}

/// Decides what of `old` goes: from the oldest on, as far as everything is over. What a channel has not looked at or was not told
/// of stays with all that comes after it, and the newest event always stays, for the next one is numbered after it.
#[must_use]
pub fn events_to_clear(old: &OldEvents, keep: &Keep, now: Timestamp) -> EventsToClear {
    let mut found = EventsToClear {
        to: None,
        is_held: false,
    };
    for (seq, at) in &old.oldest {
        let newer = u64::try_from(old.newest.saturating_sub(*seq)).unwrap_or_default();
        if newer == 0 || !keep.is_over(*at, newer, now) {
            break;
        }
        let is_from = |first: i64| *seq >= first;
        found.is_held = old.untold.is_some_and(is_from);
        if found.is_held || old.unseen.is_some_and(is_from) {
            break;
        }
        found.to = Some(*seq);
    }
    found
}

/// An operation that has ended and has its steps and lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedOperation {
    /// Which.
    pub id: OperationId,
    /// When it ended.
    pub finished_at: Timestamp,
    /// It is the newest of an app that is live: what people look at when they ask what became of it.
    pub is_newest_of_live_app: bool,
}

/// Which operations lose their steps and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationsToClear {
    /// These.
    pub go: Vec<OperationId>,
    /// None that ended later goes.
    pub is_end: bool,
}

/// Decides which of `found`, the ones that ended first, go. `from_here` is how many there are from the first of them on, all
/// that ended later included.
#[must_use]
pub fn operations_to_clear(
    found: &[EndedOperation],
    from_here: u64,
    keep: &Keep,
    now: Timestamp,
) -> OperationsToClear {
    let mut go = Vec::new();
    for (operation, before) in found.iter().zip(1..) {
        let newer = from_here.saturating_sub(before);
        if !keep.is_over(operation.finished_at, newer, now) {
            return OperationsToClear { go, is_end: true };
        }
        if !operation.is_newest_of_live_app {
            go.push(operation.id);
        }
    }
    let is_end = found.is_empty();
    OperationsToClear { go, is_end }
}

/// A snapshot that is a resource's state no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastSnapshot {
    /// The resource.
    pub resource: ResourceId,
    /// Its number.
    pub seq: i64,
    /// Since when it is the state no more: the moment of the next one.
    pub ended_at: Timestamp,
}

/// Which of `past`, the ones that ended first, are older than is kept, as the resources whose snapshots up to that number go. What
/// was the state at a moment that is not too old stays.
#[must_use]
pub fn snapshots_to_clear(
    past: &[PastSnapshot],
    keep: &Keep,
    now: Timestamp,
) -> Vec<(ResourceId, i64)> {
    let by_age = Keep {
        most: None,
        ..*keep
    };
    let over = past
        .iter()
        .take_while(|one| by_age.is_over(one.ended_at, 0, now));
    over.map(|one| (one.resource, one.seq)).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn keep(age_ms: Option<i64>, most: Option<u64>) -> Keep {
        Keep { age_ms, most }
    }

    /// Events 11 to 20, each 10 ms younger than the one before; the newest is of now.
    fn events(unseen: Option<i64>, untold: Option<i64>) -> OldEvents {
        OldEvents {
            oldest: (11..=20)
                .map(|seq| (seq, Timestamp(NOW.0 - 10 * (20 - seq))))
                .collect(),
            newest: 20,
            unseen,
            untold,
        }
    }

    /// What goes while a channel was not told of this one, and whether that holds up more.
    fn cleared(keep: Keep, untold: Option<i64>) -> (Option<i64>, bool) {
        let EventsToClear { to, is_held } = events_to_clear(&events(None, untold), &keep, NOW);
        (to, is_held)
    }

    #[test]
    fn events_go_by_age_and_by_number_whichever_is_less() {
        assert_eq!(cleared(keep(None, None), None), (None, false));
        assert_eq!(cleared(keep(Some(50), None), None), (Some(14), false));
        assert_eq!(cleared(keep(None, Some(3)), None), (Some(17), false));
        assert_eq!(cleared(keep(Some(50), Some(3)), None), (Some(17), false));
        assert_eq!(cleared(keep(Some(50), Some(8)), None), (Some(14), false));
    }

    #[test]
    fn the_newest_event_and_what_a_channel_needs_never_go() {
        let nothing = keep(Some(-1), Some(0));
        assert_eq!(cleared(nothing, None), (Some(19), false));
        assert_eq!(cleared(nothing, Some(15)), (Some(14), true));
        assert_eq!(cleared(nothing, Some(11)), (None, true));
        assert_eq!(cleared(nothing, Some(20)), (Some(19), false));
        assert_eq!(
            cleared(keep(Some(50), None), Some(15)),
            (Some(14), false),
            "what is needed would have stayed anyway"
        );
    }

    /// How far a channel has looked is written down seldom where it is told of little: that is nothing to worry about.
    #[test]
    fn what_a_channel_may_not_have_looked_at_stays_and_is_not_held_up() {
        let nothing = keep(None, Some(0));
        let cleared = |unseen, untold| {
            let found = events_to_clear(&events(Some(unseen), untold), &nothing, NOW);
            (found.to, found.is_held)
        };
        assert_eq!(cleared(15, None), (Some(14), false));
        assert_eq!(cleared(11, None), (None, false));
        assert_eq!(cleared(15, Some(13)), (Some(12), true));
        assert_eq!(cleared(21, None), (Some(19), false));
    }

    #[test]
    fn a_clock_that_was_set_back_leaves_no_hole() {
        let mut old = events(None, None);
        old.oldest[2].1 = NOW;
        let found = events_to_clear(&old, &keep(Some(50), None), NOW);
        assert_eq!(found.to, Some(12), "none goes behind one that stays");
    }

    fn operation(n: u128, is_newest_of_live_app: bool) -> EndedOperation {
        EndedOperation {
            id: OperationId(Uuid::from_u128(n)),
            finished_at: Timestamp(NOW.0 - 100 + i64::try_from(n).unwrap()),
            is_newest_of_live_app,
        }
    }

    fn gone(found: &[EndedOperation], from_here: u64, keep: Keep) -> (Vec<u128>, bool) {
        let OperationsToClear { go, is_end } = operations_to_clear(found, from_here, &keep, NOW);
        (go.iter().map(|id| id.0.as_u128()).collect(), is_end)
    }

    #[test]
    fn operations_go_by_age_and_by_number_but_for_the_newest_of_a_live_app() {
        let four = [
            operation(1, false),
            operation(2, true),
            operation(3, false),
            operation(4, false),
        ];
        assert_eq!(gone(&four, 4, keep(None, None)), (vec![], true));
        assert_eq!(gone(&four, 4, keep(Some(97), None)), (vec![1], true));
        assert_eq!(gone(&four, 4, keep(None, Some(1))), (vec![1, 3], true));
        assert_eq!(gone(&four, 4, keep(None, Some(4))), (vec![], true));
        // There are more that ended later.
        assert_eq!(gone(&four, 9, keep(None, Some(2))), (vec![1, 3, 4], false));
        assert_eq!(gone(&[], 0, keep(None, Some(2))), (vec![], true));
    }

    #[test]
    fn snapshots_go_from_when_they_were_the_state_no_more() {
        let past = |n: u128, ended_ms| PastSnapshot {
            resource: ResourceId(Uuid::from_u128(n)),
            seq: 1,
            ended_at: Timestamp(NOW.0 - ended_ms),
        };
        let all = [past(1, 100), past(2, 51), past(3, 50), past(4, 60)];
        let gone = |keep: Keep| {
            let gone = snapshots_to_clear(&all, &keep, NOW);
            let ids = gone.iter().map(|(id, _)| id.0.as_u128());
            ids.collect::<Vec<_>>()
        };
        assert_eq!(gone(keep(Some(50), None)), [1, 2], "those that ended first");
        assert_eq!(
            gone(keep(None, Some(0))),
            [],
            "numbers are counted by resource"
        );
        assert_eq!(gone(keep(Some(-1), None)), [1, 2, 3, 4]);
    }

    #[test]
    fn nothing_is_bounded_by_0() {
        assert_eq!(Keep::of(0, 0), Keep::default());
        assert_eq!(Keep::of(2, 7), keep(Some(2 * DAY_MS), Some(7)));
    }
}
