//! Which rule has to find what a guard of the engine keeps away.

use proximity_engine::saga::Guard;

use super::cases::Plan;
use super::watch::Violation;

/// The rules that show that this guard is off. Another finding is none of this guard.
#[must_use]
pub fn rules_of(guard: Guard) -> &'static [&'static str] {
    match guard {
        Guard::Identity | Guard::Mark | Guard::Mac | Guard::Volume => {
            &["I4-not-owned", "I4-inside"]
        }
        Guard::Look => &["I4-look-first"],
        Guard::App => &["I1-no-right", "I4-other-app"],
        Guard::Right => &["I1-no-right"],
        Guard::Adopted => &["I2-adopted"],
        Guard::Audit => &["I10-audit-first"],
        Guard::Offline | Guard::Proof | Guard::Destroyed => &["I3-archived-alive"],
        Guard::Reach | Guard::Leftover => &["I3-archived-alive", "unaccounted"],
        Guard::Create => &["I6-intent-first", "I6-made-twice", "unaccounted"],
        Guard::Late => &["I6-made-twice", "unaccounted"],
        Guard::Intent => &["I6-intent-first"],
        Guard::Named => &["I6-no-operation"],
        Guard::Epoch => &["I7-stale-epoch"],
        Guard::Lease => &["I7-stale-epoch", "I7-two-writers"],
        // A clock that was set back ends no claim at all.
        Guard::Silence => &["I7-stolen", "I9-not-settled"],
        Guard::Keys => &["adopted-unread"],
        Guard::Takeover => &["I9-not-settled"],
        Guard::NextStep => &["I9-no-next-step"],
        Guard::Quiet => &["I9-rest"],
        Guard::Refresh => &["told-what-is-not"],
        // Figures R15, R14 and R9-pairs find them.
        Guard::Brake | Guard::Alive | Guard::Whole => &[],
    }
}

/// The invariants (I) and the known mistakes of other systems (F, H) that this guard stands for.
#[must_use]
pub fn rows_of(guard: Guard) -> &'static [&'static str] {
    match guard {
        Guard::Identity => &["I4", "F2", "F3", "H3"],
        Guard::Mark | Guard::Mac | Guard::Volume => &["I4", "H3"],
        Guard::Look => &["I4", "F2"],
        Guard::App => &["I1", "I4"],
        Guard::Right => &["I1", "F3"],
        Guard::Adopted => &["I2", "H7"],
        Guard::Audit => &["I10"],
        Guard::Reach => &["I3", "F2", "H4"],
        Guard::Offline | Guard::Proof => &["I3", "F1", "H1"],
        Guard::Leftover => &["F4", "H5"],
        Guard::Destroyed => &["I3", "H4"],
        Guard::Create => &["I6", "F4", "H5"],
        Guard::Late | Guard::Intent | Guard::Named => &["I6"],
        Guard::Epoch | Guard::Lease => &["I7"],
        Guard::Silence => &["I7", "F5"],
        Guard::Keys => &["H8"],
        Guard::Takeover | Guard::NextStep | Guard::Quiet => &["I9"],
        Guard::Refresh => &["H11"],
        Guard::Brake => &["H1"],
        Guard::Alive => &["H6"],
        // A promise of updates, and no invariant.
        Guard::Whole => &[],
    }
}

/// The plan that comes upon what this guard keeps away sooner than sequences that are drawn.
#[must_use]
pub fn plan_of(guard: Guard) -> Option<Plan> {
    match guard {
        Guard::Volume => Some(Plan::Taken),
        Guard::Proof => Some(Plan::Stale),
        Guard::Reach | Guard::Keys => Some(Plan::Skipped),
        Guard::Silence => Some(Plan::Jumps),
        Guard::Lease => Some(Plan::Stalled),
        Guard::Identity
        | Guard::Mark
        | Guard::Mac
        | Guard::Look
        | Guard::App
        | Guard::Right
        | Guard::Adopted
        | Guard::Audit
        | Guard::Offline
        | Guard::Leftover
        | Guard::Destroyed
        | Guard::Create
        | Guard::Late
        | Guard::Intent
        | Guard::Named
        | Guard::Epoch
        | Guard::Takeover
        | Guard::NextStep
        | Guard::Quiet
        | Guard::Refresh
        | Guard::Brake
        | Guard::Alive
        | Guard::Whole => None,
    }
}

/// The violation that is what this guard keeps away, if there is one; `but` is a rule that is not looked at.
#[must_use]
pub fn shown<'a>(guard: Guard, found: &'a [Violation], but: Option<&str>) -> Option<&'a Violation> {
    let rules = rules_of(guard);
    let mut found = found.iter().filter(|it| Some(it.rule) != but);
    found.find(|violation| rules.contains(&violation.rule))
}

/// A rule by its name, of those that guards are found by.
#[must_use]
pub fn rule_named(name: &str) -> Option<&'static str> {
    let mut rules = Guard::ALL.into_iter().flat_map(rules_of);
    rules.find(|rule| **rule == name).copied()
}
