//! What a channel is told next.

use std::collections::BTreeMap;

use super::Severity;

/// So many notices that wait at once are told in one message.
pub const DIGEST_FROM: usize = 5;

/// Notices of one digest, at most.
pub const DIGEST_MOST: usize = 200;

/// A notice a channel has not been told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Number of its event.
    pub seq: i64,
    /// How grave.
    pub severity: Severity,
    /// It came while it was quiet.
    pub held: bool,
}

/// What the events that wait are about, by their numbers, for a channel that is told of each subject in order. What is not in it is
/// about nothing else: that is so of all of them on a channel that keeps no order.
pub type Subjects = BTreeMap<i64, String>;

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Nothing now.
    Rest,
    /// The notice of this event.
    One(i64),
    /// These together, oldest first.
    Digest(Vec<i64>),
}

/// Chooses from what waits for a channel, oldest first: what is critical goes at once, one by one, with what waits of its subject and
/// came before it; the rest waits while it is quiet. What was held then, and what has piled up, comes as one digest; else one after
/// the other.
#[must_use]
pub fn turn(waiting: &[Waiting], subjects: &Subjects, quiet: bool) -> Turn {
    let critical = |w: &&Waiting| w.severity == Severity::Critical;
    if let Some(first) = waiting.iter().find(critical) {
        return in_order(waiting, subjects, first.seq);
    }
    if quiet {
        return Turn::Rest;
    }
    match waiting {
        [] => Turn::Rest,
        [only] => Turn::One(only.seq),
        many if many.len() >= DIGEST_FROM || many.iter().any(|w| w.held) => {
            Turn::Digest(many.iter().take(DIGEST_MOST).map(|w| w.seq).collect())
        }
        [first, ..] => Turn::One(first.seq),
    }
}

/// The notice of this event, behind what waits of its subject and came before it.
pub(super) fn in_order(waiting: &[Waiting], subjects: &Subjects, seq: i64) -> Turn {
    let Some(subject) = subjects.get(&seq) else {
        return Turn::One(seq);
    };
    let before = waiting.iter().map(|w| w.seq).filter(|one| *one <= seq);
    let of_it = before.filter(|one| subjects.get(one) == Some(subject));
    let seqs: Vec<i64> = of_it.take(DIGEST_MOST).collect();
    match seqs.as_slice() {
        [only] => Turn::One(*only),
        _ => Turn::Digest(seqs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a channel that keeps no order.
    fn turn(waiting: &[Waiting], quiet: bool) -> Turn {
        super::turn(waiting, &Subjects::new(), quiet)
    }

    fn waits(seq: i64, severity: Severity) -> Waiting {
        Waiting {
            seq,
            severity,
            held: false,
        }
    }

    #[test]
    fn one_after_the_other_in_their_order() {
        assert_eq!(turn(&[], false), Turn::Rest);
        let two = [waits(3, Severity::Info), waits(5, Severity::Warning)];
        assert_eq!(turn(&two, false), Turn::One(3));
    }

    #[test]
    fn quiet_holds_all_but_what_is_critical() {
        let (low, high) = (waits(3, Severity::Warning), waits(9, Severity::Critical));
        assert_eq!(turn(&[low], true), Turn::Rest);
        assert_eq!(turn(&[low, high], true), Turn::One(9));
        assert_eq!(turn(&[low, high], false), Turn::One(9));
    }

    #[test]
    fn what_was_held_comes_as_one_digest() {
        let mut two = [waits(3, Severity::Info), waits(5, Severity::Warning)];
        two[0].held = true;
        assert_eq!(turn(&two, false), Turn::Digest(vec![3, 5]));
        assert_eq!(turn(&two[..1], false), Turn::One(3), "one needs no digest");
    }

    #[test]
    fn what_has_piled_up_comes_as_one_digest_of_bounded_length() {
        let many: Vec<Waiting> = (1..=300).map(|n| waits(n, Severity::Info)).collect();
        assert_eq!(turn(&many[..4], false), Turn::One(1));
        assert_eq!(turn(&many[..5], false), Turn::Digest((1..=5).collect()));
        assert_eq!(
            turn(&many, false),
            Turn::Digest((1..=200).collect()),
            "the oldest first"
        );
    }
    #[test]
    fn what_is_critical_takes_along_what_came_before_it_of_its_subject() {
        let waiting = [
            waits(1, Severity::Info),
            waits(2, Severity::Info),
            waits(3, Severity::Critical),
            waits(4, Severity::Critical),
            waits(5, Severity::Info),
        ];
        let web = || "web".to_owned();
        let subjects = Subjects::from([(1, web()), (2, "db".to_owned()), (3, web()), (5, web())]);
        let next = |waiting: &[Waiting], quiet| super::turn(waiting, &subjects, quiet);
        assert_eq!(next(&waiting, true), Turn::Digest(vec![1, 3]));
        assert_eq!(next(&waiting[1..], true), Turn::One(3));
        assert_eq!(next(&waiting[3..], true), Turn::One(4), "of no subject");
        assert_eq!(next(&waiting[4..], true), Turn::Rest);
    }
}
