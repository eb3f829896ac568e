//! `switches`: each guard off in turn, until a rule of its own finds that.

use std::path::Path;

use anyhow::Result;
use proximity_engine::saga::Guard;
use proximity_testkit::sim::{
    Many, Plan, Play, Points, Telling, Until, plan_of, play, rows_of, shown,
};
use serde_json::{Value, json};

use super::say;

/// Schedules of a plan, at most.
const SCHEDULES: u64 = 200;
/// Of the cases of a script one in so many is played with each schedule.
const ONE_IN: u64 = 20;

/// Whether each was found is what the lines say.
pub(super) fn run(only: Option<Guard>, cases: Option<&Path>, many: Many) -> Result<bool> {
    let guards = Guard::ALL.into_iter();
    for guard in guards.filter(|guard| only.is_none_or(|only| only == *guard)) {
        let mut line = found(guard, cases, many)?;
        line["guard"] = json!(guard.label());
        line["rows"] = json!(rows_of(guard));
        say(&line.to_string())?;
    }
    Ok(true)
}

/// By the case that was kept for it, by its plan, or by sequences that are drawn.
fn found(guard: Guard, cases: Option<&Path>, many: Many) -> Result<Value> {
    if let Some(cases) = cases
        && let Some(by) = by_case(cases, guard, many.but)?
    {
        return Ok(json!({"found": true, "by": by, "how": "kept case", "sequences": 1}));
    }
    if let Some(line) = by_plan(guard, many)? {
        return Ok(line);
    }
    by_seeds(guard, many)
}

/// Plays its plan, if it has one, until it shows that it is off.
fn by_plan(guard: Guard, many: Many) -> Result<Option<Value>> {
    let Some(plan) = plan_of(guard) else {
        return Ok(None);
    };
    let points = Points {
        plan,
        from: many.from,
        seeds: SCHEDULES,
        one_in: match plan {
            Plan::Taken | Plan::Stalled => 1,
            Plan::Stale | Plan::Skipped | Plan::Jumps | Plan::Twice => ONE_IN,
        },
        seconds: many.seconds,
        threads: many.threads,
        off: Some(guard),
        until: Some(Until::Shown),
        but: many.but,
        only: None,
        // What the rights of a narrow token keep away would not show.
        is_wide: true,
    };
    let verdict = points.play().map_err(anyhow::Error::msg)?;
    let line =
        |by| json!({"found": true, "by": by, "how": plan.name(), "sequences": verdict.cases});
    Ok(verdict.shown_by.map(line))
}

/// Plays seeds until one shows that it is off.
fn by_seeds(guard: Guard, many: Many) -> Result<Value> {
    let off = Some(guard);
    let verdict = Many { off, ..many }.play().map_err(anyhow::Error::msg)?;
    Ok(json!({
        "found": verdict.shown > 0,
        "by": verdict.shown_by,
        "how": "drawn",
        "sequences": verdict.sequences,
        "told": verdict.told,
    }))
}

/// The rule by which the case that was kept for this guard shows that it is off; with it on no rule may be broken.
fn by_case(cases: &Path, guard: Guard, but: Option<&str>) -> Result<Option<&'static str>> {
    let file = cases.join(format!("{}.json", guard.label()));
    let Ok(text) = std::fs::read_to_string(&file) else {
        return Ok(None);
    };
    let case: Play = serde_json::from_str(&text)?;
    let violations = |case: &Play| {
        let played = play(case, Telling::Nothing).map_err(anyhow::Error::msg);
        played.map(|outcome| outcome.violations)
    };
    if let Some(found) = violations(&case)?.first() {
        anyhow::bail!(
            "{} breaks {} with every guard on",
            file.display(),
            found.rule
        );
    }
    let found = violations(&case.without(Some(guard)))?;
    Ok(shown(guard, &found, but).map(|violation| violation.rule))
}
