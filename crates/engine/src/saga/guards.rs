//! Guards that a simulation takes off, one at a time, to see that it finds what they keep away.
//!
//! In a build without the feature `bug-switches` nothing of this exists but a function that says no.

/// A guard of an invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// What a look shows is compared with the record (I4).
    Identity,
    /// A guest is looked at before it is changed (I4).
    Look,
    /// A change is audited before it is sent (I10).
    Audit,
    /// What cannot be reached is unknown, not absent (I3).
    Reach,
    /// After a restart it is looked whether a create had come through (I6).
    Create,
    /// A create without an answer is waited for before its number is given up (I6).
    Late,
}

impl Guard {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Identity,
        Self::Look,
        Self::Audit,
        Self::Reach,
        Self::Create,
        Self::Late,
    ];

    /// Its name on command lines.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Look => "look",
            Self::Audit => "audit",
            Self::Reach => "reach",
            Self::Create => "create",
            Self::Late => "late",
        }
    }
}

#[cfg(feature = "bug-switches")]
thread_local! {
    static OFF: std::cell::Cell<Option<Guard>> = const { std::cell::Cell::new(None) };
}

/// Takes this guard off for engines that run on this thread, and puts every other one on.
#[cfg(feature = "bug-switches")]
pub fn take_off(guard: Option<Guard>) {
    OFF.set(guard);
}

#[cfg(feature = "bug-switches")]
pub(crate) fn is_off(guard: Guard) -> bool {
    OFF.get() == Some(guard)
}

/// No guard is ever off in this build.
#[cfg(not(feature = "bug-switches"))]
pub(crate) fn is_off(_guard: Guard) -> bool {
    false
}
