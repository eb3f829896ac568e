//! The stages that are one call of cargo each.

use anyhow::Result;

use super::Stand;
use crate::figures::{self, AS_FOR_TESTS, SHIPPED_FEATURES};
use crate::invocation::Invocation;
use crate::ledger::{Outcome, Tally};

/// Formatting; names the files, the differences are for whoever runs the formatter.
pub(super) fn fmt(stand: &Stand<'_>) -> Result<Outcome> {
    let mut outcome = cargo(
        stand,
        &["fmt", "--all", "--", "--check", "--files-with-diff"],
    )?;
    if outcome.tally.failed > 0 {
        outcome
            .remarks
            .push("`cargo fmt --all` mends it".to_owned());
    }
    Ok(outcome)
}

/// Lints, warnings included: of everything that is shipped, and of what only a build that crashes where it is told to has.
pub(super) fn clippy(stand: &Stand<'_>) -> Result<Outcome> {
    let all = cargo(
        stand,
        &clippy_args(&[
            "--workspace",
            "--all-targets",
            "--features",
            SHIPPED_FEATURES,
        ]),
    )?;
    let crashing = cargo(
        stand,
        &clippy_args(&[&AS_FOR_TESTS[..], &CRASHING].concat()),
    )?;
    Ok(all.and(crashing))
}

/// What only a build that crashes where it is told to has, for cargo.
const CRASHING: [&str; 3] = [
    "--bins",
    "--features",
    "proximity/crash-points,proximity-testkit/crash-points,proximity-testkit/bug-switches",
];

fn clippy_args<'a>(of: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["clippy", "--quiet", "--locked"];
    args.extend(of);
    args.extend(["--", "-D", "warnings"]);
    args
}

/// The product by itself, without the lab and without what is off by default, linted; and the binaries as tests and figures need
/// them.
pub(super) fn build(stand: &Stand<'_>) -> Result<Outcome> {
    let bare = ["--package", "proximity", "--no-default-features"];
    let mut outcome = cargo(stand, &clippy_args(&bare))?;
    for binary in figures::binaries() {
        if let Some(why) = binary.lacks(stand.place, stand.deadline)? {
            outcome = outcome.and(Outcome::skipped(format!("{binary:?}: {why}")));
            continue;
        }
        outcome = outcome.and(match binary.build(stand.place, stand.deadline) {
            Ok(()) => Outcome::passed(format!("{binary:?} built")),
            Err(error) => Outcome::failed(format!("{error:#}")),
        });
    }
    Ok(outcome)
}

/// Documentation examples.
pub(super) fn doc(stand: &Stand<'_>) -> Result<Outcome> {
    let run = Invocation::new("cargo")
        .args(["test", "--quiet", "--locked", "--workspace", "--doc"])
        .args(["--features", SHIPPED_FEATURES])
        .variable("CARGO_TERM_COLOR", "never")
        .until(stand.deadline)
        .tee(stand.place.root())?;
    let tally = count_doc_tests(&run.stdout);
    if !run.ended.is_success() && tally.failed == 0 {
        return Ok(Outcome::failed(format!(
            "the documentation tests {}",
            run.ended.describe()
        )));
    }
    Ok(Outcome {
        tally,
        remarks: vec![format!("documentation examples: {tally}")],
    })
}

/// Adds up the closing lines of the documentation tests of each crate.
fn count_doc_tests(output: &str) -> Tally {
    output
        .lines()
        .filter(|line| line.starts_with("test result:"))
        .map(|line| Tally {
            passed: number_before(line, " passed"),
            failed: number_before(line, " failed"),
            skipped: number_before(line, " ignored"),
        })
        .fold(Tally::default(), Tally::plus)
}

/// The number that stands right before `word`, or 0.
pub(super) fn number_before(line: &str, word: &str) -> u64 {
    line.split_once(word)
        .and_then(|(before, _)| before.rsplit(|c: char| !c.is_ascii_digit()).next())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

fn cargo(stand: &Stand<'_>, args: &[&str]) -> Result<Outcome> {
    let run = Invocation::new("cargo").args(args).until(stand.deadline);
    let ended = run.run(stand.place.root())?;
    Ok(if ended.is_success() {
        Outcome::passed(run.shown())
    } else {
        Outcome::failed(format!("`{}` {}", run.shown(), ended.describe()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doc_tests_of_all_crates_are_added_up() {
        let output = "\
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s
noise 9 passed
test result: FAILED. 3 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let tally = count_doc_tests(output);
        assert_eq!(tally.to_string(), "5 passed, 4 failed, 1 skipped");
    }
}
