//! Which of one guest's backups a rule keeps, as `PVE::Storage::prune_mark_backup_group` decides it.

use std::collections::BTreeSet;

use super::super::dates;
use crate::schema::split_list;

/// What is to become of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Keep,
    Remove,
    Protected,
}

impl Mark {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Remove => "remove",
            Self::Protected => "protected",
        }
    }
}

/// A rule like `keep-last=2,keep-weekly=1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    all: bool,
    /// How many of each period, in the order they are filled.
    counts: [usize; 6],
}

/// The parts of a rule in the order they are filled; each goes on where the one before ended.
const PARTS: [&str; 6] = [
    "keep-last",
    "keep-hourly",
    "keep-daily",
    "keep-weekly",
    "keep-monthly",
    "keep-yearly",
];

impl Rule {
    pub(crate) fn parse(text: &str) -> Self {
        let mut rule = Self::default();
        for part in split_list(text) {
            let Some((name, value)) = part.split_once('=') else {
                continue;
            };
            rule.all |= name == "keep-all" && value != "0";
            if let Some(at) = PARTS.iter().position(|known| *known == name) {
                rule.counts[at] = value.parse().unwrap_or_default();
            }
        }
        rule
    }

    /// How many it keeps in all; 0 when it keeps all.
    pub(crate) fn total(&self) -> usize {
        if self.all {
            0
        } else {
            self.counts.iter().sum()
        }
    }

    /// Marks backups of one guest, given newest first by when they were made (Unix seconds) and whether
    /// they are protected. A rule that keeps nothing keeps all.
    pub(crate) fn marks(&self, backups: &[(u64, bool)]) -> Vec<Mark> {
        let protected = |(_, protected): &(u64, bool)| protected.then_some(Mark::Protected);
        let mut marks: Vec<Option<Mark>> = backups.iter().map(protected).collect();
        let rest = if self.all || self.counts == [0; 6] {
            Mark::Keep
        } else {
            for (part, count) in self.counts.into_iter().enumerate() {
                fill(part, count, backups, &mut marks);
            }
            Mark::Remove
        };
        marks.into_iter().map(|mark| mark.unwrap_or(rest)).collect()
    }
}

/// Keeps the newest backup of each of `count` more periods; others of those periods go.
fn fill(part: usize, count: usize, backups: &[(u64, bool)], marks: &mut [Option<Mark>]) {
    let kept = backups.iter().zip(marks.iter());
    let kept = kept.filter(|(_, mark)| **mark == Some(Mark::Keep));
    let before: BTreeSet<String> = kept.map(|((at_s, _), _)| period(part, *at_s)).collect();
    let mut filled = BTreeSet::new();
    for ((at_s, _), mark) in backups.iter().zip(marks.iter_mut()) {
        let period = period(part, *at_s);
        if mark.is_some() || before.contains(&period) {
            continue;
        }
        if filled.contains(&period) {
            *mark = Some(Mark::Remove);
            continue;
        }
        if filled.len() >= count {
            return;
        }
        filled.insert(period);
        *mark = Some(Mark::Keep);
    }
}

/// The second, hour, day, week, month or year of a moment.
fn period(part: usize, at_s: u64) -> String {
    let days = at_s / 86_400;
    let stamp = dates::stamp(at_s);
    let start = |chars: usize| stamp.chars().take(chars).collect();
    match part {
        0 => at_s.to_string(),
        1 => start("2026-11-20 10".len()),
        2 => days.to_string(),
        // The first day of 1970 was a Thursday; weeks begin on Monday.
        3 => ((days + 3) / 7).to_string(),
        4 => start("2026-11".len()),
        _ => start("2026".len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: u64 = 86_400;
    /// Friday, 20 November 2026, 10:33:44.
    const NOW_S: u64 = 1_795_170_824;

    fn kept(rule: &str, ages_s: &[u64]) -> Vec<u64> {
        let backups: Vec<(u64, bool)> = ages_s.iter().map(|age| (NOW_S - age, false)).collect();
        let marks = Rule::parse(rule).marks(&backups);
        let pairs = ages_s.iter().zip(marks);
        let kept = pairs.filter(|(_, mark)| *mark == Mark::Keep);
        kept.map(|(age, _)| *age).collect()
    }

    #[test]
    fn each_period_keeps_its_newest_and_goes_on_where_the_shorter_one_ended() {
        let ages = [
            0,
            60,
            7_200,
            DAY_S,
            DAY_S + 60,
            4 * DAY_S,
            5 * DAY_S,
            40 * DAY_S,
            400 * DAY_S,
        ];
        assert_eq!(kept("keep-last=2", &ages), [0, 60]);
        assert_eq!(kept("keep-hourly=2", &ages), [0, 7_200]);
        assert_eq!(kept("keep-daily=2", &ages), [0, DAY_S]);
        // Monday is four days ago; the day before belongs to the week before.
        assert_eq!(kept("keep-weekly=2", &ages), [0, 5 * DAY_S]);
        assert_eq!(kept("keep-monthly=3", &ages), [0, 40 * DAY_S, 400 * DAY_S]);
        assert_eq!(kept("keep-yearly=9", &ages), [0, 400 * DAY_S]);
        assert_eq!(kept("keep-last=1,keep-daily=1", &ages), [0, DAY_S]);
        for all in ["keep-all=1", "keep-last=0", ""] {
            assert_eq!(kept(all, &ages), ages, "{all:?}");
        }
    }

    #[test]
    fn a_protected_backup_neither_goes_nor_counts() {
        let backups = [(NOW_S, true), (NOW_S - 1, false), (NOW_S - 2, false)];
        let marks = Rule::parse("keep-last=1").marks(&backups);
        assert_eq!(marks, [Mark::Protected, Mark::Keep, Mark::Remove]);
    }
}
