//! `/api/resources`: nodes, storages, virtual machines, containers and tasks of the clusters, as they were observed, and what each was
//! at any moment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /api/resources`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ResourceQuery {
    /// Label or id of a host entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Only this kind: `container`, `node`, `storage`, `task` or `vm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "container")]
    pub kind: Option<String>,
    /// Only with this status, e.g. `running`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Only what people or its cluster call so: a name, a VMID, `NODE/STORAGE`, a UPID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Those that are gone too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<bool>,
    /// How many at most: 50 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Answer of `GET /api/resources`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResourceList {
    /// By host entry, kind and what their cluster calls them.
    pub resources: Vec<Resource>,
    /// How many there are on all pages.
    pub total: u64,
    /// `after` of the next page; none on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A resource of a cluster as it is, or was when it was seen last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resource {
    /// Its id. It is the same whenever something has its number or name again.
    #[schema(format = "uuid")]
    pub id: String,
    /// Label of its host entry.
    pub host: String,
    /// `container`, `node`, `storage`, `task` or `vm`.
    pub kind: String,
    /// What its cluster calls it: a node's name, `NODE/STORAGE`, a VMID, a UPID.
    pub key: String,
    /// What people call it, if that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its status, e.g. `running`, `online`, `available` or `ok`.
    pub status: String,
    /// When it was recorded first.
    pub first_seen_at: Timestamp,
    /// Since when it is as it is.
    pub changed_at: Timestamp,
    /// When a whole look at its cluster lacked it; none while it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
    /// Its whole state; none in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub state: Option<BTreeMap<String, Value>>,
}

/// Query of `GET /api/resources/{resource}/history`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// How many at most: 50 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Answer of `GET /api/resources/{resource}/history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResourceHistory {
    /// The resource.
    pub resource: Resource,
    /// Newest first.
    pub snapshots: Vec<SnapshotEntry>,
    /// `after` of the next page; none on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One change of a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotEntry {
    /// Its number among those of the resource.
    pub seq: i64,
    /// When it was seen.
    pub at: Timestamp,
    /// `created`, `discovered` (it may have been there before), `updated` or `deleted`.
    pub change: String,
    /// The status from then on; `gone` once it was deleted.
    pub status: String,
    /// What differs from the snapshot before; `null` where that is not kept, or there was none.
    pub changes: Option<Vec<ChangedField>>,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangedField {
    /// e.g. `status`, or `config.memory` for a key of a container's configuration.
    pub field: String,
    /// What it was; `null` = it was not there.
    pub from: Option<Value>,
    /// What it is; `null` = it is not there.
    pub to: Option<Value>,
}

/// Query of `GET /api/resources/{resource}/at`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AtQuery {
    /// The moment.
    pub time: Timestamp,
}

/// Answer of `GET /api/resources/{resource}/at`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResourceAt {
    /// The resource as it is now.
    pub resource: Resource,
    /// The snapshot that was the newest one at that moment.
    pub snapshot: SnapshotPlace,
    /// The whole state at that moment; while it was gone the status is `gone`, and the rest is as it was seen last.
    #[schema(value_type = Object)]
    pub state: BTreeMap<String, Value>,
}

/// Which snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotPlace {
    /// Its number among those of the resource.
    pub seq: i64,
    /// When it was made.
    pub at: Timestamp,
    /// As in the history.
    pub change: String,
}

/// Query of `GET /api/resources/{resource}/diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// One moment.
    pub from: Timestamp,
    /// The other one; left out, now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

/// Answer of `GET /api/resources/{resource}/diff`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResourceDiff {
    /// The resource as it is now.
    pub resource: Resource,
    /// The snapshot of the one moment.
    pub from: SnapshotPlace,
    /// That of the other one.
    pub to: SnapshotPlace,
    /// Field by field; none where nothing differs.
    pub changes: Vec<ChangedField>,
}
