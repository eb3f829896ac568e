//! What was wanted before, and what a plan goes back to.

use proximity_api::rollback::{
    DesiredRevision, PlanRollback, RollbackKept, RollbackLost, RollbackOf, RollbackPlane,
    RollbackStays,
};
use proximity_domain::desired::DesiredSpec;
use proximity_domain::ids::AppId;
use proximity_domain::rollback::{Back, Plane, Rollback, Stays, Target};
use proximity_store::desired::DesiredRecord;
use serde_json::Value;

use super::moment;

/// What a plan goes back to.
pub(crate) fn rollback(rollback: Rollback) -> PlanRollback {
    let (revision, time, snapshot) = match rollback.to {
        Target::Revision(number) => (Some(number), None, None),
        Target::Moment(at) => (None, Some(moment(at)), None),
        Target::Snapshot(number) => (None, None, Some(number)),
    };
    let planes = Plane::ALL.into_iter().map(|plane| RollbackPlane {
        plane: plane.label().to_owned(),
        moves: plane.moves(),
    });
    let stays = |one: Stays| RollbackStays {
        name: one.name.to_string(),
        why: one.why,
    };
    let lost = rollback.lost.into_iter().map(|one| RollbackLost {
        name: one.name.to_string(),
        path: one.path,
        now: one.now,
    });
    PlanRollback {
        revision,
        time,
        snapshot,
        planes: planes.collect(),
        apps: rollback.apps.into_iter().map(back).collect(),
        stay: rollback.stay.into_iter().map(stays).collect(),
        left_out: rollback.left_out.into_iter().map(stays).collect(),
        lost: lost.collect(),
    }
}

fn back(one: Back) -> RollbackOf {
    let kept = one.kept.into_iter().map(|kept| RollbackKept {
        what: kept.what,
        why: kept.why,
    });
    RollbackOf {
        name: one.name.to_string(),
        revision: one.revision,
        since: moment(one.since),
        kept: kept.collect(),
    }
}

/// What was wanted under the name of this app.
pub(crate) fn desired_revision(record: DesiredRecord, of: AppId) -> DesiredRevision {
    let kind = record.spec.as_ref().map(DesiredSpec::kind);
    DesiredRevision {
        revision: record.revision,
        applied_at: moment(record.applied_at),
        applied_by: record.applied_by,
        apply_id: record.apply.to_string(),
        plan_id: record.plan.to_string(),
        of_this_app: record.app == Some(of),
        kind: kind.map(|kind| kind.label().to_owned()),
        spec: record.spec.as_ref().map(spec),
    }
}

fn spec(spec: &DesiredSpec) -> Value {
    let written = match spec {
        DesiredSpec::App(spec) => serde_json::to_value(spec),
        DesiredSpec::AdoptedApp(spec) => serde_json::to_value(spec),
    };
    // Of texts, numbers and maps by name, which are always written.
    written.unwrap_or_default()
}
