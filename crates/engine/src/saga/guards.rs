//! Guards that a simulation takes off, one at a time, to see that it finds what they keep away.
//!
//! In a build without the feature `bug-switches` nothing of this exists but a function that says no.

/// A guard: of an invariant, or against a mistake that other systems make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// What a look shows is compared with the record (I4, H3, F2, F3).
    Identity,
    /// The mark is one of the factors that are compared (I4, H3).
    Mark,
    /// The MAC is one of them (I4, H3).
    Mac,
    /// The volume is one of them (I4, H3).
    Volume,
    /// A guest is looked at before it is changed (I4).
    Look,
    /// An operation works on the guest of its own app (I1, I4).
    App,
    /// Only a removal, or a deploy on its way back, destroys (I1, F3).
    Right,
    /// What was adopted is given back as it is (I2, H7).
    Adopted,
    /// A change is audited before it is sent (I10).
    Audit,
    /// What cannot be reached is unknown, not absent (I3, H4, F2).
    Reach,
    /// Guests of a node that is off are unknown, not missing (I3, H1, F1).
    Offline,
    /// What a list misses is proven absent before its record ends (I3, H1, F1).
    Proof,
    /// A deploy on its way back takes its container with it (H5, F4).
    Leftover,
    /// A destroy is awaited, and its end read back (I3, H4).
    Destroyed,
    /// After a restart it is looked whether a create had come through (I6, H5, F4).
    Create,
    /// A create without an answer is waited for before its number is given up (I6).
    Late,
    /// The call that creates a container carries the mark that is on record (I6).
    Intent,
    /// Every change names its operation (I6).
    Named,
    /// Every change carries the epoch of its claim (I7).
    Epoch,
    /// Nothing is sent after the lease of its claim, and work that has lost its claim is cut off (I7).
    Lease,
    /// The next process takes over what the one before was at (I9).
    Takeover,
    /// No wall clock ends a claim: its holder has to have been silent for the whole of it (I7, F5).
    Silence,
    /// An adoption without the whole configuration fails (H8).
    Keys,
    /// What is stuck says the next step (I9).
    NextStep,
    /// What was told once is not told again with every pass (I9).
    Quiet,
    /// An app at rest follows the power of its container (H11).
    Refresh,
    /// Too many at once stop until a person confirms the number. Not simulated: figure R15 takes it off.
    Brake,
    /// The janitor leaves alone what somebody is at work on. Not simulated: figure R14 takes it off.
    Alive,
    /// An update sets all that is to be changed. Not drawn: figure R9-pairs takes it off.
    Whole,
}

impl Guard {
    /// All that the simulation takes off and finds.
    pub const ALL: [Self; 26] = [
        Self::Identity,
        Self::Mark,
        Self::Mac,
        Self::Volume,
        Self::Look,
        Self::App,
        Self::Right,
        Self::Adopted,
        Self::Audit,
        Self::Reach,
        Self::Offline,
        Self::Proof,
        Self::Leftover,
        Self::Destroyed,
        Self::Create,
        Self::Late,
        Self::Intent,
        Self::Named,
        Self::Epoch,
        Self::Lease,
        Self::Takeover,
        Self::Silence,
        Self::Keys,
        Self::NextStep,
        Self::Quiet,
        Self::Refresh,
    ];

    /// Its name on command lines.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Mark => "mark",
            Self::Mac => "mac",
            Self::Volume => "volume",
            Self::Look => "look",
            Self::App => "app",
            Self::Right => "right",
            Self::Adopted => "adopted",
            Self::Audit => "audit",
            Self::Reach => "reach",
            Self::Offline => "offline",
            Self::Proof => "proof",
            Self::Leftover => "leftover",
            Self::Destroyed => "destroyed",
            Self::Create => "create",
            Self::Late => "late",
            Self::Intent => "intent",
            Self::Named => "named",
            Self::Epoch => "epoch",
            Self::Lease => "lease",
            Self::Takeover => "takeover",
            Self::Silence => "silence",
            Self::Keys => "keys",
            Self::NextStep => "next-step",
            Self::Quiet => "quiet",
            Self::Refresh => "refresh",
            Self::Brake => "brake",
            Self::Alive => "alive",
            Self::Whole => "whole",
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
    proximity_janitor::take_all_for_dead(guard == Some(Guard::Alive));
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
