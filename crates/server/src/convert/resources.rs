//! Resources of the clusters, and what they were.

use proximity_api::resources::{ChangedField, Resource, SnapshotEntry, SnapshotPlace};
use proximity_domain::resource::{FieldChange, ResourceState, Snapshot, differences};
use proximity_store::resources::ResourceRecord;

use super::moment;

/// A resource; `host` is the label of its host entry.
pub(crate) fn resource(
    record: ResourceRecord,
    host: String,
    state: Option<&ResourceState>,
) -> Resource {
    Resource {
        id: record.id.to_string(),
        host,
        kind: record.key.kind.label().to_owned(),
        key: record.key.name,
        name: record.name,
        status: record.status,
        first_seen_at: moment(record.first_seen_at),
        changed_at: moment(record.changed_at),
        gone_at: record.gone_at.map(moment),
        state: state.map(|state| state.fields().clone()),
    }
}

/// A snapshot beside the one before it.
pub(crate) fn snapshot_entry(snapshot: &Snapshot, before: Option<&Snapshot>) -> SnapshotEntry {
    SnapshotEntry {
        seq: snapshot.seq,
        at: moment(snapshot.at),
        change: snapshot.change.label().to_owned(),
        status: snapshot.told().status().to_owned(),
        changes: before.map(|before| changed_fields(before, snapshot)),
    }
}

/// Which snapshot.
pub(crate) fn snapshot_place(snapshot: &Snapshot) -> SnapshotPlace {
    SnapshotPlace {
        seq: snapshot.seq,
        at: moment(snapshot.at),
        change: snapshot.change.label().to_owned(),
    }
}

/// What differs between two snapshots; that it is gone, or there again, is a change of its status.
pub(crate) fn changed_fields(from: &Snapshot, to: &Snapshot) -> Vec<ChangedField> {
    let changed = |change: FieldChange| ChangedField {
        field: change.field,
        from: change.from,
        to: change.to,
    };
    let changes = differences(&from.told(), &to.told());
    changes.into_iter().map(changed).collect()
}

#[cfg(test)]
mod tests {
    use proximity_domain::resource::SnapshotChange;
    use proximity_domain::time::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_deleted_differs_from_what_was_there() {
        let snapshot = |seq, change| Snapshot {
            seq,
            at: Timestamp(seq),
            change,
            state: ResourceState::of([("status", json!("running"))]),
        };
        let there = snapshot(1, SnapshotChange::Updated);
        let gone = snapshot(2, SnapshotChange::Deleted);
        let entry = snapshot_entry(&gone, Some(&there));
        let expected = ChangedField {
            field: "status".to_owned(),
            from: Some(json!("running")),
            to: Some(json!("gone")),
        };
        assert_eq!(entry.status, "gone");
        assert_eq!(entry.changes, Some(vec![expected]));
        assert_eq!(snapshot_entry(&there, None).status, "running");
    }
}
