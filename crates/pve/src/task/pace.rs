//! How long to wait before the list of tasks is read again: rarely while nothing can have happened, often when tasks of
//! this kind used to end.

use std::collections::{HashMap, VecDeque};

use proximity_domain::names::NodeName;

use crate::upid::Upid;

/// The longest pause: an end is noticed within a quarter of a second, the reading included.
const LONGEST_MS: u64 = 200;
/// The pause while nothing is known of how long such a task takes.
const UNKNOWN_MS: u64 = 75;
/// The shortest pause.
const SHORTEST_MS: u64 = 8;
/// How many looks the time gets in which an end is expected.
const LOOKS: u64 = 8;
/// How far around a duration the next end is expected, at least and as a part of it.
const SLACK_MS: u64 = 16;
const SLACK_PART: u64 = 100;
/// Durations that are kept of a kind of task, and those of them that are gone by.
const KEPT: usize = 24;
const COUNTED: usize = 6;

/// Between which ages a task was seen to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Took {
    /// It still ran then.
    pub(super) longer_than_ms: u64,
    /// It was over then.
    pub(super) at_most_ms: u64,
}

impl Took {
    /// From when to when another one like it may end.
    fn around(self) -> (u64, u64) {
        let slack = SLACK_MS.max(self.at_most_ms / SLACK_PART);
        (
            self.longer_than_ms.saturating_sub(slack),
            self.at_most_ms.saturating_add(slack),
        )
    }

    /// The pause of a task of this age, if it takes as long.
    fn pause_ms(self, age_ms: u64) -> u64 {
        let (from, to) = self.around();
        if age_ms < from {
            (from - age_ms).clamp(SHORTEST_MS, LONGEST_MS)
        } else if age_ms < to {
            ((to - from) / LOOKS).clamp(SHORTEST_MS, LONGEST_MS)
        } else {
            LONGEST_MS
        }
    }
}

/// What was seen of tasks that ended, newest last.
#[derive(Debug, Default)]
pub(super) struct Learned(HashMap<String, VecDeque<(NodeName, Took)>>);

impl Learned {
    pub(super) fn note(&mut self, upid: &Upid, took: Took) {
        let of_kind = self.0.entry(upid.kind().to_owned()).or_default();
        if of_kind.len() == KEPT {
            of_kind.pop_front();
        }
        of_kind.push_back((upid.node().clone(), took));
    }

    /// How such tasks ended lately: on this node, or else on any.
    pub(super) fn about(&self, upid: &Upid) -> Vec<Took> {
        let Some(of_kind) = self.0.get(upid.kind()) else {
            return Vec::new();
        };
        let newest = of_kind.iter().rev();
        let here = newest.clone().filter(|(node, _)| node == upid.node());
        let here: Vec<Took> = here.take(COUNTED).map(|(_, took)| *took).collect();
        if here.is_empty() {
            return newest.take(COUNTED).map(|(_, took)| *took).collect();
        }
        here
    }
}

/// The pause for one task of this age, by how those before it ended.
pub(super) fn pause_ms(age_ms: u64, before: &[Took]) -> u64 {
    let pauses = before.iter().map(|took| took.pause_ms(age_ms));
    pauses.min().unwrap_or(UNKNOWN_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(longer_than_ms: u64, at_most_ms: u64) -> Took {
        Took {
            longer_than_ms,
            at_most_ms,
        }
    }

    fn upid(node: &str, kind: &str) -> Upid {
        let text = format!("UPID:{node}:000002F5:0006BA26:6B001DCD:{kind}:140:root@pam!gold:");
        text.parse().unwrap()
    }

    /// The ages at which a task is looked at until it ends, when a look takes no time.
    fn looks(ends_ms: u64, before: &[Took]) -> Vec<u64> {
        let mut ages = vec![0];
        while let Some(age) = ages.last().copied().filter(|age| *age < ends_ms) {
            ages.push(age + pause_ms(age, before));
        }
        ages
    }

    fn noticed_after(ends_ms: u64, before: &[Took]) -> u64 {
        looks(ends_ms, before).last().unwrap() - ends_ms
    }

    #[test]
    fn an_end_as_expected_is_noticed_at_once_with_few_looks() {
        let before = [took(1_994, 2_003)];
        for ends in 1_985..2_015 {
            assert!(noticed_after(ends, &before) <= SHORTEST_MS, "{ends}");
            let count = looks(ends, &before).len();
            assert!(count <= 19, "{count} looks");
        }
        // Nothing was known: as often as once a look took 75 ms, and twice as many looks.
        assert!(looks(2_000, &[]).len() > 25);
    }

    #[test]
    fn no_end_is_noticed_late_whatever_was_learned() {
        let all: [&[Took]; 5] = [
            &[],
            &[took(0, 0)],
            &[took(990, 1_010), took(2_990, 3_010)],
            &[took(0, 60_000)],
            &[took(u64::MAX, u64::MAX)],
        ];
        for before in all {
            for ends in (0..5_000).step_by(7) {
                assert!(noticed_after(ends, before) <= LONGEST_MS);
            }
        }
    }

    #[test]
    fn tasks_that_take_now_this_now_that_long_do_not_cost_more_than_unknown_ones() {
        let before = [3, 9, 17, 22, 31, 44].map(|s| took(s * 1_000 - 90, s * 1_000));
        let count = looks(60_000, &before).len();
        assert!(count < looks(60_000, &[]).len() / 2, "{count} looks");
    }

    #[test]
    fn a_node_goes_by_its_own_durations_and_a_new_one_by_those_of_others() {
        let mut learned = Learned::default();
        let (create, start) = (upid("pve1", "vzcreate"), upid("pve1", "vzstart"));
        learned.note(&create, took(1, 2));
        assert_eq!(learned.about(&upid("pve2", "vzcreate")), [took(1, 2)]);
        assert_eq!(learned.about(&start), []);
        for ms in 10..100 {
            learned.note(&upid("pve2", "vzcreate"), took(ms, ms));
        }
        let newest: Vec<Took> = (94..100).rev().map(|ms| took(ms, ms)).collect();
        assert_eq!(learned.about(&upid("pve2", "vzcreate")), newest);
        // What is kept is bounded, so what pve1 took is forgotten by now.
        assert_eq!(learned.about(&create), newest);
    }
}
