//! Entries of the catalog that are spoilt: each is refused with a code, a place and a reason that names a field.
//!
//! The program spoils shipped ones so that they cannot be right any more, and looks at each as a shipped one is looked at. In the control
//! one rule is off: that for the ports of shipped entries.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// Entries that are spoilt, and in how many ways at least.
const FULL: u64 = 1_000;
const QUICK: u64 = 200;
const LEAST_WAYS: usize = 25;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "malformed-entries",
    shows: "entries of the catalog that were spoilt by chance, in structure, types, ranges, references, YAML, sizes and hostile texts; those that were accepted, made the program panic, or were refused without a place in the text or without the name of a field",
    goal: "1,000 (quick: 200), 0 of each",
    binaries: &[Binary::Figures],
    prepare,
    needs_root: false,
    in_tests: true,
    full_limit: Duration::from_secs(120),
    measure,
};

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    // The control needs so many that the one rule is met.
    let count = match (bench.mode.quick, bench.mode.sabotage) {
        (true, false) => QUICK,
        (_, true) | (false, false) => FULL,
    };
    let mut program = Invocation::new(Binary::Figures.path(bench.place))
        .args(["entries", "--count", &count.to_string()])
        .args(["--seed", &bench.seed.to_string()])
        .until(bench.deadline);
    if bench.mode.sabotage {
        program = program.arg("--sabotage");
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("the program that spoils entries")?;
    let verdict = serde_json::from_str(&answer).context("reading the verdict")?;
    judge(verdict, count)
}

fn judge(verdict: Value, count: u64) -> Result<Measured> {
    let number = |name: &str| {
        let found = verdict.get(name).and_then(Value::as_u64);
        found.with_context(|| format!("the verdict has no {name}"))
    };
    for fault in verdict["told"].as_array().into_iter().flatten() {
        say::note(format!("malformed-entries: {fault}"));
    }
    let ways = verdict["by_way"]
        .as_object()
        .map_or(0, serde_json::Map::len);
    let (refused, accepted) = (number("refused")?, number("accepted")?);
    let (panicked, misplaced) = (number("panicked")?, number("misplaced")?);
    let unnamed = number("unnamed")?;
    let faults = accepted + panicked + misplaced + unnamed;
    Ok(Measured {
        value: format!("{refused}/{accepted}/{panicked}/{misplaced}/{unnamed}"),
        unit: "refused/accepted/panics/without a place/without a name",
        reached: faults == 0 && refused == count && ways >= LEAST_WAYS,
        raw: verdict,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict() -> Value {
        let ways: serde_json::Map<String, Value> = (0..LEAST_WAYS)
            .map(|way| (way.to_string(), json!(1)))
            .collect();
        json!({
            "refused": 1_000, "accepted": 0, "panicked": 0, "misplaced": 0, "unnamed": 0,
            "by_way": ways, "told": [],
        })
    }

    #[test]
    fn one_that_is_accepted_or_not_told_of_well_is_short() {
        assert!(judge(verdict(), 1_000).unwrap().reached);
        for field in ["accepted", "panicked", "misplaced", "unnamed"] {
            let mut verdict = verdict();
            verdict[field] = json!(1);
            assert!(!judge(verdict, 1_000).unwrap().reached, "{field}");
        }
        let mut few = verdict();
        few["refused"] = json!(999);
        assert!(!judge(few, 1_000).unwrap().reached);
        let mut one_way = verdict();
        one_way["by_way"] = json!({"one": 1_000});
        assert!(!judge(one_way, 1_000).unwrap().reached);
    }
}
