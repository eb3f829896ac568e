//! Places of the loop at which a crash-point build can be told to die: after each of its writes, and around each command.

use crate::saga;

/// Where among the places of sagas those of the loop are found.
const LOOP: &str = "apply";

/// A place, named after what is on record there already.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// The claim.
    Claimed,
    /// Which changes begin.
    Turned,
    /// A change begins, and nothing of what it is made of has been asked for.
    Asking,
    /// What the command made, under its request key; the apply does not name it.
    Asked,
    /// The operation of a change.
    Named,
    /// A change has come to its end, which is not on record.
    Ending,
    /// The end of a change, with what was applied.
    Ended,
    /// The end of the apply.
    Over,
}

impl Place {
    const ALL: [Self; 8] = [
        Self::Claimed,
        Self::Turned,
        Self::Asking,
        Self::Asked,
        Self::Named,
        Self::Ending,
        Self::Ended,
        Self::Over,
    ];

    /// The write it is at, and where.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Claimed => ("claim", "after_record"),
            Self::Turned => ("turn", "after_record"),
            Self::Asking => ("command", "before_call"),
            Self::Asked => ("command", "after_call"),
            Self::Named => ("command", "after_record"),
            Self::Ending => ("change", "before_record"),
            Self::Ended => ("change", "after_record"),
            Self::Over => ("end", "after_record"),
        }
    }

    /// The loop comes by it.
    pub(super) fn pass(self) {
        let (write, place) = self.names();
        saga::point(LOOP, write, place);
    }
}

/// All of them: `apply/write/place`.
pub(crate) fn crash_points() -> impl Iterator<Item = String> {
    Place::ALL.into_iter().map(|at| {
        let (write, place) = at.names();
        format!("{LOOP}/{write}/{place}")
    })
}
