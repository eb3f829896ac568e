//! `/api/stats`: how many apps there are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer of `GET /api/stats`: live apps that the caller may see, counted. What there is none of is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// All of them.
    pub total: u64,
    /// `native` or `adopted`.
    pub by_kind: BTreeMap<String, u64>,
    /// By the app's status.
    pub by_status: BTreeMap<String, u64>,
    /// By node, as `HOST/NODE`, where the host is named by its label.
    pub by_node: BTreeMap<String, u64>,
    /// By entry of the catalog.
    pub by_type: BTreeMap<String, u64>,
    /// How far the taking over of containers has come.
    pub adoption: AdoptionStats,
}

/// Adopted apps, counted, and what is left to adopt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdoptionStats {
    /// Adopted apps.
    pub adopted: u64,
    /// Of these, those that the gateway listens for.
    pub exposed: u64,
    /// Adopted apps by their status.
    pub by_status: BTreeMap<String, u64>,
    /// Containers that no app has, by the label of their host, as the newest look at it showed. Only for who sees all apps; a
    /// host that was not seen whole is left out.
    pub unmanaged: BTreeMap<String, u64>,
}
