//! The quick figures as a stage, and the proof that they can fail.

use anyhow::Result;

use super::Stand;
use crate::figures::{self, Answer, Figure, Mode, Verdict};
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
        let answer = figures::measure(stand.place, figure, mode, seed)?;
        outcome = outcome.and(judge(figure.id, &answer));
    }
    for figure in seed.draw(&quick, CONTROLS) {
        let mode = Mode {
            quick: true,
            sabotage: true,
        };
        let answer = figures::measure(stand.place, figure, mode, seed)?;
        outcome = outcome.and(judge_control(figure.id, &answer));
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

fn judge(id: &str, answer: &Answer) -> Outcome {
    let says = &answer.says;
    match answer.verdict {
        Verdict::Pass => Outcome::passed(id),
        Verdict::Short => Outcome::failed(format!("{id} is short of its goal: {says}")),
        Verdict::Broken => Outcome::failed(format!("{id} could not be measured: {says}")),
    }
}

/// A control is good when the figure sees the sabotage. One that broke has seen nothing.
fn judge_control(id: &str, answer: &Answer) -> Outcome {
    let says = &answer.says;
    match answer.verdict {
        Verdict::Short => Outcome::passed(format!("{id}: its control is seen")),
        Verdict::Pass => Outcome::failed(format!("{id} passes although it is sabotaged: {says}")),
        Verdict::Broken => Outcome::failed(format!("{id}: its control could not be run: {says}")),
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
    fn only_a_pass_is_good_and_only_a_short_control() {
        let tally = |judge: fn(&str, &Answer) -> Outcome, verdict| {
            let says = "4 of 5".to_owned();
            let outcome = judge("R1", &Answer { verdict, says });
            let told = outcome.remarks.concat().contains("4 of 5");
            assert_eq!(told, outcome.tally.failed > 0, "{outcome:?}");
            (outcome.tally.passed, outcome.tally.failed)
        };
        assert_eq!(tally(judge, Verdict::Pass), (1, 0));
        assert_eq!(tally(judge, Verdict::Short), (0, 1));
        assert_eq!(tally(judge, Verdict::Broken), (0, 1));
        assert_eq!(tally(judge_control, Verdict::Pass), (0, 1));
        assert_eq!(tally(judge_control, Verdict::Short), (1, 0));
        assert_eq!(tally(judge_control, Verdict::Broken), (0, 1));
    }
}
