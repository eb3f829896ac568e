//! `/api/reconcile` and `/api/janitor`: the record held against the clusters, and against itself. Fields as in the seeds.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /api/reconcile`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconcile {
    /// Look and tell; nothing is written.
    #[serde(default)]
    pub dry_run: bool,
    /// How many apps are proven to be missing, typed by a person who knows that their containers were removed: releases the mass
    /// brake for exactly so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub confirm_missing: Option<u64>,
}

/// Answer of `POST /api/reconcile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReconcileReport {
    /// Every cluster was seen whole, and nothing was left undone.
    pub success: bool,
    /// Live apps when the pass began.
    pub total_apps: u64,
    /// Guests that the clusters list.
    pub real_vmids_count: u64,
    /// Apps whose container is proven absent.
    pub orphans_found: u64,
    /// Of these, being removed or in trouble.
    pub expected_orphans: u64,
    /// Of these, others: somebody deleted the container.
    pub anomalous_orphans: u64,
    /// Records that were archived.
    pub orphans_purged: u64,
    /// What could not be seen or done, one sentence each.
    pub errors: Vec<String>,
    /// Apps whose container is missing from complete looks, proven or not yet.
    pub suspected: u64,
    /// Each orphan.
    pub orphans: Vec<Orphan>,
    /// The mass brake, if it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brake: Option<MassBrake>,
    /// Containers that were followed to another node.
    pub moved: u64,
    /// Apps whose status follows the power of their container.
    pub refreshed: u64,
}

/// One orphan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Orphan {
    /// The app's id.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// Its host name.
    pub hostname: String,
    /// Label of the host entry.
    pub host: String,
    /// The container's number.
    pub vmid: u32,
    /// `expected` or `anomalous`.
    pub kind: String,
    /// The app's status.
    pub status: String,
    /// The record is in the archive.
    pub archived: bool,
}

/// The mass brake, where it stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MassBrake {
    /// Apps whose container is missing.
    pub missing: u64,
    /// Of these, so many have been missing for long enough to be proven.
    pub ripe: u64,
    /// Records archived in the last hour.
    pub done: u64,
    /// What may be archived in an hour.
    pub limit: u64,
    /// What to do.
    pub hint: String,
}

/// Body of `POST /api/janitor`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunJanitor {
    /// Look and tell; nothing is marked.
    #[serde(default)]
    pub dry_run: bool,
}

/// Answer of `POST /api/janitor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JanitorReport {
    /// Apps on their way to somewhere.
    pub total_transitional: u64,
    /// Of these, for too long with nobody at work.
    pub stuck_found: u64,
    /// Of these, marked *error* now.
    pub stuck_marked_error: u64,
    /// What it said, line by line.
    pub lines: Vec<String>,
}
