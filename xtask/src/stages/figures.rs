//! The quick figures as a stage, and the proof that they can fail.

use anyhow::Result;

use super::Stand;
use crate::figures::{self, Figure, Mode, Verdict};
use crate::ledger::Outcome;
use crate::seed::Seed;

/// How many controls one run of the tests takes.
const CONTROLS: usize = 3;

/// Measures every figure of the quick set, then runs the control of three drawn at random.
pub(super) fn run(stand: &Stand<'_>) -> Result<Outcome> {
    let quick: Vec<&Figure> = figures::FIGURES
        .iter()
        .filter(|figure| figure.in_tests)
        .collect();
    if quick.is_empty() {
        return Ok(Outcome::skipped("no figure is registered yet"));
    }
    let seed = Seed::random();
    let mut outcome = Outcome::default();
    let (quick, skipped) = apart(quick, |figure| figures::lacks(stand.place, figure))?;
    outcome = outcome.and(skipped);
    for figure in &quick {
        let mode = Mode {
            quick: true,
            sabotage: false,
        };
        outcome = outcome.and(match figures::measure(stand.place, figure, mode, seed)? {
            Verdict::Pass => Outcome::passed(figure.id),
            Verdict::Short => Outcome::failed(format!("{} is short of its goal", figure.id)),
            Verdict::Broken => Outcome::failed(format!("{} could not be measured", figure.id)),
        });
    }
    for figure in seed.draw(&quick, CONTROLS) {
        let mode = Mode {
            quick: true,
            sabotage: true,
        };
        let verdict = figures::measure(stand.place, figure, mode, seed)?;
        outcome = outcome.and(judge_control(figure.id, verdict));
    }
    Ok(outcome)
}

/// Those that can be measured here, and the others, counted as skipped with what they lack.
fn apart(
    all: Vec<&Figure>,
    lacks: impl Fn(&Figure) -> Result<Option<String>>,
) -> Result<(Vec<&Figure>, Outcome)> {
    let (mut able, mut outcome) = (Vec::new(), Outcome::default());
    for figure in all {
        match lacks(figure)? {
            None => able.push(figure),
            Some(why) => {
                outcome = outcome.and(Outcome::skipped(format!("{}: {why}", figure.id)));
            }
        }
    }
    Ok((able, outcome))
}

/// A control is good when the figure sees the sabotage. One that broke has seen nothing.
fn judge_control(id: &str, verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Short => Outcome::passed(format!("{id}: its control is seen")),
        Verdict::Pass => Outcome::failed(format!("{id} passes although it is sabotaged")),
        Verdict::Broken => Outcome::failed(format!("{id}: its control could not be run")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_measured_here_is_skipped_by_name_and_never_passed() {
        let all: Vec<&Figure> = figures::FIGURES.iter().take(3).collect();
        let lacking = all[1].id;
        let lacks = |figure: &Figure| Ok((figure.id == lacking).then(|| "no tool".to_owned()));
        let (able, outcome) = apart(all, lacks).unwrap();
        assert!(able.len() == 2 && able.iter().all(|figure| figure.id != lacking));
        assert_eq!(outcome.tally.to_string(), "0 passed, 0 failed, 1 skipped");
        let remark = format!("{lacking}: no tool");
        assert!(outcome.remarks.iter().any(|text| text.contains(&remark)));
    }

    #[test]
    fn only_a_short_control_is_good() {
        assert_eq!(judge_control("R1", Verdict::Short).tally.passed, 1);
        assert_eq!(judge_control("R1", Verdict::Pass).tally.failed, 1);
        assert_eq!(judge_control("R1", Verdict::Broken).tally.failed, 1);
    }
}
