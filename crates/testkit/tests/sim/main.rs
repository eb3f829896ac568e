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
        one_in: if plan == Plan::Taken { 1 } else { 20 },
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
    use proximity_testkit::sim::shown;

    use super::*;

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
        for guard in Guard::ALL {
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
