//! Which rule has to find what a guard of the engine keeps away.

use proximity_engine::saga::Guard;

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
        Guard::Create => &["I6-intent-first", "unaccounted"],
        Guard::Late => &["unaccounted"],
        Guard::Intent => &["I6-intent-first"],
        Guard::Named => &["I6-no-operation"],
        Guard::Epoch => &["I7-stale-epoch"],
        Guard::Takeover => &["I9-not-settled"],
        Guard::NextStep => &["I9-no-next-step"],
        Guard::Quiet => &["I9-rest"],
        Guard::Refresh => &["told-what-is-not"],
        // Figures R15 and R14 find them.
        Guard::Brake | Guard::Alive => &[],
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
