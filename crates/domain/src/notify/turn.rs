//! What a channel is told next.

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

/// Chooses from what waits for a channel, oldest first: what is critical goes at once, one by one; the rest waits while
/// it is quiet. What was held then, and what has piled up, comes as one digest; else one after the other.
#[must_use]
pub fn turn(waiting: &[Waiting], quiet: bool) -> Turn {
    let critical = |w: &&Waiting| w.severity == Severity::Critical;
    if let Some(first) = waiting.iter().find(critical) {
        return Turn::One(first.seq);
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
}
