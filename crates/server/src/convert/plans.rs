//! Plans.

use proximity_api::plans::{
    Plan, PlanBrake, PlanCounts, PlanIgnored, PlanObstacle, PlannedChange, PlannedField,
};
use proximity_domain::plan::{Act, Change, FieldDiff, IgnoredFields};
use proximity_store::plans::PlanRecord;

use super::{moment, rollback};

/// A plan as it was made, and kept or not.
pub(crate) fn plan(record: PlanRecord, is_kept: bool) -> Plan {
    let plan = record.plan;
    let mut counts = PlanCounts {
        unchanged: plan.unchanged,
        uncompared: plan.uncompared,
        ..PlanCounts::default()
    };
    for change in &plan.changes {
        *counted(&mut counts, change.act) += 1;
    }
    Plan {
        id: is_kept.then(|| record.id.to_string()),
        made_at: moment(record.made_at),
        made_by: record.made_by,
        applied_at: record.applied_at.map(moment),
        digest: plan.digest,
        basis: plan.basis,
        prune: plan.prune,
        counts,
        changes: plan.changes.into_iter().map(change).collect(),
        ignored: plan.ignored.into_iter().map(ignored).collect(),
        brake: plan.brake.map(|brake| PlanBrake {
            removed: brake.removed,
            done: brake.done,
            limit: brake.limit,
        }),
        rollback: plan.rollback.map(rollback),
    }
}

fn counted(counts: &mut PlanCounts, act: Act) -> &mut u64 {
    match act {
        Act::Create => &mut counts.create,
        Act::Update => &mut counts.update,
        Act::Replace => &mut counts.replace,
        Act::Adopt => &mut counts.adopt,
        Act::Forget => &mut counts.forget,
        Act::Destroy => &mut counts.destroy,
        Act::NoOp => &mut counts.not_known,
    }
}

fn change(change: Change) -> PlannedChange {
    let place = change.place;
    let obstacles = change.obstacles.into_iter();
    let depends_on = change.depends_on.iter();
    PlannedChange {
        name: change.name.to_string(),
        app_id: change.app.map(|app| app.to_string()),
        class: change.class.label().to_owned(),
        act: change.act.label().to_owned(),
        layer: change.layer.saturating_add(1),
        depends_on: depends_on.map(ToString::to_string).collect(),
        host: place.host.map(|host| host.to_string()),
        node: place.node.map(|node| node.to_string()),
        vmid: place.vmid.map(|vmid| vmid.get()),
        fields: change.fields.into_iter().map(field).collect(),
        downtime: change.downtime.label().to_owned(),
        at_risk: change.at_risk,
        lacks: change.lacks,
        obstacles: obstacles
            .map(|one| PlanObstacle {
                code: one.code,
                message: one.message,
                hint: one.hint,
            })
            .collect(),
        notes: change.notes,
    }
}

fn ignored(ignored: IgnoredFields) -> PlanIgnored {
    PlanIgnored {
        name: ignored.name.to_string(),
        fields: ignored.fields.into_iter().map(field).collect(),
    }
}

fn field(field: FieldDiff) -> PlannedField {
    PlannedField {
        path: field.path,
        from: field.from,
        to: field.to,
        source: field.source.label().to_owned(),
    }
}
