//! Making a play that breaks a rule shorter, as long as it breaks the same rule.

use super::run::{Play, play};
use super::trace::Telling;

/// How often a shorter play is tried at most.
const TRIES: usize = 400;

/// A shorter play that breaks the same rule: first halves, then ever smaller parts, then single acts are left out, and waits
/// that are not needed are taken away.
///
/// # Errors
/// The simulation itself could not go on.
pub fn shrink(whole: &Play, rule: &str) -> Result<Play, String> {
    let mut best = whole.clone();
    let mut tries = 0;
    let mut size = best.acts.len().div_ceil(2);
    while size > 0 && tries < TRIES {
        let mut at = 0;
        let mut shorter = false;
        while at < best.acts.len() && tries < TRIES {
            let mut candidate = best.clone();
            let end = (at + size).min(candidate.acts.len());
            candidate.acts.drain(at..end);
            tries += 1;
            if breaks(&candidate, rule)? {
                best = candidate;
                shorter = true;
            } else {
                at += size;
            }
        }
        if size == 1 && !shorter {
            break;
        }
        size = if size > 1 { size / 2 } else { 1 };
    }
    without_waits(best, rule, TRIES - tries.min(TRIES))
}

fn without_waits(mut best: Play, rule: &str, tries: usize) -> Result<Play, String> {
    for at in 0..best.acts.len().min(tries) {
        let mut candidate = best.clone();
        candidate.acts[at].after_ms = 0;
        if candidate != best && breaks(&candidate, rule)? {
            best = candidate;
        }
    }
    Ok(best)
}

fn breaks(candidate: &Play, rule: &str) -> Result<bool, String> {
    let outcome = play(candidate, Telling::Nothing)?;
    Ok(outcome.violations.iter().any(|found| found.rule == rule))
}
