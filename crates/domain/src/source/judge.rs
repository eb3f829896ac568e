//! What becomes of a plan that was made from a source.

use std::collections::{BTreeMap, BTreeSet};

use crate::apply::Consent;
use crate::desired::{DesiredSpec, Documents};
use crate::failure::Failure;
use crate::ids::AppId;
use crate::names::{Hostname, SecretName};
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
/// Without a person nothing is replaced and no container is taken over, ever; no record ends and no container is destroyed unless the
/// source prunes, and then no more than the mass brake lets go without a number. What is held back, or lacks a right, holds the whole plan
/// back: half a commit is not what the commit says.
#[must_use]
pub fn judge(policy: SourcePolicy, prune: bool, plan: &Plan) -> Verdict {
    if plan.changes.iter().all(Change::is_quiet) {
        return Verdict::Quiet;
    }
    if policy == SourcePolicy::Plan {
        let count = plan.changes.iter().filter(|one| !one.is_quiet()).count();
        return waits(format!("{count} change(s) wait to be applied"));
    }
    let checks: [Check; 4] = [
        ("held back", |one| !one.obstacles.is_empty()),
        ("without the rights it needs", |one| !one.lacks.is_empty()),
        ("replaced, with what it holds", |one| {
            one.act == Act::Replace
        }),
        ("taken over, though no app has had it", |one| {
            one.act == Act::Adopt
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

impl Verdict {
    /// Holds an apply back whose changes would put a secret into an app that does not have it. `had` are the secrets that were put into
    /// each app by what was applied of it last.
    ///
    /// Secrets are the installation's, and a document only has to name one: whoever may push could have any of them handed to an app
    /// that sends it elsewhere. Once a person has applied it, the app has the secret, and what follows is applied by itself.
    #[must_use]
    pub fn unless_given_secrets(
        self,
        plan: &Plan,
        documents: &Documents,
        had: &BTreeMap<AppId, BTreeSet<SecretName>>,
    ) -> Self {
        let Self::Apply(_) = self else { return self };
        let none = BTreeSet::new();
        let is_given = |one: &Change| {
            let had = one.app.and_then(|app| had.get(&app)).unwrap_or(&none);
            let wanted = documents.get(&one.name);
            !one.is_quiet() && wanted.is_some_and(|spec| !spec.secrets().is_subset(had))
        };
        match named(plan, is_given) {
            Some(names) => waits(format!("given a secret for the first time: {names}")),
            None => self,
        }
    }
}

impl Verdict {
    /// Holds an apply back of which a change was rejected: by a person, or because it came to nothing when it was applied by itself.
    /// `rejected` has those of the plan's changes whose very content was, with by whom, when and why.
    ///
    /// A person may apply it all the same. What half a commit would be without it is not what the commit says, so all of it waits.
    #[must_use]
    pub fn unless_rejected(self, plan: &Plan, rejected: &BTreeMap<Hostname, String>) -> Self {
        let Self::Apply(_) = self else { return self };
        let changes = plan.changes.iter().filter(|one| !one.is_quiet());
        let names: BTreeSet<&Hostname> = changes.map(|one| &one.name).collect();
        let rejected = rejected.iter().filter(|(name, _)| names.contains(name));
        let rejected = rejected.map(|(name, why)| (name.clone(), why.clone()));
        match held_back(&rejected.collect()) {
            Some(why) => Self::Waits(why),
            None => self,
        }
    }
}

impl Verdict {
    /// Has what a source's documents say of the apps that a plan does not change recorded as well, and holds all of it back where that
    /// would be a person's word: where one of them names a secret that its app does not have, or where just what is said anew was rejected.
    /// A quiet plan whose documents say nothing anew ([`said_anew`]) stays one; any other is applied, with no changes.
    ///
    /// `applied` is what was applied last of each app; `rejected` has what was rejected of these documents, with by whom, when and why.
    #[must_use]
    pub fn and_records(
        self,
        (policy, plan): (SourcePolicy, &Plan),
        documents: &Documents,
        applied: &BTreeMap<Hostname, DesiredSpec>,
        rejected: &BTreeMap<Hostname, String>,
    ) -> Self {
        let anew = said_anew(documents, applied);
        let is_applied = match &self {
            Self::Quiet => policy == SourcePolicy::Apply && !anew.is_empty(),
            Self::Apply(_) => true,
            Self::Waits(_) => false,
        };
        if !is_applied {
            return self;
        }
        let changes = plan.changes.iter().filter(|one| !one.is_quiet());
        let changed: BTreeSet<&Hostname> = changes.map(|one| &one.name).collect();
        let standing = documents.iter().filter(|(name, _)| !changed.contains(name));
        let given = standing.filter(|(name, spec)| {
            let had = applied.get(*name).map(DesiredSpec::secrets);
            !spec.secrets().is_subset(&had.unwrap_or_default())
        });
        if let Some(names) = first(given.map(|(name, _)| name)) {
            return waits(format!("given a secret for the first time: {names}"));
        }
        let of_standing = |name: &Hostname| anew.contains(name) && !changed.contains(name);
        let rejected = rejected.iter().filter(|(name, _)| of_standing(name));
        let rejected = rejected.map(|(name, why)| (name.clone(), why.clone()));
        match (held_back(&rejected.collect()), self) {
            (Some(why), _) => Self::Waits(why),
            (None, Self::Quiet) => Self::Apply(Consent::default()),
            (None, other) => other,
        }
    }
}

/// Apps of which documents say otherwise than was `applied` of them last. That may be what no container shows: a policy, what others may
/// change, what they depend on. Then a plan has no change for it, and it is to be recorded all the same.
#[must_use]
pub fn said_anew(
    documents: &Documents,
    applied: &BTreeMap<Hostname, DesiredSpec>,
) -> BTreeSet<Hostname> {
    let anew = documents.iter().filter(|(name, spec)| {
        let applied = applied.get(*name);
        applied.is_some_and(|applied| applied != *spec)
    });
    anew.map(|(name, _)| name.clone()).collect()
}

/// Why what was rejected of a plan holds all of it back, by app with by whom, when and why; `None`: nothing was.
#[must_use]
pub fn held_back(rejected: &BTreeMap<Hostname, String>) -> Option<Failure> {
    let mut held = rejected
        .iter()
        .map(|(name, why)| format!("{name} was {why}"));
    let first: Vec<String> = held.by_ref().take(NAMED).collect();
    if first.is_empty() {
        return None;
    }
    let more = if held.next().is_some() { "; …" } else { "" };
    Some(Failure::new(
        "source_waits",
        format!("{}{more}", first.join("; ")),
        "apply it all the same with: proximity apply PLAN; or let it be applied by itself again with: proximity unreject APP; or \
         change the documents",
    ))
}

/// Codes of failures that come of what somebody else did at the same time.
const OF_OTHERS: [&str; 10] = [
    "plan_outdated",
    "preview_outdated",
    "busy",
    "queue_full",
    "not_in_state",
    "app_not_found",
    "container_locked",
    "config_changed",
    "state_changed",
    "vmid_taken",
];
/// And those of who was not there to be asked.
const OF_NOBODY: [&str; 8] = [
    "host_unreachable",
    "host_too_slow",
    "ssh_unreachable",
    "pve_unreachable",
    "pve_node_unreachable",
    "no_quorum",
    "view_incomplete",
    "out_of_files",
];

/// Whether a change that failed so says something of what was wanted, and not of what somebody else did at the same time, or of who was
/// away: then nothing applies that by itself again.
#[must_use]
pub fn rejects(code: &str) -> bool {
    !OF_OTHERS.contains(&code) && !OF_NOBODY.contains(&code)
}

fn waits(message: String) -> Verdict {
    Verdict::Waits(Failure::new(
        "source_waits",
        message,
        "look at the plan, and apply it with: proximity apply PLAN; or change the documents",
    ))
}

/// Names of the changes that are so, the first of many; none if there are none.
fn named(plan: &Plan, is_so: impl Fn(&Change) -> bool) -> Option<String> {
    let changes = plan.changes.iter().filter(|one| is_so(one));
    first(changes.map(|one| &one.name))
}

/// These names, the first of many; none if there are none.
fn first<'a>(mut names: impl Iterator<Item = &'a Hostname>) -> Option<String> {
    let first: Vec<&str> = names.by_ref().take(NAMED).map(Hostname::as_str).collect();
    let more = if names.next().is_some() { ", …" } else { "" };
    (!first.is_empty()).then(|| format!("{}{more}", first.join(", ")))
}
