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
        status: snapshot.state.status().to_owned(),
        changes: before.map(|before| changed_fields(&before.state, &snapshot.state)),
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

/// What differs between two states.
pub(crate) fn changed_fields(from: &ResourceState, to: &ResourceState) -> Vec<ChangedField> {
    let changed = |change: FieldChange| ChangedField {
        field: change.field,
        from: change.from,
        to: change.to,
    };
    differences(from, to).into_iter().map(changed).collect()
}
