//! How long a message is insisted on: what fails again and again lets others pass, and is given up only if it is the message
//! that is wrong and not the channel.

use std::collections::{BTreeMap, BTreeSet};

use super::{Severity, Turn, Waiting, turn};

/// After so many failures in a row a message lets others pass.
pub const ASIDE_AFTER: u32 = 3;
/// So often a message is refused, while others were taken meanwhile, before it is given up.
pub const REFUSALS: u32 = 6;
/// So many lost answers, while others were taken meanwhile, and the message counts as told: it most likely came each time.
pub const LOST: u32 = 3;

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
}

impl Insistence {
    /// What is sent next, and whether that is critical and was never tried: then nothing is waited for.
    pub fn choose(&mut self, waiting: &[Waiting], quiet: bool) -> (Turn, bool) {
        let waits: BTreeSet<i64> = waiting.iter().map(|w| w.seq).collect();
        self.tries
            .retain(|seqs, _| seqs.iter().all(|seq| waits.contains(seq)));
        let aside: BTreeSet<i64> = self
            .tries
            .iter()
            .filter(|(_, tries)| tries.failed >= ASIDE_AFTER)
            .flat_map(|(seqs, _)| seqs.iter().copied())
            .collect();
        let (late, fresh): (Vec<Waiting>, Vec<Waiting>) =
            waiting.iter().partition(|w| aside.contains(&w.seq));
        let next = match turn(&fresh, quiet) {
            Turn::Rest => turn(&late, quiet),
            next => next,
        };
        let urgent = match next {
            Turn::One(seq) => {
                let mut all = waiting.iter();
                all.any(|w| w.seq == seq && w.severity == Severity::Critical)
                    && !self.tries.keys().any(|seqs| seqs.contains(&seq))
            }
            Turn::Rest | Turn::Digest(_) => false,
        };
        match self.lost() {
            // As it was, so that the receiver knows it by its id.
            Some(seqs) if !urgent && next != Turn::Rest => (as_turn(seqs), false),
            Some(_) | None => (self.shortened(next), urgent),
        }
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
        for tries in self.tries.values_mut() {
            tries.others = true;
        }
    }

    /// These were not, or nobody knows.
    pub fn failed(&mut self, seqs: &[i64], how: Failed) -> Verdict {
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
    use super::*;

    fn waits(seq: i64, severity: Severity) -> Waiting {
        Waiting {
            seq,
            severity,
            held: false,
        }
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
            assert_eq!(known.choose(&both, false), (Turn::One(3), false));
            assert_eq!(known.failed(&[3], Failed::NotTaken), Verdict::Again);
        }
        assert_eq!(known.choose(&both, false), (Turn::One(5), false));
        known.taken(&[5]);
        assert_eq!(known.choose(&both[..1], false), (Turn::One(3), false));
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
        assert_eq!(known.choose(&more, false), (Turn::One(3), false));
        assert_eq!(known.choose(&more, true), (Turn::Rest, false));
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
            known.choose(&many, false).0,
            Turn::Digest(all.clone()),
            "whole at first"
        );
        known.failed(&all, Failed::Refused);
        assert_eq!(known.choose(&many, false).0, Turn::Digest(vec![1, 2, 3, 4]));
        known.failed(&[1, 2, 3, 4], Failed::Refused);
        assert_eq!(known.choose(&many, false).0, Turn::Digest(vec![1, 2]));
        known.failed(&[1, 2], Failed::Refused);
        assert_eq!(known.choose(&many, false).0, Turn::One(1));
        known.taken(&[1]);
        assert_eq!(
            known.choose(&many[1..], false).0,
            Turn::Digest((2..=8).collect())
        );
    }

    #[test]
    fn what_is_critical_and_new_does_not_wait() {
        let mut known = Insistence::default();
        let mut both = warnings([3]);
        known.failed(&[3], Failed::Lost);
        both.push(waits(5, Severity::Critical));
        assert_eq!(known.choose(&both, true), (Turn::One(5), true));
        known.failed(&[5], Failed::NotTaken);
        assert!(!known.choose(&both, true).1, "it was tried");
    }

    #[test]
    fn what_waits_no_more_is_forgotten() {
        let mut known = Insistence::default();
        known.failed(&[3], Failed::Lost);
        assert_eq!(known.choose(&warnings([5]), false), (Turn::One(5), false));
        assert!(known.tries.is_empty());
    }
}
