//! The simulation itself: that it repeats, that the cases that were kept stay mended, and that a few seeds break no rule.

use std::path::{Path, PathBuf};

use proximity_testkit::sim::{Many, Outcome, Plan, Play, Points, Telling, Theme, play};

const FEW: Many = Many {
    from: 0,
    count: 24,
    theme: Theme::All,
    steps: 48,
    threads: 2,
    seconds: None,
    again_every: 4,
    until_found: false,
    off: None,
    but: None,
};

#[test]
fn a_few_seeds_break_no_rule_and_give_the_same_trace_again() {
    let verdict = FEW.play().unwrap();
    assert!(verdict.told.is_empty(), "{:?}", verdict.told);
    assert_eq!((verdict.sequences, verdict.again, verdict.same), (24, 6, 6));
    assert!(
        verdict.changes > 50,
        "hardly anything happened: {verdict:?}"
    );
}

#[test]
fn seeds_differ() {
    let sum = |seed| {
        let outcome = play(&Play::draw(Theme::All, seed, 12), Telling::Sum);
        outcome.unwrap().sum.unwrap()
    };
    assert_ne!(sum(1), sum(2));
}

#[test]
fn a_seed_does_the_same_whether_or_not_it_is_told() {
    for seed in 0..4 {
        let drawn = Play::draw(Theme::All, seed, 24);
        let played = |telling| play(&drawn, telling).unwrap();
        let (told, summed) = (played(Telling::Lines), played(Telling::Sum));
        let untold = played(Telling::Nothing);
        assert!(told.sum.is_some() && told.sum == summed.sum);
        assert!(untold.sum.is_none() && untold.trace.is_empty());
        for other in [summed, untold] {
            let of = |it: &Outcome| (it.changes, it.virtual_ms, it.calls.len(), it.end.clone());
            assert_eq!(of(&told), of(&other), "seed {seed}");
            assert_eq!(told.violations, other.violations, "seed {seed}");
        }
    }
}

/// As many cases of a plan as there is time for.
fn a_few_of(plan: Plan) -> Result<(), String> {
    let points = Points {
        plan,
        from: 0,
        seeds: 1,
        one_in: match plan {
            Plan::Taken | Plan::Stalled => 1,
            Plan::Stale | Plan::Skipped | Plan::Jumps | Plan::Twice => 20,
        },
        seconds: Some(8),
        threads: 2,
        off: None,
        until: None,
        but: None,
        only: None,
        is_wide: false,
    };
    let verdict = points.play()?;
    assert!(verdict.told.is_empty(), "{:?}", verdict.told);
    assert!(verdict.cases > 0, "nothing was played: {verdict:?}");
    Ok(())
}

#[test]
fn a_stranger_who_takes_a_number_is_not_touched() {
    a_few_of(Plan::Taken).unwrap();
}

#[test]
fn old_lists_change_nothing_of_how_it_ends() {
    a_few_of(Plan::Stale).unwrap();
}

#[test]
fn looks_that_see_nothing_change_nothing_of_how_it_ends() {
    a_few_of(Plan::Skipped).unwrap();
}

#[test]
fn jumps_of_the_clock_change_nothing_of_how_it_ends() {
    a_few_of(Plan::Jumps).unwrap();
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/sim")
}

/// Each file in fixtures/sim broke a rule once, or breaks one without the guard it is called by.
#[test]
fn cases_that_were_kept_break_no_rule_any_more() {
    let mut cases = 0;
    for file in std::fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "json") {
            continue;
        }
        let case: Play = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        if case.stalls() && cfg!(not(feature = "bug-switches")) {
            // No process stands still in this build.
            assert!(play(&case, Telling::Nothing).is_err(), "{path:?}");
            continue;
        }
        let outcome = play(&case, Telling::Nothing).unwrap();
        assert!(
            outcome.violations.is_empty(),
            "{path:?}: {:?}",
            outcome.violations
        );
        assert_eq!(outcome.acts, case.acts.len());
        cases += 1;
    }
    assert!(cases > 0, "no case was read");
}

#[cfg(feature = "bug-switches")]
mod guards {
    use proximity_engine::saga::Guard;
    use proximity_testkit::sim::{Until, plan_of, shown};

    use super::*;

    #[test]
    fn a_process_that_stood_still_sends_nothing_after_another_one_took_over() {
        a_few_of(Plan::Stalled).unwrap();
    }

    /// It must have stood in the middle of its call, and the other one must have taken over, or the case shows nothing.
    #[test]
    fn two_processes_give_the_same_trace_again_and_the_second_takes_over() {
        let text = std::fs::read_to_string(folder().join("lease.json")).unwrap();
        let case: Play = serde_json::from_str(&text).unwrap();
        let played = || play(&case, Telling::Lines).unwrap();
        let (first, again) = (played(), played());
        assert_eq!(first.violations, [], "{}", first.trace);
        assert!(first.trace == again.trace, "two plays of it differ");
        let undisturbed = Play {
            traps: Vec::new(),
            ..case.clone()
        };
        let undisturbed = play(&undisturbed, Telling::Nothing).unwrap();
        assert_eq!(first.sprung, 1, "{}", first.trace);
        assert!(first.claims > undisturbed.claims, "{}", first.trace);
    }

    /// What needs a second process comes about in the plan that has one, and in no sequence that is drawn.
    #[test]
    fn a_guard_against_a_second_process_is_found_by_the_plan_that_has_one() {
        let mut guards = Guard::ALL
            .into_iter()
            .filter(|guard| plan_of(*guard) == Some(Plan::Stalled));
        assert!(guards.clone().next().is_some(), "there is none");
        let is_found = |guard| {
            let points = Points {
                plan: Plan::Stalled,
                from: 0,
                seeds: 4,
                one_in: 1,
                seconds: None,
                threads: 2,
                off: Some(guard),
                until: Some(Until::Shown),
                but: None,
                only: None,
                is_wide: true,
            };
            points.play().unwrap().shown_by.is_some()
        };
        assert!(guards.all(is_found));
    }

    /// A kept case is called by the guard that it needs.
    #[test]
    fn a_kept_case_breaks_a_rule_without_its_guard() {
        let mut cases = 0;
        for guard in Guard::ALL {
            let case = folder().join(format!("{}.json", guard.label()));
            let Ok(text) = std::fs::read_to_string(case) else {
                continue;
            };
            cases += 1;
            let case: Play = serde_json::from_str(&text).unwrap();
            let outcome = play(&case.without(Some(guard)), Telling::Nothing).unwrap();
            let shown = shown(guard, &outcome.violations, None);
            assert!(
                shown.is_some(),
                "{}: {:?}",
                guard.label(),
                outcome.violations
            );
        }
        assert!(cases >= 6, "{cases} cases were read");
    }

    #[test]
    fn every_guard_that_is_off_is_found() {
        let drawn = |guard: &Guard| plan_of(*guard) != Some(Plan::Stalled);
        for guard in Guard::ALL.into_iter().filter(drawn) {
            let many = Many {
                count: 3_000,
                again_every: 0,
                until_found: true,
                off: Some(guard),
                ..FEW
            };
            let verdict = many.play().unwrap();
            assert!(
                verdict.shown > 0,
                "{} is off, and no rule of its own found that: {:?}",
                guard.label(),
                verdict.told
            );
        }
    }
}
