//! `/api/archive`: apps that were removed, or whose container is gone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::apps::Ports;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArchiveList {
    /// Archived last first.
    pub apps: Vec<ArchivedApp>,
    /// `after` of the next page; none on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An app in the archive. Its log and its operations are read as before, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// `reconciler` for an app whose container was proven absent, or the id of the operation that removed it.
    pub archived_by: String,
}
