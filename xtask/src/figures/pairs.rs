//! R9-pairs: a set of documents leads to the same, whatever was applied before it; on the ground of the simulation.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// The second half of R9.
pub(super) const FIGURE: Figure = Figure {
    id: "R9-pairs",
    shows: "drawn pairs of sets of documents of which the second is applied after the first, and those that end otherwise than the second alone in a fresh world",
    goal: "10,000 (quick: 200), 0",
    binaries: &[Binary::Simulation],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1_800),
    measure,
};

/// What the second sets have to lead to somewhere, or nothing was shown of it.
const ACTS: [&str; 6] = ["create", "update", "replace", "adopt", "forget", "destroy"];
/// Seeds of two runs do not overlap.
const APART: u64 = 1 << 32;

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let (pairs, seconds) = if bench.mode.quick {
        (200, 50)
    } else {
        (10_000, 1_750)
    };
    let from = bench.seed.to_string().parse::<u64>().unwrap_or(0) % APART * APART;
    let mut program = Invocation::new(Binary::Simulation.path(bench.place))
        .args(["pairs", "--threads", "2", "--from", &from.to_string()])
        .args(["--count", &pairs.to_string()])
        .args(["--seconds", &seconds.to_string()])
        .until(bench.deadline);
    if bench.mode.sabotage {
        program = program.args(["--leaves-out", "--until-found"]);
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("the simulation")?;
    let last = answer.lines().last().unwrap_or_default();
    let verdict: Value = serde_json::from_str(last).context("reading the verdict")?;
    for told in verdict["told"].as_array().into_iter().flatten() {
        let (seed, faults) = (&told["seed"], &told["faults"]);
        say::note(format!("R9-pairs: seed {seed}: {faults}"));
    }
    judge(&verdict, pairs, bench.mode.sabotage)
}

fn judge(verdict: &Value, least: u64, is_control: bool) -> Result<Measured> {
    let number = |name: &str| {
        let found = verdict[name].as_u64();
        found.with_context(|| format!("the verdict has no {name}"))
    };
    let (played, differ) = (number("pairs")?, number("differ")?);
    if is_control && differ == 0 {
        bail!("the control found nothing");
    }
    let done = |act: &&str| {
        verdict["acts"][*act]
            .as_u64()
            .is_some_and(|count| count > 0)
    };
    let undone: Vec<&str> = ACTS.into_iter().filter(|act| !done(act)).collect();
    if !undone.is_empty() {
        say::note(format!("R9-pairs: no second set led to {undone:?}"));
    }
    Ok(Measured {
        value: format!("{played}/{differ}"),
        unit: "pairs/other ends",
        reached: played >= least && differ == 0 && undone.is_empty(),
        raw: verdict.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(pairs: u64, differ: u64) -> Value {
        let acts: serde_json::Map<String, Value> = ACTS
            .into_iter()
            .map(|act| (act.to_owned(), json!(3)))
            .collect();
        json!({ "pairs": pairs, "differ": differ, "acts": acts })
    }

    #[test]
    fn a_pair_that_differs_one_too_few_and_an_act_that_never_was_are_short() {
        let reached = |verdict: &Value| judge(verdict, 200, false).unwrap().reached;
        assert!(reached(&verdict(200, 0)));
        assert!(!reached(&verdict(200, 1)));
        assert!(!reached(&verdict(199, 0)));
        let mut lacks = verdict(200, 0);
        lacks["acts"]["replace"] = json!(0);
        assert!(!reached(&lacks));
    }

    #[test]
    fn a_control_that_finds_nothing_is_no_figure() {
        assert!(judge(&verdict(200, 0), 200, true).is_err());
        assert!(!judge(&verdict(3, 1), 200, true).unwrap().reached);
    }
}
