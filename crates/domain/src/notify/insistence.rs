//! How long a message is insisted on: what fails again and again lets others pass, and is given up only if it is the message
//! that is wrong and not the channel. On a channel that keeps the order of each subject only those of other subjects pass.

use std::collections::{BTreeMap, BTreeSet};

use super::turn::in_order;
use super::{Severity, Subjects, Turn, Waiting, turn};

/// After so many failures in a row a message lets others pass.
pub const ASIDE_AFTER: u32 = 3;
/// So often a message is refused, while others were taken meanwhile, before it is given up.
pub const REFUSALS: u32 = 6;
/// So many lost answers, while others were taken meanwhile, and the message counts as told: it most likely came each time.
pub const LOST: u32 = 3;

/// So many others are taken, and what let them pass is tried again, however much else waits.
pub const PASSES: u32 = 20;

/// How sending failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The receiver does not want this message.
    Refused,
    /// It may have arrived.
    Lost,
    /// It did not arrive.
    NotTaken,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is tried again.
    Again,
    /// It counts as told: its answers are lost, and those to others are not.
    Told,
    /// It is given up: it is refused, and others are not.
    GiveUp,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tries {
    failed: u32,
    refused: u32,
    lost: u32,
    /// Another message was taken since the first failure.
    others: bool,
}

/// What a channel remembers of messages that failed, each by the events it is made of. Default: nothing failed.
#[derive(Debug, Default)]
pub struct Insistence {
    tries: BTreeMap<Vec<i64>, Tries>,
    /// Events of a digest, at most: one that was refused may have been too long.
    most: Option<usize>,
    /// Messages that were taken since one failed last.
    passed: u32,
}

impl Insistence {
    /// What is sent next, and whether that is critical and was never tried: then nothing is waited for.
    ///
    /// **Guarantee.** Nothing is sent before what waits of its subject and came before it, unless that was refused so often that it
    /// will be given up ([`Insistence::hopeless`]).
    pub fn choose(
        &mut self,
        waiting: &[Waiting],
        subjects: &Subjects,
        quiet: bool,
    ) -> (Turn, bool) {
        let waits: BTreeSet<i64> = waiting.iter().map(|w| w.seq).collect();
        self.tries
            .retain(|seqs, _| seqs.iter().all(|seq| waits.contains(seq)));
        // What is refused without end is tried last: it would hold up what once failed together with it.
        let (refused, able): (Vec<Waiting>, Vec<Waiting>) =
            waiting.iter().partition(|w| self.is_refused(w.seq));
        let (late, fresh) = self.apart(&able, subjects);
        let first = turn(&fresh, subjects, quiet);
        let is_due = self.passed >= PASSES && !self.is_urgent(&first, waiting);
        let behind = match turn(&late, subjects, quiet) {
            Turn::Rest => turn(&refused, subjects, quiet),
            behind => behind,
        };
        let mut next = match (first, behind) {
            (Turn::Rest, behind) => behind,
            (_, behind) if is_due && behind != Turn::Rest => behind,
            (first, _) => first,
        };
        let is_new = |w: &&Waiting| w.severity == Severity::Critical && !self.was_tried(w.seq);
        if !self.is_urgent(&next, waiting)
            && let Some(critical) = late.iter().find(is_new)
        {
            // It waits for others of its subject alone: all of them are told together.
            next = in_order(&able, subjects, critical.seq);
        }
        // Of a digest that is sent in pieces only the last piece has it: until then failures are waited for.
        let next = self.shortened(next);
        let urgent = self.is_urgent(&next, waiting);
        match self.lost() {
            // As it was, so that the receiver knows it by its id.
            Some(seqs) if !urgent && next != Turn::Rest => (as_turn(seqs), false),
            Some(_) | None => (next, urgent),
        }
    }

    /// What is tried when nothing else waits, and the rest: what failed too often, and what would overtake that.
    fn apart(&self, waiting: &[Waiting], subjects: &Subjects) -> (Vec<Waiting>, Vec<Waiting>) {
        let failed = self.tries.iter().filter(|(_, t)| t.failed >= ASIDE_AFTER);
        let aside: BTreeSet<i64> = failed.flat_map(|(seqs, _)| seqs.iter().copied()).collect();
        let holds_up = aside.iter().filter(|seq| !self.is_refused(**seq));
        let mut held: BTreeMap<&String, i64> = BTreeMap::new();
        for seq in holds_up {
            if let Some(subject) = subjects.get(seq) {
                held.entry(subject).or_insert(*seq);
            }
        }
        let would_overtake = |w: &&Waiting| {
            let subject = subjects.get(&w.seq);
            let first = subject.and_then(|subject| held.get(subject));
            first.is_some_and(|first| *first < w.seq)
        };
        waiting
            .iter()
            .partition(|w| aside.contains(&w.seq) || would_overtake(w))
    }

    /// By itself it was refused as often as a message is before it is given up.
    fn is_refused(&self, seq: i64) -> bool {
        let tries = self.tries.get([seq].as_slice());
        tries.is_some_and(|tries| tries.refused >= REFUSALS)
    }

    fn was_tried(&self, seq: i64) -> bool {
        self.tries.keys().any(|seqs| seqs.contains(&seq))
    }

    /// Whether what is sent next ends with something critical that was never tried.
    fn is_urgent(&self, next: &Turn, waiting: &[Waiting]) -> bool {
        let last = match next {
            Turn::Rest => return false,
            Turn::One(seq) => Some(seq),
            Turn::Digest(seqs) => seqs.last(),
        };
        last.is_some_and(|seq| {
            let mut all = waiting.iter();
            all.any(|w| w.seq == *seq && w.severity == Severity::Critical) && !self.was_tried(*seq)
        })
    }

    /// What was refused so often that it is given up, for others were taken since: to be done before anything else is sent on a
    /// channel that keeps an order, as those behind it were let pass. It is named once.
    #[must_use]
    pub fn hopeless(&mut self) -> Option<i64> {
        let mut all = self.tries.iter();
        let found = all.find(|(seqs, t)| seqs.len() == 1 && t.refused >= REFUSALS && t.others);
        let seq = found.and_then(|(seqs, _)| seqs.first().copied())?;
        self.tries.remove([seq].as_slice());
        Some(seq)
    }

    /// What may have arrived and is not yet put aside.
    fn lost(&self) -> Option<Vec<i64>> {
        let mut all = self.tries.iter();
        let found = all.find(|(_, t)| t.lost > 0 && t.failed < ASIDE_AFTER);
        found.map(|(seqs, _)| seqs.clone())
    }

    fn shortened(&self, next: Turn) -> Turn {
        match (next, self.most) {
            (Turn::Digest(mut seqs), Some(most)) => {
                seqs.truncate(most);
                as_turn(seqs)
            }
            (next, _) => next,
        }
    }

    /// These were taken.
    pub fn taken(&mut self, seqs: &[i64]) {
        self.tries.remove(seqs);
        self.most = None;
        self.passed = self.passed.saturating_add(1);
        for tries in self.tries.values_mut() {
            tries.others = true;
        }
    }

    /// These were not, or nobody knows.
    pub fn failed(&mut self, seqs: &[i64], how: Failed) -> Verdict {
        self.passed = 0;
        let tries = self.tries.entry(seqs.to_vec()).or_default();
        tries.failed = tries.failed.saturating_add(1);
        match how {
            Failed::NotTaken => Verdict::Again,
            Failed::Lost => {
                tries.lost = tries.lost.saturating_add(1);
                if tries.lost >= LOST && tries.others {
                    return Verdict::Told;
                }
                Verdict::Again
            }
            Failed::Refused => {
                tries.refused = tries.refused.saturating_add(1);
                if seqs.len() > 1 {
                    self.most = Some(seqs.len() / 2);
                    return Verdict::Again;
                }
                if tries.refused >= REFUSALS && tries.others {
                    return Verdict::GiveUp;
                }
                Verdict::Again
            }
        }
    }
}

fn as_turn(seqs: Vec<i64>) -> Turn {
    match seqs.as_slice() {
        [only] => Turn::One(*only),
        _ => Turn::Digest(seqs),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn waits(seq: i64, severity: Severity) -> Waiting {
        Waiting {
            seq,
            severity,
            held: false,
        }
    }

    /// On a channel that keeps no order.
    fn choose(known: &mut Insistence, waiting: &[Waiting], quiet: bool) -> (Turn, bool) {
        known.choose(waiting, &Subjects::new(), quiet)
    }

    /// As they are told of: what is odd is of one app, and what is even of another.
    fn of_two_apps(seqs: impl IntoIterator<Item = i64>) -> Subjects {
        let subjects = seqs
            .into_iter()
            .map(|seq| (seq, format!("app {}", seq % 2)));
        subjects.collect()
    }

    fn warnings(seqs: impl IntoIterator<Item = i64>) -> Vec<Waiting> {
        let waiting = seqs.into_iter().map(|seq| waits(seq, Severity::Warning));
        waiting.collect()
    }

    #[test]
    fn a_message_that_fails_lets_others_pass_and_is_tried_when_nothing_else_waits() {
        let mut known = Insistence::default();
        let both = warnings([3, 5]);
        for _ in 0..ASIDE_AFTER {
            assert_eq!(choose(&mut known, &both, false), (Turn::One(3), false));
            assert_eq!(known.failed(&[3], Failed::NotTaken), Verdict::Again);
        }
        assert_eq!(choose(&mut known, &both, false), (Turn::One(5), false));
        known.taken(&[5]);
        assert_eq!(choose(&mut known, &both[..1], false), (Turn::One(3), false));
    }

    #[test]
    fn nothing_is_given_up_while_nothing_is_taken() {
        let mut known = Insistence::default();
        for _ in 0..100 {
            assert_eq!(known.failed(&[3], Failed::Refused), Verdict::Again);
        }
        known.taken(&[5]);
        assert_eq!(known.failed(&[3], Failed::Refused), Verdict::GiveUp);
    }

    #[test]
    fn refusals_of_another_message_do_not_count() {
        let mut known = Insistence::default();
        for _ in 0..100 {
            known.failed(&[3], Failed::Refused);
        }
        known.failed(&[5], Failed::Refused);
        known.taken(&[7]);
        for _ in 2..REFUSALS {
            assert_eq!(known.failed(&[5], Failed::Refused), Verdict::Again);
        }
        assert_eq!(known.failed(&[5], Failed::Refused), Verdict::GiveUp);
    }

    #[test]
    fn a_lost_answer_repeats_the_same_message_and_not_without_end() {
        let mut known = Insistence::default();
        assert_eq!(known.failed(&[3], Failed::Lost), Verdict::Again);
        let more = warnings(3..=9);
        assert_eq!(choose(&mut known, &more, false), (Turn::One(3), false));
        assert_eq!(choose(&mut known, &more, true), (Turn::Rest, false));
        for _ in 0..100 {
            assert_eq!(
                known.failed(&[3], Failed::Lost),
                Verdict::Again,
                "while no answer comes it may never have arrived"
            );
        }
        known.taken(&[5]);
        assert_eq!(known.failed(&[3], Failed::Lost), Verdict::Told);
    }

    #[test]
    fn a_refused_digest_comes_again_in_smaller_ones() {
        let mut known = Insistence::default();
        let many = warnings(1..=8);
        let all: Vec<i64> = (1..=8).collect();
        assert_eq!(
            choose(&mut known, &many, false).0,
            Turn::Digest(all.clone()),
            "whole at first"
        );
        known.failed(&all, Failed::Refused);
        assert_eq!(
            choose(&mut known, &many, false).0,
            Turn::Digest(vec![1, 2, 3, 4])
        );
        known.failed(&[1, 2, 3, 4], Failed::Refused);
        assert_eq!(choose(&mut known, &many, false).0, Turn::Digest(vec![1, 2]));
        known.failed(&[1, 2], Failed::Refused);
        assert_eq!(choose(&mut known, &many, false).0, Turn::One(1));
        known.taken(&[1]);
        assert_eq!(
            choose(&mut known, &many[1..], false).0,
            Turn::Digest((2..=8).collect())
        );
    }

    #[test]
    fn what_is_critical_and_new_does_not_wait() {
        let mut known = Insistence::default();
        let mut both = warnings([3]);
        known.failed(&[3], Failed::Lost);
        both.push(waits(5, Severity::Critical));
        assert_eq!(choose(&mut known, &both, true), (Turn::One(5), true));
        known.failed(&[5], Failed::NotTaken);
        assert!(!choose(&mut known, &both, true).1, "it was tried");
    }

    #[test]
    fn what_waits_no_more_is_forgotten() {
        let mut known = Insistence::default();
        known.failed(&[3], Failed::Lost);
        assert_eq!(
            choose(&mut known, &warnings([5]), false),
            (Turn::One(5), false)
        );
        assert!(known.tries.is_empty());
    }
    #[test]
    fn what_fails_lets_other_subjects_pass_and_its_own_wait() {
        let (mut known, subjects) = (Insistence::default(), of_two_apps(1..=4));
        let all = warnings(1..=4);
        for _ in 0..ASIDE_AFTER {
            assert_eq!(known.choose(&all, &subjects, false).0, Turn::One(1));
            known.failed(&[1], Failed::NotTaken);
        }
        assert_eq!(known.choose(&all, &subjects, false).0, Turn::One(2));
        known.taken(&[2]);
        let left = [all[0], all[2], all[3]];
        assert_eq!(known.choose(&left, &subjects, false).0, Turn::One(4));
        known.taken(&[4]);
        let left = &left[..2];
        assert_eq!(known.choose(left, &subjects, false).0, Turn::One(1));
        known.taken(&[1]);
        assert_eq!(known.choose(&left[1..], &subjects, false).0, Turn::One(3));
    }

    #[test]
    fn a_digest_that_fails_holds_up_what_came_after_it_of_its_subjects_alone() {
        let (mut known, subjects) = (Insistence::default(), of_two_apps((1..=9).chain([11])));
        let all: Vec<i64> = [1, 3, 5, 7, 9].to_vec();
        let mut waiting = warnings(all.iter().copied());
        for _ in 0..ASIDE_AFTER {
            let next = known.choose(&waiting, &subjects, false).0;
            assert_eq!(next, Turn::Digest(all.clone()));
            known.failed(&all, Failed::NotTaken);
        }
        waiting.extend(warnings([11, 8]));
        waiting.sort_by_key(|w| w.seq);
        assert_eq!(known.choose(&waiting, &subjects, false).0, Turn::One(8));
        known.taken(&[8]);
        waiting.retain(|w| w.seq != 8);
        let whole = Turn::Digest(vec![1, 3, 5, 7, 9, 11]);
        assert_eq!(known.choose(&waiting, &subjects, false).0, whole);
    }

    #[test]
    fn what_is_critical_waits_for_nothing_and_overtakes_nothing_of_its_subject() {
        let (mut known, subjects) = (Insistence::default(), of_two_apps(1..=6));
        for _ in 0..ASIDE_AFTER {
            known.failed(&[1], Failed::NotTaken);
        }
        let mut waiting = warnings([1, 2, 4]);
        waiting.push(waits(5, Severity::Critical));
        let both = (Turn::Digest(vec![1, 5]), true);
        assert_eq!(known.choose(&waiting, &subjects, true), both);
        known.failed(&[1, 5], Failed::NotTaken);
        let others = (Turn::One(2), false);
        assert_eq!(known.choose(&waiting, &subjects, false), others);
    }

    #[test]
    fn what_was_let_pass_is_tried_again_though_others_go_on_waiting() {
        let (mut known, subjects) = (Insistence::default(), of_two_apps(1..=4));
        for _ in 0..ASIDE_AFTER {
            known.failed(&[1], Failed::NotTaken);
        }
        let waiting = warnings([1, 2]);
        for _ in 0..PASSES {
            assert_eq!(known.choose(&waiting, &subjects, false).0, Turn::One(2));
            known.taken(&[4]);
        }
        assert_eq!(known.choose(&waiting, &subjects, false).0, Turn::One(1));
        known.failed(&[1], Failed::NotTaken);
        assert_eq!(known.choose(&waiting, &subjects, false).0, Turn::One(2));
    }

    /// Where everything that waits is of one app, nothing else can show whether it is the message or the channel.
    #[test]
    fn what_is_refused_without_end_holds_its_subject_up_for_so_long_and_is_given_up() {
        let (mut known, subjects) = (Insistence::default(), of_two_apps([1, 3]));
        let waiting = warnings([1, 3]);
        for _ in 0..REFUSALS {
            assert_ne!(known.choose(&waiting, &subjects, false).0, Turn::One(3));
            assert_eq!(known.hopeless(), None);
            assert_eq!(known.failed(&[1], Failed::Refused), Verdict::Again);
        }
        assert_eq!(known.choose(&waiting, &subjects, false).0, Turn::One(3));
        known.taken(&[3]);
        assert_eq!(known.hopeless(), Some(1), "before anything else is sent");
        assert_eq!(known.hopeless(), None, "once");
    }

    /// A digest fails as a whole while the channel is down, and is refused later for one notice in it.
    #[test]
    fn what_is_refused_without_end_does_not_hold_up_what_failed_together_with_it() {
        for subjects in [of_two_apps([1, 3]), Subjects::new()] {
            let mut known = Insistence::default();
            let mut waiting = warnings([1]);
            waiting.push(waits(3, Severity::Critical));
            for _ in 0..ASIDE_AFTER {
                known.failed(&[1, 3], Failed::NotTaken);
            }
            known.failed(&[1, 3], Failed::Refused);
            for _ in 0..REFUSALS {
                known.failed(&[1], Failed::Refused);
            }
            assert_eq!(known.choose(&waiting, &subjects, false).0, Turn::One(3));
            known.taken(&[3]);
            assert_eq!(known.hopeless(), Some(1));
        }
    }

    #[test]
    fn a_piece_of_a_digest_is_no_more_urgent_than_what_is_in_it() {
        let (mut known, subjects) = (Insistence::default(), of_two_apps((1..=9).chain([11])));
        let all: Vec<i64> = [1, 3, 5, 7, 9].to_vec();
        let mut waiting = warnings(all.iter().copied());
        known.failed(&all, Failed::Refused);
        for _ in 0..ASIDE_AFTER {
            known.failed(&[1, 3], Failed::Refused);
        }
        waiting.push(waits(11, Severity::Critical));
        let first = (Turn::One(1), false);
        assert_eq!(known.choose(&waiting, &subjects, false), first);
    }

    fn sent(next: Turn) -> Vec<i64> {
        match next {
            Turn::Rest => Vec::new(),
            Turn::One(seq) => vec![seq],
            Turn::Digest(seqs) => seqs,
        }
    }

    proptest! {
        /// Whatever becomes of messages, nothing is sent before what waits of its subject and came before it.
        #[test]
        fn the_order_of_each_subject_is_kept(
            steps in proptest::collection::vec((0_u8..6, any::<bool>(), any::<bool>()), 1..300),
        ) {
            let mut known = Insistence::default();
            let (mut waiting, mut newest) = (Vec::new(), 0);
            let mut subjects = Subjects::new();
            for (what, comes, quiet) in steps {
                if comes && waiting.len() < 12 {
                    newest += 1;
                    subjects.insert(newest, format!("app {}", newest % 3));
                    let grave = newest % 5 == 0;
                    let severity = if grave { Severity::Critical } else { Severity::Info };
                    waiting.push(waits(newest, severity));
                }
                if let Some(seq) = known.hopeless() {
                    waiting.retain(|w| w.seq != seq);
                }
                let seqs = sent(known.choose(&waiting, &subjects, quiet).0);
                if seqs.is_empty() {
                    continue;
                }
                for left in waiting.iter().filter(|w| !seqs.contains(&w.seq)) {
                    let overtakes = |seq: &&i64| **seq > left.seq && subjects[*seq] == subjects[&left.seq];
                    let overtaken = seqs.iter().find(overtakes);
                    prop_assert!(overtaken.is_none() || known.is_refused(left.seq), "{seqs:?} {left:?}");
                }
                let verdict = match what {
                    0 | 1 => {
                        known.taken(&seqs);
                        Verdict::Told
                    }
                    2 => known.failed(&seqs, Failed::Lost),
                    3 => known.failed(&seqs, Failed::Refused),
                    _ => known.failed(&seqs, Failed::NotTaken),
                };
                if verdict != Verdict::Again {
                    waiting.retain(|w| !seqs.contains(&w.seq));
                }
            }
        }
    }
}
