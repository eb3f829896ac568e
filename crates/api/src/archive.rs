//! `/api/archive`: apps that were removed, or whose container is gone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::apps::Ports;
use crate::operations::Operation;

/// Query of `GET /api/archive`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ArchiveQuery {
    /// How many at most: 50 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Answer of `GET /api/archive`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArchiveList {
    /// Archived last first.
    pub apps: Vec<ArchivedApp>,
    /// `after` of the next page; none on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An app in the archive. Its log and its operations are read as before, by its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArchivedApp {
    /// Its id.
    #[schema(format = "uuid")]
    pub id: String,
    /// The host name it had.
    pub hostname: String,
    /// Whose it was.
    pub owner: String,
    /// Entry of the catalog.
    pub catalog_id: String,
    /// Version of that entry.
    pub catalog_version: String,
    /// The node its container was on.
    pub node: String,
    /// Its status when it was archived.
    pub status: String,
    /// The ports it had.
    pub ports: Option<Ports>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was archived.
    pub archived_at: Timestamp,
    /// `reconciler` for an app whose container was proven absent, `person` for one that somebody said to be lost with its node, or
    /// the id of the operation that removed it.
    pub archived_by: String,
    /// What became of it; none in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<AppHistory>,
}

/// What is kept of an app beside its log and its events, which are read by its id as before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AppHistory {
    /// Its containers, oldest first. Backups of them on the cluster are named after their numbers.
    pub containers: Vec<PastContainer>,
    /// What was asked for, newest first: 50 at most.
    pub operations: Vec<Operation>,
    /// What was sent to Proxmox VE to change something, or run in a container, newest first: 200 at most.
    pub calls: Vec<SentCall>,
}

/// A container that an app had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PastContainer {
    /// Label of its host; `null` when that was removed.
    pub host: Option<String>,
    /// The node it was on last.
    pub node: String,
    /// Its number.
    pub vmid: u32,
    /// When it was seen to be gone, or given back.
    pub gone_at: Option<Timestamp>,
}

/// A call as it was audited before it was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SentCall {
    /// When.
    pub at: Timestamp,
    /// The account that asked for the operation.
    pub account: String,
    /// E.g. `DELETE /nodes/pve1/lxc/101`.
    pub call: String,
    /// What it was for, e.g. `lab/pve1/101`.
    pub target: String,
    /// What was sent with it, without secrets, e.g. `{"purge": 1}`.
    #[schema(value_type = Object)]
    pub details: Value,
    /// The operation.
    #[schema(format = "uuid")]
    pub operation_id: Option<String>,
}
