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
}
