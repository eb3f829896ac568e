//! What becomes of a plan that was made from a source.

use crate::apply::Consent;
use crate::failure::Failure;
use crate::plan::{Act, Change, Plan};

use super::SourcePolicy;

/// What becomes of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is to be done.
    Quiet,
    /// It waits for a person.
    Waits(Failure),
    /// It is applied, and agreed to so much.
    Apply(Consent),
}

/// Names in a message, at most.
const NAMED: usize = 5;

/// What makes changes wait, and for which of them it is so.
type Check = (&'static str, fn(&Change) -> bool);

/// What becomes of a plan by the source's policy.
///
/// Without a person nothing is replaced, ever; no record ends and no container is destroyed unless the source prunes, and then no more
/// than the mass brake lets go without a number. What is held back, or lacks a right, holds the whole plan back: half a commit is not
/// what the commit says.
#[must_use]
pub fn judge(policy: SourcePolicy, prune: bool, plan: &Plan) -> Verdict {
    if plan.changes.iter().all(Change::is_quiet) {
        return Verdict::Quiet;
    }
    if policy == SourcePolicy::Plan {
        let count = plan.changes.iter().filter(|one| !one.is_quiet()).count();
        return waits(format!("{count} change(s) wait to be applied"));
    }
    let checks: [Check; 3] = [
        ("held back", |one| !one.obstacles.is_empty()),
        ("without the rights it needs", |one| !one.lacks.is_empty()),
        ("replaced, with what it holds", |one| {
            one.act == Act::Replace
        }),
    ];
    for (what, is_so) in checks {
        if let Some(names) = named(plan, is_so) {
            return waits(format!("{what}: {names}"));
        }
    }
    let ends = |one: &Change| one.removes() || one.destroys();
    if let Some(names) = named(plan, ends)
        && !(prune && plan.prune)
    {
        return waits(format!("removed, and the source does not prune: {names}"));
    }
    if let Some(brake) = plan.brake {
        return waits(format!(
            "{} records would end, and {} ended in the last hour already: {} may without a person's word",
            brake.removed, brake.done, brake.limit
        ));
    }
    let destroyed = plan.destroyed();
    Verdict::Apply(Consent {
        prune: prune && plan.prune,
        confirm_removed: None,
        confirm_destroyed: (destroyed > 0).then_some(destroyed),
    })
}

fn waits(message: String) -> Verdict {
    Verdict::Waits(Failure::new(
        "source_waits",
        message,
        "look at the plan, and apply it with: proximity apply PLAN; or change the documents",
    ))
}

/// Names of the changes that are so, the first of many; none if there are none.
fn named(plan: &Plan, is_so: fn(&Change) -> bool) -> Option<String> {
    let mut names = plan.changes.iter().filter(|one| is_so(one));
    let first: Vec<&str> = names
        .by_ref()
        .take(NAMED)
        .map(|one| one.name.as_str())
        .collect();
    let more = if names.next().is_some() { ", …" } else { "" };
    (!first.is_empty()).then(|| format!("{}{more}", first.join(", ")))
}
