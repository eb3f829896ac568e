//! Steps that a simulation has repeated or left out, to see that each may be: every part of a step looks before it acts.
//!
//! In a build without the feature `bug-switches` steps are carried out once, and all of them.

use proximity_domain::saga::StepRecord;
use proximity_store::effects::Effects;
use serde_json::Value;

use super::context::Cx;
use super::step::{Done, Row, StepResult};

#[cfg(feature = "bug-switches")]
use std::collections::BTreeSet;

/// How steps are carried out on a thread, and what has been.
#[cfg(feature = "bug-switches")]
#[derive(Debug, Default)]
struct Plan {
    twice: bool,
    never: Option<String>,
    done: BTreeSet<String>,
}

#[cfg(feature = "bug-switches")]
thread_local! {
    static PLAN: std::cell::RefCell<Plan> = std::cell::RefCell::default();
}

/// For engines on this thread: every action and undo is carried out twice, one right after the other; and the action of the
/// step `operation/step` never runs and counts as failed.
#[cfg(feature = "bug-switches")]
pub fn rehearse(twice: bool, never: Option<&str>) {
    PLAN.set(Plan {
        twice,
        never: never.map(str::to_owned),
        done: BTreeSet::new(),
    });
}

/// What steps have done on this thread since [`rehearse`]: `act operation/step`, `undo operation/step`, and
/// `leave operation/step` where the action was left out.
#[cfg(feature = "bug-switches")]
#[must_use]
pub fn rehearsed() -> BTreeSet<String> {
    PLAN.with_borrow(|plan| plan.done.clone())
}

#[cfg(feature = "bug-switches")]
fn note(what: &str, cx: &Cx, row: &Row) {
    let name = format!("{what} {}/{}", cx.op.kind.label(), row.name);
    PLAN.with_borrow_mut(|plan| {
        plan.done.insert(name);
    });
}

/// Carries out the action of a step.
pub(super) async fn act(cx: &Cx, row: &Row, intent: &Value) -> StepResult<Done> {
    #[cfg(feature = "bug-switches")]
    if never(cx, row) {
        note("leave", cx, row);
        let failure = proximity_domain::failure::Failure::new(
            "rehearsed",
            "the action of this step was left out",
            "retry",
        );
        return Err(super::step::StepError::Failed(failure));
    }
    let done = row.action.act(cx, intent).await?;
    #[cfg(feature = "bug-switches")]
    note("act", cx, row);
    #[cfg(feature = "bug-switches")]
    if is_twice() {
        return row.action.act(cx, intent).await;
    }
    Ok(done)
}

/// Takes back what a step did.
pub(super) async fn undo(cx: &Cx, row: &Row, record: &StepRecord) -> StepResult<Effects> {
    let effects = row.action.undo(cx, record).await?;
    #[cfg(feature = "bug-switches")]
    note("undo", cx, row);
    #[cfg(feature = "bug-switches")]
    if is_twice() {
        return row.action.undo(cx, record).await;
    }
    Ok(effects)
}

#[cfg(feature = "bug-switches")]
fn never(cx: &Cx, row: &Row) -> bool {
    let here = format!("{}/{}", cx.op.kind.label(), row.name);
    PLAN.with_borrow(|plan| plan.never.as_ref() == Some(&here))
}

/// Steps are carried out twice on this thread.
#[cfg(feature = "bug-switches")]
pub(crate) fn is_twice() -> bool {
    PLAN.with_borrow(|plan| plan.twice)
}

/// Steps are carried out once in this build.
#[cfg(all(feature = "crash-points", not(feature = "bug-switches")))]
pub(crate) fn is_twice() -> bool {
    false
}
