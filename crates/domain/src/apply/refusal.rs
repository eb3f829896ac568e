//! Whether a plan may be applied.

use std::collections::BTreeMap;

use crate::app::AppClass;
use crate::desired::{DesiredSpec, Documents};
use crate::names::Hostname;
use crate::plan::{Act, Change, FieldDiff, MassBrake, Obstacle, Plan};

/// What a person agrees to. It holds for one run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Consent {
    /// Apps that no document names may be removed.
    pub prune: bool,
    /// So many records may end though the mass brake stops: their very number.
    pub confirm_removed: Option<u64>,
    /// So many containers that we made may be destroyed: their very number.
    pub confirm_destroyed: Option<u64>,
}

/// Why a plan is not applied. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What it was made from has changed.
    #[error("what the plan was made from has changed since")]
    Outdated,
    /// Changes cannot be made as things are, or not with the rights of the token.
    #[error("something keeps {} of the changes from being made: {}", changes.len(), listed(changes))]
    Obstructed {
        /// Of each of them, what does.
        changes: Vec<(Hostname, Vec<Obstacle>)>,
    },
    /// Changes want what no app is changed to where it is.
    #[error("not all of that can be changed where it is: {}", listed(changes))]
    Unsupported {
        /// Of each of them, the fields.
        changes: Vec<(Hostname, Vec<String>)>,
    },
    /// Apps would be removed that no document names.
    #[error("the plan removes {removed} app(s) that no document names, which was not agreed to")]
    PruneNotAllowed {
        /// How many.
        removed: u64,
    },
    /// More would be removed than may go in an hour.
    #[error("{} records would end, and {} ended in the last hour already: {} may without a person's word", brake.removed, brake.done, brake.limit)]
    BrakeStops {
        /// The mass brake.
        brake: MassBrake,
        /// The number that was given.
        confirmed: Option<u64>,
    },
    /// Containers would be destroyed.
    #[error(
        "{destroyed} container(s) would be destroyed with all that they hold, which was not agreed to"
    )]
    DestroyNotConfirmed {
        /// How many.
        destroyed: u64,
        /// The number that was given.
        confirmed: Option<u64>,
    },
}

/// Names in a message, at most.
const NAMED: usize = 5;

fn listed<T>(changes: &[(Hostname, T)]) -> String {
    let named = changes.iter().take(NAMED).map(|(name, _)| name.as_str());
    let named: Vec<&str> = named.collect();
    let more = if changes.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", named.join(", "))
}

impl Refusal {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Outdated => "plan_outdated",
            Self::Obstructed { .. } => "plan_obstructed",
            Self::Unsupported { .. } => "plan_unsupported",
            Self::PruneNotAllowed { .. } => "prune_not_allowed",
            Self::BrakeStops { .. } => "brake_not_released",
            Self::DestroyNotConfirmed { .. } => "destroy_not_confirmed",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Outdated => {
                "plan again, look at the new plan, and apply that one".to_owned()
            }
            Self::Obstructed { .. } => {
                "clear away what keeps each of them back, or leave its document out, and plan again".to_owned()
            }
            Self::Unsupported { .. } => {
                "write in the documents what is there now, or remove these apps and deploy them again".to_owned()
            }
            Self::PruneNotAllowed { .. } => {
                "if they are to go, apply with --prune; if not, plan without it".to_owned()
            }
            Self::BrakeStops { brake, .. } => {
                let removed = brake.removed;
                format!("look at each of them; if all are to end, apply with --confirm-removed {removed}")
            }
            Self::DestroyNotConfirmed { destroyed, .. } => {
                format!("look at what each of them holds; if all may go, apply with --confirm-destroyed {destroyed}")
            }
        }
    }

    /// What keeps each change back, by the name of its app; nothing where it is no single change.
    #[must_use]
    pub fn fields(&self) -> BTreeMap<String, String> {
        match self {
            Self::Obstructed { changes } => {
                let each = changes.iter().map(|(name, obstacles)| {
                    let texts = obstacles.iter();
                    let texts = texts.map(|one| format!("{}; {}", one.message, one.hint));
                    (name.to_string(), texts.collect::<Vec<_>>().join("; "))
                });
                each.collect()
            }
            Self::Unsupported { changes } => {
                let each = changes.iter();
                let each = each.map(|(name, paths)| (name.to_string(), paths.join(", ")));
                each.collect()
            }
            Self::Outdated
            | Self::PruneNotAllowed { .. }
            | Self::BrakeStops { .. }
            | Self::DestroyNotConfirmed { .. } => BTreeMap::new(),
        }
    }
}

/// Whether a plan may be applied as it was shown. `now` is the plan that the same documents give at this moment, with what the mass brake
/// says of it.
///
/// # Errors
/// The first of the refusals, in their order.
pub fn may_apply(
    shown: &Plan,
    now: &Plan,
    documents: &Documents,
    consent: &Consent,
) -> Result<(), Refusal> {
    if shown.digest != now.digest || shown.basis != now.basis || acts(shown) != acts(now) {
        return Err(Refusal::Outdated);
    }
    let held_back = now.changes.iter();
    let held_back = held_back.map(|one| (one.name.clone(), in_the_way(one)));
    let changes: Vec<_> = held_back.filter(|(_, all)| !all.is_empty()).collect();
    if !changes.is_empty() {
        return Err(Refusal::Obstructed { changes });
    }
    let unsupported = now.changes.iter().map(|one| {
        let spec = documents.get(&one.name);
        (one.name.clone(), unsupported(one, spec))
    });
    let changes: Vec<_> = unsupported.filter(|(_, paths)| !paths.is_empty()).collect();
    if !changes.is_empty() {
        return Err(Refusal::Unsupported { changes });
    }
    refuse_removals(now, consent)
}

fn refuse_removals(now: &Plan, consent: &Consent) -> Result<(), Refusal> {
    let pruned = now.changes.iter().filter(|one| match one.act {
        Act::Forget | Act::Destroy => true,
        Act::Create | Act::Update | Act::Replace | Act::Adopt | Act::NoOp => false,
    });
    let removed = u64::try_from(pruned.count()).unwrap_or(u64::MAX);
    if removed > 0 && !consent.prune {
        return Err(Refusal::PruneNotAllowed { removed });
    }
    let confirmed = consent.confirm_removed;
    if let Some(brake) = now.brake
        && confirmed != Some(brake.removed)
    {
        return Err(Refusal::BrakeStops { brake, confirmed });
    }
    let (destroyed, confirmed) = (now.destroyed(), consent.confirm_destroyed);
    if destroyed > 0 && confirmed != Some(destroyed) {
        return Err(Refusal::DestroyNotConfirmed {
            destroyed,
            confirmed,
        });
    }
    Ok(())
}

/// What would be done about an app, as far as it was shown.
type Shown<'a> = (&'a Hostname, Act, &'a [FieldDiff], &'a [String]);

/// What would be done, by name: documents that are kept app by app may put those that do not wait for each other in another order.
fn acts(plan: &Plan) -> Vec<Shown<'_>> {
    let changes = plan.changes.iter();
    let acts = changes.map(|one| {
        let (fields, at_risk) = (one.fields.as_slice(), one.at_risk.as_slice());
        (&one.name, one.act, fields, at_risk)
    });
    let mut acts: Vec<Shown<'_>> = acts.collect();
    acts.sort_by(|a, b| a.0.cmp(b.0));
    acts
}

/// What keeps a change from being done, with what the token lacks that would do it, which would be refused half-way.
fn in_the_way(change: &Change) -> Vec<Obstacle> {
    let lacks = (!change.lacks.is_empty()).then(|| {
        let host = change.place.host.as_ref();
        let of_host = host.map(|host| format!(" --host {host}"));
        Obstacle::new(
            "token_too_narrow",
            format!("the token lacks {}", change.lacks.join(", ")),
            format!(
                "give it these rights; proximity doctor{} shows the commands",
                of_host.unwrap_or_default()
            ),
        )
    });
    change.obstacles.iter().cloned().chain(lacks).collect()
}

/// Fields of an update that cannot be changed where the app is. A disk that grows is shown with both its sizes, and applying that plan
/// is the word that it may.
fn unsupported(change: &Change, spec: Option<&DesiredSpec>) -> Vec<String> {
    if change.act != Act::Update {
        return Vec::new();
    }
    let is_led_to = match spec {
        Some(DesiredSpec::AdoptedApp(spec)) => spec.expose,
        Some(DesiredSpec::App(_)) | None => false,
    };
    let can = |field: &FieldDiff| match (change.class, field.path.as_str()) {
        (_, "power") | (AppClass::Adopted, "expose" | "guard") => true,
        // The port is named where the gateway is led to it, and nowhere else.
        (AppClass::Adopted, "port") => is_led_to,
        (AppClass::Native, "memory" | "cores" | "rootfs") => true,
        (AppClass::Native, "host_name" | "certificate" | "apart_from") => true,
        // One that the catalog knows no more is in no recipe that could take it away.
        (AppClass::Native, path) => path.starts_with("settings.") && field.to.is_some(),
        (AppClass::Adopted, _) => false,
    };
    let fields = change.fields.iter().filter(|field| !can(field));
    fields.map(|field| field.path.clone()).collect()
}
